//! Two nodes that follow one log, and a thread that constantly presents revoked credentials.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use statewise::revocation::RevocationView;
use statewise::session::SessionAuthenticator;
use statewise::store::{CachedStore, MemoryStore};
use statewise::testkit::ManualClock;
use statewise::token::{Key, TokenAuthenticator};
use statewise::{Authenticator, Error, Login, Rejection, Result, Revocation};

use crate::site::Site;
use crate::support::proxy::Proxy;
use crate::support::servers::PATIENCE;

pub(crate) const BOUND: Duration = Duration::from_secs(5);
pub(crate) const MAX_AGE: Duration = Duration::from_secs(20);
const LONGEST: Duration = Duration::from_secs(3600);
const SECRET: [u8; 32] = *b"0123456789abcdefghijklmnopqrstuv";

/// A node: its view, tokens, and cached sessions.
pub(crate) struct Node {
    pub(crate) view: RevocationView,
    pub(crate) tokens: TokenAuthenticator,
    pub(crate) sessions: SessionAuthenticator<CachedStore<Arc<MemoryStore>>>,
    following: tokio::task::JoinHandle<()>,
}

impl Drop for Node {
    fn drop(&mut self) {
        self.following.abort();
    }
}

/// The answer of a node to a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Accepted,
    Revoked,
    Unavailable,
}

impl Node {
    pub(crate) fn verdict(&self, token: &str) -> Verdict {
        match self.tokens.verify_now(token) {
            Ok(_) => Verdict::Accepted,
            Err(error) if error.is_unavailable() => Verdict::Unavailable,
            Err(error) if error.rejection() == Some(Rejection::Revoked) => Verdict::Revoked,
            Err(error) => panic!("{error}"),
        }
    }

    pub(crate) async fn accepts_session(&self, session: &str) -> bool {
        match self.sessions.verify(session).await {
            Ok(_) => true,
            Err(error) if error.is_rejected() => false,
            Err(error) => panic!("{error}"),
        }
    }

    pub(crate) async fn log_in(&self, subject: &str) -> String {
        let issued = patiently(|| self.tokens.issue(Login::new(subject))).await;
        issued.credential().reveal().to_owned()
    }

    pub(crate) async fn begin_session(&self, subject: &str) -> String {
        let issued = patiently(|| self.sessions.issue(Login::new(subject))).await;
        issued.credential().reveal().to_owned()
    }

    pub(crate) async fn revoke(&self, token: &str) {
        let revocation = patiently(|| self.tokens.revoke(token)).await;
        assert_eq!(revocation.effective, Revocation::Within(BOUND));
    }

    /// Waits until it has read the log at the current time of the clock.
    pub(crate) async fn is_up_to_date(&self, clock: &ManualClock) {
        use statewise::clock::Clock as _;
        let now = clock.now().map(time::OffsetDateTime::from);
        eventually("a node is fresh", || {
            let health = self.view.health().unwrap();
            !health.stale && health.fresh_as_of == now
        })
        .await;
    }
}

pub(crate) struct Fleet<S> {
    pub(crate) site: Arc<S>,
    pub(crate) clock: ManualClock,
    /// Between the node `there` and the server.
    pub(crate) proxy: Proxy,
    pub(crate) here: Node,
    pub(crate) there: Node,
    store: Arc<MemoryStore>,
    ended: Arc<Ended>,
}

/// Credentials that must never be accepted again.
#[derive(Default)]
struct Ended {
    tokens: Mutex<Vec<String>>,
    accepted: AtomicUsize,
    tried: AtomicUsize,
    over: AtomicBool,
}

impl<S: Site> Fleet<S> {
    /// On a private server. `None`, after printing the reason.
    pub(crate) async fn start() -> Option<Self> {
        let site = Arc::new(S::start()?);
        site.kill9();
        site.keep("new");
        site.restart();
        site.set_up().await;
        let proxy = Proxy::to(site.socket());
        let clock = ManualClock::default();
        let store = Arc::new(MemoryStore::with_capacity(10_000).unwrap());
        let here = node(&*site, site.socket(), &clock, &store).await;
        let there = node(&*site, proxy.socket(), &clock, &store).await;
        here.is_up_to_date(&clock).await;
        there.is_up_to_date(&clock).await;
        let fleet = Self {
            site,
            clock,
            proxy,
            here,
            there,
            store,
            ended: Arc::default(),
        };
        fleet.try_what_has_ended();
        Some(fleet)
    }

