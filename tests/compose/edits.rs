//! Guarantees for changes of logins that go on.

#![allow(
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use statewise::authenticator::BoxFuture;
use statewise::clock::Timestamp;
use statewise::hybrid::HybridAuthenticator;
use statewise::migrating::Migrating;
use statewise::revocation::{MemoryLog, RevocationView};
use statewise::store::contract::{Handle, SessionStore, Update, Updated};
use statewise::store::{CachedStore, MemoryStore};
use statewise::testkit::{
    Fault, FaultyStore, ManualClock, Method, YieldingStore, block_on, forward_session_store,
    interleave, yield_now,
};
use statewise::token::Fresh;
use statewise::{
    Authenticator, Edit, Error, Identity, Issued, Login, Outcome, Refusal, Rejection, Result,
    Revocation,
};
use time::OffsetDateTime;

use crate::begin::{is_out, strategies, user};
use crate::migrating::{
    ABSOLUTE, Any, NEW_KEY, OLD_KEY, access, memory, refreshable, seconds, session_builder,
    token_builder, view,
};

type Future<'a, T = ()> = BoxFuture<'a, T>;
type Change = fn(&mut Edit<String>) -> Result<()>;

fn new_view(clock: &ManualClock) -> RevocationView {
    view(MemoryLog::new().unwrap(), clock)
}

fn demote(login: &mut Edit<String>) -> Result<()> {
    login.roles = vec!["reader".to_owned()];
    Ok(())
}

fn has_role(auth: &Any, issued: &Issued<String>, role: &str) -> bool {
    let caller = block_on(auth.verify(access(issued)));
    caller.is_ok_and(|caller| caller.has_role(role))
}

/// Every strategy updates the login of a credential: subject, id, deadline and whatever the edit
/// leaves stay. An edit that changes nothing returns the presented credential or an equal login.
#[test]
fn an_update_changes_roles_device_and_data() {
    let clock = ManualClock::default();
    for (name, auth) in strategies(&clock) {
        let issued = block_on(auth.issue(user().role("admin").device("phone"))).unwrap();
        clock.advance(seconds(60));
        let updated = block_on(auth.update(access(&issued), &mut |login| {
            assert_eq!(
                (login.subject(), login.id()),
                ("alice", issued.identity().id())
            );
            assert_eq!(login.device.as_deref(), Some("phone"));
            login.data = "new".to_owned();
            login.device = None;
            demote(login)
        }));
        let updated = updated.unwrap();
        let caller = block_on(auth.verify(access(&updated))).unwrap();
        for caller in [&caller, updated.identity()] {
            assert!(caller.roles().eq(["reader"]), "{name}");
            assert_eq!((caller.device(), caller.data().as_str()), (None, "new"));
            assert_eq!(caller.id(), issued.identity().id());
            assert_eq!(
                caller.authenticated_at(),
                issued.identity().authenticated_at()
            );
        }
        let deadline = updated.identity().deadline();
        assert_eq!(deadline, issued.identity().deadline(), "{name}");
        let same = block_on(auth.update(access(&updated), &mut |_| Ok(()))).unwrap();
        let caller = block_on(auth.verify(access(&same))).unwrap();
        assert_eq!(caller.version(), updated.identity().version(), "{name}");
        let refused = block_on(auth.update(access(&updated), &mut |login| {
            login.data = "never".to_owned();
            Err(Error::misuse("the error of the application"))
        }));
        assert!(refused.is_err_and(|error| error.is_misuse()), "{name}");
        assert_eq!(
            block_on(auth.verify(access(&updated))).unwrap().data(),
            "new"
        );
        let forged = block_on(auth.update("no credential", &mut demote));
        assert!(forged.is_err_and(|error| error.is_rejected()), "{name}");
    }
}

/// A store in which the last update wins.
#[derive(Debug)]
struct LastWins(YieldingStore<MemoryStore>);

impl SessionStore for LastWins {
    forward_session_store! {
        0: create, load, change, rotate, confirm, touch, remove, remove_subject, list, sweep, begin,
        outdate, staleness, upkeep
    }

    async fn update(
        &self,
        handle: Handle,
        _: u64,
        update: &Update,
        now: Timestamp,
    ) -> Result<Updated> {
        let apply =
            |row: &mut statewise::store::contract::Record| row.update(row.version(), update);
        Ok(self.0.change(handle, now, &apply).await?.into())
    }
}

/// Makes 64 parallel edits of one login, and returns how many of them were lost.
fn lost_edits(store: impl SessionStore, seed: u64) -> u64 {
    let clock = ManualClock::default();
    let auth = session_builder(store, &clock).build().unwrap();
    let issued = block_on(auth.issue(user())).unwrap();
    let (auth, credential) = (&auth, access(&issued));
    let edit = || -> Future<'_> {
        Box::pin(async move {
            loop {
                let added = auth
                    .update(credential, &mut |login| {
                        login.data.push('x');
                        Ok(())
                    })
                    .await;
                match added {
                    Ok(_) => return,
                    Err(error) => assert!(error.is_unavailable(), "{error:?}"),
                }
            }
        })
    };
    block_on(interleave(seed, (0..64).map(|_| edit()).collect()));
    let caller = block_on(auth.verify(credential)).unwrap();
    64 - caller.data().len() as u64
}

