//! Open connections end with their login.

use std::future::{Future, pending};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use statewise::clock::Timestamp;
use statewise::hybrid::HybridAuthenticator;
use statewise::revocation::log::{Draft, Page, RevocationLog};
use statewise::revocation::{MemoryLog, RevocationView, Revoked, ViewBuilder};
use statewise::session::{SessionAuthenticator, SessionBuilder};
use statewise::store::contract::SessionStore;
use statewise::store::contract::Stamp;
use statewise::store::{CachedStore, MemoryStore};
use statewise::testkit::{ManualClock, block_on, yield_now};
use statewise::token::{Key, TokenAuthenticator};
use statewise::{Authenticator, Error, Identity, Login, Presented, Rejection};

use crate::failing::Failing;
use crate::node::{BOUND, LONGEST, Node, SECRET, log};

/// Counts wake-ups.
#[derive(Default)]
struct Woken(AtomicUsize);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

/// A connection's task: like an executor, it polls only after a wake-up.
struct Connection {
    revoked: Revoked,
    woken: Arc<Woken>,
}

impl Connection {
    /// A connection of an accepted caller.
    fn open<D>(view: &RevocationView, caller: &Identity<D>) -> Self {
        let mut connection = Self {
            revoked: view.revoked(caller),
            woken: Arc::default(),
        };
        assert!(connection.poll().is_none());
        connection
    }

    fn poll(&mut self) -> Option<Error> {
        let waker = Waker::from(Arc::clone(&self.woken));
        match Pin::new(&mut self.revoked).poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(error) => Some(error),
            Poll::Pending => None,
        }
    }

    /// Returns true if it was woken since the last call.
    fn was_woken(&self) -> bool {
        self.woken.0.swap(0, Ordering::SeqCst) > 0
    }

    /// Returns the reason why it ends, if it was woken and ends.
    fn end(&mut self) -> Option<Error> {
        if self.was_woken() { self.poll() } else { None }
    }

    fn has_ended_as(&mut self, cause: Rejection) -> bool {
        self.end()
            .is_some_and(|error| error.rejection() == Some(cause))
    }

    fn is_revoked(&mut self) -> bool {
        self.has_ended_as(Rejection::Revoked)
    }

    fn is_unavailable(&mut self) -> bool {
        self.end().is_some_and(|error| error.is_unavailable())
    }

    fn goes_on(&mut self) -> bool {
        self.end().is_none() && self.poll().is_none()
    }
}

impl Node {
    fn identity(&self, subject: &str) -> Identity {
        block_on(self.auth.verify(&self.log_in(subject))).unwrap()
    }

    fn tick(&self) -> statewise::Result<()> {
        block_on(self.view.upkeep().tick()).map(drop)
    }

    fn waiting(&self) -> usize {
        let shown = format!("{:?}", self.view);
        let (_, waiting) = shown.split_once("waiting: ").unwrap();
        let digits: String = waiting.chars().take_while(char::is_ascii_digit).collect();
        digits.parse().unwrap()
    }
}

fn key() -> Key {
    Key::hs256(&SECRET).unwrap()
}

#[test]
fn a_connection_ends_with_its_login_on_every_node() {
    let log = log();
    let (here, there) = (Node::new(&log), Node::new(&log));
    let token = here.log_in("alice");
    let alice = there.auth.verify_now(&token).unwrap();
    let [other, bob] = ["alice", "bob"].map(|user| there.identity(user));
    let mut open = Connection::open(&there.view, &alice);
    let mut others = [&other, &bob].map(|caller| Connection::open(&there.view, caller));

    let _ = block_on(here.auth.revoke(&token)).unwrap();
    // Not read yet, and within the bound.
    assert!(!open.was_woken() && open.goes_on());
    there.tick().unwrap();
    assert!(open.is_revoked());
    for other in &mut others {
        assert!(!other.was_woken() && other.goes_on());
    }
    // A new connection is informed at once, and on every poll.
    let mut late = there.view.revoked(&alice);
    assert_eq!(block_on(&mut late).rejection(), Some(Rejection::Revoked));
    assert_eq!(block_on(late).rejection(), Some(Rejection::Revoked));
}

#[test]
fn a_fact_of_this_node_wakes_without_a_read() {
    let node = Node::new(&log());
    let token = node.log_in("alice");
    let alice = node.auth.verify_now(&token).unwrap();
    let bob = node.identity("bob");
    let mut open = [&alice, &alice, &bob].map(|caller| Connection::open(&node.view, caller));
    let _ = block_on(node.auth.revoke(&token)).unwrap();
    assert!(open[0].is_revoked() && open[1].is_revoked());
    assert!(!open[2].was_woken());
    let _ = block_on(node.view.revoke_subject("bob")).unwrap();
    assert!(open[2].is_revoked());
}

