//! A service with public keys, which follows the log of a real server with the right to read only.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use statewise::authenticator::BoxFuture;
use statewise::clock::Timestamp;
use statewise::revocation::RevocationView;
use statewise::revocation::log::{Draft, Fact, Nonce, Page, RevocationLog};
use statewise::store::contract::Stamp;
use statewise::testkit::{LogFixture, ManualClock};
use statewise::token::{SigningKey, TokenAuthenticator, TokenBuilder};
use statewise::{Authenticator as _, Error, Login, Rejection, Result};

const BOUND: Duration = Duration::from_secs(5);
const LONGEST: Duration = Duration::from_secs(3600);
/// Logins that the issuer ends while the service follows.
const LOGINS: usize = 40;

/// One node: its clock, its view, and its authenticator.
struct Node {
    clock: ManualClock,
    view: RevocationView,
    auth: TokenAuthenticator,
}

impl Node {
    async fn over(log: impl RevocationLog, keys: statewise::token::KeySource) -> Self {
        let (is_reader, clock) = (log.is_read_only(), ManualClock::default());
        let view = RevocationView::builder(log)
            .max_lifetime(LONGEST)
            .bound(BOUND)
            .clock(clock.clone())
            .build()
            .unwrap();
        view.follow().await.unwrap();
        let auth = if is_reader {
            TokenAuthenticator::verifier(keys)
        } else {
            TokenAuthenticator::builder(keys)
        };
        let auth: TokenBuilder = auth
            .issuer("https://auth.example")
            .audience("api")
            .lifetime(LONGEST);
        let auth = auth.revocations(&view).clock(clock.clone());
        Self {
            clock,
            view,
            auth: auth.build().unwrap(),
        }
    }

    async fn log_in(&self, user: &str) -> String {
        let issued = self.auth.issue(Login::new(user)).await.unwrap();
        issued.credential().reveal().to_owned()
    }

    async fn follow(&self) {
        self.view.upkeep().tick().await.unwrap();
    }

    fn verdict(&self, token: &str) -> Result<()> {
        self.auth.verify_now(token).map(drop)
    }
}

fn is_revoked(verdict: &Result<()>) -> bool {
    let rejection = verdict.as_ref().err().and_then(Error::rejection);
    rejection == Some(Rejection::Revoked)
}