/// EDIT-01: of 64 parallel edits of one login none is lost, and an edit that loses sixteen times is
/// *unavailable*. Rejects a store in which the last writer wins.
#[test]
fn edit_01_no_edit_is_lost() {
    let yielding = || YieldingStore::new(MemoryStore::with_capacity(10).unwrap());
    for seed in 0..20 {
        assert_eq!(lost_edits(yielding(), seed), 0, "seed {seed}");
    }
    assert!(lost_edits(LastWins(yielding()), 0) > 0);
}

/// EDIT-02: an edit brings no login back, and rotations do not disturb it. Rejects an update that
/// inserts, and one counter for updates and rotations.
#[test]
fn edit_02_revives_nothing_and_ignores_rotations() {
    for seed in 0..500 {
        let clock = ManualClock::default();
        let store = FaultyStore::new(MemoryStore::with_capacity(10).unwrap());
        let store = Arc::new(YieldingStore::new(store));
        let auth = session_builder(Arc::clone(&store), &clock).build().unwrap();
        let issued = block_on(auth.issue(user().role("admin"))).unwrap();
        clock.advance(seconds(60));
        let (auth, credential) = (&auth, access(&issued));
        let ends = seed % 2 == 0;
        let update: Future<'_, bool> =
            Box::pin(async move { auth.update(credential, &mut demote).await.is_ok() });
        let other: Future<'_, bool> = Box::pin(async move {
            match ends {
                true => auth.revoke(credential).await.is_ok(),
                false => auth.refresh(credential).await.is_ok(),
            }
        });
        let done = block_on(interleave(seed, vec![update, other]));
        let verified = block_on(auth.verify(credential));
        if ends {
            assert!(done[1] && verified.is_err(), "seed {seed}: revived");
        } else {
            assert_eq!(done, [true, true], "seed {seed}");
            assert!(verified.unwrap().has_role("reader"));
            assert_eq!(store.inner().calls_of(Method::Update), 1, "seed {seed}");
        }
    }
}

/// Logs in `clients` times while an administrator takes a role away. Returns the number of logins
/// that say the old role after the answer.
fn old_roles_after(seed: u64, before: usize, begins_first: bool) -> usize {
    let clock = ManualClock::default();
    let store = MemoryStore::with_capacity(5_000).unwrap();
    let auth = session_builder(YieldingStore::new(store), &clock);
    let auth = auth.build().unwrap();
    for _ in 0..before {
        let _ = block_on(auth.issue(user().role("admin"))).unwrap();
    }
    let (is_admin, issued) = (AtomicBool::new(true), AtomicUsize::new(0));
    let (auth, is_admin, issued) = (&auth, &is_admin, &issued);
    let log_in = || -> Future<'_, usize> {
        Box::pin(async move {
            for _ in 0..3 {
                let mut begun = None;
                if begins_first {
                    begun = Some(auth.begin().await.unwrap());
                }
                yield_now().await;
                let role = match is_admin.load(Ordering::SeqCst) {
                    true => "admin",
                    false => "reader",
                };
                yield_now().await;
                let begun = match begun {
                    Some(begun) => begun,
                    None => auth.begin().await.unwrap(),
                };
                if auth.issue(user().role(role).begun(begun)).await.is_ok() {
                    issued.fetch_add(1, Ordering::SeqCst);
                }
            }
            0
        })
    };
    let admin: Future<'_, usize> = Box::pin(async move {
        yield_now().await;
        is_admin.store(false, Ordering::SeqCst);
        let affected = auth.update_all("alice", &mut demote).await.unwrap();
        assert_eq!(affected.effective, Revocation::Immediate);
        assert!(affected.count.unwrap() >= before as u64);
        0
    });
    let mut all: Vec<_> = (0..4).map(|_| log_in()).collect();
    all.push(admin);
    let _ = block_on(interleave(seed, all));
    let (mut old, mut total, mut page) = (0, 0, None);
    loop {
        let listed = block_on(auth.sessions("alice", page)).unwrap();
        total += listed.sessions.len();
        let is_old = |session: &&statewise::session::Session| !session.roles().eq(["reader"]);
        old += listed.sessions.iter().filter(is_old).count();
        page = listed.next;
        if page.is_none() {
            break;
        }
    }
    assert_eq!(total, before + issued.load(Ordering::SeqCst));
    old
}