#[test]
fn all_connections_of_a_subject_end_except_later_logins() {
    let log = log();
    let (here, there) = (Node::new(&log), Node::new(&log));
    let [first, second, bob] = ["alice", "alice", "bob"].map(|user| there.identity(user));
    let mut open = [&first, &second].map(|caller| Connection::open(&there.view, caller));
    let mut other = Connection::open(&there.view, &bob);
    let _ = block_on(here.view.revoke_subject("alice")).unwrap();
    let again = here.identity("alice");
    let mut again = [&here, &there].map(|node| Connection::open(&node.view, &again));

    there.tick().unwrap();
    here.tick().unwrap();
    assert!(open.iter_mut().all(Connection::is_revoked));
    assert!(!other.was_woken() && other.goes_on());
    assert!(again.iter_mut().all(Connection::goes_on));
    // And they end in their turn.
    let _ = block_on(here.view.revoke_subject("alice")).unwrap();
    there.tick().unwrap();
    assert!(again.iter_mut().all(Connection::is_revoked));
    assert!(other.goes_on());
}

#[test]
fn revoke_everything_ends_all_connections() {
    let log = log();
    let (here, there) = (Node::new(&log), Node::new(&log));
    let callers: Vec<_> = (0..300)
        .map(|user| there.identity(&user.to_string()))
        .collect();
    let open = callers.iter();
    let mut open: Vec<_> = open
        .map(|caller| Connection::open(&there.view, caller))
        .collect();
    let _ = block_on(here.view.revoke_everything()).unwrap();
    let later = here.identity("7");
    there.tick().unwrap();
    assert!(open.iter_mut().all(Connection::is_revoked));
    let mut later = Connection::open(&there.view, &later);
    // Each read returns the last entry again, which wakes no connection.
    there.tick().unwrap();
    assert!(!later.was_woken() && later.goes_on());
    // A retired key ends no connection: the signing key of a caller is unknown.
    let mut signed = Connection::open(&there.view, &there.identity("alice"));
    let _ = block_on(here.view.retire_key(key().kid())).unwrap();
    there.tick().unwrap();
    assert!(!signed.was_woken() && signed.goes_on());
}

/// A fact wakes the connections of its login, or those of its subject and few others.
#[test]
fn a_fact_wakes_only_waiters_that_it_may_concern() {
    let node = Node::new(&log());
    let tokens: Vec<_> = (0..3000)
        .map(|user| node.log_in(&user.to_string()))
        .collect();
    let mut open: Vec<_> = tokens
        .iter()
        .map(|token| Connection::open(&node.view, &node.auth.verify_now(token).unwrap()))
        .collect();
    let count = |open: &[Connection]| open.iter().filter(|open| open.was_woken()).count();
    let _ = block_on(node.auth.revoke(&tokens[5])).unwrap();
    assert_eq!(count(&open), 1);
    let _ = block_on(node.view.revoke_subject("6")).unwrap();
    let woken = count(&open);
    assert!((1..20).contains(&woken), "{woken} woken");
    // Empty reads wake no connection, and neither do facts about other logins.
    for _ in 0..100 {
        node.tick().unwrap();
    }
    assert_eq!(count(&open), 0);
    assert!(open[5].poll().is_some() && open[6].poll().is_some());
    assert!(open[7].poll().is_none());
}

#[test]
fn a_connection_ends_when_its_login_expires() {
    let node = Node::new(&log());
    let alice = node.identity("alice");
    let later = Duration::from_secs(60);
    node.clock.advance(later);
    node.follow().unwrap();
    let bob = node.identity("bob");
    let mut open = Connection::open(&node.view, &alice);
    let mut other = Connection::open(&node.view, &bob);
    let left = Timestamp::from(alice.deadline()).unix() - Timestamp::from(bob.issued_at()).unix();
    node.clock.advance(Duration::from_secs(left - 1));
    node.tick().unwrap();
    assert!(!open.was_woken() && open.goes_on());
    node.clock.advance(Duration::from_secs(1));
    node.tick().unwrap();
    assert!(open.has_ended_as(Rejection::Expired));
    assert!(!other.was_woken() && other.goes_on());
    // An expired login is expired, whatever else is unknown.
    node.clock.advance(later);
    let expired = block_on(node.view.revoked(&bob));
    assert_eq!(expired.rejection(), Some(Rejection::Expired));
}

