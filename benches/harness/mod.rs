//! Paired measurements in one process: fair on a machine that others use too.
//!
//! All candidates of a group run in every round, in random order, in batches shorter than a
//! scheduler's slice; what counts is the ratio to the reference within the round. Thread CPU time
//! leaves out what other programs took; but it leaves out waiting for a lock too, so that of two
//! threads which do the same work, what the wall clock says counts.

#![allow(dead_code, reason = "each bench uses a part of it")]

use std::fmt::Write as _;
use std::hint::black_box;
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

pub mod alloc;
mod companion;
pub mod options;
pub mod served;
pub mod window;

use companion::Companion;
use options::Options;

/// How long a batch takes, about.
const BATCH: Duration = Duration::from_micros(100);

/// Operations of a batch at least, where a second thread does the same: with fewer, who waits for
/// whom at its two ends would count for more than what is in between.
const BESIDE_ANOTHER: usize = 32;

/// How often a batch is tried in which the second thread was to work too, and did not.
const ATTEMPTS: usize = 5;

/// One way to do the work of a group.
struct Candidate<'a> {
    name: String,
    act: Box<dyn FnMut(Phase) + 'a>,
    /// What a second thread does meanwhile.
    beside: Option<companion::Work<'a>>,
}

/// What a candidate is asked to do.
#[derive(Clone, Copy)]
enum Phase {
    /// What comes before a batch and does not count.
    Prepare,
    /// So many operations.
    Act(usize),
}

/// Ways to do the same work. The first one is the reference.
pub struct Group<'a> {
    name: String,
    candidates: Vec<Candidate<'a>>,
    /// A name, and the two candidates of which it is the difference.
    differences: Vec<[String; 3]>,
}

/// What was measured of a candidate.
#[derive(Clone, Debug)]
pub struct Row {
    pub group: String,
    pub name: String,
    pub reference: String,
    /// Thread CPU nanoseconds of one operation: median and minimum over the rounds.
    pub ns: f64,
    pub min: f64,
    /// Wall nanoseconds of one operation in one thread, median.
    pub wall: f64,
    /// To the reference, of the same round, in CPU time: median, and the middle eighty per cent.
    pub ratio: f64,
    pub spread: (f64, f64),
    /// The same by the wall clock, median.
    pub wall_ratio: f64,
    pub allocs: f64,
    pub bytes: f64,
    pub rounds: usize,
}

impl Row {
    /// A figure that is measured once, whatever its unit.
    pub fn figure(group: &str, name: &str, value: f64) -> Self {
        Self {
            group: group.to_owned(),
            name: name.to_owned(),
            reference: "none".to_owned(),
            ns: value,
            min: value,
            wall: value,
            ratio: 1.0,
            spread: (1.0, 1.0),
            wall_ratio: 1.0,
            allocs: 0.0,
            bytes: 0.0,
            rounds: 1,
        }
    }
}

/// CPU and wall nanoseconds of one operation.
#[derive(Clone, Copy)]
struct Time {
    cpu: f64,
    wall: f64,
}

/// What was found of a candidate in all rounds.
struct Series {
    name: String,
    times: Vec<Time>,
    allocs: f64,
    bytes: f64,
}

impl<'a> Group<'a> {
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            candidates: Vec::new(),
            differences: Vec::new(),
        }
    }

    /// Adds a candidate. Its result is kept from the optimiser.
    pub fn add<T>(self, name: impl Into<String>, mut act: impl FnMut() -> T + 'a) -> Self {
        self.add_over(name, (), |()| {}, move |()| act())
    }

    /// Adds a candidate that works on a state, which is prepared before each batch, unmeasured.
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

    /// Adds a candidate that does so many operations at a time itself, and keeps their results from
    /// the optimiser.
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

    /// Adds a row for what a candidate takes beyond another one, of the same round.
    pub fn difference(mut self, name: &str, of: &str, and: &str) -> Self {
        self.differences.push([name, of, and].map(str::to_owned));
        self
    }

    /// Measures all candidates, and prints a table.
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
        let rows: Vec<Row> = series
            .iter()
            .map(|series| series.row(&self.name, reference))
            .collect();
        print(&rows);
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
        .map(|candidate| {
            let (allocs, bytes) = candidate.count();
            Series {
                name: candidate.name.clone(),
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
            times: times
                .map(|(time, less)| Time {
                    cpu: time.cpu - less.cpu,
                    wall: time.wall - less.wall,
                })
                .collect(),
            allocs: self.allocs - other.allocs,
            bytes: self.bytes - other.bytes,
        }
    }

    fn row(&self, group: &str, reference: &Self) -> Row {
        let all = |of: fn(&Time) -> f64| sorted(self.times.iter().map(of).collect());
        let ratios = |of: fn(&Time) -> f64| {
            let pairs = self.times.iter().zip(&reference.times);
            sorted(pairs.map(|(time, base)| of(time) / of(base)).collect())
        };
        let cpu = all(|time| time.cpu);
        let ratio = ratios(|time| time.cpu);
        Row {
            group: group.to_owned(),
            name: self.name.clone(),
            reference: reference.name.clone(),
            ns: quantile(&cpu, 0.5),
            min: cpu[0],
            wall: quantile(&all(|time| time.wall), 0.5),
            ratio: quantile(&ratio, 0.5),
            spread: (quantile(&ratio, 0.1), quantile(&ratio, 0.9)),
            wall_ratio: quantile(&ratios(|time| time.wall), 0.5),
            allocs: self.allocs,
            bytes: self.bytes,
            rounds: self.times.len(),
        }
    }
}

