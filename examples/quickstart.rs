//! Runs one scenario with sessions and with tokens, and prints the results side by side. The same
//! function logs a user in, calls, refreshes, logs out and plays a thief.
//!
//! ```text
//! cargo run --example quickstart
//! ```
//!
//! Every cell of the table is observed while the example runs. The clock is manual, so eight hours
//! pass in a moment.

#![allow(
    unsafe_code,
    reason = "counts what stays allocated, which only an allocator knows"
)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use statewise::clock::Clock;
use statewise::session::SessionAuthenticator;
use statewise::store::MemoryStore;
use statewise::testkit::{ManualClock, block_on};
use statewise::token::{Key, TokenAuthenticator};
use statewise::{Authenticator, Identity, Login, Result, Revocation};
use time::OffsetDateTime;

const MINUTE: Duration = Duration::from_secs(60);
const CROWD: usize = 1000;

fn main() -> Result<()> {
    let clock = ManualClock::default();

    // Only this configuration differs between the two strategies.
    let store = Arc::new(MemoryStore::with_capacity(10_000)?);
    let session = |store: Arc<MemoryStore>| {
        SessionAuthenticator::builder(store)
            .idle(15 * MINUTE)
            .absolute(8 * 60 * MINUTE)
            .clock(clock.clone())
            .build()
    };
    let key = Key::generate_hs256()?;
    let token = |key: Key| {
        TokenAuthenticator::builder(key)
            .issuer("https://auth.example")
            .audience("api")
            .lifetime(15 * MINUTE)
            .max_lifetime(8 * 60 * MINUTE)
            .clock(clock.clone())
            .build()
    };

    let stateful = block_on(observe(
        &session(Arc::clone(&store))?,
        &session(Arc::clone(&store))?,
        &session(Arc::new(MemoryStore::with_capacity(1)?))?,
        &clock,
    ))?;
    let stateless = block_on(observe(
        &token(key.clone())?,
        &token(key)?,
        &token(Key::generate_hs256()?)?,
        &clock,
    ))?;

    let rows = [
        "log in",
        "the client holds",
        "the server stores for each login",
        "call",
        "on another node, same store or key",
        "on another node, without it",
        "refresh",
        "the replaced credential, at once",
        "and once the new one was used",
        "a tampered credential",
        "log out",
        "call again with the old credential",
        "a thief who keeps refreshing it",
        "after a quarter of an hour unused",
    ];
    let head = ("session", "token");
    println!("{:38}{:40}{}\n", "", head.0, head.1);
    for (row, (stateful, stateless)) in rows.iter().zip(stateful.iter().zip(&stateless)) {
        println!("{row:38}{stateful:40}{stateless}");
    }
    Ok(())
}

