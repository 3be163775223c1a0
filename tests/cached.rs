//! Sessions verified from the memory of every node: a change on one node takes effect on all.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use statewise::api_keys::ApiKeys;
use statewise::clock::Timestamp;
use statewise::revocation::{MemoryLog, RevocationView};
use statewise::session::{Limit, SessionAuthenticator};
use statewise::store::contract::{Created, DynSessionStore, Handle, Load, Record, SessionStore};
use statewise::store::{CachedBuilder, CachedStore, MemoryStore};
use statewise::testkit::{ManualClock, block_on, forward_session_store, give_up_after, yield_now};
use statewise::tickets::Tickets;
use statewise::{
    Affected, Authenticator, Login, Presented, Refusal, Rejection, Result, Revocation,
};

const BOUND: Duration = Duration::from_secs(5);
const MAX_AGE: Duration = Duration::from_secs(20);

/// The store that the nodes share. It counts loads, and fails and stalls on command.
#[derive(Debug)]
struct Shared {
    inner: MemoryStore,
    loads: AtomicUsize,
    fails: AtomicUsize,
    /// Number of polls that a load takes after it has read the row.
    stalls: AtomicUsize,
    /// Current and maximum number of concurrent loads.
    loading: AtomicUsize,
    most: AtomicUsize,
    touches: AtomicUsize,
}

impl SessionStore for Shared {
    forward_session_store! {
        inner: change, rotate, update, confirm, remove, remove_subject, list, sweep, begin,
            staleness, upkeep
    }

    async fn create(&self, record: &Record, limit: Limit, now: Timestamp) -> Result<Created> {
        let created = self.inner.create(record, limit, now).await;
        for _ in 0..self.stalls.load(Ordering::Relaxed) {
            yield_now().await;
        }
        created
    }

    async fn touch(&self, uses: &[(Handle, Timestamp)], now: Timestamp) -> Result<()> {
        self.touches.fetch_add(uses.len(), Ordering::Relaxed);
        for _ in 0..self.stalls.load(Ordering::Relaxed) {
            yield_now().await;
        }
        self.inner.touch(uses, now).await
    }

    async fn load(&self, handle: Handle, load: Load, now: Timestamp) -> Result<Option<Record>> {
        self.loads.fetch_add(1, Ordering::Relaxed);
        let loading = self.loading.fetch_add(1, Ordering::Relaxed) + 1;
        self.most.fetch_max(loading, Ordering::Relaxed);
        let row = self.inner.load(handle, load, now).await;
        for _ in 0..self.stalls.load(Ordering::Relaxed) {
            yield_now().await;
        }
        self.loading.fetch_sub(1, Ordering::Relaxed);
        if self.fails.load(Ordering::Relaxed) > 0 {
            return Err(statewise::Error::unavailable("no answer"));
        }
        row
    }
}

struct Fleet {
    log: Arc<MemoryLog>,
    store: Arc<Shared>,
    clock: ManualClock,
}

type Auth = SessionAuthenticator<CachedStore<Arc<Shared>>, u32>;

impl Fleet {
    fn new() -> Self {
        Self {
            log: Arc::new(MemoryLog::new().unwrap()),
            store: Arc::new(Shared {
                inner: MemoryStore::with_capacity(10_000).unwrap(),
                loads: AtomicUsize::new(0),
                fails: AtomicUsize::new(0),
                stalls: AtomicUsize::new(0),
                loading: AtomicUsize::new(0),
                most: AtomicUsize::new(0),
                touches: AtomicUsize::new(0),
            }),
            clock: ManualClock::default(),
        }
    }

    fn node(&self) -> Auth {
        self.limited(Limit::Unlimited)
    }

    fn limited(&self, limit: Limit) -> Auth {
        self.configured(limit, |store| store)
    }

    /// A node that loads at most that many sessions at a time.
    fn with_loads(&self, loads: usize) -> Auth {
        self.configured(Limit::Unlimited, |store| store.loads(loads))
    }

