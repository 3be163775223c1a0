//! A node: follows the log, verifies all the time, and revokes its share.

use std::fmt::Write as _;
use std::io::{BufRead as _, BufReader, Write as _};
use std::sync::Arc;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};
use statewise::Authenticator as _;
use statewise::revocation::RevocationView;
use statewise::revocation::log::DynRevocationLog;
use statewise::token::{Key, TokenAuthenticator};

use crate::harness::Random;
use crate::log::Kind;

const SECRET: [u8; 32] = *b"thirty-two bytes, for benches on";
const HOUR: Duration = Duration::from_secs(3600);
/// Pause between two checks of the revoked tokens.
const TURN: Duration = Duration::from_millis(1);
/// Further verifications per check, of tokens that are not revoked yet.
pub const LOAD: usize = 50;
/// Time after the last revocation at which a token counts as never refused.
const PATIENCE: Duration = Duration::from_secs(15);

/// Configuration shared by all nodes and the process that logs in.
pub fn configured(log: Arc<dyn DynRevocationLog>) -> (RevocationView, TokenAuthenticator) {
    let view = RevocationView::builder(log)
        .max_lifetime(HOUR)
        .build()
        .unwrap();
    let auth = TokenAuthenticator::builder(Key::hs256(&SECRET).unwrap())
        .issuer("auth.acme.dev")
        .audience("api")
        .lifetime(HOUR)
        .revocations(&view)
        .build()
        .unwrap();
    (view, auth)
}

/// Nanoseconds of a monotonic clock that all processes of the machine share.
pub fn clock() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64
}

/// The instructions for each node.
struct Orders {
    number: usize,
    nodes: usize,
    begin: u64,
    /// Nanoseconds between two revocations, over all nodes.
    pause: u64,
    tokens: Vec<String>,
}

impl Orders {
    fn due(&self, at: usize) -> u64 {
        self.begin + self.pause * at as u64
    }

    fn is_mine(&self, at: usize) -> bool {
        at % self.nodes == self.number
    }
}

/// Reads `TOKEN` lines and then `NUMBER NODES BEGIN PAUSE`. `None` at the end of the input.
fn orders(lines: impl Iterator<Item = String>) -> Option<Orders> {
    let mut tokens = Vec::new();
    for line in lines {
        let numbers: Vec<u64> = line
            .split(' ')
            .map_while(|word| word.parse().ok())
            .collect();
        match numbers[..] {
            [number, nodes, begin, pause] => {
                return Some(Orders {
                    number: number as usize,
                    nodes: nodes as usize,
                    begin,
                    pause,
                    tokens,
                });
            }
            _ => tokens.push(line),
        }
    }
    None
}

/// Prints `ready` when the node answers. At the end prints its results: `INDEX REFUSED SENT` for
/// each token, with zero for absent values, and then `verified COUNT`.
pub fn run(kind: &str, socket: &str) {
    let runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = { runtime }.enable_all().build().unwrap();
    let (view, auth) = configured(runtime.block_on(Kind::of(kind).open(socket.into())));
    runtime.block_on(view.follow()).unwrap();
    println!("ready");
    let input = BufReader::new(std::io::stdin());
    let mut lines = input.lines().map_while(Result::ok);
    let Some(orders) = orders(&mut lines) else {
        return;
    };
    // The logins may have taken longer than the bound.
    runtime.block_on(view.follow()).unwrap();
    // The parent process has gone.
    thread::spawn(move || {
        while lines.next().is_some() {}
        std::process::exit(1);
    });
    let (orders, auth) = (Arc::new(orders), Arc::new(auth));
    let (over, is_over) = tokio::sync::oneshot::channel();
    let verifying = thread::spawn({
        let (orders, auth) = (Arc::clone(&orders), Arc::clone(&auth));
        move || {
            let seen = verify(&orders, &auth);
            let _ = over.send(());
            seen
        }
    });
    let (sender, sent) = mpsc::channel();
    runtime.block_on(async {
        tokio::spawn(view.upkeep().run(tokio::time::sleep));
        for at in 0..orders.tokens.len() {
            if !orders.is_mine(at) {
                continue;
            }
            let wait = orders.due(at).saturating_sub(clock());
            tokio::time::sleep(Duration::from_nanos(wait)).await;
            let (orders, auth, sender) = (Arc::clone(&orders), Arc::clone(&auth), sender.clone());
            tokio::spawn(async move {
                let _ = sender.send((at, clock()));
                let _ = auth.revoke(&orders.tokens[at]).await.unwrap();
            });
        }
        is_over.await.unwrap();
    });
    let Seen { refused, verified } = verifying.join().unwrap();
    let mut report = String::new();
    let mut began = vec![0; refused.len()];
    sent.try_iter().for_each(|(at, when)| began[at] = when);
    for (at, (refused, sent)) in refused.iter().zip(began).enumerate() {
        let _ = writeln!(report, "{at} {refused} {sent}");
    }
    let mut out = std::io::stdout();
    writeln!(out, "{report}verified {verified}").unwrap();
    out.flush().unwrap();
}

/// Results of the verifications of a node.
struct Seen {
    /// Time at which each token was first refused; zero for never.
    refused: Vec<u64>,
    verified: u64,
}

fn verify(orders: &Orders, auth: &TokenAuthenticator) -> Seen {
    let count = orders.tokens.len();
    let mut random = Random(orders.number as u64);
    let mut seen = Seen {
        refused: vec![0; count],
        verified: 0,
    };
    let accepts = |at: usize| match auth.verify_now(&orders.tokens[at]) {
        Ok(_) => true,
        Err(error) if error.is_rejected() => false,
        Err(error) => panic!("{error}"),
    };
    // All tokens before `next` may be revoked; those in `pending` are still accepted.
    let (mut next, mut pending) = (0, Vec::new());
    let until = orders.due(count) + PATIENCE.as_nanos() as u64;
    loop {
        let begun = clock();
        while next < count && orders.due(next) <= begun {
            pending.push(next);
            next += 1;
        }
        seen.verified += pending.len() as u64;
        pending.retain(|&at| {
            let is_accepted = accepts(at);
            if !is_accepted {
                seen.refused[at] = clock();
            }
            is_accepted
        });
        if next < count {
            for _ in 0..LOAD {
                let at = next + random.below(count - next);
                let early = !accepts(at) && clock() < orders.due(at);
                assert!(!early, "refused before it was revoked");
            }
            seen.verified += LOAD as u64;
        } else if pending.is_empty() || begun > until {
            return seen;
        }
        thread::sleep(TURN);
    }
}
