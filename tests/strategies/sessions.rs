//! Sessions: their beginning, their limits, and their end.

use std::collections::BTreeSet;
use std::future::poll_fn;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::Poll;
use std::time::{Duration, Instant};

use statewise::clock::Timestamp;
use statewise::session::SessionAuthenticator;
use statewise::store::contract::{Created, Limit, Record, SessionStore};
use statewise::testkit::{
    Fault, FaultyStore, Method, Sample, StoreFixture, YieldingStore, forward_session_store,
    interleave, seed, yield_now,
};
use statewise::{Authenticator, Edit, Issued, Login, Outcome, Refusal, Rejection, Result};

use super::world::{
    ABSOLUTE, IDLE, World, assert_accepted, assert_rejected, boxed, is_unavailable, lock, login,
    rejection, secret,
};

/// Time limit for three steps of the upkeep, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// Delays the answer of each create, or the create itself, until it is released.
#[derive(Debug)]
struct Held<S> {
    inner: S,
    before: bool,
    reached: AtomicBool,
    released: AtomicBool,
}

impl<S: Sync> Held<S> {
    async fn wait(&self) {
        self.reached.store(true, Ordering::SeqCst);
        while !self.released.load(Ordering::SeqCst) {
            yield_now().await;
        }
    }
}

impl<S: SessionStore> SessionStore for Held<S> {
    forward_session_store! {
        inner: load, change, rotate, update, confirm, touch, remove, remove_subject, list, sweep, begin, staleness, upkeep
    }

    async fn create(&self, record: &Record, limit: Limit, now: Timestamp) -> Result<Created> {
        if self.before {
            self.wait().await;
        }
        let created = self.inner.create(record, limit, now).await;
        if !self.before {
            self.wait().await;
        }
        created
    }
}

/// `revoke_all` ends each login that began before it, also one that is being stored: no working
/// credential of it is handed out. Later logins live. Rejects a strategy that removes only the rows
/// that it sees.
pub(crate) async fn delete_06_ends_logins_under_way<F: StoreFixture>(fixture: &F) {
    for before in [true, false] {
        let world = World::open(fixture).await;
        let store = Arc::new(Held {
            inner: Arc::clone(&world.store),
            before,
            reached: AtomicBool::new(false),
            released: AtomicBool::new(true),
        });
        let auth = world.auth_over(Arc::clone(&store));
        let earlier = login(&auth, "alice").await;
        let other = login(&auth, "bob").await;
        store.reached.store(false, Ordering::SeqCst);
        store.released.store(false, Ordering::SeqCst);
        let issue = async { Some(auth.issue(Login::new("alice")).await) };
        let revoke_all = async {
            while !store.reached.load(Ordering::SeqCst) {
                yield_now().await;
            }
            let _ = auth.revoke_all("alice").await.expect("an answer");
            store.released.store(true, Ordering::SeqCst);
            None
        };
        let answers: Vec<Option<Result<Issued>>> =
            interleave(0, vec![boxed(issue), boxed(revoke_all)]).await;
        let issued = answers.into_iter().flatten().next().expect("an answer");
        match issued {
            Ok(issued) => assert_rejected(&auth, secret(&issued), Rejection::Unknown).await,
            Err(error) => assert_eq!(error.refusal(), Some(Refusal::Outdated)),
        }
        assert!(
            world.list("alice").await.is_empty(),
            "a login outlived its revocation"
        );
        assert_rejected(&auth, secret(&earlier), Rejection::Unknown).await;
        assert_accepted(&auth, secret(&other), "bob").await;
        let later = login(&auth, "alice").await;
        assert_accepted(&auth, secret(&later), "alice").await;
    }
}