    fn configured(
        &self,
        limit: Limit,
        configure: impl FnOnce(CachedBuilder<Arc<Shared>>) -> CachedBuilder<Arc<Shared>>,
    ) -> Auth {
        let view = RevocationView::builder(Arc::clone(&self.log))
            .max_lifetime(Duration::from_secs(12 * 3600))
            .bound(BOUND)
            .clock(self.clock.clone())
            .build()
            .unwrap();
        block_on(view.follow()).unwrap();
        let store = CachedStore::builder(Arc::clone(&self.store), &view).max_age(MAX_AGE);
        let store = configure(store).build().unwrap();
        SessionAuthenticator::builder(store)
            .idle(Duration::from_secs(1800))
            .absolute(Duration::from_secs(12 * 3600))
            .limit(limit)
            .clock(self.clock.clone())
            .with_data()
            .build()
            .unwrap()
    }

    fn loads(&self) -> usize {
        self.store.loads.swap(0, Ordering::Relaxed)
    }
}

fn follow(node: &Auth) {
    block_on(node.store().view().follow()).unwrap();
}

fn log_in(node: &Auth, subject: &str) -> String {
    let issued = block_on(node.issue(Login::new(subject).data(1))).unwrap();
    issued.credential().reveal().to_owned()
}

fn accepts(node: &Auth, credential: &str) -> bool {
    match block_on(node.verify(credential)) {
        Ok(_) => true,
        Err(error) => {
            assert!(error.is_rejected(), "{error:?}");
            false
        }
    }
}

#[test]
fn a_copy_is_loaded_once_per_maximum_age() {
    let fleet = Fleet::new();
    let (here, there) = (fleet.node(), fleet.node());
    let session = log_in(&here, "alice");
    fleet.loads();
    for _ in 0..10 {
        assert!(accepts(&here, &session) && accepts(&there, &session));
    }
    // The node that stored it has a copy already.
    assert_eq!(fleet.loads(), 1);
    fleet.clock.advance(MAX_AGE);
    for node in [&here, &there] {
        follow(node);
        for _ in 0..10 {
            assert!(accepts(node, &session));
        }
    }
    assert_eq!(fleet.loads(), 2);
    let sensitive = Presented::new(&session).authoritative();
    assert!(block_on(here.verify_with(sensitive)).is_ok());
    assert_eq!(fleet.loads(), 1);
}

#[test]
fn a_logout_takes_effect_on_all_nodes() {
    let fleet = Fleet::new();
    let (here, there) = (fleet.node(), fleet.node());
    let sessions: Vec<_> = (0..4).map(|_| log_in(&here, "alice")).collect();
    let bob = log_in(&here, "bob");
    for session in sessions.iter().chain([&bob]) {
        assert!(accepts(&there, session));
    }
    fleet.loads();
    assert_eq!(
        block_on(here.revoke(&sessions[0])).unwrap().effective,
        Revocation::Within(BOUND)
    );
    assert!(!accepts(&here, &sessions[0]));
    follow(&there);
    assert!(!accepts(&there, &sessions[0]) && accepts(&there, &sessions[1]));

    let removed = block_on(here.revoke_others(&sessions[1])).unwrap();
    assert_eq!(
        (removed.count, removed.effective),
        (2, Revocation::Within(BOUND))
    );
    follow(&there);
    for node in [&here, &there] {
        assert!(accepts(node, &sessions[1]), "the kept session");
        assert!(!accepts(node, &sessions[2]) && !accepts(node, &sessions[3]));
    }

    assert_eq!(
        block_on(there.revoke_all("alice")).unwrap(),
        Affected::new(Some(1), Revocation::Within(BOUND))
    );
    let again = log_in(&there, "alice");
    follow(&here);
    for node in [&here, &there] {
        assert!(!accepts(node, &sessions[1]));
        assert!(accepts(node, &again) && accepts(node, &bob));
    }
}

#[test]
fn a_change_is_visible_on_all_nodes() {
    let fleet = Fleet::new();
    let (here, there) = (fleet.node(), fleet.node());
    let session = log_in(&here, "alice");
    let seen = block_on(there.verify(&session)).unwrap();
    assert_eq!(*seen.data(), 1);
    let updated = block_on(here.update(&session, &mut |session| {
        session.data = 2;
        session.roles = vec!["reader".to_owned()];
        Ok(())
    }));
    assert_eq!(*updated.unwrap().identity().data(), 2);
    assert_eq!(*block_on(here.verify(&session)).unwrap().data(), 2);
    follow(&there);
    let now = block_on(there.verify(&session)).unwrap();
    assert_eq!((*now.data(), now.has_role("reader")), (2, true));
    // Served from memory again.
    fleet.loads();
    assert!(accepts(&there, &session));
    assert_eq!(fleet.loads(), 0);
}

