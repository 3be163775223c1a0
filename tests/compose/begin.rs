//! Guarantees for logins that begin before their user is ended or changed.

#![allow(
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

use std::sync::{Arc, Mutex};

use statewise::either::Either;
use statewise::hybrid::HybridAuthenticator;
use statewise::migrating::Migrating;
use statewise::revocation::{MemoryLog, RevocationView};
use statewise::store::CachedStore;
use statewise::testkit::{ManualClock, block_on};
use statewise::token::Fresh;
use statewise::{
    Authenticator, Edit, EditFn, Identity, Issued, Login, Observed, Place, Presented, Refusal,
    Result,
};

use crate::migrating::{
    ABSOLUTE, Any, NEW_KEY, OLD_KEY, access, memory, refreshable, seconds, session_builder,
    token_builder, view,
};

/// One node of each strategy that can end the logins of a user.
pub(crate) fn strategies(clock: &ManualClock) -> Vec<(&'static str, Any)> {
    let view = view(MemoryLog::new().unwrap(), clock);
    let sessions = || session_builder(memory(), clock).build().unwrap();
    let tokens = |key| {
        let builder = token_builder(key, clock).revocations(&view);
        builder.build().unwrap()
    };
    let hybrid = |with_view: bool| {
        let mut access = token_builder(NEW_KEY, clock);
        if with_view {
            access = access.revocations(&view);
        }
        HybridAuthenticator::new(access, session_builder(memory(), clock)).unwrap()
    };
    let cached = CachedStore::builder(memory(), &view).build().unwrap();
    let either = Either::builder(sessions(), tokens(NEW_KEY)).build();
    let migrating = Migrating::builder(tokens(OLD_KEY), sessions());
    vec![
        ("sessions", Arc::new(sessions())),
        ("tokens", Arc::new(tokens(NEW_KEY))),
        ("hybrid", Arc::new(hybrid(false))),
        ("hybrid with a log", Arc::new(hybrid(true))),
        (
            "cached",
            Arc::new(session_builder(cached, clock).build().unwrap()),
        ),
        ("either", Arc::new(either.unwrap())),
        (
            "migrating",
            Arc::new(migrating.clock(clock.clone()).build().unwrap()),
        ),
    ]
}

pub(crate) fn user() -> Login<String> {
    Login::new("alice").data(String::new())
}

/// Returns true if no login was issued, or it is rejected.
pub(crate) fn is_out(auth: &Any, issued: Result<Issued<String>>) -> bool {
    match issued {
        Ok(issued) => block_on(auth.verify(access(&issued))).is_err(),
        Err(error) => error.refusal() == Some(Refusal::Outdated),
    }
}

/// BEGIN-01: a login that began before `revoke_all` does not survive it. Another
/// user, and a login that begins later, are not affected.
///
/// Rejects a strategy in which a login begins when it is issued: without `begun`, this test fails
/// for every strategy.
#[test]
fn begin_01_a_login_begins_before_its_password_check() {
    let clock = ManualClock::default();
    for (name, auth) in strategies(&clock) {
        let begun = block_on(auth.begin()).unwrap();
        let other = block_on(auth.begin()).unwrap();
        let _ = block_on(auth.revoke_all("alice")).unwrap();
        let issued = block_on(auth.issue(user().begun(begun.clone())));
        assert!(is_out(&auth, issued), "{name}");
        if name == "either" {
            let program = user().place(Place::Bearer).begun(begun);
            assert!(is_out(&auth, block_on(auth.issue(program))), "{name}");
        }
        let bob = Login::new("bob").data(String::new()).begun(other);
        assert!(!is_out(&auth, block_on(auth.issue(bob))), "{name}");

        let again = block_on(auth.begin()).unwrap();
        let issued = block_on(auth.issue(user().begun(again)));
        assert!(!is_out(&auth, issued), "{name}");
    }
}

/// BEGIN-01 for tokens without a log, on one node: their logout everywhere ends no token that exists,
/// and the login in progress is refused all the same.
#[test]
fn begin_01_holds_for_tokens_without_a_log() {
    let clock = ManualClock::default();
    let auth: Any = Arc::new(token_builder(NEW_KEY, &clock).build().unwrap());
    let (begun, bob) = (
        block_on(auth.begin()).unwrap(),
        block_on(auth.begin()).unwrap(),
    );
    let _ = block_on(auth.revoke_all("alice")).unwrap();
    let refused = block_on(auth.issue(user().begun(begun))).unwrap_err();
    assert_eq!(refused.refusal(), Some(Refusal::Outdated));
    let bob = Login::new("bob").data(String::new()).begun(bob);
    assert!(!is_out(&auth, block_on(auth.issue(bob))));
}

