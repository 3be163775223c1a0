//! Logins in a store, with uses to be noted.

use std::future::Future;
use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use statewise::hybrid::HybridAuthenticator;
use statewise::session::SessionAuthenticator;
use statewise::store::contract::SessionStore;
use statewise::testkit::ManualClock;
use statewise::token::{Key, TokenAuthenticator};
use statewise::{Authenticator, Login};
use tokio::runtime::Runtime;

use crate::harness::served::{Feed, Line, Served, TASKS};

/// One in so many uses of a session is noted, if a user makes a request every 30 seconds.
pub const NOTED: usize = 8;
/// Number of uses to be noted in a batch of `NOTED` times as many verifications.
pub const DUE: usize = 512;
/// Number of operations over which commands are counted.
pub const COUNTED: usize = 1_000;
const IDLE: Duration = Duration::from_secs(1_800);

/// Counter of the commands that a server receives.
pub trait Counter {
    /// Starts to count, if the server does not always count.
    fn start(&self) {}
    /// Number of commands so far, which may include this query itself.
    fn known(&self) -> u64;
    fn stop(&self) {}
}

/// Verifies the next credential.
macro_rules! verifying {
    ($auth:expr, $feed:expr) => {{
        let (auth, feed) = (Arc::clone(&$auth), $feed);
        move || {
            let (auth, feed) = (Arc::clone(&auth), feed.clone());
            async move {
                black_box(auth.verify(feed.next()).await.unwrap());
            }
        }
    }};
}

#[allow(unused_imports, reason = "not each bench has candidates of its own")]
pub(crate) use verifying;

/// Authenticator with its own clock, and its logins.
pub struct Site<S> {
    pub auth: Arc<SessionAuthenticator<S>>,
    pub clock: ManualClock,
    pub credentials: Vec<String>,
}

pub fn login(number: usize) -> Login {
    Login::new(format!("user_{number:07}")).roles(["admin", "editor"])
}

impl<S: SessionStore> Site<S> {
    pub fn new(store: S, logins: usize, runtime: &Runtime) -> Self {
        let clock = ManualClock::default();
        let auth = SessionAuthenticator::builder(store)
            .idle(IDLE)
            .absolute(Duration::from_secs(1 << 40))
            .clock(clock.clone())
            .build();
        let auth = Arc::new(auth.unwrap());
        Self {
            credentials: logged_in(&auth, logins, runtime),
            auth,
            clock,
        }
    }

    /// Adds a candidate that verifies each session `times` times in a batch. The first of them is
    /// noted. Uses that the store writes later are part of the batch.
    pub fn noting<'a>(
        self,
        group: Served<'a>,
        name: &str,
        times: usize,
        counter: Option<&dyn Counter>,
        runtime: &'a Runtime,
    ) -> Served<'a> {
        let lines = self.credentials.iter().map(|text| Line::new(text));
        let all = vec![lines.collect::<Vec<_>>(); times].concat();
        let feed = Feed::shuffled(all, times as u64);
        let act = verifying!(self.auth, feed.clone());
        let upkeep = Arc::new(self.auth.store().upkeep());
        // Writes all pending uses. The pause is short as long as there are more.
        let flush = move || {
            let short = |pause: Duration| pause < Duration::from_millis(100);
            while runtime.block_on(upkeep.tick()).unwrap().is_some_and(short) {}
        };
        // Moves the clock so that one use of each session is to be noted.
        let (turned, clock, flush_before) = (feed.clone(), self.clock, flush.clone());
        let turn = move |count| {
            flush_before();
            if !turned.has(count) {
                clock.advance(IDLE / NOTED as u32);
                turned.restart();
            }
        };
        turn(feed.len() + 1);
        let commands = counted(counter, runtime, &act, &flush);
        group
            .add(name, act)
            .prepared(turn)
            .finished(feed.len(), flush)
            .commands(commands)
    }
}

/// Hybrid of short-lived tokens and a refresh session, with its own clock.
pub fn hybrid<S: SessionStore>(store: S) -> HybridAuthenticator<S> {
    let clock = ManualClock::default();
    let tokens = TokenAuthenticator::builder(Key::generate_hs256().unwrap())
        .issuer("https://auth.example")
        .audience("api")
        .lifetime(IDLE / 3);
    let sessions = SessionAuthenticator::builder(store)
        .idle(IDLE)
        .absolute(24 * IDLE)
        .max_replays(u32::MAX)
        .clock(clock);
    HybridAuthenticator::new(tokens, sessions).unwrap()
}

/// Creates `count` logins by all tasks at once, and returns their refresh credentials.
pub fn logged_in<A: Authenticator<Data = ()>>(
    auth: &Arc<A>,
    count: usize,
    runtime: &Runtime,
) -> Vec<String> {
    runtime.block_on(async {
        let tasks: Vec<_> = (0..TASKS)
            .map(|task| {
                let auth = Arc::clone(auth);
                tokio::spawn(async move {
                    let mut credentials = Vec::new();
                    for number in (task..count).step_by(TASKS) {
                        let issued = auth.issue(login(number)).await.unwrap();
                        credentials.push(issued.refreshable().reveal().to_owned());
                    }
                    credentials
                })
            })
            .collect();
        let mut credentials = Vec::with_capacity(count);
        for task in tasks {
            credentials.extend(task.await.unwrap());
        }
        credentials
    })
}

/// Returns the commands per operation that the server counts, including those of `flush`.
pub fn counted<F: Future<Output = ()>>(
    counter: Option<&dyn Counter>,
    runtime: &Runtime,
    act: impl Fn() -> F,
    flush: impl Fn(),
) -> Option<f64> {
    let counter = counter?;
    counter.start();
    // The first run prepares statements. The two queries show how much a query itself adds.
    runtime.block_on(act());
    flush();
    let (first, second) = (counter.known(), counter.known());
    runtime.block_on(async {
        for _ in 0..COUNTED {
            act().await;
        }
    });
    flush();
    let commands = counter.known() - second - (second - first);
    counter.stop();
    Some(commands as f64 / COUNTED as f64)
}