/// The answer to an update of all logins is kept by nodes that follow the log, and by nodes that do not.
#[test]
fn a_change_of_all_logins_counts_within_the_bound() {
    let fleet = Fleet::new();
    let (here, there) = (fleet.node(), fleet.node());
    let sessions = [log_in(&here, "alice"), log_in(&here, "alice")];
    let change_all = |node: &Auth, to: u32| {
        let changed = block_on(node.update_all("alice", &mut |session| {
            session.data = to;
            Ok(())
        }));
        changed.unwrap()
    };
    let data = |node: &Auth, session: &str| *block_on(node.verify(session)).unwrap().data();
    for (to, follows) in [(2, true), (3, false)] {
        sessions
            .iter()
            .for_each(|session| assert_eq!(data(&there, session), to - 1));
        let within_bound = Affected::new(Some(2), Revocation::Within(BOUND));
        assert_eq!(change_all(&here, to), within_bound);
        match follows {
            true => follow(&there),
            false => fleet.clock.advance(BOUND + Duration::from_secs(1)),
        }
        sessions
            .iter()
            .for_each(|session| assert_eq!(data(&there, session), to));
        follow(&there);
    }
    // Not changed by this call: an earlier one may have failed to notify the other nodes.
    let within_age = Affected::new(Some(2), Revocation::Within(MAX_AGE));
    assert_eq!(change_all(&here, 3), within_age);
    // No login has old values.
    let nobody = block_on(here.update_all("bob", &mut |_| Ok(()))).unwrap();
    assert_eq!(nobody, Affected::new(Some(0), Revocation::Immediate));
}

#[test]
fn a_change_without_the_log_returns_the_age_of_a_copy() {
    let fleet = Fleet::new();
    // Room for what the calls append before the change of the login.
    let full = Arc::new(MemoryLog::new().unwrap().capacity(1));
    let fleet = Fleet { log: full, ..fleet };
    let node = fleet.node();
    log_in(&node, "alice");
    let changed = block_on(node.update_all("alice", &mut |session| {
        session.data = 2;
        Ok(())
    }));
    let within_age = Affected::new(Some(1), Revocation::Within(MAX_AGE));
    assert_eq!(changed.unwrap(), within_age);
}

#[test]
fn a_credential_rotated_elsewhere_is_known_here() {
    let fleet = Fleet::new();
    let (here, there) = (fleet.node(), fleet.node());
    let old = log_in(&here, "alice");
    assert!(accepts(&there, &old));
    let rotated = block_on(here.refresh(&old)).unwrap();
    let new = rotated.credential().reveal();
    // The copy does not know this generation.
    assert!(accepts(&there, new) && accepts(&there, &old));
    // Used, and then replayed after the grace: theft is detected on either node and ends the login
    // on both.
    fleet.clock.advance(Duration::from_secs(60));
    for node in [&here, &there] {
        follow(node);
    }
    assert!(accepts(&there, new));
    let error = block_on(here.verify(&old)).unwrap_err();
    assert_eq!(error.rejection(), Some(Rejection::Reused));
    follow(&there);
    assert!(!accepts(&there, new) && !accepts(&here, new));
}

#[test]
fn evicted_sessions_end_everywhere() {
    let fleet = Fleet::new();
    let (here, there) = (fleet.limited(Limit::EvictOldest(1)), fleet.node());
    let first = log_in(&here, "alice");
    assert!(accepts(&there, &first));
    fleet.clock.advance(Duration::from_secs(1));
    let second = log_in(&here, "alice");
    follow(&there);
    assert!(!accepts(&there, &first) && accepts(&there, &second));
}

#[test]
fn a_stale_node_queries_the_store() {
    let fleet = Fleet::new();
    let (here, there) = (fleet.node(), fleet.node());
    let (session, other) = (log_in(&here, "alice"), log_in(&here, "bob"));
    assert!(accepts(&there, &session));
    let _ = block_on(here.revoke(&session)).unwrap();
    // This node has not read the fact yet, and is within its bound.
    assert!(accepts(&there, &session));
    fleet.clock.advance(BOUND);
    assert!(!accepts(&there, &session) && accepts(&there, &other));
    fleet.loads();
    assert!(accepts(&there, &other));
    assert_eq!(fleet.loads(), 1, "a stale node served a copy");
    // If the store is down, the answer is *unavailable* for every caller.
    fleet.store.fails.store(1, Ordering::Relaxed);
    let error = block_on(there.verify(&other)).unwrap_err();
    assert!(error.is_unavailable());
}

