//! A service changes its strategy while it runs, from sessions to a hybrid (short access tokens that
//! are refreshed), under load and without rejecting any caller.
//!
//! ```text
//! cargo run --example migrate
//! ```
//!
//! Clients call, refresh when asked to, log out and log in again. The service is replaced twice:
//! sessions, then both strategies, then the hybrid alone as soon as no client presents a session any
//! more.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use statewise::hybrid::HybridAuthenticator;
use statewise::migrating::Migrating;
use statewise::session::SessionAuthenticator;
use statewise::store::MemoryStore;
use statewise::token::{Key, TokenAuthenticator};
use statewise::{Authenticator, DynAuthenticator, Login, Rejection, Result};

const MINUTE: Duration = Duration::from_secs(60);
const CLIENTS: usize = 32;

type Auth = Arc<dyn DynAuthenticator<()>>;

/// The current strategy, as the handlers see it.
struct Service {
    auth: RwLock<Auth>,
    stops: AtomicBool,
    requests: AtomicUsize,
    refused: AtomicUsize,
}

impl Service {
    fn auth(&self) -> Auth {
        let auth = self.auth.read().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(&auth)
    }

    fn replace(&self, auth: Auth) {
        *self.auth.write().unwrap_or_else(PoisonError::into_inner) = auth;
    }

    fn count(&self, is_ok: bool) {
        self.requests.fetch_add(1, Ordering::Relaxed);
        self.refused
            .fetch_add(usize::from(!is_ok), Ordering::Relaxed);
    }
}

/// A client: 199 of 200 requests are calls; the rest are a logout and a new login.
async fn client(service: Arc<Service>, number: usize) -> Result<()> {
    let login = || Login::new(format!("user {number}"));
    let mut held = service.auth().issue(login()).await?;
    for request in 1.. {
        if service.stops.load(Ordering::Relaxed) {
            break;
        }
        let auth = service.auth();
        if (request + number).is_multiple_of(200) {
            let _ = auth.revoke(held.refreshable().reveal()).await?;
            held = auth.issue(login()).await?;
        }
        let caller = auth.verify(held.credential().reveal()).await;
        service.count(caller.is_ok());
        if let Err(error) = &caller {
            eprintln!("user {number} is refused: {error}");
        }
        // As a layer in front of the handlers would.
        let is_due = match &caller {
            Ok(caller) => caller.refresh_due(),
            Err(error) => error.rejection() == Some(Rejection::Expired),
        };
        if is_due {
            held = auth.refresh(held.refreshable().reveal()).await?;
        }
        tokio::task::yield_now().await;
    }
    Ok(())
}

async fn until(holds: impl Fn() -> bool) {
    while !holds() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

#[tokio::main]
async fn main() -> Result<()> {
    let sessions = Arc::new(
        SessionAuthenticator::builder(MemoryStore::with_capacity(10_000)?)
            .idle(30 * MINUTE)
            .absolute(12 * 60 * MINUTE)
            .build()?,
    );
    let hybrid = Arc::new(HybridAuthenticator::new(
        TokenAuthenticator::builder(Key::generate_hs256()?)
            .issuer("https://auth.example")
            .audience("api")
            .lifetime(5 * MINUTE),
        SessionAuthenticator::builder(MemoryStore::with_capacity(10_000)?)
            .idle(60 * MINUTE)
            .absolute(12 * 60 * MINUTE),
    )?);
    let service = Arc::new(Service {
        auth: RwLock::new(Arc::new(Arc::clone(&sessions))),
        stops: AtomicBool::new(false),
        requests: AtomicUsize::new(0),
        refused: AtomicUsize::new(0),
    });
    let clients: Vec<_> = (0..CLIENTS)
        .map(|number| tokio::spawn(client(Arc::clone(&service), number)))
        .collect();
    let requests = || service.requests.load(Ordering::Relaxed);

    until(|| requests() > 5_000).await;
    println!("{:7} requests answered with sessions", requests());

    let both = Arc::new(Migrating::builder(Arc::clone(&sessions), Arc::clone(&hybrid)).build()?);
    service.replace(Arc::new(Arc::clone(&both)));
    // No client presents a session any more. In production, wait for the lifetime of a session.
    let mut seen = None;
    until(|| both.progress().upgraded > 0).await;
    while seen != Some(both.progress().verified) {
        seen = Some(both.progress().verified);
        let begun = requests();
        until(|| requests() > begun + 20_000).await;
    }
    println!(
        "{:7} requests until the last session was upgraded; {} sessions were upgraded, after {} verifications",
        requests(),
        both.progress().upgraded,
        both.progress().verified,
    );

    service.replace(Arc::new(hybrid));
    let begun = requests();
    until(|| requests() > begun + 5_000).await;
    service.stops.store(true, Ordering::Relaxed);
    for client in clients {
        match client.await {
            Ok(ended) => ended?,
            Err(error) => eprintln!("a client panicked: {error}"),
        }
    }
    println!(
        "{:7} requests in total, now with the hybrid only: {} rejected",
        requests(),
        service.refused.load(Ordering::Relaxed),
    );
    Ok(())
}
