//! A server that hangs, for every backend with a circuit breaker.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use statewise::clock::{Clock, SystemClock};
use statewise::observer::{Event, Observer};
use statewise::revocation::log::RevocationLog;
use statewise::session::SessionAuthenticator;
use statewise::store::contract::SessionStore;
use statewise::{Authenticator, Login, Result};

/// Deadline of the backend under test.
pub(crate) const DEADLINE: Duration = Duration::from_millis(300);

/// Notes the events of a backend.
#[derive(Debug, Default)]
pub(crate) struct Silences(Mutex<Vec<String>>);

impl Silences {
    pub(crate) fn seen(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }
}

impl Observer for Silences {
    fn observe(&self, event: &Event<'_>) {
        let noted = match event {
            Event::StoreSilent {
                backend,
                keeps,
                cause,
            } => {
                assert!(keeps.starts_with("sessions"), "{keeps}");
                format!("{backend} silent {cause:?}")
            }
            Event::StoreAnswers { backend, .. } => format!("{backend} answers"),
            other => panic!("{other:?}"),
        };
        self.0.lock().unwrap().push(noted);
    }
}

fn unavailable<T: std::fmt::Debug>(answer: &Result<T>) {
    assert!(
        answer.as_ref().is_err_and(|error| error.is_unavailable()),
        "{answer:?}"
    );
}

/// The server hangs. The first calls wait for their whole deadline; further ones fail at once, also
/// logouts, and those of the log. Soon after it continues, calls succeed. It is reported once.
pub(crate) async fn a_server_that_hangs_is_not_waited_for(
    backend: &str,
    (store, log): (impl SessionStore, impl RevocationLog),
    silences: Arc<Silences>,
    pause: impl Fn(),
    resume: impl Fn(),
) {
    let auth: SessionAuthenticator<_> = SessionAuthenticator::builder(store)
        .idle(Duration::from_secs(3_600))
        .absolute(Duration::from_secs(3_600))
        .build()
        .unwrap();
    let issued = auth.issue(Login::new("alice")).await.unwrap();
    let credential = issued.credential().reveal();
    auth.ready().await.unwrap();
    let now = || SystemClock.now().unwrap();
    log.fence(now()).await.unwrap();
    pause();
    for _ in 0..3 {
        assert!(silences.seen().is_empty());
        let begun = Instant::now();
        unavailable(&auth.verify(credential).await);
        assert!(begun.elapsed() >= DEADLINE, "{:?}", begun.elapsed());
    }
    let silent = format!("{backend} silent None");
    assert_eq!(silences.seen(), std::slice::from_ref(&silent));
    let begun = Instant::now();
    let mut times = Vec::new();
    while begun.elapsed() < Duration::from_millis(100) {
        let begun = Instant::now();
        unavailable(&auth.verify(credential).await);
        unavailable(&auth.revoke(credential).await);
        unavailable(&auth.revoke_all("alice").await);
        unavailable(&auth.ready().await);
        unavailable(&log.fence(now()).await);
        times.push(begun.elapsed());
    }
    // A busy machine stops a thread now and then.
    times.sort_unstable();
    let usual = times[times.len() * 9 / 10];
    assert!(usual < Duration::from_millis(10), "{usual:?}");
    resume();
    let begun = Instant::now();
    while auth.verify(credential).await.is_err() {
        tokio::task::yield_now().await;
    }
    assert!(
        begun.elapsed() < Duration::from_secs(1),
        "{:?}",
        begun.elapsed()
    );
    log.fence(now()).await.unwrap();
    assert_eq!(silences.seen(), [silent, format!("{backend} answers")]);
}

/// The server is killed, and comes back. Its connections are refused, so calls fail at once. It is
/// reported once, with the cause, and so is its first answer. Returns the longest time of a call.
#[allow(dead_code, reason = "not every binary of tests kills its server here")]
pub(crate) async fn a_server_that_is_killed_is_reported(
    backend: &str,
    store: impl SessionStore,
    silences: Arc<Silences>,
    kill: impl Fn(),
    restart: impl Fn(),
) -> Duration {
    let auth: SessionAuthenticator<_> = SessionAuthenticator::builder(store)
        .idle(Duration::from_secs(3_600))
        .absolute(Duration::from_secs(3_600))
        .build()
        .unwrap();
    auth.ready().await.unwrap();
    kill();
    // Many calls at once are no reason to report.
    let begun = Instant::now();
    for _ in 0..64 {
        unavailable(&auth.ready().await);
        if begun.elapsed() > Duration::from_millis(200) {
            break;
        }
    }
    let mut longest = Duration::ZERO;
    while silences.seen().is_empty() {
        assert!(begun.elapsed() < Duration::from_secs(30), "not reported");
        let called = Instant::now();
        unavailable(&auth.ready().await);
        longest = longest.max(called.elapsed());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(begun.elapsed() >= Duration::from_millis(500));
    for _ in 0..50 {
        unavailable(&auth.ready().await);
    }
    let silent = silences.seen();
    assert_eq!(silent.len(), 1, "{silent:?}");
    assert!(
        silent[0].starts_with(&format!("{backend} silent ")),
        "{silent:?}"
    );
    restart();
    let begun = Instant::now();
    while let Err(error) = auth.ready().await {
        assert!(begun.elapsed() < Duration::from_secs(30), "{error:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    auth.ready().await.unwrap();
    assert_eq!(
        silences.seen(),
        [silent[0].clone(), format!("{backend} answers")]
    );
    longest
}