/// EDIT-03: `update_all` reaches every login of 2 000, and every login that is in progress: after its
/// answer none says the old roles. Rejects logins that begin after their user was loaded.
#[test]
fn edit_03_update_all_reaches_every_login() {
    assert_eq!(old_roles_after(0, 2_000, true), 0);
    for seed in 0..300 {
        assert_eq!(old_roles_after(seed, 3, true), 0, "seed {seed}");
    }
    let broken = (0..300).map(|seed| old_roles_after(seed, 3, false));
    assert!(
        broken.sum::<usize>() > 0,
        "the law does not find late beginnings"
    );
}

/// EDIT-03 for the other strategies, and for a login that begins on another node.
#[test]
fn edit_03_a_login_in_progress_is_outdated() {
    let clock = ManualClock::default();
    for (name, auth) in strategies(&clock) {
        let begun = block_on(auth.begin()).unwrap();
        let other = block_on(auth.issue(user().role("admin"))).unwrap();
        let affected = block_on(auth.update_all("alice", &mut demote)).unwrap();
        let late = block_on(auth.issue(user().role("admin").begun(begun)));
        let later = block_on(auth.issue(user().role("reader")));
        if name == "tokens" {
            assert_eq!(affected.count, None);
            assert!(matches!(affected.effective, Revocation::AtExpiry(_)));
            assert!(is_out(&auth, late) && !is_out(&auth, later));
            continue;
        }
        let counts = !matches!(name, "either" | "migrating");
        assert_eq!(affected.count, counts.then_some(1), "{name}");
        assert!(is_out(&auth, late), "{name}");
        assert!(!is_out(&auth, later), "{name}");
        // Without a log, an access token keeps its roles until it expires.
        assert_eq!(has_role(&auth, &other, "admin"), name == "hybrid", "{name}");
        let refreshed = block_on(auth.refresh(refreshable(&other))).unwrap();
        assert!(has_role(&auth, &refreshed, "reader"), "{name}: logged out");
    }

    let (view, store) = (new_view(&clock), memory());
    let hybrid = || -> Any {
        let access = token_builder(NEW_KEY, &clock).revocations(&view);
        let refresh = session_builder(Arc::clone(&store), &clock);
        Arc::new(HybridAuthenticator::new(access, refresh).unwrap())
    };
    let cached = || -> Any {
        let store = CachedStore::builder(Arc::clone(&store), &view);
        let sessions = session_builder(store.build().unwrap(), &clock);
        Arc::new(sessions.build().unwrap())
    };
    let tokens = |log: bool| -> Any {
        let tokens = token_builder(NEW_KEY, &clock);
        let tokens = if log {
            tokens.revocations(&view)
        } else {
            tokens
        };
        Arc::new(tokens.build().unwrap())
    };
    // Without a log, on one node.
    let one = tokens(false);
    for [here, there] in [
        [hybrid(), hybrid()],
        [cached(), cached()],
        [tokens(true), tokens(true)],
        [Arc::clone(&one), one],
    ] {
        let begun = block_on(here.begin()).unwrap();
        let bob = block_on(here.begin()).unwrap();
        let _ = block_on(there.update_all("alice", &mut demote)).unwrap();
        assert!(is_out(&here, block_on(here.issue(user().begun(begun)))));
        let bob = Login::new("bob").data(String::new()).begun(bob);
        assert!(!is_out(&here, block_on(here.issue(bob))));
    }
}

/// A login that this version of the service cannot read, and one that the store cannot change, keep no
/// other one its role. Rejects an `update_all` that ends with the first error.
#[test]
fn edit_03_a_login_that_fails_keeps_no_other_its_role() {
    let clock = ManualClock::default();
    for hybrid in [false, true] {
        let store = Arc::new(FaultyStore::new(MemoryStore::with_capacity(1_000).unwrap()));
        let sessions = session_builder(Arc::clone(&store), &clock);
        let next_version = session_builder(Arc::clone(&store), &clock).with_data::<u32>();
        let auth: Any = match hybrid {
            true => {
                let tokens = token_builder(NEW_KEY, &clock);
                Arc::new(HybridAuthenticator::new(tokens, sessions).unwrap())
            }
            false => Arc::new(sessions.build().unwrap()),
        };
        let newer = Login::new("alice").role("admin").data(7);
        let _ = block_on(next_version.build().unwrap().issue(newer)).unwrap();
        clock.advance(seconds(1));
        let issue = |_| block_on(auth.issue(user().role("admin"))).unwrap();
        let logins: Vec<_> = (0..150).map(issue).collect();
        store.fail_nth_of(Method::Update, 3, Fault::Fails);
        let failed = block_on(auth.update_all("alice", &mut demote)).unwrap_err();
        assert!(failed.is_unavailable());
        let admins = || {
            let refresh = |login: &Issued<String>| block_on(auth.refresh(refreshable(login)));
            let refreshed = logins.iter().map(|login| refresh(login).unwrap());
            refreshed
                .filter(|login| login.identity().has_role("admin"))
                .count()
        };
        assert_eq!(admins(), 1, "hybrid: {hybrid}");
        let failed = block_on(auth.update_all("alice", &mut demote)).unwrap_err();
        assert!(failed.is_unreadable(), "hybrid: {hybrid}");
        assert_eq!(admins(), 0);
    }
}