/// Neither a copy of a row nor the memory of an absent one answers while the view is stale.
#[test]
fn a_stale_node_shows_nothing_in_place() {
    let fleet = Fleet::new();
    let here = fleet.node();
    let refusing = fleet.configured(Limit::Unlimited, CachedBuilder::refuse_when_stale);
    let (session, ended) = (log_in(&here, "alice"), log_in(&here, "bob"));
    let _ = block_on(here.revoke(&ended)).unwrap();
    let at_once = |node: &Auth, credential| node.try_verify_now(Presented::new(credential));
    for node in [&here, &refusing] {
        follow(node);
        assert!(accepts(node, &session) && !accepts(node, &ended));
        assert!(at_once(node, &session).is_some_and(|answer| answer.is_ok()));
        assert!(at_once(node, &ended).is_some_and(|answer| answer.is_err()));
    }
    fleet.clock.advance(BOUND);
    for (node, is_refusing) in [(&here, false), (&refusing, true)] {
        for credential in [&session, &ended] {
            assert!(at_once(node, credential).is_none());
            let error = block_on(node.verify(credential)).err();
            let is_unavailable = error.is_some_and(|error| error.is_unavailable());
            assert_eq!(is_unavailable, is_refusing);
        }
    }
}

#[test]
fn revoke_everything_ends_sessions_on_all_nodes() {
    let fleet = Fleet::new();
    let (here, there) = (fleet.node(), fleet.node());
    let sessions = [log_in(&here, "alice"), log_in(&there, "bob")];
    let _ = block_on(here.store().view().revoke_everything()).unwrap();
    let again = log_in(&here, "alice");
    follow(&there);
    for node in [&here, &there] {
        assert!(sessions.iter().all(|session| !accepts(node, session)));
        assert!(
            sessions
                .iter()
                .all(|session| block_on(node.refresh(session)).is_err())
        );
        assert!(accepts(node, &again));
    }
    // For as long as any of them could live.
    fleet.clock.advance(Duration::from_secs(1700));
    for _ in 0..100 {
        block_on(there.store().view().upkeep().tick()).unwrap();
    }
    assert!(!accepts(&there, &sessions[0]));
}

/// The view alone ends no session: it makes every node ask the store, which decides.
#[test]
fn an_entry_about_a_subject_makes_nodes_query_the_store() {
    let fleet = Fleet::new();
    let (here, there) = (fleet.node(), fleet.node());
    let (alice, bob) = (log_in(&here, "alice"), log_in(&here, "bob"));
    assert!(accepts(&there, &alice) && accepts(&there, &bob));
    let _ = block_on(here.store().view().revoke_subject("alice")).unwrap();
    for node in [&here, &there] {
        follow(node);
        fleet.loads();
        assert!(accepts(node, &alice) && accepts(node, &alice) && accepts(node, &bob));
        assert_eq!(fleet.loads(), 1);
    }
    let _ = block_on(here.revoke_all("alice")).unwrap();
    follow(&there);
    for node in [&here, &there] {
        assert!(!accepts(node, &alice) && accepts(node, &bob));
    }
}

#[test]
fn concurrent_verifications_share_one_load() {
    let fleet = Fleet::new();
    let (here, there) = (fleet.node(), fleet.node());
    let session = log_in(&here, "alice");
    fleet.loads();
    fleet.store.stalls.store(3, Ordering::Relaxed);
    let verdicts = block_on(async {
        let requests = (0..20).map(|_| there.verify(&session));
        statewise::testkit::interleave(7, requests.map(|request| Box::pin(request) as _).collect())
            .await
    });
    assert!(verdicts.iter().all(Result::is_ok));
    assert_eq!(fleet.loads(), 1);
}