/// `revoke_others` keeps the caller's own login and leaves other users alone.
/// Rejects a removal of everything.
pub(crate) async fn delete_07_keeps_the_callers_own<F: StoreFixture>(fixture: &F) {
    let world = World::open(fixture).await;
    let auth = world.auth();
    let mine = login(&auth, "alice").await;
    let mut others = Vec::new();
    for _ in 0..5 {
        others.push(login(&auth, "alice").await);
    }
    let bob = login(&auth, "bob").await;
    let removed = auth.revoke_others(secret(&mine)).await;
    assert_eq!(removed.expect("an answer").count, 5);
    assert_accepted(&auth, secret(&mine), "alice").await;
    assert_accepted(&auth, secret(&bob), "bob").await;
    for other in &others {
        assert_rejected(&auth, secret(other), Rejection::Unknown).await;
        let revoked = auth.revoke_others(secret(other)).await;
        assert_eq!(rejection(&revoked), Some(Rejection::Unknown));
    }
    let removed = auth.revoke_others(secret(&mine)).await;
    assert_eq!(removed.expect("an answer").count, 0);
    let removed = auth.revoke_id("bob", mine.identity().id()).await;
    assert_eq!(
        removed.expect("an answer").count,
        0,
        "another user ended the login"
    );
    let removed = auth.revoke_id("alice", mine.identity().id()).await;
    assert_eq!(removed.expect("an answer").count, 1);
    assert_rejected(&auth, secret(&mine), Rejection::Unknown).await;
}

/// After a rotation the new credential works, and the old one works until the overlap ends. At
/// every moment one of them works. Rejects a store that removes the old one before it writes the
/// new one.
pub(crate) async fn rotate_01_old_and_new_at_every_moment<F: StoreFixture>(fixture: &F) {
    for round in 0..20 {
        let world = World::open(fixture).await;
        let store = Arc::new(YieldingStore::new(Arc::clone(&world.store)));
        let auth = world.auth_over(store);
        let first = login(&auth, "alice").await;
        world.advance(60).await;
        let rotated = Mutex::new(None);
        let mut acts = vec![boxed(async {
            let answer = auth.refresh(secret(&first)).await.expect("a rotation");
            *lock(&rotated) = Some(answer);
        })];
        for _ in 0..5 {
            acts.push(boxed(async {
                for _ in 0..3 {
                    assert_accepted(&auth, secret(&first), "alice").await;
                    let known = lock(&rotated).clone();
                    if let Some(second) = known {
                        assert_accepted(&auth, secret(&second), "alice").await;
                    }
                }
            }));
        }
        interleave(seed() + round, acts).await;
        let second = lock(&rotated).clone().expect("a rotation");
        assert_eq!(second.outcome(), Outcome::Rotated);
        assert_ne!(secret(&first), secret(&second));
        assert_eq!(first.identity().id(), second.identity().id());
        // The overlap counts from this first use.
        assert_accepted(&auth, secret(&second), "alice").await;
        world.advance(9).await;
        assert_accepted(&auth, secret(&first), "alice").await;
        world.advance(1).await;
        assert_accepted(&auth, secret(&second), "alice").await;
        assert_rejected(&auth, secret(&first), Rejection::Reused).await;
    }
}