/// An upgrade that has read the old roles does not carry them into the new strategy.
#[test]
fn edit_03_holds_for_an_upgrade_in_progress() {
    for seed in 0..500 {
        let clock = ManualClock::default();
        let store = || YieldingStore::new(MemoryStore::with_capacity(10).unwrap());
        let access_tokens = token_builder(OLD_KEY, &clock);
        let old = HybridAuthenticator::new(access_tokens, session_builder(store(), &clock));
        let new = session_builder(store(), &clock).build().unwrap();
        let old = Arc::new(old.unwrap());
        let auth = Migrating::builder(Arc::clone(&old), new);
        let auth = auth.clock(clock.clone()).build().unwrap();
        let issued = block_on(old.issue(user().role("admin"))).unwrap();
        clock.advance(seconds(60));
        let (auth, credential) = (&auth, refreshable(&issued));
        let upgrade: Future<'_, Option<Issued<String>>> =
            Box::pin(async move { Some(auth.refresh(credential).await.unwrap()) });
        let admin: Future<'_, Option<Issued<String>>> = Box::pin(async move {
            let _ = auth.update_all("alice", &mut demote).await.unwrap();
            None
        });
        let done = block_on(interleave(seed, vec![upgrade, admin]));
        let upgraded = done.into_iter().flatten().next().unwrap();
        let again = block_on(auth.refresh(refreshable(&upgraded))).unwrap();
        assert!(!again.identity().has_role("admin"), "seed {seed}");
    }
}

/// One node demotes a user while clients refresh on the other one, with a view that lags. Returns how many
/// tokens still say the role after the answer and one more read of the log, and how many are
/// outdated.
fn demotion(seed: u64, with_log: bool) -> (usize, usize) {
    let clock = ManualClock::default();
    let log = Arc::new(MemoryLog::new().unwrap());
    let store = Arc::new(YieldingStore::new(MemoryStore::with_capacity(10).unwrap()));
    let node = || {
        let view = RevocationView::builder(Arc::clone(&log))
            .max_lifetime(seconds(ABSOLUTE))
            .clock(clock.clone())
            .build()
            .unwrap();
        block_on(view.follow()).unwrap();
        let mut tokens = token_builder(NEW_KEY, &clock);
        if with_log {
            tokens = tokens.revocations(&view);
        }
        let sessions = session_builder(Arc::clone(&store), &clock);
        (HybridAuthenticator::new(tokens, sessions).unwrap(), view)
    };
    let ((one, near), (other, far)) = (node(), node());
    let follow = || [&near, &far].map(|view| block_on(view.follow()).unwrap());
    let login = block_on(one.issue(user().role("admin"))).unwrap();
    clock.advance(seconds(20));
    follow();
    let (one, other, lagging) = (&one, &other, &far);
    let first = refreshable(&login);
    let client = |pause: usize| -> Future<'_, Vec<String>> {
        Box::pin(async move {
            let (mut held, mut credential) = (Vec::new(), first.to_owned());
            for _ in 0..3 {
                for _ in 0..pause {
                    yield_now().await;
                }
                if let Ok(issued) = other.refresh(&credential).await {
                    held.push(access(&issued).to_owned());
                    credential = refreshable(&issued).to_owned();
                }
            }
            held
        })
    };
    let admin: Future<'_, Vec<String>> = Box::pin(async move {
        match seed % 2 {
            0 => drop(one.update(first, &mut demote).await.unwrap()),
            _ => drop(one.update_all("alice", &mut demote).await.unwrap()),
        }
        Vec::new()
    });
    let follows: Future<'_, Vec<String>> = Box::pin(async move {
        for _ in 0..4 {
            yield_now().await;
            lagging.follow().await.unwrap();
        }
        Vec::new()
    });
    let all = vec![admin, client(0), client(1), client(2), follows];
    let held = block_on(interleave(seed, all)).concat();
    follow();
    let (mut old, mut outdated) = (0, 0);
    for token in held.iter().map(String::as_str).chain([access(&login)]) {
        for node in [one, other] {
            match node.verify_now(token) {
                Ok(caller) => old += usize::from(caller.has_role("admin")),
                Err(error) => {
                    assert_eq!(error.rejection(), Some(Rejection::Outdated), "seed {seed}");
                    outdated += 1;
                }
            }
        }
    }
    clock.advance(seconds(11));
    follow();
    let fresh = block_on(other.refresh(first)).unwrap();
    let caller = other.verify_now(access(&fresh)).unwrap();
    assert!(
        caller.has_role("reader") && caller.version() == 1,
        "seed {seed}"
    );
    (old, outdated)
}