#[test]
fn an_absent_session_is_loaded_once() {
    let fleet = Fleet::new();
    let (here, there) = (fleet.node(), fleet.node());
    let session = log_in(&here, "alice");
    let _ = block_on(here.revoke(&session)).unwrap();
    follow(&there);
    fleet.loads();
    for _ in 0..10 {
        assert!(!accepts(&there, &session));
    }
    assert!(fleet.loads() <= 1);
}

#[test]
fn a_revocation_without_the_log_returns_the_age_of_a_copy() {
    let fleet = Fleet::new();
    let full = Arc::new(MemoryLog::new().unwrap().capacity(0));
    let fleet = Fleet { log: full, ..fleet };
    let node = fleet.node();
    let session = log_in(&node, "alice");
    assert_eq!(
        block_on(node.revoke(&session)).unwrap().effective,
        Revocation::Within(MAX_AGE)
    );
    assert!(!accepts(&node, &session));
    // Again: the row is gone, and the nodes have not been notified.
    assert_eq!(
        block_on(node.revoke(&session)).unwrap().effective,
        Revocation::Within(MAX_AGE)
    );
}

/// A login that continues an older one has ended if the older one was ended everywhere in the
/// meantime, however long it takes.
#[test]
fn a_login_that_continues_an_ended_one_is_rejected() {
    for wait in [10, 100, 3600] {
        let fleet = Fleet::new();
        let (here, there) = (fleet.node(), fleet.node());
        let identity = block_on(here.verify(&log_in(&here, "alice"))).unwrap();
        let _ = block_on(there.revoke_all("alice")).unwrap();
        fleet.clock.advance(Duration::from_secs(wait));
        let _ = block_on(there.revoke_all("bob")).unwrap();
        let again = block_on(here.issue(identity.into_login()));
        assert_eq!(again.unwrap_err().refusal(), Some(Refusal::Outdated));
    }
}

/// A login that continues an older one is outdated by what changed since it began itself, and not by
/// what the older one has lived through. Rejects a check from the stamp of the older one on.
#[test]
fn a_login_that_continues_an_updated_one_begins_itself() {
    let fleet = Fleet::new();
    let (here, there) = (fleet.node(), fleet.node());
    let session = log_in(&here, "alice");
    let early = block_on(here.begin()).unwrap();
    let _ = block_on(there.update_all("alice", &mut |session| {
        session.roles = vec!["reader".to_owned()];
        Ok(())
    }))
    .unwrap();
    follow(&here);
    let again = block_on(here.begin()).unwrap();
    let identity = block_on(here.verify(&session)).unwrap();
    assert!(identity.has_role("reader"));
    let continued = || identity.clone().into_login();
    for login in [continued().begun(again), continued()] {
        let issued = block_on(here.issue(login)).unwrap();
        assert!(accepts(&here, issued.credential().reveal()));
    }
    let outdated = block_on(here.issue(continued().begun(early)));
    assert_eq!(outdated.unwrap_err().refusal(), Some(Refusal::Outdated));
    // The end of the older one counts, whenever this one began.
    let _ = block_on(there.revoke_all("alice")).unwrap();
    let again = block_on(here.begin()).unwrap();
    for login in [continued().begun(again), continued()] {
        let ended = block_on(here.issue(login));
        assert_eq!(ended.unwrap_err().refusal(), Some(Refusal::Outdated));
    }
}

/// No credential outlives what the view in front of its store remembers. Rejects a builder that
/// leaves it to each login.
#[test]
fn longer_lives_than_the_view_allows_fail_at_build() {
    let day = Duration::from_secs(24 * 3600);
    let fleet = Fleet::new();
    let view = RevocationView::builder(Arc::clone(&fleet.log)).max_lifetime(day);
    let view = view.build().unwrap();
    let cached = || -> Arc<dyn DynSessionStore> {
        let store = CachedStore::builder(Arc::clone(&fleet.store), &view);
        Arc::new(store.build().unwrap())
    };
    let sessions = |absolute| {
        let sessions = SessionAuthenticator::builder(cached()).idle(BOUND);
        sessions.absolute(absolute)
    };
    let keys = || ApiKeys::builder(cached()).prefix("acme_pat");
    let tickets = |lifetime| {
        let tickets = Tickets::builder(cached()).purpose("reset");
        tickets.lifetime(lifetime).build()
    };
    let second = Duration::from_secs(1);
    for refused in [
        sessions(day + second).build().map(drop),
        sessions(day)
            .remembered(day, day + second)
            .build()
            .map(drop),
        keys().longest(day + second).build().map(drop),
        keys().without_end().unused(BOUND).build().map(drop),
        tickets(day + second).map(drop),
    ] {
        let error = refused.unwrap_err();
        assert!(error.is_misuse(), "{error}");
        assert!(error.to_string().contains("raise the maximum lifetime"));
    }
    let auth = sessions(day).remembered(day, day).build().unwrap();
    assert!(block_on(auth.issue(Login::new("alice").remember())).is_ok());
    assert!(keys().longest(day).build().is_ok() && tickets(day).is_ok());
}