/// Runs the scenario and returns a cell for each row of the table.
async fn observe<A: Authenticator<Data = ()>>(
    auth: &A,
    same: &A,
    apart: &A,
    clock: &ManualClock,
) -> Result<Vec<String>> {
    let mut cells = Vec::new();

    let issued = auth.issue(Login::new("alice").role("admin")).await?;
    let first = issued.credential().reveal();
    cells.push(format!("issued to {}", issued.identity().subject()));
    cells.push(holds(first));
    cells.push(format!("{} bytes", bytes_per_login(auth).await?));

    cells.push(seen(auth.verify(first).await));
    cells.push(seen(same.verify(first).await));
    cells.push(seen(apart.verify(first).await));

    clock.advance(MINUTE);
    let refreshed = auth.refresh(issued.refreshable().reveal()).await?;
    let credential = refreshed.credential().reveal();
    let kept = refreshed.identity().deadline() == issued.identity().deadline();
    let deadline = if kept {
        "same deadline"
    } else {
        "ANOTHER DEADLINE"
    };
    cells.push(format!("{:?}, {deadline}", refreshed.outcome()).to_lowercase());
    cells.push(seen(auth.verify(first).await));

    // The browser refreshes and uses the new credential. Then a copy of the old one comes back.
    let replaced = auth.issue(Login::new("alice")).await?;
    let rotated = auth.refresh(replaced.refreshable().reveal()).await?;
    let _ = auth.verify(rotated.credential().reveal()).await?;
    clock.advance(MINUTE);
    cells.push(seen(auth.verify(replaced.credential().reveal()).await));

    cells.push(seen(auth.verify(&tampered(credential)).await));

    let logout = auth.revoke(credential).await?;
    let now = OffsetDateTime::from(clock.now().unwrap_or_default());
    cells.push(match logout.effective {
        Revocation::Immediate => "takes effect at once".to_owned(),
        Revocation::AtExpiry(at) => {
            format!("takes effect within {}", spoken((at - now).unsigned_abs()))
        }
        other => format!("{other:?}"),
    });
    cells.push(seen(auth.verify(credential).await));

    let mut stolen = credential.to_owned();
    let mut lasted = Duration::ZERO;
    while let Ok(next) = auth.refresh(&stolen).await {
        stolen = next.refreshable().reveal().to_owned();
        clock.advance(MINUTE);
        lasted += MINUTE;
    }
    cells.push(format!("is out after {}", spoken(lasted)));

    let idle = auth.issue(Login::new("carol")).await?;
    clock.advance(15 * MINUTE);
    cells.push(seen(auth.verify(idle.credential().reveal()).await));
    Ok(cells)
}

fn seen(answer: Result<Identity>) -> String {
    match answer {
        Ok(caller) => format!("accepted: it is {}", caller.subject()),
        Err(error) => error
            .rejection()
            .map_or_else(|| error.to_string(), |cause| format!("rejected: {cause}")),
    }
}

/// Describes the information that a credential reveals to its holder.
fn holds(credential: &str) -> String {
    let length = credential.len();
    let readable = credential.split('.').nth(1).and_then(decoded);
    match readable.filter(|claims| claims.contains("alice")) {
        Some(_) => format!("{length} characters that say who it is"),
        None => format!("{length} characters that say nothing"),
    }
}

fn decoded(base64url: &str) -> Option<String> {
    let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let (mut bits, mut bytes) = (0, Vec::new());
    for (count, c) in base64url.bytes().enumerate() {
        let digit = alphabet.iter().position(|known| *known == c)?;
        bits = bits << 6 & 0xffff | digit;
        if count % 4 > 0 {
            bytes.push((bits >> (6 - 2 * (count % 4))) as u8);
        }
    }
    String::from_utf8(bytes).ok()
}

/// Replaces the last character of the credential.
fn tampered(credential: &str) -> String {
    let mut tampered = credential.to_owned();
    let last = tampered.pop();
    tampered.push(if last == Some('A') { 'Q' } else { 'A' });
    tampered
}

fn spoken(duration: Duration) -> String {
    match duration.as_secs() {
        seconds if seconds < 60 => format!("{seconds} s"),
        seconds if seconds < 3600 => format!("{} min", seconds / 60),
        seconds => format!("{} h {} min", seconds / 3600, seconds / 60 % 60),
    }
}

/// Measures the memory that a login uses on the server.
async fn bytes_per_login<A: Authenticator<Data = ()>>(auth: &A) -> Result<usize> {
    let before = IN_USE.load(Ordering::Relaxed);
    for user in 0..CROWD {
        drop(auth.issue(Login::new(format!("user {user}"))).await?);
    }
    let after = IN_USE.load(Ordering::Relaxed);
    Ok(after.saturating_sub(before) / CROWD)
}

static IN_USE: AtomicUsize = AtomicUsize::new(0);

struct Counting;

// SAFETY: passes every call to the system allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        IN_USE.fetch_add(layout.size(), Ordering::Relaxed);
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        IN_USE.fetch_sub(layout.size(), Ordering::Relaxed);
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;