/// EDIT-04: an access token from before a change of roles is outdated within the bound on every node,
/// its refresh gives the new roles, and the login continues. Rejects a hybrid that does not append
/// the change to the log.
#[test]
fn edit_04_access_tokens_are_outdated() {
    let mut total = 0;
    for seed in 0..300 {
        let (old, outdated) = demotion(seed, true);
        assert_eq!(old, 0, "seed {seed}: a token still says the role");
        total += outdated;
    }
    println!("300 interleavings: {total} tokens outdated, none says the role");
    assert!(demotion(0, false).0 > 0);
}

/// Only the new access token has a change of data, so that a busy user does not fill the log.
#[test]
fn a_change_of_data_is_not_logged() {
    let clock = ManualClock::default();
    let view = new_view(&clock);
    let access_tokens = token_builder(NEW_KEY, &clock).revocations(&view);
    let auth = HybridAuthenticator::new(access_tokens, session_builder(memory(), &clock));
    let auth = auth.unwrap();
    let issued = block_on(auth.issue(user())).unwrap();
    let facts = view.health().unwrap().facts;
    let updated = block_on(auth.update(access(&issued), &mut |login| {
        login.data = "cart".to_owned();
        Ok(())
    }));
    assert_eq!(
        auth.verify_now(access(&updated.unwrap())).unwrap().data(),
        "cart"
    );
    assert!(auth.verify_now(access(&issued)).is_ok());
    assert_eq!(view.health().unwrap().facts, facts);
}

/// The changes of logins have half of a view: logouts of others refuse no change, changes refuse no
/// logout, and no number of them refuses an update of all logins. Rejects one count for all facts.
#[test]
fn logouts_and_changes_leave_room_for_each_other() {
    const CAPACITY: usize = 20;
    let clock = ManualClock::default();
    let node = || {
        let view = RevocationView::builder(MemoryLog::new().unwrap())
            .max_lifetime(seconds(ABSOLUTE))
            .capacity(CAPACITY)
            .clock(clock.clone())
            .build()
            .unwrap();
        block_on(view.follow()).unwrap();
        let access_tokens = token_builder(NEW_KEY, &clock).revocations(&view);
        let auth = HybridAuthenticator::new(access_tokens, session_builder(memory(), &clock));
        (auth.unwrap(), view)
    };
    let login = |user: usize| {
        let login = Login::new(format!("user {user}")).role("admin");
        login.data(String::new())
    };
    let (auth, view) = node();
    let facts = || view.health().unwrap().facts;
    for user in 0..=CAPACITY / 2 {
        let issued = block_on(auth.issue(login(user))).unwrap();
        let _ = block_on(auth.revoke(refreshable(&issued))).unwrap();
    }
    assert_eq!(facts(), CAPACITY / 2 + 1);
    let issued = block_on(auth.issue(user().role("admin"))).unwrap();
    let affected = block_on(auth.update_all("alice", &mut demote)).unwrap();
    assert_eq!(affected.effective, Revocation::Within(view.bound()));
    let outdated = auth.verify_now(access(&issued)).unwrap_err();
    assert_eq!(outdated.rejection(), Some(Rejection::Outdated));

    let (auth, view) = node();
    let facts = || view.health().unwrap().facts;
    let issued = (0..CAPACITY).map(|user| block_on(auth.issue(login(user))).unwrap());
    let issued: Vec<_> = issued.collect();
    for login in &issued {
        // Beyond the half, the log does not get the change.
        let _ = block_on(auth.update(refreshable(login), &mut demote));
    }
    assert_eq!(facts(), CAPACITY / 2);
    assert!(block_on(auth.update_all("nobody", &mut demote)).is_ok());
    for login in &issued[1..CAPACITY / 2] {
        let ended = block_on(auth.revoke(refreshable(login))).unwrap();
        assert_eq!(ended.effective, Revocation::Within(view.bound()));
    }
    assert_eq!(facts(), CAPACITY);
    let full = block_on(auth.update_all("alice", &mut demote));
    assert!(full.is_err_and(|error| error.is_unavailable()));
    // There is room for others after the changes have expired.
    clock.advance(seconds(ABSOLUTE));
    for _ in 0..64 {
        block_on(view.upkeep().tick()).unwrap();
    }
    let issued = block_on(auth.issue(user().role("admin"))).unwrap();
    let _ = block_on(auth.update(refreshable(&issued), &mut demote)).unwrap();
    assert_eq!(facts(), 1);
}