/// A stale node ends all connections, unless it is configured to accept.
#[test]
fn a_connection_ends_when_its_view_is_stale() {
    let log = Failing::over(&log());
    let node = Node::new(&log);
    let lenient = Node::with(&log, key(), ViewBuilder::accept_when_stale);
    let mut open = [&node, &lenient].map(|node| {
        let caller = node.identity("alice");
        Connection::open(&node.view, &caller)
    });
    log.pages.store(0, Ordering::Relaxed);
    for node in [&node, &lenient] {
        node.clock.advance(BOUND - Duration::from_secs(1));
        assert!(node.tick().is_err());
    }
    assert!(open.iter_mut().all(|open| !open.was_woken()));
    for node in [&node, &lenient] {
        node.clock.advance(Duration::from_secs(1));
        assert!(node.tick().is_err());
    }
    assert!(open[0].is_unavailable());
    assert!(!open[1].was_woken() && open[1].goes_on());

    // A view that has read nothing knows nothing, and neither does a view without a clock.
    let new = RevocationView::builder(Arc::clone(&log))
        .max_lifetime(LONGEST)
        .accept_when_stale()
        .clock(node.clock.clone())
        .build()
        .unwrap();
    let caller = lenient.identity("alice");
    assert!(block_on(new.revoked(&caller)).is_unavailable());
    lenient.clock.stop();
    assert!(block_on(lenient.view.revoked(&caller)).is_unavailable());
}

/// A log that may never answer.
#[derive(Debug)]
struct Silent {
    inner: Arc<MemoryLog>,
    is_silent: AtomicBool,
}

impl RevocationLog for Silent {
    async fn append(&self, facts: &[Draft], now: Timestamp) -> statewise::Result<Stamp> {
        self.inner.append(facts, now).await
    }

    async fn head(&self, now: Timestamp) -> statewise::Result<Stamp> {
        self.inner.head(now).await
    }

    async fn read(&self, from: u64, limit: usize, now: Timestamp) -> statewise::Result<Page> {
        if self.is_silent.load(Ordering::Relaxed) {
            pending::<()>().await;
        }
        self.inner.read(from, limit, now).await
    }

    async fn fence(&self, now: Timestamp) -> statewise::Result<()> {
        self.inner.fence(now).await
    }
}

/// A read that never ends keeps no connection open.
#[test]
fn a_log_that_never_answers_keeps_no_connection_open() {
    let log = Arc::new(Silent {
        inner: log(),
        is_silent: AtomicBool::new(false),
    });
    let node = Node::new(&log);
    let mut open = Connection::open(&node.view, &node.identity("alice"));
    log.is_silent.store(true, Ordering::Relaxed);
    let mut upkeep = std::pin::pin!(node.view.upkeep().run(|_| yield_now()));
    let mut run = || {
        let mut context = Context::from_waker(Waker::noop());
        assert!(upkeep.as_mut().poll(&mut context).is_pending());
    };
    run();
    assert!(!open.was_woken());
    node.clock.advance(BOUND);
    run();
    assert!(open.is_unavailable());
}

#[test]
fn dropped_and_completed_futures_leave_nothing_behind() {
    let log = log();
    let node = Node::new(&log);
    let callers: Vec<_> = (0..50)
        .map(|user| node.identity(&user.to_string()))
        .collect();
    for _ in 0..200 {
        let open: Vec<_> = callers
            .iter()
            .map(|caller| Connection::open(&node.view, caller))
            .collect();
        // Polled again, it waits.
        let mut again: Vec<_> = callers
            .iter()
            .map(|caller| node.view.revoked(caller))
            .collect();
        for again in &mut again {
            for _ in 0..3 {
                let mut context = Context::from_waker(Waker::noop());
                assert!(Pin::new(&mut *again).poll(&mut context).is_pending());
            }
        }
        // Never polled.
        let unused = node.view.revoked(&callers[0]);
        assert_eq!(node.waiting(), 100);
        drop((open, again, unused));
        assert_eq!(node.waiting(), 0);
    }
    // The same for connections that have ended, or were woken and dropped.
    let mut open: Vec<_> = callers
        .iter()
        .map(|caller| Connection::open(&node.view, caller))
        .collect();
    let _ = block_on(node.view.revoke_everything()).unwrap();
    assert!(open[..20].iter_mut().all(Connection::is_revoked));
    assert!(open[0].poll().is_some());
    assert_eq!(node.waiting(), 0);
    assert!(open[20].poll().is_some());
    drop(open);
    assert_eq!(node.waiting(), 0);
}

