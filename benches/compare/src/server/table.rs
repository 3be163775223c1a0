//! The table of all variants, and the same as JSON.

use crate::load::Round;
use crate::{Variant, machine, quoted};

/// The values of a variant: medians over the rounds.
pub struct Row {
    variant: Variant,
    best: f64,
    middle: Round,
    /// CPU microseconds of a request beyond those without authentication, compared within a round.
    beyond: f64,
    rounds: Vec<Round>,
}

impl Row {
    /// Part of the CPU time of a request.
    fn share(&self) -> f64 {
        self.beyond / self.middle.cpu_us
    }
}

/// The first variant is the one without authentication.
pub fn rows(variants: &[Variant], measured: &[Vec<Round>]) -> Vec<Row> {
    let row = |(variant, rounds): (&Variant, &Vec<Round>)| {
        let all = |of: fn(&Round) -> f64| median(rounds.iter().map(of));
        let best = rounds.iter().map(|round| round.per_second);
        let pairs = rounds.iter().zip(&measured[0]);
        Row {
            variant: *variant,
            best: best.fold(0.0, f64::max),
            middle: Round {
                per_second: all(|round| round.per_second),
                p50_us: all(|round| round.p50_us),
                p99_us: all(|round| round.p99_us),
                cpu_us: all(|round| round.cpu_us),
                generator: all(|round| round.generator),
            },
            beyond: median(pairs.map(|(round, none)| round.cpu_us - none.cpu_us)),
            rounds: rounds.clone(),
        }
    };
    variants.iter().zip(measured).map(row).collect()
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_unstable_by(f64::total_cmp);
    values[values.len() / 2]
}

pub fn print(rows: &[Row]) {
    println!(
        "\n  {:40}{:>11}{:>9}{:>9}{:>9}{:>9}{:>13}{:>8}{:>10}",
        "medians",
        "requests/s",
        "best",
        "p50 us",
        "p99 us",
        "CPU us",
        "beyond none",
        "share",
        "load core"
    );
    for row in rows {
        let Round {
            per_second,
            p50_us,
            p99_us,
            cpu_us,
            generator,
        } = row.middle;
        let (beyond, share) = match row.variant {
            Variant::NoAuth => (String::new(), String::new()),
            _ => (
                format!("{:.2}", row.beyond),
                format!("{:.0} %", row.share() * 100.0),
            ),
        };
        println!(
            "  {:40}{per_second:>11.0}{:>9.0}{p50_us:>9.0}{p99_us:>9.0}{cpu_us:>9.2}{beyond:>13}\
             {share:>8}{:>8.0} %",
            row.variant.name(),
            row.best,
            generator * 100.0,
        );
    }
    println!(
        "  CPU: of the server for one request. Load core: used by the load generator; at 100 % it \
         limits the requests."
    );
    say(rows, Variant::Session, 1.0, Variant::TowerSessions, 0.45);
    say(rows, Variant::Bearer, 1.3, Variant::Jsonwebtoken, 0.4);
}

/// Compares a variant with its target: CPU microseconds beyond none, and a multiple of a peer's.
fn say(rows: &[Row], variant: Variant, most_us: f64, peer: Variant, most: f64) {
    let find = |variant| rows.iter().find(|row| row.variant == variant);
    let (Some(own), Some(other)) = (find(variant), find(peer)) else {
        return;
    };
    let ratio = own.beyond / other.beyond;
    let met = own.beyond <= most_us && ratio <= most;
    println!(
        "  target: {}: at most {most_us} us beyond none and {most} x {}: {:.2} us, {ratio:.2} x, {}",
        variant.name(),
        peer.name(),
        own.beyond,
        if met { "reached" } else { "MISSED" },
    );
}

/// The rows as a JSON document, with the machine. Times are microseconds.
pub fn json(rows: &[Row]) -> String {
    let rows: Vec<_> = rows.iter().map(Row::json).collect();
    format!(
        "{{\n{},\n\"rows\": [\n{}\n]\n}}\n",
        machine::described(),
        rows.join(",\n")
    )
}

impl Row {
    fn json(&self) -> String {
        let rounds: Vec<_> = self.rounds.iter().map(Round::json).collect();
        format!(
            "{{\"name\": {}, \"beyond\": {:.4}, \"share\": {:.4}, \"median\": {}, \"rounds\": [\n  \
             {}]}}",
            quoted(self.variant.name()),
            self.beyond,
            self.share(),
            self.middle.json(),
            rounds.join(",\n  "),
        )
    }
}

impl Round {
    fn json(&self) -> String {
        format!(
            "{{\"requests_per_second\": {:.0}, \"p50\": {:.1}, \"p99\": {:.1}, \"cpu\": {:.4}, \
             \"load_core\": {:.3}}}",
            self.per_second, self.p50_us, self.p99_us, self.cpu_us, self.generator,
        )
    }
}