/// EDIT-05: a reload that fails costs no credential, the next refresh says what the user is now, and
/// a deleted user is logged out. Rejects a rotation before the reload.
#[test]
fn edit_05_the_user_is_reloaded() {
    for hybrid in [true, false] {
        let clock = ManualClock::default();
        let store = Arc::new(FaultyStore::new(MemoryStore::with_capacity(10).unwrap()));
        let users = Arc::new(AtomicUsize::new(0));
        let reloaded = Arc::clone(&users);
        let view = new_view(&clock);
        let tokens = token_builder(NEW_KEY, &clock).revocations(&view);
        let tokens = tokens.max_lifetime(seconds(ABSOLUTE)).reload(move |login| {
            assert_eq!(login.subject(), "alice");
            let now = reloaded.load(Ordering::SeqCst);
            async move {
                match now {
                    0 => Err(Error::unavailable("the database is down")),
                    1 => Ok(Some(Fresh::new(["reader"], "new".to_owned()))),
                    // Of another authenticator, with which the application asks for the user.
                    2 => Err(Rejection::Unknown.into()),
                    _ => Ok(None),
                }
            }
        });
        let auth: Any = match hybrid {
            true => {
                let sessions = session_builder(Arc::clone(&store), &clock);
                Arc::new(HybridAuthenticator::new(tokens, sessions).unwrap())
            }
            false => Arc::new(tokens.build().unwrap()),
        };
        let issued = block_on(auth.issue(user().role("admin"))).unwrap();
        clock.advance(seconds(60));
        let failed = block_on(auth.refresh(refreshable(&issued)));
        assert!(failed.is_err_and(|error| error.is_unavailable()));
        assert_eq!(store.calls_of(Method::Rotate), 0);

        users.store(1, Ordering::SeqCst);
        clock.advance(seconds(60));
        let refreshed = block_on(auth.refresh(refreshable(&issued))).unwrap();
        assert_eq!(refreshed.outcome(), Outcome::Rotated);
        let caller = block_on(auth.verify(access(&refreshed))).unwrap();
        assert!(caller.roles().eq(["reader"]) && caller.data() == "new");
        assert_eq!(caller.id(), issued.identity().id());
        // The first access token says the old role, and is outdated: the row has changed.
        assert_eq!(has_role(&auth, &issued, "admin"), !hybrid);
        clock.advance(seconds(60));
        let updates = store.calls_of(Method::Update);
        let refreshed = block_on(auth.refresh(refreshable(&refreshed))).unwrap();
        assert_eq!(
            store.calls_of(Method::Update),
            updates,
            "nothing has changed"
        );

        users.store(2, Ordering::SeqCst);
        clock.advance(seconds(60));
        let failed = block_on(auth.refresh(refreshable(&refreshed))).unwrap_err();
        assert!(failed.is_unavailable() && failed.rejection().is_none());
        assert!(block_on(auth.verify(access(&refreshed))).is_ok());

        users.store(3, Ordering::SeqCst);
        clock.advance(seconds(60));
        let gone = block_on(auth.refresh(refreshable(&refreshed)));
        assert_eq!(gone.unwrap_err().rejection(), Some(Rejection::Revoked));
        assert!(block_on(auth.verify(access(&refreshed))).is_err());
        assert!(block_on(auth.refresh(refreshable(&refreshed))).is_err());
    }
}

/// EDIT-03 for a reload: a user that was read before an administrator changed it does not write the
/// old roles over the new ones. Rejects a reload that reads the user once.
#[test]
fn edit_03_a_reload_undoes_no_demotion() {
    let (clock, store) = (ManualClock::default(), memory());
    let view = new_view(&clock);
    let node =
        |tokens| HybridAuthenticator::new(tokens, session_builder(Arc::clone(&store), &clock));
    let tokens = || token_builder(NEW_KEY, &clock).revocations(&view);
    let other = Arc::new(node(tokens()).unwrap());
    let (reads, administrator) = (Arc::new(AtomicUsize::new(0)), Arc::clone(&other));
    let counted = Arc::clone(&reads);
    let auth = node(tokens().reload(move |_| {
        let (read, administrator) = (
            counted.fetch_add(1, Ordering::SeqCst),
            Arc::clone(&administrator),
        );
        async move {
            if read > 0 {
                return Ok(Some(Fresh::new(["reader"], "new".to_owned())));
            }
            // The answer of the database is on its way when the user is changed.
            let affected = administrator.update_all("alice", &mut demote).await?;
            assert_eq!(affected.count, Some(1));
            Ok(Some(Fresh::new(["admin"], "new".to_owned())))
        }
    }));
    let auth = auth.unwrap();
    let issued = block_on(auth.issue(user().role("admin"))).unwrap();
    clock.advance(seconds(60));
    let refreshed = block_on(auth.refresh(refreshable(&issued))).unwrap();
    assert_eq!(reads.load(Ordering::SeqCst), 2);
    let caller = other.verify_now(access(&refreshed)).unwrap();
    assert!(caller.roles().eq(["reader"]) && caller.data() == "new");
    let listed = block_on(other.sessions("alice", None)).unwrap();
    assert!(listed.sessions[0].roles().eq(["reader"]));
    assert!(other.verify_now(access(&issued)).is_err());
}

