//! The figures as pictures.

use std::collections::BTreeMap;
use std::error::Error;
use std::path::Path;

use plotters::prelude::*;

use crate::harness::Row;

const SIZE: (u32, u32) = (860, 380);
const COLORS: [RGBColor; 4] = [
    RGBColor(120, 120, 120),
    RGBColor(200, 80, 30),
    RGBColor(40, 110, 180),
    RGBColor(90, 150, 60),
];

/// Draws what there are figures for: a bar for each library, a line for each store.
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
        "verify a session, ns of CPU",
        &folder.join("verify-session.svg"),
    )?;
    lines(
        rows,
        "heap for a session, of ",
        "heap for a session, bytes",
        &folder.join("heap-session.svg"),
    )?;
    Ok(())
}

fn bars(rows: &[&Row], file: &Path) -> Result<(), Box<dyn Error>> {
    let root = SVGBackend::new(file, SIZE).into_drawing_area();
    root.fill(&WHITE)?;
    let longest = rows.iter().map(|row| row.ns).fold(0.0, f64::max) * 1.15;
    let count = rows.len() as i32;
    let mut chart = ChartBuilder::on(&root)
        .caption("verify a token, ns of CPU", ("sans-serif", 18))
        .margin(12)
        .x_label_area_size(28)
        .y_label_area_size(250)
        .build_cartesian_2d(0.0..longest, (0..count - 1).into_segmented())?;
    chart
        .configure_mesh()
        .disable_y_mesh()
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
        let color = if row.name.starts_with("statewise") {
            COLORS[1]
        } else {
            COLORS[2]
        };
        let mut bar = Rectangle::new(
            [
                (0.0, SegmentValue::Exact(place)),
                (row.ns, SegmentValue::Exact(place + 1)),
            ],
            color.filled(),
        );
        bar.set_margin(4, 4, 0, 0);
        bar
    }))?;
    chart.draw_series(rows.iter().enumerate().map(|(at, row)| {
        let place = SegmentValue::CenterOf(count - 1 - at as i32);
        Text::new(
            format!("{:.0}", row.ns),
            (row.ns + longest * 0.01, place),
            ("sans-serif", 13),
        )
    }))?;
    root.present()?;
    Ok(())
}

fn lines(rows: &[Row], prefix: &str, caption: &str, file: &Path) -> Result<(), Box<dyn Error>> {
    let mut series: BTreeMap<&str, Vec<(f64, f64)>> = BTreeMap::new();
    for row in rows {
        if let Some(count) = row.group.strip_prefix(prefix) {
            series
                .entry(&row.name)
                .or_default()
                .push((count.parse()?, row.ns));
        }
    }
    let Some(most) = series
        .values()
        .flatten()
        .map(|point| point.0)
        .reduce(f64::max)
    else {
        return Ok(());
    };
    let highest = series
        .values()
        .flatten()
        .map(|point| point.1)
        .fold(0.0, f64::max)
        * 1.1;
    let root = SVGBackend::new(file, SIZE).into_drawing_area();
    root.fill(&WHITE)?;
    let mut chart = ChartBuilder::on(&root)
        .caption(caption, ("sans-serif", 18))
        .margin(12)
        .x_label_area_size(40)
        .y_label_area_size(60)
        .build_cartesian_2d((900.0..most * 1.2).log_scale(), 0.0..highest)?;
    chart.configure_mesh().x_desc("sessions").draw()?;
    for ((name, points), color) in series.into_iter().zip(COLORS.into_iter().cycle()) {
        chart
            .draw_series(LineSeries::new(points, color.stroke_width(2)))?
            .label(name)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], color.stroke_width(2)));
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::UpperLeft)
        .background_style(WHITE.mix(0.8))
        .draw()?;
    root.present()?;
    Ok(())
}