/// A login ends the one that it replaces, and a change of roles asks for one rotation of the
/// credential. Rejects session fixation, and a privilege that an old credential gains.
pub(crate) async fn rotate_02_at_login_and_change_of_privilege<F: StoreFixture>(fixture: &F) {
    let world = World::open(fixture).await;
    let auth = world.auth();
    let old = login(&auth, "guest").await;
    let new = auth.issue(Login::new("alice").replaces(secret(&old))).await;
    let new = new.expect("a login is issued");
    assert_ne!(secret(&old), secret(&new));
    assert_ne!(old.identity().id(), new.identity().id());
    assert_rejected(&auth, secret(&old), Rejection::Unknown).await;
    assert_accepted(&auth, secret(&new), "alice").await;
    for junk in ["", "junk", secret(&old), "a.b.c", &"x".repeat(70_000)] {
        let issued = auth.issue(Login::new("alice").replaces(junk)).await;
        let _ = issued.expect("a login ignores an invalid credential that it replaces");
    }

    world.advance(60).await;
    let caller = auth.verify(secret(&new)).await.expect("it verifies");
    assert!(!caller.refresh_due());
    let same = auth.update(secret(&new), &mut |_| Ok(())).await;
    assert!(same.is_ok_and(|same| !same.identity().refresh_due()));
    let caller = auth.verify(secret(&new)).await.expect("it verifies");
    assert!(!caller.refresh_due(), "equal roles need no rotation");
    let promote = &mut |session: &mut Edit| {
        session.roles.push("admin".to_owned());
        Ok(())
    };
    let done = auth.update(secret(&new), promote).await.expect("an update");
    assert!(done.identity().refresh_due() && secret(&done) == secret(&new));
    let caller = auth.verify(secret(&new)).await.expect("it verifies");
    assert!(caller.refresh_due() && caller.has_role("admin"));
    let rotated = auth.refresh(secret(&new)).await.expect("a rotation");
    assert_eq!(rotated.outcome(), Outcome::Rotated);
    let caller = auth.verify(secret(&rotated)).await.expect("it verifies");
    assert!(!caller.refresh_due() && caller.has_role("admin"));
}

/// Any number of rotations leave the beginning and the deadline of a login as they were.
/// Rejects a rotation that is a new login.
pub(crate) async fn rotate_05_keeps_beginning_and_deadline<F: StoreFixture>(fixture: &F) {
    let world = World::open(fixture).await;
    let auth = world.auth();
    let mut issued = login(&auth, "alice").await;
    let first = issued.identity().clone();
    let deadline = Timestamp::from(first.deadline());
    while world.now() < deadline.saturating_sub(1_000) {
        world.advance(1_000).await;
        issued = auth.refresh(secret(&issued)).await.expect("a rotation");
        assert_eq!(issued.outcome(), Outcome::Rotated);
        let identity = auth.verify(secret(&issued)).await.expect("it verifies");
        assert_eq!(identity.issued_at(), first.issued_at());
        assert_eq!(identity.authenticated_at(), first.authenticated_at());
        assert_eq!(identity.deadline(), first.deadline());
        assert!(identity.expires_at() <= first.deadline());
        assert_eq!(identity.id(), first.id());
    }
    world.advance(deadline.saturating_since(world.now())).await;
    assert_rejected(&auth, secret(&issued), Rejection::Unknown).await;
    let refreshed = auth.refresh(secret(&issued)).await;
    assert_eq!(rejection(&refreshed), Some(Rejection::Unknown));
}

/// A login ends after its idle timeout, or at its deadline however much it is used, whichever comes
/// first. Rejects a store that knows only one of the two.
pub(crate) async fn expiry_01_the_first_limit_ends_it<F: StoreFixture>(fixture: &F) {
    let world = World::open(fixture).await;
    let auth = world.auth();
    let unused = login(&auth, "alice").await;
    let used = login(&auth, "alice").await;
    let mut passed = 0;
    while passed + 900 < ABSOLUTE {
        world.advance(900).await;
        passed += 900;
        assert_accepted(&auth, secret(&used), "alice").await;
        if passed == IDLE {
            assert_rejected(&auth, secret(&unused), Rejection::Unknown).await;
        }
    }
    world.advance(ABSOLUTE - passed).await;
    assert_rejected(&auth, secret(&used), Rejection::Unknown).await;
}