/// An update extends no access token: a stolen one, and any handler that updates, would otherwise be
/// worth as much as a refresh credential. A step-up extends it, by the new proof of the user. Rejects an
/// update that signs with a whole lifetime.
#[test]
fn an_update_extends_no_access_token() {
    type PlainEdit = fn(&mut Edit<String>) -> Result<()>;
    let edits: [PlainEdit; 3] = [
        |_| Ok(()),
        |login| {
            login.data.push('x');
            Ok(())
        },
        |login| {
            login.roles.push("another".to_owned());
            Ok(())
        },
    ];
    for edit in edits {
        let clock = ManualClock::default();
        for (name, auth) in strategies(&clock) {
            let issued = block_on(auth.issue(user())).unwrap();
            let (end, mut held) = (issued.expires_at(), access(&issued).to_owned());
            if !name.starts_with("tokens") && !name.starts_with("hybrid") {
                continue;
            }
            for _ in 0..4 {
                clock.advance(seconds(200));
                let mut edit = edit;
                let updated = block_on(auth.update(&held, &mut edit)).unwrap();
                assert!(updated.expires_at() <= end, "{name}");
                held = access(&updated).to_owned();
                assert_eq!(block_on(auth.verify(&held)).unwrap().expires_at(), end);
            }
            let stepped =
                block_on(auth.update(&held, &mut |login| login.step_up("aal2", seconds(ABSOLUTE))));
            let stepped = stepped.unwrap();
            let is_extended = stepped.expires_at() > end;
            assert_eq!(is_extended, name.starts_with("hybrid"), "{name}");
            clock.advance(seconds(200));
            let late = block_on(auth.verify(&held)).unwrap_err();
            assert_eq!(late.rejection(), Some(Rejection::Expired), "{name}");
        }
    }
}

/// An update asks for the user again, with either credential: a deleted user gets no other access
/// token by it, and a demoted one the new roles. Rejects a reload at refreshes only.
#[test]
fn an_update_does_not_evade_the_reload() {
    for (hybrid, by_refresh) in [(false, false), (true, false), (true, true)] {
        let (clock, reads) = (ManualClock::default(), Arc::new(AtomicUsize::new(0)));
        let counted = Arc::clone(&reads);
        let tokens = token_builder(NEW_KEY, &clock).reload(move |login| {
            let read = counted.fetch_add(1, Ordering::SeqCst);
            assert_eq!(login.subject(), "alice");
            async move {
                match read {
                    0 => Ok(Some(Fresh::new(["reader"], "new".to_owned()))),
                    1 => Err(Error::unavailable("the database is down")),
                    _ => Ok(None),
                }
            }
        });
        let auth: Any = match hybrid {
            true => {
                let sessions = session_builder(memory(), &clock);
                Arc::new(HybridAuthenticator::new(tokens, sessions).unwrap())
            }
            false => Arc::new(tokens.max_lifetime(seconds(ABSOLUTE)).build().unwrap()),
        };
        let issued = block_on(auth.issue(user().role("admin"))).unwrap();
        let presented = |issued: &Issued<String>| match by_refresh {
            true => refreshable(issued).to_owned(),
            false => access(issued).to_owned(),
        };
        clock.advance(seconds(60));
        let note = &mut |login: &mut Edit<String>| {
            login.data.push('!');
            Ok(())
        };
        let updated = block_on(auth.update(&presented(&issued), &mut *note)).unwrap();
        let caller = block_on(auth.verify(access(&updated))).unwrap();
        assert!(caller.roles().eq(["reader"]) && caller.data() == "new!");
        let credential = match by_refresh {
            true => presented(&issued),
            false => presented(&updated),
        };
        let failed = block_on(auth.update(&credential, &mut *note)).unwrap_err();
        assert!(failed.is_unavailable());
        let gone = block_on(auth.update(&credential, &mut *note)).unwrap_err();
        assert_eq!(gone.rejection(), Some(Rejection::Revoked));
        if hybrid {
            assert!(block_on(auth.refresh(refreshable(&issued))).is_err());
        }
    }
}

/// A reload that takes a while signs no token past the time that `update_all` returned meanwhile.
/// Rejects a lifetime that begins after the user was read.
#[test]
fn a_slow_reload_passes_no_stated_end() {
    let clock = ManualClock::default();
    let stated = Arc::new(Mutex::new(None));
    let (running, noted) = (clock.clone(), Arc::clone(&stated));
    let tokens = || token_builder(NEW_KEY, &clock).max_lifetime(seconds(ABSOLUTE));
    let administrator = tokens().reload(|_| async { Ok(None) });
    let administrator = Arc::new(administrator.build().unwrap());
    let auth = tokens().reload(move |_| {
        let (running, noted) = (running.clone(), Arc::clone(&noted));
        let administrator = Arc::clone(&administrator);
        async move {
            let affected = administrator.update_all("alice", &mut demote).await?;
            *noted.lock().unwrap() = Some(affected.effective);
            running.advance(seconds(20));
            Ok(Some(Fresh::new(["admin"], String::new())))
        }
    });
    let auth = auth.build().unwrap();
    let issued = block_on(auth.issue(user().role("admin"))).unwrap();
    clock.advance(seconds(60));
    let refreshed = block_on(auth.refresh(access(&issued))).unwrap();
    let Some(Revocation::AtExpiry(end)) = *stated.lock().unwrap() else {
        panic!("no end");
    };
    assert_eq!(refreshed.expires_at(), end);
}

