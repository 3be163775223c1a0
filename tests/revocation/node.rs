//! One of several nodes that share a key and a log.

use std::sync::Arc;
use std::time::Duration;

use statewise::revocation::log::RevocationLog;
use statewise::revocation::{MemoryLog, RevocationView, ViewBuilder};
use statewise::testkit::{ManualClock, block_on};
use statewise::token::{Key, KeySource, TokenAuthenticator};
use statewise::{Authenticator, Error, Login, Rejection};

pub(crate) const SECRET: [u8; 32] = *b"0123456789abcdefghijklmnopqrstuv";
pub(crate) const BOUND: Duration = Duration::from_secs(5);
pub(crate) const LONGEST: Duration = Duration::from_secs(3600);

/// A node: its own clock and view, and the shared key and log.
pub(crate) struct Node {
    pub(crate) clock: ManualClock,
    pub(crate) view: RevocationView,
    pub(crate) auth: TokenAuthenticator,
}

impl Node {
    pub(crate) fn with(
        log: &Arc<impl RevocationLog>,
        keys: impl Into<KeySource>,
        configure: impl FnOnce(ViewBuilder) -> ViewBuilder,
    ) -> Self {
        let clock = ManualClock::default();
        let view = RevocationView::builder(Arc::clone(log))
            .max_lifetime(LONGEST)
            .bound(BOUND)
            .clock(clock.clone());
        let view = configure(view).build().unwrap();
        let auth = TokenAuthenticator::builder(keys)
            .issuer("https://auth.example")
            .audience("api")
            .lifetime(Duration::from_secs(900))
            .max_lifetime(LONGEST)
            .revocations(&view)
            .clock(clock.clone())
            .build()
            .unwrap();
        let node = Self { clock, view, auth };
        node.follow().unwrap();
        node
    }

    pub(crate) fn new(log: &Arc<impl RevocationLog>) -> Self {
        Self::with(log, Key::hs256(&SECRET).unwrap(), |view| view)
    }

    pub(crate) fn follow(&self) -> statewise::Result<()> {
        block_on(self.view.follow())
    }

    pub(crate) fn log_in(&self, subject: &str) -> String {
        let issued = block_on(self.auth.issue(Login::new(subject))).unwrap();
        issued.credential().reveal().to_owned()
    }

    pub(crate) fn verdict(&self, token: &str) -> Result<(), Error> {
        let owned = self.auth.verify_now(token).map(drop);
        let mut buffer = statewise::token::TokenBuffer::new();
        let borrowed = self.auth.verify_borrowed(token, &mut buffer).map(drop);
        assert_eq!(owned.is_ok(), borrowed.is_ok());
        owned
    }

    pub(crate) fn accepts(&self, token: &str) -> bool {
        self.verdict(token).is_ok()
    }

    pub(crate) fn refuses_as_revoked(&self, token: &str) -> bool {
        self.verdict(token)
            .is_err_and(|error| error.rejection() == Some(Rejection::Revoked))
    }
}

pub(crate) fn log() -> Arc<MemoryLog> {
    Arc::new(MemoryLog::new().unwrap())
}