#[test]
fn all_waiters_of_one_login_are_woken() {
    let node = Node::new(&log());
    let token = node.log_in("alice");
    let alice = node.auth.verify_now(&token).unwrap();
    let callers = vec![alice; 200];
    let mut open: Vec<_> = callers
        .iter()
        .map(|caller| Connection::open(&node.view, caller))
        .collect();
    let _ = block_on(node.auth.revoke(&token)).unwrap();
    assert!(open.iter_mut().all(Connection::is_revoked));
}

/// A future that moved to another task is woken there.
#[test]
fn the_last_waker_is_woken() {
    let node = Node::new(&log());
    let mut open = Connection::open(&node.view, &node.identity("alice"));
    let before = std::mem::take(&mut open.woken);
    assert!(open.poll().is_none());
    let _ = block_on(node.view.revoke_subject("alice")).unwrap();
    assert_eq!(before.0.load(Ordering::SeqCst), 0);
    assert!(open.is_revoked());
}

/// Waking runs foreign code, which may end other connections.
#[test]
fn a_woken_waiter_may_drop_another_one() {
    struct Drops(Mutex<Vec<Revoked>>);

    impl Wake for Drops {
        fn wake(self: Arc<Self>) {
            self.0.lock().unwrap().clear();
        }
    }

    let node = Node::new(&log());
    // The last owner of a waker drops its captured values too.
    for drops_by_waking in [true, false] {
        let alice = node.identity("alice");
        let others = (0..3).map(|_| Connection::open(&node.view, &alice).revoked);
        let drops = Arc::new(Drops(Mutex::new(others.collect())));
        let waker = Waker::from(drops);
        let mut revoked = node.view.revoked(&alice);
        let poll = |revoked: &mut Revoked, waker: &Waker| {
            Pin::new(revoked).poll(&mut Context::from_waker(waker))
        };
        assert!(poll(&mut revoked, &waker).is_pending());
        assert_eq!(node.waiting(), 4);
        drop(waker);
        if !drops_by_waking {
            assert!(poll(&mut revoked, Waker::noop()).is_pending());
            assert_eq!(node.waiting(), 1);
        }
        let _ = block_on(node.view.revoke_subject("alice")).unwrap();
        assert_eq!(node.waiting(), 0);
    }
}

/// The stamp of another node lies beyond the entries that this node has read, and the subject was
/// logged out before: the connection neither ends nor continues for good. The next read decides.
#[test]
fn an_unread_stamp_waits_for_the_next_read() {
    let log = log();
    let (here, there) = (Node::new(&log), Node::new(&log));
    let _ = block_on(here.view.revoke_subject("alice")).unwrap();
    there.follow().unwrap();
    let _ = block_on(here.view.revoke_subject("noise")).unwrap();
    let token = here.log_in("alice");
    let alice = here.auth.verify_now(&token).unwrap();
    assert!(there.verdict(&token).unwrap_err().is_unavailable());
    let mut open = Connection::open(&there.view, &alice);
    there.follow().unwrap();
    assert!(open.was_woken() && open.goes_on());
    there.follow().unwrap();
    assert!(!open.was_woken());
    let _ = block_on(here.auth.revoke(&token)).unwrap();
    there.follow().unwrap();
    assert!(open.is_revoked());
}

/// The same from a range that the log has lost: the login counts as ended, because its order is
/// unknown.
#[test]
fn a_connection_with_a_lost_stamp_ends() {
    let log = log();
    let node = Node::new(&log);
    let alice = {
        let gone = Node::new(&log);
        for _ in 0..3 {
            let _ = block_on(gone.view.revoke_subject("noise")).unwrap();
        }
        gone.identity("alice")
    };
    log.lose(3);
    let _ = block_on(node.view.revoke_subject("alice")).unwrap();
    let mut open = Connection::open(&node.view, &alice);
    for _ in 0..3 {
        if open.is_revoked() {
            return;
        }
        node.follow().unwrap();
    }
    panic!("it goes on");
}

/// Stamped by this node in a range that the log then lost and other nodes overwrote.
#[test]
fn a_position_with_another_entry_is_checked_again() {
    let log = log();
    let (node, other) = (Node::new(&log), Node::new(&log));
    let _ = block_on(node.view.revoke_subject("alice")).unwrap();
    other.follow().unwrap();
    node.follow().unwrap();
    let _ = block_on(other.view.revoke_subject("noise")).unwrap();
    let token = node.log_in("alice");
    let mut open = Connection::open(&node.view, &node.auth.verify_now(&token).unwrap());
    log.lose(1);
    let _ = block_on(other.view.revoke_subject("other")).unwrap();
    node.follow().unwrap();
    assert!(node.refuses_as_revoked(&token));
    assert!(open.is_revoked());
}