/// The session that was kept when all others ended is served from memory again.
#[test]
fn a_kept_session_is_loaded_once() {
    let fleet = Fleet::new();
    let (here, there) = (fleet.node(), fleet.node());
    let (kept, other) = (log_in(&here, "alice"), log_in(&here, "alice"));
    assert!(accepts(&there, &kept) && accepts(&there, &other));
    let _ = block_on(here.revoke_others(&kept)).unwrap();
    follow(&there);
    fleet.loads();
    for _ in 0..5 {
        assert!(accepts(&there, &kept) && !accepts(&there, &other));
    }
    let loads = fleet.loads();
    assert!(loads <= 2, "{loads} loads");
}

/// The stamp of a login lies in a range that the log has lost, and then everything was revoked. The
/// row still exists and does not show this.
#[test]
fn a_session_with_a_lost_stamp_ends_with_everything() {
    let fleet = Fleet::new();
    let node = fleet.node();
    let stolen = {
        let gone = fleet.node();
        for user in ["bob", "carol", "dora"] {
            let _ = block_on(gone.revoke_all(user)).unwrap();
        }
        log_in(&gone, "alice")
    };
    fleet.log.lose(3);
    let _ = block_on(node.store().view().revoke_everything()).unwrap();
    for _ in 0..3 {
        follow(&node);
        assert!(block_on(node.verify(&stolen)).is_err());
        assert!(block_on(node.refresh(&stolen)).is_err());
    }
    let late = fleet.node();
    let again = log_in(&node, "alice");
    follow(&late);
    for node in [&node, &late] {
        assert!(!accepts(node, &stolen) && accepts(node, &again));
    }
}

/// Once a copy no longer suffices, concurrent verifications query the store one at a time, and one
/// of them records the use. Rejects a cache that lets all waiting callers through at once.
#[test]
fn concurrent_uses_of_a_session_cause_one_load_and_one_touch() {
    let fleet = Fleet::new();
    let node = fleet.node();
    let session = log_in(&node, "alice");
    assert!(accepts(&node, &session));
    fleet.loads();
    // A use is due, and a copy alone cannot tell whether it was recorded.
    for _ in 0..80 {
        fleet.clock.advance(Duration::from_secs(4));
        follow(&node);
    }
    fleet.store.stalls.store(3, Ordering::Relaxed);
    let verdicts = block_on(async {
        let requests = (0..100).map(|_| node.verify(&session));
        statewise::testkit::interleave(7, requests.map(|request| Box::pin(request) as _).collect())
            .await
    });
    assert!(verdicts.iter().all(Result::is_ok));
    assert_eq!(fleet.loads(), 1);
    let touches = fleet.store.touches.swap(0, Ordering::Relaxed);
    assert_eq!(touches, 1);
}

/// For any number of callers and sessions, and also while the view is stale: the number of
/// concurrent loads never exceeds the configured maximum.
#[test]
fn concurrent_loads_are_bounded() {
    let fleet = Fleet::new();
    let node = fleet.node();
    let sessions: Vec<_> = (0..20)
        .map(|user| log_in(&node, &user.to_string()))
        .collect();
    let cold = fleet.with_loads(4);
    fleet.store.stalls.store(3, Ordering::Relaxed);
    for wait in [Duration::ZERO, BOUND] {
        fleet.clock.advance(wait);
        fleet.store.most.store(0, Ordering::Relaxed);
        let verdicts = block_on(async {
            let requests = sessions.iter().flat_map(|session| {
                let asked = [
                    Presented::new(session),
                    Presented::new(session).authoritative(),
                ];
                asked.map(|presented| cold.verify_with(presented))
            });
            statewise::testkit::interleave(7, requests.map(|ask| Box::pin(ask) as _).collect())
                .await
        });
        assert!(verdicts.iter().all(Result::is_ok));
        let most = fleet.store.most.load(Ordering::Relaxed);
        assert!(most <= 4, "{most} loads at a time");
    }
}