    pub(crate) fn nodes(&self) -> [&Node; 2] {
        [&self.here, &self.there]
    }

    /// A node that starts now.
    pub(crate) async fn late_node(&self) -> Node {
        let node = node(&*self.site, self.site.socket(), &self.clock, &self.store).await;
        node.is_up_to_date(&self.clock).await;
        node
    }

    /// The server without its data, as an operator would set it up.
    pub(crate) async fn forget(&self) {
        self.site.kill9();
        self.site.bring_back("new");
        self.site.restart();
        self.site.set_up().await;
    }

    /// Waits until both nodes have read the log through their own upkeep.
    pub(crate) async fn are_up_to_date(&self) {
        for node in self.nodes() {
            node.is_up_to_date(&self.clock).await;
        }
    }

    /// Waits until both nodes reject a token, and presents it constantly from then on.
    pub(crate) async fn have_ended(&self, token: &str) {
        for node in self.nodes() {
            let refused = || node.verdict(token) == Verdict::Revoked;
            eventually("a token is refused", refused).await;
        }
        self.ended.tokens.lock().unwrap().push(token.to_owned());
    }

    /// On a separate thread, on both nodes, without a pause.
    fn try_what_has_ended(&self) {
        let ended = Arc::clone(&self.ended);
        let nodes = self
            .nodes()
            .map(|node| authenticator(&node.view, &self.clock));
        thread::spawn(move || {
            while !ended.over.load(Ordering::Relaxed) {
                let tokens = ended.tokens.lock().unwrap().clone();
                for (node, token) in nodes
                    .iter()
                    .flat_map(|node| tokens.iter().map(move |token| (node, token)))
                {
                    if node.verify_now(token).is_ok() {
                        ended.accepted.fetch_add(1, Ordering::Relaxed);
                    }
                    ended.tried.fetch_add(1, Ordering::Relaxed);
                }
                thread::sleep(Duration::from_micros(200));
            }
        });
    }

    /// Asserts that none of the revoked credentials was ever accepted.
    pub(crate) fn nobody_came_back(&self) {
        let tried = self.ended.tried.load(Ordering::Relaxed);
        let accepted = self.ended.accepted.load(Ordering::Relaxed);
        assert!(tried > 100, "tried {tried} times");
        assert_eq!(accepted, 0, "of {tried}");
    }
}

impl<S> Drop for Fleet<S> {
    fn drop(&mut self) {
        self.ended.over.store(true, Ordering::Relaxed);
    }
}

fn authenticator(view: &RevocationView, clock: &ManualClock) -> TokenAuthenticator {
    TokenAuthenticator::builder(Key::hs256(&SECRET).unwrap())
        .issuer("https://auth.example")
        .audience("api")
        .lifetime(LONGEST)
        .revocations(view)
        .clock(clock.clone())
        .build()
        .unwrap()
}

async fn node(
    site: &impl Site,
    socket: PathBuf,
    clock: &ManualClock,
    store: &Arc<MemoryStore>,
) -> Node {
    let view = RevocationView::builder(site.log(socket).await)
        .max_lifetime(LONGEST)
        .bound(BOUND)
        .clock(clock.clone())
        .build()
        .unwrap();
    let cached = CachedStore::builder(Arc::clone(store), &view);
    let sessions = SessionAuthenticator::builder(cached.max_age(MAX_AGE).build().unwrap())
        .idle(LONGEST)
        .absolute(LONGEST)
        .clock(clock.clone())
        .build()
        .unwrap();
    Node {
        tokens: authenticator(&view, clock),
        sessions,
        following: tokio::spawn(view.upkeep().run(tokio::time::sleep)),
        view,
    }
}

/// Waits for a condition.
pub(crate) async fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < PATIENCE, "never: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Repeats while the answer is *unavailable*: the machine is busy, or a connection was lost.
pub(crate) async fn patiently<T, F: Future<Output = Result<T>>>(ask: impl Fn() -> F) -> T {
    let begun = Instant::now();
    loop {
        match ask().await {
            Ok(answer) => return answer,
            Err(error) if error.is_unavailable() && begun.elapsed() < PATIENCE => {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            Err(error) => panic!("{error}: {:?}", std::error::Error::source(&error)),
        }
    }
}

pub(crate) fn assert_unavailable<T: std::fmt::Debug>(answer: &Result<T>) {
    let is_unavailable = answer.as_ref().is_err_and(Error::is_unavailable);
    assert!(is_unavailable, "{answer:?}");
}
