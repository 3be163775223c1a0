//! Counts the allocations of verifying, refusing and issuing, and of a request through the layer.

#![allow(
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]
#![allow(
    unsafe_code,
    reason = "counts allocations, which only an allocator can"
)]

mod erased;
#[cfg(feature = "axum")]
mod layer;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use statewise::session::{SessionAuthenticator, SessionBuilder};
use statewise::store::MemoryStore;
use statewise::store::contract::SessionStore;
use statewise::token::{Key, TokenAuthenticator, TokenBuffer, TokenBuilder};
use statewise::{Authenticator, Login};

thread_local! {
    static ALLOCATIONS: Cell<usize> = const { Cell::new(0) };
}

struct Counting;

// SAFETY: passes every call to the system allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.with(|count| count.set(count.get() + 1));
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Returns the result of `act` and the number of its allocations on this thread.
fn counted<T>(act: impl FnOnce() -> T) -> (T, usize) {
    let before = ALLOCATIONS.get();
    let outcome = act();
    (outcome, ALLOCATIONS.get() - before)
}

/// Completes a future that never waits, without allocating.
fn now<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(outcome) => outcome,
        Poll::Pending => panic!("nothing here waits"),
    }
}

fn login() -> Login {
    Login::new("user_8f3a2c91")
        .roles(["admin", "editor"])
        .device("phone")
}

fn memory() -> MemoryStore {
    MemoryStore::with_capacity(1000).unwrap()
}

fn session_builder<S: SessionStore>(store: S) -> SessionBuilder<S> {
    SessionAuthenticator::builder(store)
        .idle(Duration::from_secs(1800))
        .absolute(Duration::from_secs(12 * 3600))
}

fn sessions() -> SessionAuthenticator<MemoryStore> {
    session_builder(memory()).build().unwrap()
}

fn token_builder() -> TokenBuilder {
    TokenAuthenticator::builder(Key::generate_hs256().unwrap())
        .issuer("https://auth.acme.dev")
        .audience("api")
        .lifetime(Duration::from_secs(900))
}

fn tokens() -> TokenAuthenticator {
    token_builder().build().unwrap()
}

/// Returns the token with another signature.
fn forged(token: &str) -> String {
    let (body, signature) = token.rsplit_once('.').unwrap();
    let first = if signature.starts_with('A') { "B" } else { "A" };
    format!("{body}.{first}{}", &signature[1..])
}

#[test]
fn the_counter_counts() {
    let (_, allocations) = counted(|| std::hint::black_box(Box::new(1)));
    assert_eq!(allocations, 1);
}

#[test]
fn verifying_a_session_in_memory_allocates_nothing() {
    let auth = sessions();
    let issued = now(auth.issue(login())).unwrap();
    let credential = issued.credential().reveal();
    for _ in 0..3 {
        let (caller, allocations) = counted(|| now(auth.verify(credential)));
        assert!(caller.unwrap().has_role("editor"));
        assert_eq!(allocations, 0);
    }
    let (copy, allocations) = counted(|| issued.identity().clone());
    assert_eq!((copy.subject(), allocations), ("user_8f3a2c91", 0));
}

#[test]
fn refusing_a_session_allocates_nothing() {
    let auth = sessions();
    let issued = now(auth.issue(login())).unwrap();
    let credential = issued.credential().reveal();
    let forged = format!("{}A", &credential[..63]);
    let absent = "A".repeat(64);
    let long = "A".repeat(100_000);
    for refused in [&*forged, &*absent, &*long, "", "garbage"] {
        if refused != credential {
            let (answer, allocations) = counted(|| now(auth.verify(refused)));
            assert!(answer.unwrap_err().is_rejected());
            assert_eq!(allocations, 0);
        }
    }
}

#[test]
fn verifying_a_token_borrowed_allocates_nothing() {
    let auth = tokens();
    let issued = now(auth.issue(login())).unwrap();
    let token = issued.credential().reveal();
    let mut buffer = TokenBuffer::new();
    for _ in 0..3 {
        let (subject, allocations) = counted(|| {
            let caller = auth.verify_borrowed(token, &mut buffer).unwrap();
            caller.has_role("editor").then(|| caller.subject().len())
        });
        assert_eq!(subject, Some("user_8f3a2c91".len()));
        assert_eq!(allocations, 0);
    }
}

/// A role with escapes makes a claims set non-canonical.
#[test]
fn claims_that_are_not_canonical_are_read_without_an_allocation() {
    let auth = tokens();
    let issued = now(auth.issue(login().role("\"chief\""))).unwrap();
    let token = issued.credential().reveal();
    let mut buffer = TokenBuffer::new();
    let (length, allocations) = counted(|| {
        let caller = auth.verify_borrowed(token, &mut buffer).unwrap();
        caller.subject().len()
    });
    assert_eq!((length, allocations), ("user_8f3a2c91".len(), 0));
}

#[test]
fn verifying_a_token_owned_allocates_nothing() {
    let auth = tokens();
    let issued = now(auth.issue(login())).unwrap();
    let token = issued.credential().reveal();
    for _ in 0..3 {
        let (caller, allocations) = counted(|| auth.verify_now(token));
        assert!(caller.unwrap().has_role("admin"));
        assert_eq!(allocations, 0);
    }
}

#[test]
fn refusing_a_token_allocates_nothing() {
    let auth = tokens();
    let issued = now(auth.issue(login())).unwrap();
    let token = issued.credential().reveal();
    let forged = forged(token);
    let long = "A".repeat(100_000);
    for refused in [&*forged, &*long, "", "garbage", "a.b.c"] {
        let (answer, allocations) = counted(|| auth.verify_now(refused));
        assert!(answer.unwrap_err().is_rejected());
        assert_eq!(allocations, 0);
    }
}

/// For every length: no allocation before the signature is verified, and then only those of the
/// identity.
#[test]
fn long_tokens_allocate_no_more() {
    let auth = tokens();
    for length in (1..150).step_by(7).chain([300, 1000, 2500]) {
        let login = Login::new("s".repeat(length)).roles(["admin", "editor"]);
        let issued = now(auth.issue(login)).unwrap();
        let token = issued.credential().reveal();
        let (caller, allocations) = counted(|| auth.verify_now(token));
        assert_eq!(caller.unwrap().subject().len(), length);
        assert!(
            allocations <= 2,
            "{allocations} for {} characters",
            token.len()
        );
        let mut buffer = TokenBuffer::new();
        let (caller, allocations) = counted(|| auth.verify_borrowed(token, &mut buffer).is_ok());
        assert_eq!((caller, allocations), (true, 0));
        let forged = forged(token);
        let (answer, allocations) = counted(|| auth.verify_now(&forged));
        assert!(answer.unwrap_err().is_rejected());
        assert_eq!(allocations, 0);
    }
}

#[test]
fn issuing_a_token_allocates_its_text_alone_the_login_included() {
    let auth = tokens();
    let login = || Login::new("user_8f3a2c91").roles(["admin", "editor"]);
    let (issued, allocations) = counted(|| now(auth.issue(login())));
    assert!(issued.is_ok());
    assert_eq!(allocations, 1);
}