/// BEGIN-01 for two nodes with one log: the password check begins on one, and the user is logged
/// out everywhere on the other. Rejects a check against the memory of one process only.
#[test]
fn begin_01_holds_on_other_nodes() {
    let clock = ManualClock::default();
    let (view, store) = (view(MemoryLog::new().unwrap(), &clock), memory());
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
    for [here, there] in [[hybrid(), hybrid()], [cached(), cached()]] {
        let begun = block_on(here.begin()).unwrap();
        let _ = block_on(there.revoke_all("alice")).unwrap();
        assert!(is_out(&here, block_on(here.issue(user().begun(begun)))));
        assert!(!is_out(&here, block_on(here.issue(user()))));
    }
}

/// BEGIN-02: a request that logs out everywhere, and then begins and issues a login, stays logged
/// in. A beginning at another authenticator is a *misuse*, and one that is too old is *outdated*.
/// Rejects one count for all authenticators, and a beginning that is good for ever.
#[test]
fn begin_02_the_caller_stays_logged_in() {
    let clock = ManualClock::default();
    let others = strategies(&clock);
    for (at, (name, auth)) in strategies(&clock).into_iter().enumerate() {
        let old = block_on(auth.begin()).unwrap();
        let _ = block_on(auth.revoke_all("alice")).unwrap();
        let begun = block_on(auth.begin()).unwrap();
        // A logout at another authenticator concerns only its own logins.
        let _ = block_on(others[0].1.revoke_all("alice")).unwrap();
        let issued = block_on(auth.issue(user().begun(begun)));
        assert!(!is_out(&auth, issued), "{name}");

        let foreign = block_on(others[at].1.begin()).unwrap();
        let issued = block_on(auth.issue(user().begun(foreign)));
        assert!(issued.is_err_and(|error| error.is_misuse()), "{name}");

        let bob = Login::new("bob").data(String::new());
        clock.advance(seconds(3_600));
        let issued = block_on(auth.issue(bob.begun(old)));
        let error = issued.expect_err("a login that took an hour");
        assert_eq!(error.refusal(), Some(Refusal::Outdated), "{name}");
    }
}

type Nodes = [(Any, RevocationView); 2];

/// Two nodes that share a store and a log, each with a view of its own.
fn nodes(clock: &ManualClock, make: impl Fn(&RevocationView) -> Any) -> Nodes {
    let log = Arc::new(MemoryLog::new().unwrap());
    [(); 2].map(|()| {
        let view = view(Arc::clone(&log), clock);
        (make(&view), view)
    })
}

fn refusal(answer: &Result<Issued<String>>) -> Option<Refusal> {
    answer.as_ref().err().and_then(statewise::Error::refusal)
}