/// A reload that would never be called fails at build.
#[test]
fn a_reload_without_refreshes_is_misuse() {
    let clock = ManualClock::default();
    let reloading = || token_builder(NEW_KEY, &clock).reload(|_| async { Ok(None) });
    assert!(reloading().build().is_err_and(|error| error.is_misuse()));
    assert!(reloading().max_lifetime(seconds(ABSOLUTE)).build().is_ok());
    assert!(reloading().remembered(seconds(ABSOLUTE)).build().is_ok());
    let sessions = session_builder(memory(), &clock);
    assert!(HybridAuthenticator::new(reloading(), sessions).is_ok());
}

/// Authenticators of the application update their logins with it.
#[test]
fn an_identity_is_edited_without_an_authenticator() {
    let login = || user().role("admin").device("phone");
    let now = OffsetDateTime::now_utc();
    let identity = |login| Identity::unverified(login, now, now + seconds(60)).unwrap();
    let edited = identity(login()).edited(&mut |login| {
        assert_eq!((login.subject(), login.version()), ("alice", 0));
        login.data = "new".to_owned();
        login.device = None;
        demote(login)
    });
    let edited = edited.unwrap();
    assert!(edited.roles().eq(["reader"]));
    assert_eq!((edited.subject(), edited.device()), ("alice", None));
    assert_eq!(edited.data(), "new");

    let failed = identity(login()).edited(&mut |_| Err(Error::misuse("no")));
    assert!(failed.unwrap_err().to_string().contains("no"));
    let stepped = identity(login()).edited(&mut |login| login.step_up("aal2", seconds(60)));
    assert!(stepped.unwrap_err().is_misuse());
    let large = identity(login()).edited(&mut |login| {
        login.roles = vec!["x".repeat(5000)];
        Ok(())
    });
    assert_eq!(large.unwrap_err().refusal(), Some(Refusal::TooLarge));
}

/// The recipe of the page on roles: first the login of the request, by its credential, and then all logins of
/// the user, with the same values. The caller stays logged in with every strategy, and has the new values.
#[test]
fn the_caller_updates_its_own_login_first() {
    let clock = ManualClock::default();
    let plain: Any = Arc::new(token_builder(NEW_KEY, &clock).build().unwrap());
    let edits: [Change; 2] = [demote, |login| {
        login.data = "Alice B.".to_owned();
        Ok(())
    }];
    let is_new =
        |caller: &Identity<String>| caller.has_role("reader") || caller.data() == "Alice B.";
    for (name, auth) in strategies(&clock)
        .into_iter()
        .chain([("plain tokens", plain)])
    {
        for mut edit in edits {
            let log_in = || block_on(auth.issue(user().role("admin"))).unwrap();
            let (here, there) = (log_in(), log_in());
            let updated = block_on(auth.update(access(&here), &mut edit)).unwrap();
            let affected = block_on(auth.update_all("alice", &mut edit)).unwrap();
            let caller = block_on(auth.verify(access(&updated))).unwrap();
            assert!(is_new(&caller), "{name}");

            // The other device.
            let seen = block_on(auth.verify(access(&there)));
            match name {
                "tokens" | "plain tokens" | "hybrid" => assert!(!is_new(&seen.unwrap()), "{name}"),
                "hybrid with a log" => {
                    assert_eq!(seen.unwrap_err().rejection(), Some(Rejection::Outdated));
                }
                _ => assert!(is_new(&seen.unwrap()), "{name}"),
            }
            if name.starts_with("hybrid") {
                let refreshed = block_on(auth.refresh(refreshable(&there))).unwrap();
                assert!(is_new(refreshed.identity()), "{name}");
            }
            let has_tokens = ["tokens", "plain tokens", "either", "migrating"];
            let is_counted = !has_tokens.contains(&name);
            assert_eq!(affected.count.is_some(), is_counted, "{name}");
            let _ = block_on(auth.revoke_all("alice")).unwrap();
        }
    }
}

/// The other order logs the caller of a hybrid with a log out of its access token.
#[test]
fn updating_all_logins_first_outdates_the_caller() {
    let clock = ManualClock::default();
    for (name, auth) in strategies(&clock) {
        let issued = block_on(auth.issue(user().role("admin"))).unwrap();
        let _ = block_on(auth.update_all("alice", &mut demote)).unwrap();
        let updated = block_on(auth.update(access(&issued), &mut demote));
        match name {
            "hybrid with a log" => {
                assert_eq!(updated.unwrap_err().rejection(), Some(Rejection::Outdated));
                assert!(block_on(auth.refresh(refreshable(&issued))).is_ok());
            }
            _ => assert!(updated.is_ok(), "{name}"),
        }
    }
}
