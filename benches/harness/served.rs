//! Work of a server, requested from one thread. Paired like the rest, by the wall clock.
//!
//! Measures two values for each candidate: the time of one operation with no other in flight, and
//! the throughput of [`TASKS`] concurrent tasks. All candidates take part in every round, in random
//! order.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tokio::runtime::{Builder, Runtime};

use super::options::Options;
use super::{Random, Row, alloc, quantile, sorted};

/// Concurrent operations.
pub const TASKS: usize = 64;
/// Operations of one candidate per round, one in flight at a time.
const ALONE: usize = 16;
/// Approximate duration of a batch with all tasks at work.
const BATCH: Duration = Duration::from_millis(40);
/// Operations of such a batch.
const LEAST: usize = 4 * TASKS;
const MOST: usize = 128 * TASKS;

/// The runtime of all operations: one thread, so that the client's work counts in full and its
/// allocations are counted.
pub fn runtime() -> Runtime {
    let mut builder = Builder::new_current_thread();
    builder.enable_all().build().expect("a runtime starts")
}

/// Candidates with the same work of a server. The first one is the reference.
pub struct Served<'a> {
    name: String,
    runtime: &'a Runtime,
    candidates: Vec<Candidate<'a>>,
    targets: Vec<Target>,
}

/// Runs one operation after the other. Returns the nanoseconds of each.
type Alone<'a> = Box<dyn Fn(usize) -> Vec<f64> + 'a>;
/// Runs that many operations in all tasks.
type Together<'a> = Box<dyn Fn(usize) + 'a>;

struct Candidate<'a> {
    name: String,
    prepare: Box<dyn FnMut(usize) + 'a>,
    alone: Alone<'a>,
    together: Together<'a>,
    /// Remaining work of a batch after all its answers have arrived.
    finish: Box<dyn Fn() + 'a>,
    /// Operations of a batch, if the harness does not choose the number.
    count: Option<usize>,
    /// Commands of one operation, counted by the server.
    commands: Option<f64>,
}

/// A target for the figure of one candidate relative to another.
struct Target {
    of: String,
    against: String,
    aim: Aim,
}

#[derive(Clone, Copy)]
pub enum Aim {
    /// Maximum time of one operation, as a multiple.
    Latency(f64),
    /// Minimum throughput, as a multiple.
    Throughput(f64),
    /// Number of server commands for one operation.
    Commands(f64),
}

/// Measured values of a candidate in one of the two ways.
struct Series {
    /// One figure for each round.
    rounds: Vec<f64>,
    /// All operations, or all rounds.
    ns: Vec<f64>,
}

impl<'a> Served<'a> {
    pub fn new(name: impl Into<String>, runtime: &'a Runtime) -> Self {
        Self {
            name: name.into(),
            runtime,
            candidates: Vec::new(),
            targets: Vec::new(),
        }
    }

    /// Adds a candidate. Each call is one operation.
    pub fn add<F>(mut self, name: &str, act: impl Fn() -> F + Clone + Send + 'static) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let runtime = self.runtime;
        let one = act.clone();
        let alone = move |count| {
            runtime.block_on(async {
                let mut took = Vec::with_capacity(count);
                for _ in 0..count {
                    let begun = Instant::now();
                    one().await;
                    took.push(begun.elapsed().as_nanos() as f64);
                }
                took
            })
        };
        let together = move |count: usize| {
            runtime.block_on(async {
                let tasks: Vec<_> = (0..TASKS)
                    .map(|_| {
                        let act = act.clone();
                        tokio::spawn(async move {
                            for _ in 0..count / TASKS {
                                act().await;
                            }
                        })
                    })
                    .collect();
                for task in tasks {
                    task.await.expect("no operation fails");
                }
            });
        };
        self.candidates.push(Candidate {
            name: name.to_owned(),
            prepare: Box::new(|_| ()),
            alone: Box::new(alone),
            together: Box::new(together),
            finish: Box::new(|| ()),
            count: None,
            commands: None,
        });
        self
    }