/// A list of sessions omits those that were revoked with everything, although their rows remain.
#[test]
fn sessions_ended_with_everything_are_not_listed() {
    let fleet = Fleet::new();
    let node = fleet.node();
    let _old = log_in(&node, "alice");
    let _ = block_on(node.store().view().revoke_everything()).unwrap();
    follow(&node);
    let _new = log_in(&node, "alice");
    let listed = block_on(node.sessions("alice", None)).unwrap();
    assert_eq!(listed.sessions.len(), 1);
}

/// Nor do those rows count against the limit when the user logs in again.
#[test]
fn sessions_ended_with_everything_do_not_count_for_the_limit() {
    let fleet = Fleet::new();
    let node = fleet.limited(Limit::Reject(1));
    let _old = log_in(&node, "alice");
    let full = || block_on(node.issue(Login::new("alice").data(1))).unwrap_err();
    assert!(full().is_refused());
    let _ = block_on(node.store().view().revoke_everything()).unwrap();
    follow(&node);
    let new = log_in(&node, "alice");
    assert!(accepts(&node, &new));
    assert!(full().is_refused());
}

/// A login that evicts another one and then fails, because its user has changed, has still evicted it.
#[test]
fn a_failed_login_removes_copies_of_the_sessions_it_evicted() {
    let fleet = Fleet::new();
    let node = fleet.limited(Limit::EvictOldest(1));
    let begun = block_on(node.begin()).unwrap();
    let _ = block_on(fleet.node().update_all("alice", &mut |_| Ok(()))).unwrap();
    let second = log_in(&node, "alice");
    assert!(accepts(&node, &second));
    let outdated = block_on(node.issue(Login::new("alice").data(1).begun(begun)));
    assert_eq!(outdated.unwrap_err().refusal(), Some(Refusal::Outdated));
    assert!(!accepts(&node, &second));
}

/// A login is dropped after the store has evicted another one, and before its answer is read.
#[test]
fn a_dropped_login_removes_copies_of_the_sessions_it_evicted() {
    let fleet = Fleet::new();
    let node = fleet.limited(Limit::EvictOldest(1));
    let (evicted, other) = (log_in(&node, "alice"), log_in(&node, "bob"));
    assert!(accepts(&node, &evicted) && accepts(&node, &other));
    fleet.loads();
    fleet.store.stalls.store(1, Ordering::Relaxed);
    let login = node.issue(Login::new("alice").data(1));
    assert!(block_on(give_up_after(1, login)).is_none());
    fleet.store.stalls.store(0, Ordering::Relaxed);
    assert!(accepts(&node, &other));
    assert_eq!(fleet.loads(), 0, "the copy of another subject is gone");
    assert!(!accepts(&node, &evicted));
}

/// A store with its own `update` keeps it behind a cache. Rejects a cache that replaces the update of
/// its inner store by a `change`.
#[test]
fn an_update_goes_to_the_update_of_the_inner_store() {
    use statewise::store::contract::{Limit, SessionStore as _, Updated};
    use statewise::testkit::{FaultyStore, Method, Sample};

    block_on(async {
        let clock = ManualClock::default();
        let view = RevocationView::builder(MemoryLog::new().unwrap())
            .max_lifetime(Duration::from_secs(12 * 3_600))
            .clock(clock.clone())
            .build()
            .unwrap();
        view.follow().await.unwrap();
        let inner = FaultyStore::new(Arc::new(MemoryStore::with_capacity(10).unwrap()));
        let store = CachedStore::builder(inner, &view).build().unwrap();
        let now = statewise::clock::Clock::now(&clock).unwrap();
        let row = Sample::of("alice").at(now);
        let _ = store.create(&row, Limit::default(), now).await.unwrap();
        let update = Sample::update("new");
        let updated = store.update(row.handle(), 0, &update, now).await.unwrap();
        assert!(matches!(updated, Updated::Done { .. }), "{updated:?}");
        assert_eq!(store.inner().calls_of(Method::Update), 1);
    });
}
