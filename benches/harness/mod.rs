//! Paired measurements in one process: fair on a shared machine.
//!
//! All candidates of a group run in every round, in random order, in batches shorter than a
//! scheduler slice. The ratio to the reference within a round counts. Thread CPU time excludes
//! other programs, but also the time spent waiting for a lock. For two threads with the same work,
//! the wall clock counts instead.

#![allow(dead_code, reason = "each bench uses a part of it")]

use std::fmt::Write as _;
use std::hint::black_box;
use std::pin::pin;
use std::process::ExitCode;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

pub mod alloc;
mod companion;
pub mod machine;
pub mod options;
pub mod served;
pub mod window;

use companion::Companion;
use options::Options;

/// Approximate duration of a batch.
const BATCH: Duration = Duration::from_micros(100);

/// Minimum number of operations in a batch with a second thread. With fewer, the start and the stop
/// of the second thread would dominate.
const BESIDE_ANOTHER: usize = 32;

/// Number of attempts for a batch in which the second thread did not get to work. After that, the
/// candidate skips the round.
const ATTEMPTS: usize = 20;

/// Minimum number of rounds for a row.
const ENOUGH: usize = 10;

/// One candidate of a group.
struct Candidate<'a> {
    name: String,
    act: Box<dyn FnMut(Phase) + 'a>,
    /// The work of a second thread.
    beside: Option<companion::Work<'a>>,
}

/// The work of a candidate.
#[derive(Clone, Copy)]
enum Phase {
    /// Unmeasured preparation before a batch.
    Prepare,
    /// Runs that many operations.
    Act(usize),
}

/// Candidates for the same work. The first one is the reference.
pub struct Group<'a> {
    name: String,
    candidates: Vec<Candidate<'a>>,
    /// A name, and the two candidates whose difference it is.
    differences: Vec<[String; 3]>,
    /// Candidates that serve as further references: the others' times are printed as multiples of
    /// theirs.
    bases: Vec<String>,
    /// Pairs of candidates: a name, and the name that its time is divided by.
    pairs: Vec<[String; 2]>,
}

/// The measured values of a candidate.
#[derive(Clone, Debug, Default)]
pub struct Row {
    pub group: String,
    pub name: String,
    pub reference: String,
    /// Thread CPU nanoseconds of one operation: median and minimum over the rounds.
    pub ns: f64,
    pub min: f64,
    /// Wall-clock nanoseconds of one operation in one thread, median.
    pub wall: f64,
    /// Ratio to the reference of the same round, in CPU time: median, and the middle eighty
    /// percent.
    pub ratio: f64,
    pub spread: (f64, f64),
    /// The same by the wall clock, median.
    pub wall_ratio: f64,
    pub allocs: f64,
    pub bytes: f64,
    /// Number of rounds that count.
    pub rounds: usize,
    /// Median multiple of the further references' times, in CPU time; by the wall clock if a second
    /// thread does the same work.
    pub multiples: Vec<(String, f64)>,
    /// A figure that is not a time, and its unit. Such a row has no nanoseconds.
    pub figure: Option<(f64, &'static str)>,
}

impl Row {
    /// A row with a figure that is not a time.
    pub fn figure(group: &str, name: &str, value: f64, unit: &'static str) -> Self {
        Self {
            ns: f64::NAN,
            min: f64::NAN,
            wall: f64::NAN,
            figure: Some((value, unit)),
            ..Self::time(group, name, value)
        }
    }

    /// A row of CPU nanoseconds that were measured outside the rounds.
    pub fn time(group: &str, name: &str, ns: f64) -> Self {
        Self {
            group: group.to_owned(),
            name: name.to_owned(),
            reference: "none".to_owned(),
            ns,
            min: ns,
            wall: ns,
            ratio: 1.0,
            spread: (1.0, 1.0),
            wall_ratio: 1.0,
            rounds: 1,
            ..Self::default()
        }
    }