    fn last(&mut self) -> &mut Candidate<'a> {
        self.candidates.last_mut().expect("a candidate")
    }

    /// Sets unmeasured preparation of the last candidate before that many operations.
    pub fn prepared(mut self, prepare: impl FnMut(usize) + 'a) -> Self {
        self.last().prepare = Box::new(prepare);
        self
    }

    /// Sets deferred work of the last candidate. It is measured as part of a batch of all tasks,
    /// with that many operations.
    pub fn finished(mut self, count: usize, finish: impl Fn() + 'a) -> Self {
        self.last().finish = Box::new(finish);
        self.last().count = Some(count / TASKS * TASKS);
        self
    }

    /// Sets the number of server commands for one operation of the last candidate.
    pub fn commands(mut self, commands: Option<f64>) -> Self {
        self.last().commands = commands;
        self
    }

    /// Adds a target.
    pub fn target(mut self, of: &str, aim: Aim, against: &str) -> Self {
        self.targets.push(Target {
            of: of.to_owned(),
            against: against.to_owned(),
            aim,
        });
        self
    }

    /// Measures all candidates in both ways, and prints a table for each.
    pub fn run(mut self, options: &Options) -> Vec<Row> {
        if !options.wants(&self.name) {
            return Vec::new();
        }
        let allocations: Vec<_> = self.candidates.iter_mut().map(Candidate::count).collect();
        let (alone, together) = if options.quick { (8, 2) } else { (256, 48) };
        let mut random = Random(options.seed);
        let latency = self.rounds(alone, &mut random, |candidate| {
            (candidate.prepare)(ALONE);
            let took = (candidate.alone)(ALONE);
            (quantile(&sorted(took.clone()), 0.5), took)
        });
        let count = self.calibrated();
        let throughput = self.rounds(together, &mut random, |candidate| {
            let each = candidate.batch(count);
            (each, vec![each])
        });
        let rows = |what: &str, series: &[Series]| -> Vec<Row> {
            let group = format!("{}, {what}", self.name);
            let rows = self.candidates.iter().zip(series).zip(&allocations);
            rows.map(|((candidate, own), allocations)| {
                let name = (&*candidate.name, &*self.candidates[0].name);
                own.row(&group, name, &series[0], *allocations)
            })
            .collect()
        };
        let latencies = rows("one at a time", &latency);
        let throughputs = rows(&format!("{TASKS} in flight"), &throughput);
        print(&latencies, &self.candidates, "p50 us");
        print(&throughputs, &self.candidates, "us each");
        for target in &self.targets {
            self.say(target, &latency, &throughput);
        }
        let commands = self.candidates.iter().filter_map(|candidate| {
            let group = format!("{}, commands", self.name);
            let commands = candidate.commands?;
            Some(Row::figure(&group, &candidate.name, commands, "commands"))
        });
        latencies
            .iter()
            .chain(&throughputs)
            .cloned()
            .chain(commands)
            .collect()
    }

    fn rounds(
        &mut self,
        rounds: usize,
        random: &mut Random,
        measure: impl Fn(&mut Candidate<'_>) -> (f64, Vec<f64>),
    ) -> Vec<Series> {
        let new = |_: &_| Series {
            rounds: Vec::new(),
            ns: Vec::new(),
        };
        let mut series: Vec<_> = self.candidates.iter().map(new).collect();
        let mut order: Vec<usize> = (0..series.len()).collect();
        for _ in 0..rounds {
            random.shuffle(&mut order);
            for &at in &order {
                let (round, ns) = measure(&mut self.candidates[at]);
                series[at].rounds.push(round);
                series[at].ns.extend(ns);
            }
        }
        series
    }

    /// Chooses the batch size by the speed of the reference. Also warms up all other candidates.
    fn calibrated(&mut self) -> usize {
        let first = |candidate: &mut Candidate<'_>| candidate.batch(LEAST);
        let each: Vec<f64> = self.candidates.iter_mut().map(first).collect();
        let count = (BATCH.as_nanos() as f64 / each[0]) as usize;
        count.clamp(LEAST, MOST) / TASKS * TASKS
    }

    fn say(&self, target: &Target, latency: &[Series], throughput: &[Series]) {
        let place = |name: &str| {
            let mut candidates = self.candidates.iter();
            candidates.position(|candidate| candidate.name == name)
        };
        let (Some(of), Some(against)) = (place(&target.of), place(&target.against)) else {
            return;
        };
        let median = |series: &[Series]| {
            let pairs = series[of].rounds.iter().zip(&series[against].rounds);
            quantile(&sorted(pairs.map(|(of, to)| of / to).collect()), 0.5)
        };
        let (what, reached, met) = match target.aim {
            Aim::Latency(most) => {
                let ratio = median(latency);
                let what = format!("p50 at most {most} x that of {}", target.against);
                (what, format!("{ratio:.2} x"), ratio <= most)
            }
            Aim::Throughput(least) => {
                let ratio = 1.0 / median(throughput);
                let what = format!(
                    "at {TASKS} in flight at least {least} x as many as {}",
                    target.against
                );
                (what, format!("{ratio:.2} x"), ratio >= least)
            }
            Aim::Commands(wanted) => {
                let Some(commands) = self.candidates[of].commands else {
                    return;
                };
                let what = format!("{wanted} command of the server");
                (what, format!("{commands:.3}"), commands == wanted)
            }
        };
        let met = if met { "reached" } else { "MISSED" };
        println!("  target: {}: {what}: {reached}, {met}", target.of);
    }
}