/// The service learns each revocation by its next read, while another connection writes, and changes
/// nothing. `forbid` takes a right to read from its user, and `permit` gives it back: meanwhile the
/// service stops at its bound.
pub(crate) async fn follows_with_read_rights(
    writer: Arc<impl RevocationLog>,
    reader: Arc<impl RevocationLog>,
    forbid: impl AsyncFnOnce(),
    permit: impl AsyncFnOnce(),
) {
    assert!(reader.is_read_only() && !writer.is_read_only());
    let key = SigningKey::generate_ed25519().unwrap();
    let issuer = Arc::new(Node::over(Arc::clone(&writer), key.clone().into()).await);
    let service = Node::over(Arc::clone(&reader), key.public_key().into()).await;

    let mut tokens = Vec::new();
    for at in 0..LOGINS {
        tokens.push(issuer.log_in(&format!("user {at}")).await);
    }
    let kept = issuer.log_in("kept").await;
    for token in tokens.iter().chain([&kept]) {
        service.verdict(token).unwrap();
    }
    let is_done = Arc::new(AtomicBool::new(false));
    let ending = tokio::spawn({
        let (issuer, tokens) = (Arc::clone(&issuer), tokens.clone());
        let is_done = Arc::clone(&is_done);
        async move {
            for (at, token) in tokens.iter().enumerate() {
                if at % 2 == 0 {
                    let _ = issuer.auth.revoke(token).await.unwrap();
                } else {
                    let all = format!("user {at}");
                    let _ = issuer.auth.revoke_all(&all).await.unwrap();
                }
            }
            is_done.store(true, Ordering::SeqCst);
        }
    });
    while !is_done.load(Ordering::SeqCst) {
        service.follow().await;
        tokio::task::yield_now().await;
    }
    ending.await.unwrap();
    // No time has passed by its clock: the bound is kept.
    service.follow().await;
    for token in &tokens {
        let verdict = service.verdict(token);
        assert!(is_revoked(&verdict), "{verdict:?}");
    }
    service.verdict(&kept).unwrap();

    // It writes nothing, neither through the view nor directly.
    let now = Timestamp::from_unix(1_800_000_000);
    let before = writer.head(now).await.unwrap();
    let draft = Draft::with_nonce(Nonce::from_bytes([1; 16]), Fact::Nothing, BOUND);
    for refused in [
        service.auth.revoke(&kept).await.map(drop),
        service.auth.revoke_all("kept").await.map(drop),
        service.view.revoke_everything().await.map(drop),
        reader.append(&[draft], now).await.map(drop),
        reader.append(&[], now).await.map(drop),
        reader.fence(now).await,
    ] {
        assert!(refused.as_ref().is_err_and(Error::is_misuse), "{refused:?}");
    }
    assert_eq!(reader.head(now).await.unwrap(), before);

    // Without the right it goes on until its bound, and then refuses as unavailable.
    let _ = issuer.auth.revoke(&kept).await.unwrap();
    forbid().await;
    for passed in 1..=BOUND.as_secs() {
        service.clock.advance(Duration::from_secs(1));
        assert!(service.view.follow().await.is_err());
        let verdict = service.verdict(&kept);
        if passed < BOUND.as_secs() {
            verdict.unwrap();
        } else {
            let refused = verdict.as_ref().is_err_and(Error::is_unavailable);
            assert!(refused, "{verdict:?}");
        }
    }
    permit().await;
    service.follow().await;
    assert!(is_revoked(&service.verdict(&kept)));
    let again = issuer.log_in("kept").await;
    service.verdict(&again).unwrap();
}

/// A log that is written over one connection and read over another one, which may only read.
#[derive(Debug)]
pub(crate) struct Pair<W, R> {
    writer: W,
    reader: R,
}

impl<W: RevocationLog, R: RevocationLog> RevocationLog for Pair<W, R> {
    async fn append(&self, facts: &[Draft], now: Timestamp) -> Result<Stamp> {
        self.writer.append(facts, now).await
    }

    async fn head(&self, now: Timestamp) -> Result<Stamp> {
        self.reader.head(now).await
    }

    async fn read(&self, from: u64, limit: usize, now: Timestamp) -> Result<Page> {
        self.reader.read(from, limit, now).await
    }

    async fn fence(&self, now: Timestamp) -> Result<()> {
        self.writer.fence(now).await
    }
}

/// Opens readers beside the logs of another fixture.
pub(crate) trait ReaderFixture: LogFixture {
    type Reader: RevocationLog;

    fn reader(&self, log: &Self::Log) -> impl Future<Output = Self::Reader> + Send;
}

/// Opens pairs.
pub(crate) struct Paired<F>(pub(crate) F);

impl<F: ReaderFixture> LogFixture for Paired<F> {
    type Log = Pair<F::Log, F::Reader>;

    const OWN_CLOCK: bool = F::OWN_CLOCK;

    async fn open(&self) -> Self::Log {
        let writer = self.0.open().await;
        // A reader does not begin the log.
        writer.head(Timestamp::from_unix(1)).await.unwrap();
        let reader = self.0.reader(&writer).await;
        Pair { writer, reader }
    }

    async fn again(&self, log: &Self::Log) -> Self::Log {
        let writer = self.0.again(&log.writer).await;
        let reader = self.0.reader(&writer).await;
        Pair { writer, reader }
    }

    async fn advance(&self, log: &Self::Log, by: Duration) {
        self.0.advance(&log.writer, by).await;
    }

    fn spread(&self, futures: Vec<BoxFuture<'static, ()>>) -> impl Future<Output = ()> + Send {
        self.0.spread(futures)
    }
}