    /// The measured value and its unit.
    pub fn value(&self) -> (f64, &'static str) {
        self.figure.unwrap_or((self.ns, "ns"))
    }
}

/// CPU and wall nanoseconds of one operation.
#[derive(Clone, Copy)]
struct Time {
    cpu: f64,
    wall: f64,
}

/// The results of a candidate in all rounds.
struct Series {
    name: String,
    /// True if a second thread does the same work. Waiting time counts then.
    in_two: bool,
    /// One value per round, or none if the second thread did not get to work.
    times: Vec<Option<Time>>,
    allocs: f64,
    bytes: f64,
}

impl<'a> Group<'a> {
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            candidates: Vec::new(),
            differences: Vec::new(),
            bases: Vec::new(),
            pairs: Vec::new(),
        }
    }

    /// Adds a candidate. Its result is kept from being optimized away.
    pub fn add<T>(self, name: impl Into<String>, mut act: impl FnMut() -> T + 'a) -> Self {
        self.add_over(name, (), |()| {}, move |()| act())
    }

    /// Adds a candidate with a state that is prepared before each batch, unmeasured.
    pub fn add_over<S: 'a, T>(
        self,
        name: impl Into<String>,
        state: S,
        prepare: impl FnMut(&mut S) + 'a,
        mut act: impl FnMut(&mut S) -> T + 'a,
    ) -> Self {
        self.add_batches(name, state, prepare, move |state, count| {
            for _ in 0..count {
                black_box(act(state));
            }
        })
    }

    /// Adds a candidate that runs its own loop of that many operations and keeps the results from
    /// being optimized away.
    pub fn add_batches<S: 'a>(
        mut self,
        name: impl Into<String>,
        state: S,
        prepare: impl FnMut(&mut S) + 'a,
        act: impl FnMut(&mut S, usize) + 'a,
    ) -> Self {
        self.candidates.push(Candidate {
            name: name.into(),
            act: Box::new(phases(state, prepare, act)),
            beside: None,
        });
        self
    }

    /// Adds a candidate that is measured while a second thread does the same work.
    pub fn add_twice<S: Send + 'a>(
        mut self,
        name: impl Into<String>,
        [state, other]: [S; 2],
        prepare: impl FnMut(&mut S) + Copy + Send + 'a,
        act: impl FnMut(&mut S, usize) + Copy + Send + 'a,
    ) -> Self {
        self.candidates.push(Candidate {
            name: name.into(),
            act: Box::new(phases(state, prepare, act)),
            beside: Some(Box::new(phases(other, prepare, act))),
        });
        self
    }

    /// Adds a row for the difference of two candidates within a round.
    pub fn difference(mut self, name: &str, of: &str, and: &str) -> Self {
        self.differences.push([name, of, and].map(str::to_owned));
        self
    }

    /// Also prints each time as a multiple of this candidate's time.
    pub fn multiples_of(mut self, name: &str) -> Self {
        self.bases.push(name.to_owned());
        self
    }

    /// Also prints the time of one candidate as a multiple of the time of one other.
    pub fn pair(mut self, name: &str, base: &str) -> Self {
        self.pairs.push([name, base].map(str::to_owned));
        self
    }

    /// Measures all candidates and prints a table.
    pub fn run(mut self, options: &Options) -> Vec<Row> {
        if !options.wants(&self.name) || self.candidates.is_empty() {
            return Vec::new();
        }
        let mut series = std::thread::scope(|scope| {
            let beside: Vec<_> = self
                .candidates
                .iter_mut()
                .map(|candidate| candidate.beside.take())
                .map(|work| work.map(|work| Companion::new(scope, work)))
                .collect();
            measured(&mut self.candidates, &beside, options)
        });
        for [name, of, and] in &self.differences {
            let of = series.iter().find(|series| series.name == *of);
            let and = series.iter().find(|series| series.name == *and);
            let (of, and) = of.zip(and).expect("candidates of this group");
            series.push(of.minus(and, name.clone()));
        }
        let reference = &series[0];
        let bases: Vec<&Series> = series
            .iter()
            .filter(|series| self.bases.contains(&series.name))
            .collect();
        let mut rows: Vec<Row> = series
            .iter()
            .filter_map(|series| series.row(&self.name, reference, &bases))
            .collect();
        print(&rows, options.rounds());
        for [name, base] in &self.pairs {
            let find = |name: &String| series.iter().find(|series| series.name == *name);
            let (of, to) = find(name)
                .zip(find(base))
                .expect("candidates of this group");
            let ratios = of.ratios(to, |time| time.cpu);
            let row = rows.iter_mut().find(|row| row.name == *name);
            if let (Some(row), false) = (row, ratios.is_empty()) {
                let [low, median, high] = [0.1, 0.5, 0.9].map(|part| quantile(&ratios, part));
                println!("  {name}, times {base}: {median:.3} ({low:.3}..{high:.3})");
                row.multiples.push((base.clone(), median));
            }
        }
        for series in series.iter().filter(|series| series.count() < ENOUGH) {
            let (name, rounds) = (&series.name, series.count());
            println!(
                "  {name}: no figure, as the second thread got to work in {rounds} rounds only"
            );
        }
        rows
    }
}

