//! Guarantees for logins that begin before their user is ended or changed.

#![allow(
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

use std::sync::Arc;

use statewise::either::Either;
use statewise::hybrid::HybridAuthenticator;
use statewise::migrating::Migrating;
use statewise::revocation::MemoryLog;
use statewise::store::CachedStore;
use statewise::testkit::{ManualClock, block_on};
use statewise::{Authenticator, Issued, Login, Place, Refusal, Result};

use crate::migrating::{
    Any, NEW_KEY, OLD_KEY, access, memory, seconds, session_builder, token_builder, view,
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