/// Two nodes of each strategy, and whether one knows of a logout on the other before it has read the log: from
/// the store.
fn all_nodes(clock: &ManualClock) -> [(&'static str, bool, Nodes); 8] {
    let store = memory();
    let sessions = |_: &RevocationView| -> Any {
        let sessions = session_builder(Arc::clone(&store), clock);
        Arc::new(sessions.build().unwrap())
    };
    let cached = |view: &RevocationView| -> Any {
        let cached = CachedStore::builder(Arc::clone(&store), view);
        let sessions = session_builder(cached.build().unwrap(), clock);
        Arc::new(sessions.build().unwrap())
    };
    let tokens = |view: &RevocationView| -> Any {
        let tokens = token_builder(NEW_KEY, clock).max_lifetime(seconds(ABSOLUTE));
        Arc::new(tokens.revocations(view).build().unwrap())
    };
    let hybrid = |view: Option<&RevocationView>| -> Any {
        let mut access = token_builder(NEW_KEY, clock);
        if let Some(view) = view {
            access = access.revocations(view);
        }
        let refresh = session_builder(Arc::clone(&store), clock);
        Arc::new(HybridAuthenticator::new(access, refresh).unwrap())
    };
    let observed = |view: &RevocationView| -> Any {
        let tokens = token_builder(NEW_KEY, clock).max_lifetime(seconds(ABSOLUTE));
        let tokens = tokens.revocations(view).build().unwrap();
        Arc::new(Observed::new(tokens, Arc::new(())))
    };
    let either = |view: &RevocationView| -> Any {
        let either = Either::builder(hybrid(Some(view)), sessions(view));
        Arc::new(either.build().unwrap())
    };
    let migrating = |view: &RevocationView| -> Any {
        let old = token_builder(OLD_KEY, clock).revocations(view);
        let migrating = Migrating::builder(old.build().unwrap(), hybrid(Some(view)));
        Arc::new(migrating.clock(clock.clone()).build().unwrap())
    };
    [
        ("sessions", true, nodes(clock, sessions)),
        ("cached", true, nodes(clock, cached)),
        ("tokens", false, nodes(clock, tokens)),
        ("hybrid", true, nodes(clock, |_| hybrid(None))),
        (
            "hybrid with a log",
            true,
            nodes(clock, |view| hybrid(Some(view))),
        ),
        ("observed", false, nodes(clock, observed)),
        ("either", true, nodes(clock, either)),
        ("migrating", true, nodes(clock, migrating)),
    ]
}

/// BEGIN-03: a login that continues another one is refused as *outdated* once that one has ended, on
/// every node that can know it: from the store, or from the part of the log that it has read. Where it
/// cannot, the new login ends with the next read. Other users are not affected.
///
/// Rejects a strategy that issues a login that is dead at once, or that outlives the logout.
#[test]
fn begin_03_a_login_does_not_continue_an_ended_one() {
    let clock = ManualClock::default();
    let all = all_nodes(&clock);
    let log_in = |auth: &Any, subject: &str| {
        let issued = block_on(auth.issue(Login::new(subject).data(String::new()))).unwrap();
        access(&issued).to_owned()
    };
    for (name, asks, [(here, view), (there, _)]) in &all {
        // The third time on the other node, before this one has read the log.
        for (at, has_read) in [(here, true), (there, true), (there, false)] {
            let verified = |subject| block_on(here.verify(&log_in(here, subject))).unwrap();
            let (alice, bob) = (verified("alice"), verified("bob"));
            let continued = block_on(here.issue(alice.clone().into_login()));
            assert!(continued.is_ok(), "{name}: {continued:?}");
            let _ = block_on(at.revoke_all("alice")).unwrap();
            if has_read {
                block_on(view.follow()).unwrap();
            }
            for login in [
                alice.clone().into_login(),
                alice.into_login().begun(block_on(here.begin()).unwrap()),
            ] {
                let issued = block_on(here.issue(login));
                if has_read || *asks {
                    let refusal = refusal(&issued);
                    assert_eq!(refusal, Some(Refusal::Outdated), "{name}: {issued:?}");
                } else if let Ok(issued) = issued {
                    block_on(view.follow()).unwrap();
                    assert!(block_on(here.verify(access(&issued))).is_err(), "{name}");
                }
            }
            block_on(view.follow()).unwrap();
            let issued = block_on(here.issue(bob.into_login()));
            assert!(!is_out(here, issued), "{name}");
        }
        // The end of one login, and of everything.
        let token = log_in(here, "alice");
        let (alice, bob) = (
            block_on(here.verify(&token)).unwrap(),
            block_on(here.verify(&log_in(here, "bob"))).unwrap(),
        );
        let _ = block_on(there.revoke(&token)).unwrap();
        block_on(view.follow()).unwrap();
        let issued = block_on(here.issue(alice.into_login()));
        assert_eq!(
            refusal(&issued),
            Some(Refusal::Outdated),
            "{name}: {issued:?}"
        );
        if !["sessions", "hybrid"].contains(name) {
            let _ = block_on(view.revoke_everything()).unwrap();
            let issued = block_on(here.issue(bob.into_login()));
            assert_eq!(
                refusal(&issued),
                Some(Refusal::Outdated),
                "{name}: {issued:?}"
            );
        }
    }
}

/// BEGIN-03 for every call that returns an identity. The logout is on another node, and this one has not read the
/// log, so that only the store knows it.
///
/// Rejects a strategy that asks the store only about identities from `verify`.
#[test]
fn begin_03_holds_for_the_identity_of_each_call() {
    let clock = ManualClock::default();
    for (name, asks, [(here, view), (there, _)]) in &all_nodes(&clock) {
        if !asks {
            continue;
        }
        let issued = || block_on(here.issue(user())).unwrap();
        let rename = &mut |login: &mut Edit<String>| {
            login.device = Some("Kitchen".to_owned());
            Ok(())
        };
        let refresh = || block_on(here.refresh(refreshable(&issued()))).unwrap();
        let update = |presented: &str, edit: EditFn<'_, String>| {
            let updated = block_on(here.update(presented, edit));
            updated.unwrap()
        };
        let store = |token: &str| {
            let presented = Presented::new(token).authoritative();
            block_on(here.verify_with(presented)).unwrap()
        };
        let identities = [
            ("issue", issued().into_identity()),
            ("issue, borrowed", issued().identity().clone()),
            ("refresh", refresh().into_identity()),
            (
                "update",
                update(refreshable(&issued()), rename).into_identity(),
            ),
            (
                "update by a token",
                update(access(&issued()), rename).into_identity(),
            ),
            (
                "no update",
                update(refreshable(&issued()), &mut |_| Ok(())).into_identity(),
            ),
            ("verify in the store", store(access(&issued()))),
        ];
        for (_, identity) in &identities {
            let continued = block_on(here.issue(identity.clone().into_login()));
            assert!(continued.is_ok(), "{name}: {continued:?}");
        }
        let _ = block_on(there.revoke_all("alice")).unwrap();
        for (call, identity) in identities {
            let answer = block_on(here.issue(identity.into_login()));
            let refusal = refusal(&answer);
            assert_eq!(
                refusal,
                Some(Refusal::Outdated),
                "{name}, {call}: {answer:?}"
            );
        }
        block_on(view.follow()).unwrap();
    }
}