fn phases<'a, S: 'a>(
    mut state: S,
    mut prepare: impl FnMut(&mut S) + 'a,
    mut act: impl FnMut(&mut S, usize) + 'a,
) -> impl FnMut(Phase) + 'a {
    move |phase| match phase {
        Phase::Prepare => prepare(&mut state),
        Phase::Act(count) => act(&mut state, count),
    }
}

/// All rounds.
fn measured(
    candidates: &mut [Candidate<'_>],
    beside: &[Option<Companion>],
    options: &Options,
) -> Vec<Series> {
    let batches: Vec<usize> = candidates
        .iter_mut()
        .zip(beside)
        .map(|(candidate, beside)| candidate.calibrate(beside.as_ref()))
        .collect();
    let mut series: Vec<Series> = candidates
        .iter_mut()
        .zip(beside)
        .map(|(candidate, beside)| {
            let (allocs, bytes) = candidate.count();
            Series {
                name: candidate.name.clone(),
                in_two: beside.is_some(),
                times: Vec::with_capacity(options.rounds()),
                allocs,
                bytes,
            }
        })
        .collect();
    let mut order: Vec<usize> = (0..candidates.len()).collect();
    let mut random = Random(options.seed);
    for _ in 0..options.rounds() {
        random.shuffle(&mut order);
        for &at in &order {
            let time = candidates[at].batch(batches[at], beside[at].as_ref());
            series[at].times.push(time);
        }
    }
    series
}

impl Series {
    fn minus(&self, other: &Self, name: String) -> Self {
        let times = self.times.iter().zip(&other.times);
        Self {
            name,
            in_two: self.in_two,
            times: times
                .map(|(time, less)| {
                    time.zip(*less).map(|(time, less)| Time {
                        cpu: time.cpu - less.cpu,
                        wall: time.wall - less.wall,
                    })
                })
                .collect(),
            allocs: self.allocs - other.allocs,
            bytes: self.bytes - other.bytes,
        }
    }

    /// Number of rounds that count.
    fn count(&self) -> usize {
        self.times.iter().flatten().count()
    }

    /// The ratios to another candidate, from the rounds in which both were measured.
    fn ratios(&self, base: &Self, of: fn(&Time) -> f64) -> Vec<f64> {
        let pairs = self.times.iter().zip(&base.times);
        let pairs = pairs.filter_map(|(time, base)| time.as_ref().zip(base.as_ref()));
        sorted(pairs.map(|(time, base)| of(time) / of(base)).collect())
    }

    /// `None` if too few rounds count.
    fn row(&self, group: &str, reference: &Self, bases: &[&Self]) -> Option<Row> {
        let all = |of: fn(&Time) -> f64| sorted(self.times.iter().flatten().map(of).collect());
        let cpu = all(|time| time.cpu);
        let ratio = self.ratios(reference, |time| time.cpu);
        if ratio.is_empty() || cpu.len() < ENOUGH {
            return None;
        }
        let multiple = |base: &&Self| {
            let of: fn(&Time) -> f64 = match base.in_two {
                true => |time| time.wall,
                false => |time| time.cpu,
            };
            let ratios = self.ratios(base, of);
            let median = (!ratios.is_empty()).then(|| quantile(&ratios, 0.5));
            Some((base.name.clone(), median?))
        };
        Some(Row {
            group: group.to_owned(),
            name: self.name.clone(),
            reference: reference.name.clone(),
            ns: quantile(&cpu, 0.5),
            min: cpu[0],
            wall: quantile(&all(|time| time.wall), 0.5),
            ratio: quantile(&ratio, 0.5),
            spread: (quantile(&ratio, 0.1), quantile(&ratio, 0.9)),
            wall_ratio: quantile(&self.ratios(reference, |time| time.wall), 0.5),
            allocs: self.allocs,
            bytes: self.bytes,
            rounds: self.count(),
            multiples: bases.iter().filter_map(multiple).collect(),
            figure: None,
        })
    }
}

impl Candidate<'_> {
    /// Determines the number of operations in a batch.
    fn calibrate(&mut self, beside: Option<&Companion>) -> usize {
        let least = beside.map_or(1, |_| BESIDE_ANOTHER);
        let mut count = least;
        loop {
            // The shortest of three: an interrupt in a single one would make batches too short.
            let cpu = (0..3)
                .map(|_| self.act(count, beside).0.cpu)
                .fold(f64::INFINITY, f64::min);
            let took = Duration::from_nanos((cpu * count as f64) as u64);
            if took >= BATCH / 4 || count >= 1 << 20 {
                let wanted = BATCH.as_nanos() as f64 / cpu.max(0.1);
                return (wanted as usize).max(least);
            }
            count *= 2;
        }
    }

    /// Allocations and bytes of one operation.
    fn count(&mut self) -> (f64, f64) {
        const TIMES: usize = 64;
        (self.act)(Phase::Prepare);
        let before = alloc::counted();
        (self.act)(Phase::Act(TIMES));
        let after = alloc::counted();
        let per = |after: u64, before: u64| (after - before) as f64 / TIMES as f64;
        (per(after.0, before.0), per(after.1, before.1))
    }

    /// Runs that many operations. Beside a companion, only the time in which it worked too counts:
    /// on a busy machine it may not get a processor.
    fn batch(&mut self, count: usize, beside: Option<&Companion>) -> Option<Time> {
        (0..ATTEMPTS).find_map(|_| {
            let (time, meanwhile) = self.act(count, beside);
            (meanwhile >= count / 4).then_some(time)
        })
    }

    /// Runs that many operations. Also returns the number of the companion's operations.
    fn act(&mut self, count: usize, beside: Option<&Companion>) -> (Time, usize) {
        (self.act)(Phase::Prepare);
        if let Some(companion) = beside {
            companion.start();
        }
        let (wall, cpu) = (Instant::now(), thread_time());
        (self.act)(Phase::Act(count));
        let cpu = thread_time() - cpu;
        let wall = wall.elapsed();
        let meanwhile = beside.map_or(count, Companion::stop);
        let per = |time: Duration| time.as_nanos() as f64 / count as f64;
        let time = Time {
            cpu: per(cpu),
            wall: per(wall),
        };
        (time, meanwhile)
    }
}