/// The upkeep continues after an error and stops when it is dropped. Rejects a sweeper that ends
/// at the first error.
pub(crate) async fn expiry_07_the_upkeep_survives_an_error<F: StoreFixture>(fixture: &F) {
    let world = World::open(fixture).await;
    let store = Arc::new(FaultyStore::new(Arc::clone(&world.store)));
    let auth = world.auth_over(Arc::clone(&store));
    store.fail_nth_of(Method::Sweep, 1, Fault::Fails);
    let upkeep = auth.upkeep();
    assert!(is_unavailable(&upkeep.tick().await));
    assert!(upkeep.tick().await.is_ok(), "an error ended the sweeping");
    store.reset();
    store.fail_nth_of(Method::Sweep, 1, Fault::Fails);
    store.fail_nth_of(Method::Sweep, 2, Fault::LosesAnswer);
    let mut run = Box::pin(auth.upkeep().run(|_| yield_now()));
    // Limited by time: the number of polls depends on the other work of the store.
    let began = Instant::now();
    poll_fn(|context| {
        assert!(run.as_mut().poll(context).is_pending(), "the upkeep ended");
        context.waker().wake_by_ref();
        if store.calls_of(Method::Sweep) > 2 || began.elapsed() > PATIENCE {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    })
    .await;
    drop(run);
    let calls = store.calls_of(Method::Sweep);
    assert!(calls > 2, "an error ended the sweeping");
    yield_now().await;
    assert_eq!(
        store.calls_of(Method::Sweep),
        calls,
        "the upkeep continued after it was dropped"
    );
}

/// A use is noted once per throttle however often a login is used, and the login lives as long as
/// it is used. Rejects a write per request.
pub(crate) async fn update_08_notes_uses_now_and_then<F: StoreFixture>(fixture: &F) {
    let world = World::open(fixture).await;
    let store = Arc::new(FaultyStore::new(Arc::clone(&world.store)));
    let auth = world.auth_over(Arc::clone(&store));
    let issued = login(&auth, "alice").await;
    let began = world.now();
    // The documentation of sessions promises an eighth.
    let throttle = IDLE / 8;
    let interval = Sample::of("alice").idle(IDLE).at(began).touch_interval();
    assert_eq!(interval, Duration::from_secs(throttle));
    let mut expires_at = issued.expires_at();
    let mut noted = BTreeSet::new();
    while world.now().saturating_since(began) + throttle < ABSOLUTE {
        world.advance(throttle / 3).await;
        let identity = auth.verify(secret(&issued)).await;
        let identity = identity.expect("alive as long as it is used");
        assert!(
            identity.expires_at() >= expires_at,
            "a use shortened the login"
        );
        expires_at = identity.expires_at();
        noted.insert(expires_at);
    }
    let most = usize::try_from(ABSOLUTE / throttle).expect("a small number") + 1;
    assert!(
        noted.len() <= most,
        "{} uses were noted where {most} are enough",
        noted.len()
    );
    assert!(
        store.calls_of(Method::Touch) <= most,
        "every use was written"
    );
}

/// A shorter deadline or idle timeout counts at once. Rejects a store that remembers an earlier
/// expiry.
pub(crate) async fn update_09_a_shorter_life_counts_at_once<F: StoreFixture>(fixture: &F) {
    let world = World::open(fixture).await;
    let loose = world.auth();
    let builder = world.builder(Arc::clone(&world.store));
    let strict = builder.rotate_after(Duration::from_secs(60));
    let strict = strict.build().expect("a valid configuration");
    let tight = SessionAuthenticator::builder(Arc::clone(&world.store))
        .idle(Duration::from_secs(60))
        .absolute(Duration::from_secs(ABSOLUTE))
        .clock(world.clock.clone())
        .build()
        .expect("a valid configuration");
    let verified = login(&loose, "alice").await;
    let refreshed = login(&loose, "alice").await;
    world.advance(61).await;
    assert_accepted::<_, ()>(&strict, secret(&verified), "alice").await;
    // The throttle of the longer timeout may have left this use unnoted.
    world.advance(61).await;
    assert_rejected(&tight, secret(&verified), Rejection::Unknown).await;
    assert_rejected(&loose, secret(&verified), Rejection::Unknown).await;
    let answer = tight.refresh(secret(&refreshed)).await;
    assert_eq!(rejection(&answer), Some(Rejection::Unknown));

    let soon = world.now().saturating_add(30);
    let short = loose.issue(Login::new("bob").deadline(soon.into())).await;
    let short = short.expect("a login is issued");
    world.advance(30).await;
    assert_rejected(&loose, secret(&short), Rejection::Unknown).await;
}
