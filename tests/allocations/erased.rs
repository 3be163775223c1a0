//! Allocations through `Arc<dyn DynAuthenticator>`, which an application holds: none to verify
//! without I/O.

use std::sync::Arc;
use std::time::Duration;

use statewise::hybrid::HybridAuthenticator;
use statewise::migrating::Migrating;
use statewise::revocation::{MemoryLog, RevocationView};
use statewise::store::CachedStore;
use statewise::store::contract::DynSessionStore;
use statewise::token::TokenAuthenticator;
use statewise::{Authenticator, DynAuthenticator, Login, Observed, Presented, Result};

use crate::{
    counted, forged, login, memory, now, session_builder, sessions, token_builder, tokens,
};

type Erased<D = ()> = Arc<dyn DynAuthenticator<D>>;

/// Logs a user in, verifies the credential in each way in which an `Arc` can be called, and fails
/// if a verification allocates.
fn verifies(auth: impl Authenticator<Data = ()>) {
    let auth: Erased = Arc::new(auth);
    let issued = now(auth.issue(login())).unwrap();
    verifies_credential(&auth, issued.credential().reveal());
}

fn verifies_credential(auth: &Erased, credential: &str) {
    let generic = |auth: &Erased| now(Authenticator::verify(auth, credential));
    let presented = |auth: &Erased| now(auth.verify_with(Presented::new(credential)));
    let of_content = |auth: &Erased| now((**auth).verify_with(Presented::new(credential)));
    let ways: [&dyn Fn(&Erased) -> Result<_>; 3] = [&generic, &presented, &of_content];
    for way in ways {
        for _ in 0..3 {
            let (caller, allocations) = counted(|| way(auth));
            assert_eq!(caller.unwrap().subject(), "user_8f3a2c91");
            assert_eq!(allocations, 0);
        }
    }
}

fn refuses(auth: &Erased, credential: &str) {
    let (answer, allocations) = counted(|| now(auth.verify(credential)));
    assert!(answer.unwrap_err().is_rejected());
    assert_eq!(allocations, 0, "to refuse {credential:.20}");
}

#[test]
fn verifying_a_session_allocates_nothing() {
    verifies(sessions());
    let shared = session_builder(Arc::new(memory()));
    verifies(shared.build().unwrap());
    let store: Arc<dyn DynSessionStore> = Arc::new(memory());
    verifies(session_builder(store).build().unwrap());
}

#[test]
fn refusing_a_session_allocates_nothing() {
    let auth: Erased = Arc::new(sessions());
    let unknown = now(sessions().issue(login())).unwrap();
    let long = "A".repeat(100_000);
    // A handle that exists, and another secret.
    let known = now(auth.issue(login())).unwrap();
    let text = known.credential().reveal();
    let last = if text.ends_with('A') { 'B' } else { 'A' };
    let wrong = format!("{}{last}", &text[..63]);
    for refused in [
        unknown.credential().reveal(),
        &*wrong,
        &*long,
        "",
        "garbage",
    ] {
        refuses(&auth, refused);
    }
}

#[test]
fn verifying_a_copy_of_a_session_allocates_nothing() {
    let log = Arc::new(MemoryLog::new().unwrap());
    let day = Duration::from_secs(24 * 3600);
    let view = RevocationView::builder(log)
        .max_lifetime(day)
        .bound(Duration::from_secs(5))
        .build()
        .unwrap();
    let cached = CachedStore::builder(memory(), &view)
        .max_age(day)
        .capacity(4_000)
        .build()
        .unwrap();
    now(view.follow()).unwrap();
    let auth = Arc::new(session_builder(cached).build().unwrap());
    let issued = now(auth.issue(login())).unwrap();
    assert_eq!(auth.store().copies(), 1);
    let erased: Erased = auth;
    verifies_credential(&erased, issued.credential().reveal());
}

#[test]
fn verifying_a_token_allocates_nothing() {
    verifies(tokens());
}

#[test]
fn verifying_a_token_with_a_text_in_its_data_allocates_that_text_alone() {
    let auth: Erased<String> = Arc::new(token_builder().with_data().build().unwrap());
    let login = Login::new("user_8f3a2c91").data("acme".to_owned());
    let issued = now(auth.issue(login)).unwrap();
    let token = issued.credential().reveal();
    let (caller, allocations) = counted(|| now(auth.verify(token)));
    assert_eq!(caller.unwrap().data(), "acme");
    assert_eq!(allocations, 1);
}

#[test]
fn refusing_a_token_allocates_nothing() {
    let auth: Erased = Arc::new(tokens());
    let issued = now(auth.issue(login())).unwrap();
    let forged = forged(issued.credential().reveal());
    let elsewhere = now(tokens().issue(login())).unwrap();
    let long = "A".repeat(100_000);
    for refused in [
        &*forged,
        elsewhere.credential().reveal(),
        &*long,
        "",
        "garbage",
        "a.b.c",
    ] {
        refuses(&auth, refused);
    }
}

#[test]
fn verifying_an_access_token_of_the_hybrid_allocates_nothing() {
    let hybrid = HybridAuthenticator::new(token_builder(), session_builder(memory())).unwrap();
    verifies(hybrid);
}

#[test]
fn an_observer_adds_no_allocation() {
    verifies(Observed::new(sessions(), Arc::new(())));
    verifies(Observed::new(tokens(), Arc::new(())));
    let erased: Erased = Arc::new(sessions());
    verifies(Observed::new(erased, Arc::new(())));
}

#[test]
fn a_migration_adds_no_allocation_to_a_new_credential() {
    let migrating = |old: TokenAuthenticator| Migrating::builder(old, sessions()).build().unwrap();
    verifies(migrating(tokens()));
    let to_tokens = Migrating::builder(sessions(), tokens()).build().unwrap();
    verifies(to_tokens);
}
