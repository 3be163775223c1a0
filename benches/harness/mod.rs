//! Paired measurements in one process: fair on a machine that others use too.
//!
//! All candidates of a group run in every round, in random order, in batches shorter than a
//! scheduler's slice; what counts is the ratio to the reference within the round. Thread CPU time
//! leaves out what other programs took.

use std::fmt::Write as _;
use std::hint::black_box;
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

pub mod alloc;
pub mod options;
pub mod window;

use options::Options;

/// How long a batch takes, about.
const BATCH: Duration = Duration::from_micros(100);

/// One way to do the work of a group.
pub struct Candidate<'a> {
    name: String,
    act: Box<dyn FnMut(Phase) + 'a>,
}

/// What a candidate is asked to do.
#[derive(Clone, Copy)]
enum Phase {
    /// What comes before a batch and does not count.
    Prepare,
    Act,
}

/// Ways to do the same work. The first one is the reference.
pub struct Group<'a> {
    name: String,
    candidates: Vec<Candidate<'a>>,
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
    /// Wall nanoseconds of one operation, median.
    pub wall: f64,
    /// To the reference, of the same round: median, and the middle eighty per cent.
    pub ratio: f64,
    pub spread: (f64, f64),
    pub allocs: f64,
    pub bytes: f64,
    pub rounds: usize,
}

impl<'a> Group<'a> {
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            candidates: Vec::new(),
        }
    }

    /// Adds a candidate. Its result is kept from the optimiser.
    pub fn add<T>(self, name: impl Into<String>, mut act: impl FnMut() -> T + 'a) -> Self {
        self.add_over(name, (), |()| {}, move |()| act())
    }

    /// Adds a candidate that works on a state, which is prepared before each batch, unmeasured.
    pub fn add_over<S: 'a, T>(
        mut self,
        name: impl Into<String>,
        mut state: S,
        mut prepare: impl FnMut(&mut S) + 'a,
        mut act: impl FnMut(&mut S) -> T + 'a,
    ) -> Self {
        self.candidates.push(Candidate {
            name: name.into(),
            act: Box::new(move |phase| match phase {
                Phase::Prepare => prepare(&mut state),
                Phase::Act => {
                    black_box(act(&mut state));
                }
            }),
        });
        self
    }

    /// Measures all candidates, and prints a table.
    pub fn run(mut self, options: &Options) -> Vec<Row> {
        if !options.wants(&self.name) || self.candidates.is_empty() {
            return Vec::new();
        }
        let batches: Vec<usize> = self
            .candidates
            .iter_mut()
            .map(Candidate::calibrate)
            .collect();
        let counted: Vec<_> = self.candidates.iter_mut().map(Candidate::count).collect();
        let rounds = options.rounds();
        let mut times = vec![Vec::with_capacity(rounds); self.candidates.len()];
        let mut order: Vec<usize> = (0..self.candidates.len()).collect();
        let mut random = Random(options.seed);
        for _ in 0..rounds {
            random.shuffle(&mut order);
            let mut round = vec![(0.0, 0.0); order.len()];
            for &at in &order {
                round[at] = self.candidates[at].batch(batches[at]);
            }
            for (times, time) in times.iter_mut().zip(round) {
                times.push(time);
            }
        }
        let reference = times[0].clone();
        let rows: Vec<Row> = self
            .candidates
            .iter()
            .zip(times)
            .zip(counted)
            .map(|((candidate, times), (allocs, bytes))| {
                let ratios = times
                    .iter()
                    .zip(&reference)
                    .map(|(time, base)| time.0 / base.0);
                let ratios = sorted(ratios.collect());
                let cpu = sorted(times.iter().map(|time| time.0).collect());
                let wall = sorted(times.iter().map(|time| time.1).collect());
                Row {
                    group: self.name.clone(),
                    name: candidate.name.clone(),
                    reference: self.candidates[0].name.clone(),
                    ns: quantile(&cpu, 0.5),
                    min: cpu[0],
                    wall: quantile(&wall, 0.5),
                    ratio: quantile(&ratios, 0.5),
                    spread: (quantile(&ratios, 0.1), quantile(&ratios, 0.9)),
                    allocs,
                    bytes,
                    rounds,
                }
            })
            .collect();
        print(&rows);
        rows
    }
}

impl Candidate<'_> {
    /// How many operations make a batch.
    fn calibrate(&mut self) -> usize {
        let mut count = 1;
        loop {
            let (cpu, _) = self.batch(count);
            let took = Duration::from_nanos((cpu * count as f64) as u64);
            if took >= BATCH / 4 || count >= 1 << 20 {
                let wanted = BATCH.as_nanos() as f64 / cpu.max(0.1);
                return (wanted as usize).max(1);
            }
            count *= 2;
        }
    }

    /// Allocations and bytes of one operation.
    fn count(&mut self) -> (f64, f64) {
        const TIMES: usize = 64;
        (self.act)(Phase::Prepare);
        let before = alloc::counted();
        for _ in 0..TIMES {
            (self.act)(Phase::Act);
        }
        let after = alloc::counted();
        let per = |after: u64, before: u64| (after - before) as f64 / TIMES as f64;
        (per(after.0, before.0), per(after.1, before.1))
    }

    /// Thread CPU and wall nanoseconds of one operation.
    fn batch(&mut self, count: usize) -> (f64, f64) {
        (self.act)(Phase::Prepare);
        let (wall, cpu) = (Instant::now(), thread_time());
        for _ in 0..count {
            (self.act)(Phase::Act);
        }
        let cpu = thread_time() - cpu;
        let wall = wall.elapsed();
        let per = |time: Duration| time.as_nanos() as f64 / count as f64;
        (per(cpu), per(wall))
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
    println!(
        "\n{} (ratio to: {}; {} rounds)",
        first.group, first.reference, first.rounds
    );
    println!(
        "  {:44}{:>10}{:>10}{:>10}{:>8}  {:13}{:>8}{:>9}",
        "", "cpu ns", "min", "wall ns", "ratio", "10 %..90 %", "allocs", "bytes"
    );
    for row in rows {
        println!(
            "  {:44}{:>10.1}{:>10.1}{:>10.1}{:>8.3}  {:5.3}..{:5.3} {:>8.2}{:>9.1}",
            row.name,
            row.ns,
            row.min,
            row.wall,
            row.ratio,
            row.spread.0,
            row.spread.1,
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
             \"allocs\": {:.3}, \"bytes\": {:.1}, \"rounds\": {}}}",
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