/// Completes a future that never waits, without allocating.
pub fn now<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(outcome) => outcome,
        Poll::Pending => unreachable!("nothing here waits"),
    }
}

/// CPU time of this thread.
pub fn thread_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

pub fn sorted(mut values: Vec<f64>) -> Vec<f64> {
    values.sort_unstable_by(f64::total_cmp);
    values
}

pub fn quantile(sorted: &[f64], part: f64) -> f64 {
    sorted[((sorted.len() - 1) as f64 * part).round() as usize]
}

fn print(rows: &[Row], rounds: usize) {
    let Some(first) = rows.first() else { return };
    let width = rows.iter().map(|row| row.name.len()).fold(44, usize::max);
    println!(
        "\n{} (ratio to: {}; {} rounds)",
        first.group, first.reference, rounds
    );
    println!(
        "  {:width$}{:>10}{:>10}{:>8}  {:15}{:>10}{:>8}{:>8}{:>9}",
        "", "cpu ns", "min", "ratio", "10 %..90 %", "wall ns", "ratio", "allocs", "bytes"
    );
    for row in rows {
        println!(
            "  {:width$}{:>10.1}{:>10.1}{:>8.3}  {:15}{:>10.1}{:>8.3}{:>8.2}{:>9.1}",
            row.name,
            row.ns,
            row.min,
            row.ratio,
            format!("{:.3}..{:.3}", row.spread.0, row.spread.1),
            row.wall,
            row.wall_ratio,
            row.allocs,
            row.bytes,
        );
    }
    for row in rows.iter().filter(|row| row.rounds < rounds) {
        println!(
            "  {}: {} rounds, as the second thread did not get to work in the others",
            row.name, row.rounds
        );
    }
    for (at, (base, _)) in first.multiples.iter().enumerate() {
        println!("  times as long as {base}:");
        for row in rows.iter().filter(|row| row.name != *base) {
            if let Some((_, multiple)) = row.multiples.get(at) {
                println!("    {:width$}{multiple:>8.2}", row.name);
            }
        }
    }
}