impl Candidate<'_> {
    /// How many operations make a batch.
    fn calibrate(&mut self, beside: Option<&Companion>) -> usize {
        let least = beside.map_or(1, |_| BESIDE_ANOTHER);
        let mut count = least;
        loop {
            // The shortest of three: an interrupt in the only one would make batches too short.
            let cpu = (0..3)
                .map(|_| self.batch(count, beside).cpu)
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

    /// So many operations. Beside a companion, only what was measured while it worked too counts:
    /// on a busy machine it may not have had a processor.
    fn batch(&mut self, count: usize, beside: Option<&Companion>) -> Time {
        let mut attempts = 0;
        loop {
            (self.act)(Phase::Prepare);
            if let Some(companion) = beside {
                companion.start();
            }
            let (wall, cpu) = (Instant::now(), thread_time());
            (self.act)(Phase::Act(count));
            let cpu = thread_time() - cpu;
            let wall = wall.elapsed();
            let meanwhile = beside.map_or(count, Companion::stop);
            attempts += 1;
            if meanwhile >= count / 4 || attempts == ATTEMPTS {
                let per = |time: Duration| time.as_nanos() as f64 / count as f64;
                return Time {
                    cpu: per(cpu),
                    wall: per(wall),
                };
            }
        }
    }
}

/// Completes a future that has nothing to wait for, and allocates nothing for it.
pub fn now<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(outcome) => outcome,
        Poll::Pending => unreachable!("nothing here waits"),
    }
}

/// CPU time that this thread has used.
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

fn print(rows: &[Row]) {
    let first = &rows[0];
    let width = rows.iter().map(|row| row.name.len()).fold(44, usize::max);
    println!(
        "\n{} (ratio to: {}; {} rounds)",
        first.group, first.reference, first.rounds
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
}

/// The rows as a JSON document, with the machine that they were measured on.
pub fn json(rows: &[Row]) -> String {
    let read = |path| std::fs::read_to_string(path).unwrap_or_default();
    let cpu = read("/proc/cpuinfo");
    let cpu = cpu
        .lines()
        .find_map(|line| line.strip_prefix("model name"))
        .unwrap_or("unknown");
    let cpu = cpu.trim_start_matches([':', ' ', '\t']);
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let mut out = format!(
        "{{\n\"cpu\": \"{cpu}\", \"cores\": {cores}, \"load\": \"{}\",\n\"rows\": [",
        read("/proc/loadavg").trim()
    );
    for (count, row) in rows.iter().enumerate() {
        let _ = write!(
            out,
            "{}\n{{\"group\": \"{}\", \"name\": \"{}\", \"reference\": \"{}\", \"ns\": {:.2}, \
             \"min\": {:.2}, \"wall\": {:.2}, \"ratio\": {:.4}, \"low\": {:.4}, \"high\": {:.4}, \
             \"wall_ratio\": {:.4}, \"allocs\": {:.3}, \"bytes\": {:.1}, \"rounds\": {}}}",
            if count == 0 { "" } else { "," },
            row.group,
            row.name,
            row.reference,
            row.ns,
            row.min,
            row.wall,
            row.ratio,
            row.spread.0,
            row.spread.1,
            row.wall_ratio,
            row.allocs,
            row.bytes,
            row.rounds,
        );
    }
    out.push_str("\n]\n}\n");
    out
}

/// A small generator, for orders and for picking what to look up.
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
