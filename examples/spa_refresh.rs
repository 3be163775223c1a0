//! A single-page application with twelve widgets. All find their access token expired at the same
//! moment.
//!
//! ```text
//! cargo run --example spa_refresh
//! ```
//!
//! Each widget refreshes on its own. Libraries that flag every repeated refresh as theft would log
//! the user out here. Then an answer is lost, and finally thieves use a copied refresh credential: one that
//! is old, and one that is new and used before its owner does. The clock is manual, so weeks pass in a moment.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use statewise::hybrid::HybridAuthenticator;
use statewise::session::SessionAuthenticator;
use statewise::store::MemoryStore;
use statewise::testkit::ManualClock;
use statewise::token::{Key, TokenAuthenticator};
use statewise::{Authenticator, Error, Issued, Login, Outcome, Rejection, Result};

const MINUTE: Duration = Duration::from_secs(60);
const WIDGETS: usize = 12;

/// The service. Any authenticator would do.
struct Service<A> {
    auth: A,
    rotations: AtomicUsize,
    replays: AtomicUsize,
}

impl<A: Authenticator<Data = ()>> Service<A> {
    /// The path of every request. `Err` stands for a 401 or a 503.
    async fn get(&self, access: &str) -> Result<String> {
        let caller = self.auth.verify(access).await?;
        Ok(format!("hello {}", caller.subject()))
    }

    async fn refresh(&self, credential: &str) -> Result<Issued> {
        let issued = self.auth.refresh(credential).await?;
        let counted = match issued.outcome() {
            Outcome::Rotated => &self.rotations,
            _ => &self.replays,
        };
        counted.fetch_add(1, Ordering::Relaxed);
        Ok(issued)
    }
}

/// The browser and its last credentials.
struct Browser<A> {
    service: Arc<Service<A>>,
    held: Mutex<(String, String)>,
}

impl<A: Authenticator<Data = ()>> Browser<A> {
    fn keep(&self, issued: &Issued) {
        let access = issued.credential().reveal().to_owned();
        let refresh = issued.refreshable().reveal().to_owned();
        *self.lock() = (access, refresh);
    }

    fn held(&self) -> (String, String) {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, (String, String)> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One widget: calls, refreshes if its token has expired, and calls again.
    async fn fetch(&self) -> Result<String> {
        let (access, refresh) = self.held();
        match self.service.get(&access).await {
            Err(error) if error.rejection() == Some(Rejection::Expired) => {
                // All other widgets do the same at this moment.
                tokio::task::yield_now().await;
                let issued = self.service.refresh(&refresh).await?;
                self.keep(&issued);
                self.service.get(issued.credential().reveal()).await
            }
            answer => answer,
        }
    }
}

/// Runs all widgets at once and returns the number of successful calls.
async fn page<A: Authenticator<Data = ()>>(browser: &Arc<Browser<A>>) -> usize {
    let widgets: Vec<_> = (0..WIDGETS)
        .map(|_| {
            let browser = Arc::clone(browser);
            tokio::spawn(async move { browser.fetch().await.is_ok() })
        })
        .collect();
    let mut answered = 0;
    for widget in widgets {
        answered += usize::from(widget.await.unwrap_or(false));
    }
    answered
}

#[tokio::main]
async fn main() -> Result<()> {
    let clock = ManualClock::default();
    let auth = HybridAuthenticator::new(
        TokenAuthenticator::builder(Key::generate_hs256()?)
            .issuer("https://auth.example")
            .audience("spa")
            .lifetime(10 * MINUTE),
        SessionAuthenticator::builder(MemoryStore::with_capacity(1_000)?)
            .idle(14 * 24 * 60 * MINUTE)
            .absolute(90 * 24 * 60 * MINUTE)
            .clock(clock.clone()),
    )?;
    let service = Arc::new(Service {
        auth,
        rotations: AtomicUsize::new(0),
        replays: AtomicUsize::new(0),
    });
    let issued = service
        .auth
        .issue(Login::new("alice").device("browser"))
        .await?;
    let browser = Arc::new(Browser {
        service: Arc::clone(&service),
        held: Mutex::default(),
    });
    browser.keep(&issued);

    let (mut asked, mut answered) = (0, 0);
    for _ in 0..1_000 {
        clock.advance(10 * MINUTE);
        answered += page(&browser).await;
        asked += WIDGETS;
    }
    let count = |counter: &AtomicUsize| counter.load(Ordering::Relaxed);
    println!("a week of pages with expired tokens:  {answered} of {asked} requests answered");
    println!(
        "the refresh credential was rotated    {} times; {} times another widget was first",
        count(&service.rotations),
        count(&service.replays)
    );

    // The answer is lost, and the browser sleeps.
    clock.advance(10 * MINUTE);
    let (_, stale) = browser.held();
    let _lost = service.refresh(&stale).await?;
    clock.advance(60 * MINUTE);
    let orphaned = service.refresh(&stale).await?;
    println!(
        "an hour after a lost response:        {:?}",
        orphaned.outcome()
    );
    browser.keep(&orphaned);

    // A copy, presented after its successor was refreshed.
    let (_, copied) = browser.held();
    for _ in 0..2 {
        clock.advance(10 * MINUTE);
        page(&browser).await;
    }
    let theft = service.refresh(&copied).await.err();
    print_theft("a thief with an old copy:             ", theft.as_ref());
    clock.advance(10 * MINUTE);
    println!(
        "the holder of the newest credential:  {} of {WIDGETS} requests answered",
        page(&browser).await
    );

    // A copy of the newest credential. The thief refreshes first, and then both take turns.
    browser.keep(&service.auth.issue(Login::new("alice")).await?);
    let (_, mut copied) = browser.held();
    let mut turns = 0;
    let theft = loop {
        clock.advance(10 * MINUTE);
        match service.refresh(&copied).await {
            Ok(issued) => copied = issued.refreshable().reveal().to_owned(),
            Err(error) => break Some(error),
        }
        clock.advance(10 * MINUTE);
        turns += 1;
        if page(&browser).await == 0 || turns == 10 {
            break None;
        }
    };
    print_theft("a thief that is faster than alice:    ", theft.as_ref());
    println!("turns of both before that:            {turns}");
    Ok(())
}

fn print_theft(who: &str, ended: Option<&Error>) {
    match ended.and_then(Error::theft) {
        Some(theft) => println!("{who}{}'s login ends", theft.subject()),
        None => println!("{who}NOT FOUND"),
    }
}
