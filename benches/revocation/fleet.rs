//! The node processes, and their combined results.

use std::time::Duration;

use statewise::{Authenticator as _, Login};

use crate::harness::options::Options;
use crate::harness::{Row, quantile, sorted};
use crate::log::Kind;
use crate::node::{LOAD, clock, configured};
use crate::process::Process;

const NODES: usize = 4;
/// Revocations per second, of all nodes together.
const RATE: u64 = 500;
/// Target for the 99th percentile, in milliseconds.
const TARGET: f64 = 50.0;

pub struct Fleet {
    kind: Kind,
    socket: std::path::PathBuf,
    nodes: Vec<Process>,
}

impl Fleet {
    pub fn start(kind: Kind, socket: &std::path::Path) -> Self {
        // The first node creates the log.
        let mut nodes: Vec<Process> = Vec::new();
        for _ in 0..NODES {
            let arguments = ["node".as_ref(), kind.name().as_ref(), socket.as_os_str()];
            let mut node = Process::start(&arguments);
            assert_eq!(node.line(), "ready");
            nodes.push(node);
        }
        let socket = socket.to_owned();
        Self {
            kind,
            socket,
            nodes,
        }
    }

    pub fn measure(mut self, options: &Options) -> Vec<Row> {
        let count = if options.quick { 500 } else { 10_000 };
        let runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = { runtime }.enable_all().build().unwrap();
        let (bound, tokens) = runtime.block_on(async {
            let (view, auth) = configured(self.kind.open(self.socket.clone()).await);
            view.follow().await.unwrap();
            let mut tokens = Vec::new();
            for user in 0..count {
                let issued = auth.issue(Login::new(format!("user_{user:07}"))).await;
                tokens.push(issued.unwrap().credential().reveal().to_owned());
            }
            (view.bound(), tokens)
        });
        for node in &mut self.nodes {
            node.say(&tokens.join("\n"));
        }
        let begin = clock() + 500_000_000;
        for (number, node) in self.nodes.iter_mut().enumerate() {
            let pause = 1_000_000_000 / RATE;
            node.say(&format!("{number} {NODES} {begin} {pause}"));
        }
        let mut sent = vec![0; count];
        let mut refused = vec![[0; NODES]; count];
        let mut verified = 0_u64;
        for (number, node) in self.nodes.iter_mut().enumerate() {
            loop {
                let line = node.line();
                if let Some(verifications) = line.strip_prefix("verified ") {
                    verified += verifications.parse::<u64>().unwrap();
                    break;
                }
                let mut words = line.split(' ').map(|word| word.parse::<u64>().unwrap());
                let at = words.next().unwrap() as usize;
                refused[at][number] = words.next().unwrap();
                sent[at] = words.next().filter(|sent| *sent != 0).unwrap_or(sent[at]);
            }
        }
        let took = Duration::from_nanos(clock() - begin);
        println!(
            "\n{}: {count} revocations, {RATE} a second, by {NODES} processes that verify meanwhile \
             ({} each millisecond beside what is revoked; {verified} in {took:.1?} in all)",
            self.kind.name(),
            LOAD,
        );
        self.report(&sent, &refused, bound)
    }

    fn report(&self, sent: &[u64], refused: &[[u64; NODES]], bound: Duration) -> Vec<Row> {
        let (mut each, mut last) = (Vec::new(), Vec::new());
        for (sent, refused) in sent.iter().zip(refused) {
            let delays = refused.map(|refused| {
                assert!(refused != 0, "a revoked token was accepted to the end");
                assert!(
                    *sent != 0 && *sent <= refused,
                    "refused before it was revoked"
                );
                (refused - sent) as f64 / 1e6
            });
            last.push(delays.into_iter().fold(0.0, f64::max));
            each.extend(delays);
        }
        let (each, last) = (sorted(each), sorted(last));
        let mut rows = Vec::new();
        for (name, delays) in [
            ("until a node refuses", &each),
            ("until every node refuses", &last),
        ] {
            let parts = [0.5, 0.99, 1.0].map(|part| quantile(delays, part));
            let names = ["median", "99th percentile", "maximum"];
            println!(
                "  {name}: {} delays, median {:.1} ms, 99th percentile {:.1} ms, maximum {:.1} ms",
                delays.len(),
                parts[0],
                parts[1],
                parts[2],
            );
            for (part, value) in names.iter().zip(parts) {
                let name = format!("{name}, {part}");
                rows.push(Row::figure(self.kind.name(), &name, value, "ms"));
            }
        }
        let longest = quantile(&last, 1.0);
        let p99 = quantile(&last, 0.99);
        let verdict = if p99 <= TARGET { "met" } else { "MISSED" };
        println!(
            "  the stated bound: {bound:.1?}; target of the 99th percentile: {TARGET} ms, {verdict}"
        );
        assert!(
            longest <= bound.as_secs_f64() * 1e3,
            "a delay of {longest:.1} ms is above the bound"
        );
        rows
    }
}