/// BEGIN-03 for the identity with which the application reads its user again.
#[test]
fn begin_03_holds_for_the_identity_of_a_reload() {
    let clock = ManualClock::default();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let noted = Arc::clone(&seen);
    let access = token_builder(NEW_KEY, &clock).reload(move |login: &Identity<String>| {
        noted.lock().unwrap().push(login.clone());
        let fresh = Fresh::new(Vec::<String>::new(), login.data().clone());
        async move { Ok(Some(fresh)) }
    });
    let auth = HybridAuthenticator::new(access, session_builder(memory(), &clock)).unwrap();
    let issued = block_on(auth.issue(user())).unwrap();
    let _ = block_on(auth.refresh(refreshable(&issued))).unwrap();
    let _ = block_on(auth.revoke_all("alice")).unwrap();
    let login = seen.lock().unwrap().pop().unwrap().into_login();
    let answer = block_on(auth.issue(login));
    assert_eq!(refusal(&answer), Some(Refusal::Outdated), "{answer:?}");
}

/// A gateway issues tokens for the logins of a hybrid with the same log: no store tells it of a logout,
/// and its view does. A stamp of another log, under which each token would be rejected, is refused too.
#[test]
fn begin_03_holds_across_strategies() {
    let clock = ManualClock::default();
    let (shared, other) = (
        view(MemoryLog::new().unwrap(), &clock),
        view(MemoryLog::new().unwrap(), &clock),
    );
    let edge = token_builder(OLD_KEY, &clock).revocations(&shared);
    let edge = HybridAuthenticator::new(edge, session_builder(memory(), &clock)).unwrap();
    let gateway = |view| {
        let gateway = token_builder(NEW_KEY, &clock).revocations(view);
        gateway.build().unwrap()
    };
    let (inside, outside) = (gateway(&shared), gateway(&other));
    let cached = CachedStore::builder(memory(), &shared).build().unwrap();
    let cached = session_builder(cached, &clock).build().unwrap();
    let issued = block_on(edge.issue(user())).unwrap();
    let caller = block_on(edge.verify(access(&issued))).unwrap();
    let token = block_on(inside.issue(caller.clone().into_login())).unwrap();
    assert!(block_on(inside.verify(access(&token))).is_ok());
    let answer = block_on(outside.issue(caller.clone().into_login()));
    assert_eq!(refusal(&answer), Some(Refusal::Outdated), "{answer:?}");
    let session = block_on(cached.issue(caller.clone().into_login()));
    assert!(session.is_ok(), "{session:?}");
    // One login, by its refresh credential.
    let _ = block_on(edge.revoke(issued.refreshable().reveal())).unwrap();
    let answer = block_on(inside.issue(caller.clone().into_login()));
    assert_eq!(refusal(&answer), Some(Refusal::Outdated), "{answer:?}");
    // All of the user, in the part of the log that this node has read, and does not read again.
    for subject in ["alice", "bob"] {
        let _ = block_on(edge.revoke_all(subject)).unwrap();
    }
    block_on(shared.follow()).unwrap();
    let answer = block_on(cached.issue(caller.into_login()));
    assert_eq!(refusal(&answer), Some(Refusal::Outdated), "{answer:?}");
}