impl Candidate<'_> {
    /// Nanoseconds of each of that many operations in all tasks, including deferred work.
    fn batch(&mut self, count: usize) -> f64 {
        let count = self.count.unwrap_or(count);
        (self.prepare)(count);
        let begun = Instant::now();
        (self.together)(count);
        (self.finish)();
        begun.elapsed().as_nanos() as f64 / count as f64
    }

    /// Allocations and bytes of one operation, in this thread.
    fn count(&mut self) -> (f64, f64) {
        const TIMES: usize = 64;
        (self.prepare)(2 * TIMES);
        (self.alone)(TIMES);
        let before = alloc::counted();
        (self.alone)(TIMES);
        let after = alloc::counted();
        let per = |after: u64, before: u64| (after - before) as f64 / TIMES as f64;
        (per(after.0, before.0), per(after.1, before.1))
    }
}

impl Series {
    fn row(
        &self,
        group: &str,
        (name, reference): (&str, &str),
        base: &Self,
        (allocs, bytes): (f64, f64),
    ) -> Row {
        let pairs = self.rounds.iter().zip(&base.rounds);
        let ratios = sorted(pairs.map(|(own, base)| own / base).collect());
        let ns = sorted(self.ns.clone());
        let middle = quantile(&ns, 0.5);
        let ratio = quantile(&ratios, 0.5);
        Row {
            group: group.to_owned(),
            name: name.to_owned(),
            reference: reference.to_owned(),
            ns: middle,
            min: ns[0],
            wall: middle,
            ratio,
            spread: (quantile(&ratios, 0.1), quantile(&ratios, 0.9)),
            wall_ratio: ratio,
            allocs,
            bytes,
            rounds: self.rounds.len(),
            ..Row::default()
        }
    }
}

fn print(rows: &[Row], candidates: &[Candidate<'_>], unit: &str) {
    let first = &rows[0];
    let width = rows.iter().map(|row| row.name.len()).fold(40, usize::max);
    println!(
        "\n{} (ratio to: {}; {} rounds)",
        first.group, first.reference, first.rounds
    );
    println!(
        "  {:width$}{unit:>10}{:>10}{:>8}  {:15}{:>10}{:>8}{:>10}",
        "", "min", "ratio", "10 %..90 %", "a second", "allocs", "commands"
    );
    for (row, candidate) in rows.iter().zip(candidates) {
        let commands = candidate.commands;
        println!(
            "  {:width$}{:>10.1}{:>10.1}{:>8.3}  {:15}{:>10.0}{:>8.1}{:>10}",
            row.name,
            row.ns / 1e3,
            row.min / 1e3,
            row.ratio,
            format!("{:.3}..{:.3}", row.spread.0, row.spread.1),
            1e9 / row.ns,
            row.allocs,
            commands.map_or(String::new(), |commands| format!("{commands:.3}")),
        );
    }
}

/// Items that many tasks take one by one, each once until the list starts again.
pub struct Feed<T>(Arc<(Vec<T>, AtomicUsize)>);

impl<T> Clone for Feed<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T> Feed<T> {
    pub fn new(all: Vec<T>) -> Self {
        Self(Arc::new((all, AtomicUsize::new(0))))
    }

    /// In random order.
    pub fn shuffled(mut all: Vec<T>, seed: u64) -> Self {
        Random(seed).shuffle(&mut all);
        Self::new(all)
    }

    /// Returns the next item; starts again after the last.
    pub fn next(&self) -> &T {
        let (all, next) = &*self.0;
        &all[next.fetch_add(1, Ordering::Relaxed) % all.len()]
    }

    pub fn len(&self) -> usize {
        self.0.0.len()
    }

    /// Returns true if that many items are left.
    pub fn has(&self, count: usize) -> bool {
        self.0.1.load(Ordering::Relaxed) + count <= self.len()
    }

    pub fn restart(&self) {
        self.0.1.store(0, Ordering::Relaxed);
    }
}

/// A short text stored inline. Taken in order, it is in the processor's cache, like a text from the
/// network.
#[derive(Clone)]
pub struct Line {
    length: u8,
    bytes: [u8; 95],
}

impl Line {
    pub fn new(text: &str) -> Self {
        let mut bytes = [0; 95];
        bytes[..text.len()].copy_from_slice(text.as_bytes());
        Self {
            length: text.len() as u8,
            bytes,
        }
    }
}

impl std::ops::Deref for Line {
    type Target = str;

    fn deref(&self) -> &str {
        std::str::from_utf8(&self.bytes[..self.length.into()]).expect("it was a text")
    }
}