#[test]
fn a_log_that_lost_its_data_ends_earlier_logins() {
    let log = log();
    let node = Node::new(&log);
    let lenient = Node::with(&log, key(), ViewBuilder::accept_other_incarnations);
    let caller = node.identity("alice");
    let mut open = [&node, &lenient].map(|node| Connection::open(&node.view, &caller));
    log.start_over(7);
    node.tick().unwrap();
    lenient.tick().unwrap();
    assert!(open[0].is_revoked());
    assert!(open[1].goes_on());
    let _ = block_on(node.view.revoke_subject("alice")).unwrap();
    lenient.tick().unwrap();
    assert!(open[1].is_revoked());
}

fn sessions<S: SessionStore>(store: S, clock: &ManualClock) -> SessionBuilder<S, ()> {
    SessionAuthenticator::builder(store)
        .idle(Duration::from_secs(600))
        .absolute(LONGEST)
        .clock(clock.clone())
}

/// A logout under any strategy, of any caller it accepted, on another node that shares the store.
fn ends_elsewhere<A: Authenticator<Data = ()>>(node: impl Fn(&RevocationView, &ManualClock) -> A) {
    let log = log();
    let nodes = [Node::new(&log), Node::new(&log)];
    let [here, there] = nodes.each_ref().map(|each| node(&each.view, &each.clock));
    let issue = |subject| {
        let issued = block_on(here.issue(Login::new(subject))).unwrap();
        nodes[1].follow().unwrap();
        let caller = block_on(there.verify(issued.credential().reveal())).unwrap();
        (issued, Connection::open(&nodes[1].view, &caller))
    };
    let (first, mut first_open) = issue("alice");
    let (_, mut second_open) = issue("alice");
    let (_, mut bob_open) = issue("bob");
    let _ = block_on(here.revoke(first.refreshable().reveal())).unwrap();
    nodes[1].tick().unwrap();
    assert!(first_open.is_revoked());
    assert!(!second_open.was_woken() && second_open.goes_on());
    let _ = block_on(here.revoke_all("alice")).unwrap();
    let (_, mut again) = issue("alice");
    nodes[1].tick().unwrap();
    assert!(second_open.is_revoked() && again.goes_on() && bob_open.goes_on());
    let deadline = Timestamp::from(first.identity().deadline());
    for node in &nodes {
        node.clock.set(deadline);
        node.tick().unwrap();
    }
    assert!(bob_open.has_ended_as(Rejection::Expired));
}

#[test]
fn connections_of_every_strategy_end() {
    ends_elsewhere(|view, clock| {
        TokenAuthenticator::builder(key())
            .issuer("https://auth.example")
            .audience("api")
            .lifetime(Duration::from_secs(900))
            .revocations(view)
            .clock(clock.clone())
            .build()
            .unwrap()
    });
    let store = Arc::new(MemoryStore::with_capacity(100).unwrap());
    ends_elsewhere(|view, clock| {
        let store = CachedStore::builder(Arc::clone(&store), view).build();
        sessions(store.unwrap(), clock).build().unwrap()
    });
    ends_elsewhere(|view, clock| {
        let tokens = TokenAuthenticator::builder(key())
            .issuer("https://auth.example")
            .audience("api")
            .lifetime(Duration::from_secs(300))
            .revocations(view);
        HybridAuthenticator::new(tokens, sessions(Arc::clone(&store), clock)).unwrap()
    });
}

/// A read for one caller also ends the connections of other callers that it concerns.
#[test]
fn a_read_for_one_caller_wakes_the_others() {
    let log = log();
    let (here, there) = (Node::new(&log), Node::new(&log));
    let mut open = Connection::open(&there.view, &there.identity("alice"));
    let bob = there.log_in("bob");
    let _ = block_on(here.view.revoke_subject("alice")).unwrap();
    let sensitive = Presented::new(&bob).authoritative();
    assert!(block_on(there.auth.verify_with(sensitive)).is_ok());
    assert!(open.is_revoked());
}

#[test]
fn debug_shows_no_subject() {
    let node = Node::new(&log());
    let revoked = node.view.revoked(&node.identity("alice"));
    assert!(!format!("{revoked:?}").contains("alice"));
    fn moves<T: Send + Sync + Unpin + 'static>(_: &T) {}
    moves(&revoked);
}