/// Writes the results to the requested files, and fails if nothing was measured.
pub fn finish(rows: &[Row], options: &Options) -> ExitCode {
    if rows.is_empty() {
        eprintln!("nothing was measured: no group's name contains what --filter asks for");
        return ExitCode::FAILURE;
    }
    if let Some(file) = &options.json {
        std::fs::write(file, json(rows)).expect("the JSON file can be written");
    }
    ExitCode::SUCCESS
}

/// The rows as a JSON document, with the machine.
pub fn json(rows: &[Row]) -> String {
    let mut out = format!("{{\n{},\n\"rows\": [", machine::described());
    for (count, row) in rows.iter().enumerate() {
        let (value, unit) = row.value();
        let multiples: Vec<String> = row
            .multiples
            .iter()
            .map(|(base, multiple)| format!("{}: {multiple:.4}", quoted(base)))
            .collect();
        let _ = write!(
            out,
            "{}\n{{\"group\": {}, \"name\": {}, \"reference\": {}, \"unit\": \"{unit}\", \
             \"value\": {}, \"ns\": {}, \"min\": {}, \"wall\": {}, \"ratio\": {:.4}, \
             \"low\": {:.4}, \"high\": {:.4}, \"wall_ratio\": {:.4}, \"allocs\": {:.3}, \
             \"bytes\": {:.1}, \"rounds\": {}, \"multiples\": {{{}}}}}",
            if count == 0 { "" } else { "," },
            quoted(&row.group),
            quoted(&row.name),
            quoted(&row.reference),
            number(value),
            number(row.ns),
            number(row.min),
            number(row.wall),
            row.ratio,
            row.spread.0,
            row.spread.1,
            row.wall_ratio,
            row.allocs,
            row.bytes,
            row.rounds,
            multiples.join(", "),
        );
    }
    out.push_str("\n]\n}\n");
    out
}

/// JSON has no representation for NaN and infinity.
fn number(value: f64) -> String {
    if value.is_finite() {
        format!("{value:.2}")
    } else {
        "null".to_owned()
    }
}

/// Quotes a JSON string.
fn quoted(text: &str) -> String {
    let text = text.replace(|c: char| c.is_control(), " ");
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

/// A small generator for random orders and lookups.
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = self.0;
        word = (word ^ word >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ word >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        word ^ word >> 31
    }

    pub fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }

    fn shuffle<T>(&mut self, items: &mut [T]) {
        for at in (1..items.len()).rev() {
            items.swap(at, self.below(at + 1));
        }
    }
}
