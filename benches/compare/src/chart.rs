//! Charts of the figures.

use std::error::Error;
use std::path::Path;

use plotters::prelude::*;

use crate::harness::Row;

const WIDTH: u32 = 900;
const GREY: RGBColor = RGBColor(120, 120, 120);
const BLUE: RGBColor = RGBColor(40, 110, 180);

/// The color of a library, the same in all charts.
fn color(name: &str) -> RGBColor {
    let colors = [
        ("floor", GREY),
        ("statewise", RGBColor(200, 80, 30)),
        ("async-session", RGBColor(90, 150, 60)),
        ("tower-sessions-moka", RGBColor(30, 160, 170)),
        ("tower-sessions", BLUE),
        ("axum_session", RGBColor(130, 80, 160)),
    ];
    let found = colors.iter().find(|(prefix, _)| name.starts_with(prefix));
    found.map_or(BLUE, |(_, color)| *color)
}

/// Formats a number with a gap every three digits.
fn grouped(number: f64) -> String {
    let digits = format!("{number:.0}");
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(' ');
        }
        text.push(digit);
    }
    text
}

/// Draws the available figures: a bar for each library, a line for each store.
pub fn draw(rows: &[Row], folder: &Path) -> Result<(), Box<dyn Error>> {
    std::fs::create_dir_all(folder)?;
    let tokens: Vec<_> = rows
        .iter()
        .filter(|row| row.group == "verify a token")
        .collect();
    if !tokens.is_empty() {
        bars(&tokens, &folder.join("verify-token.svg"))?;
    }
    lines(
        rows,
        "verify a session, of ",
        "verify a session, ns of CPU (both axes logarithmic)",
        &folder.join("verify-session.svg"),
    )?;
    lines(
        rows,
        "heap for a session, of ",
        "heap for a session, bytes (both axes logarithmic)",
        &folder.join("heap-session.svg"),
    )?;
    Ok(())
}

fn bars(rows: &[&Row], file: &Path) -> Result<(), Box<dyn Error>> {
    let root = SVGBackend::new(file, (WIDTH, 84 + 34 * rows.len() as u32)).into_drawing_area();
    root.fill(&WHITE)?;
    let longest = rows.iter().map(|row| row.ns).fold(0.0, f64::max) * 1.15;
    let count = rows.len() as i32;
    let mut chart = ChartBuilder::on(&root)
        .caption("verify a token, ns of CPU", ("sans-serif", 18))
        .margin(12)
        .x_label_area_size(28)
        .y_label_area_size(280)
        .build_cartesian_2d(0.0..longest, (0..count - 1).into_segmented())?;
    chart
        .configure_mesh()
        .disable_y_mesh()
        .light_line_style(TRANSPARENT)
        .x_label_formatter(&|value| grouped(*value))
        .y_labels(rows.len())
        .y_label_formatter(&|place| match place {
            SegmentValue::CenterOf(at) => rows
                .get((count - 1 - at) as usize)
                .map_or(String::new(), |row| row.name.clone()),
            _ => String::new(),
        })
        .draw()?;
    chart.draw_series(rows.iter().enumerate().map(|(at, row)| {
        let place = count - 1 - at as i32;
        let mut bar = Rectangle::new(
            [
                (0.0, SegmentValue::Exact(place)),
                (row.ns, SegmentValue::Exact(place + 1)),
            ],
            color(&row.name).filled(),
        );
        bar.set_margin(4, 4, 0, 0);
        bar
    }))?;
    chart.draw_series(rows.iter().enumerate().map(|(at, row)| {
        let place = SegmentValue::CenterOf(count - 1 - at as i32);
        Text::new(
            grouped(row.ns),
            (row.ns + longest * 0.01, place),
            ("sans-serif", 13),
        )
    }))?;
    root.present()?;
    Ok(())
}

/// The name of a line and its points, from left to right.
type Line<'a> = (&'a str, Vec<(f64, f64)>);

fn series<'a>(rows: &'a [Row], prefix: &str) -> Vec<Line<'a>> {
    let mut lines: Vec<Line<'a>> = Vec::new();
    for row in rows {
        let count = row.group.strip_prefix(prefix);
        // Rows in brackets are only there to be subtracted.
        let wanted = !row.name.starts_with('[');
        let Some(count) = count.filter(|_| wanted).and_then(|n| n.parse().ok()) else {
            continue;
        };
        match lines.iter_mut().find(|(name, _)| *name == row.name) {
            Some((_, points)) => points.push((count, row.value().0)),
            None => lines.push((&row.name, vec![(count, row.value().0)])),
        }
    }
    lines
}

fn lines(rows: &[Row], prefix: &str, caption: &str, file: &Path) -> Result<(), Box<dyn Error>> {
    let lines = series(rows, prefix);
    let points = || lines.iter().flat_map(|(_, points)| points);
    if points().next().is_none() {
        return Ok(());
    }
    let most = points().map(|point| point.0).fold(0.0, f64::max);
    let highest = points().map(|point| point.1).fold(0.0, f64::max);
    let lowest = points().map(|point| point.1).fold(highest, f64::min);
    let root = SVGBackend::new(file, (WIDTH, 420)).into_drawing_area();
    root.fill(&WHITE)?;
    let mut chart = ChartBuilder::on(&root)
        .caption(caption, ("sans-serif", 18))
        .margin(12)
        .margin_right(350)
        .x_label_area_size(40)
        .y_label_area_size(56)
        .build_cartesian_2d(
            (900.0..most * 1.1).log_scale(),
            (lowest * 0.7..highest * 1.3).log_scale(),
        )?;
    chart
        .configure_mesh()
        .light_line_style(TRANSPARENT)
        .x_desc("sessions")
        .x_labels(4)
        .x_label_formatter(&|count| grouped(*count))
        // Each decade has nine marks; only these have room.
        .y_label_formatter(&|value| match value / 10f64.powf(value.log10().floor()) {
            digit if [1.0, 2.0, 5.0].contains(&digit.round()) => grouped(*value),
            _ => String::new(),
        })
        .draw()?;
    let mut labels = Vec::new();
    for (name, points) in lines {
        let color = color(name);
        chart.draw_series(LineSeries::new(points.clone(), color.stroke_width(2)))?;
        chart.draw_series(
            points
                .iter()
                .map(|point| Circle::new(*point, 3, color.filled())),
        )?;
        if let Some(last) = points.last() {
            let (x, y) = chart.backend_coord(last);
            labels.push((y, x, format!("{name}: {}", grouped(last.1)), color));
        }
    }
    // Labels stand at the ends of their lines and must not overlap.
    labels.sort_by_key(|label| label.0);
    let mut free = 0;
    for (y, x, text, color) in labels {
        let y = (y - 7).max(free);
        free = y + 16;
        let style = ("sans-serif", 13).into_font().color(&color);
        root.draw(&Text::new(text, (x + 16, y), style))?;
    }
    root.present()?;
    Ok(())
}
