//! A key, a manual clock, and hand-signed tokens.

use std::fmt;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use serde::de::{Deserialize, Deserializer};
use serde::ser::{Serialize, SerializeStruct, Serializer};
use sha2::Sha256;
use statewise::Error;
use statewise::clock::{Clock, Timestamp};
use statewise::entropy::Entropy;
use statewise::revocation::{MemoryLog, RevocationView};
use statewise::token::{Key, KeySource, TokenAuthenticator, TokenBuilder};
use statewise::{Rejection, Result};
use time::OffsetDateTime;

pub(crate) const START: u64 = 1_700_000_000;
pub(crate) const SECRET: [u8; 64] = {
    let mut secret = [0; 64];
    let mut at = 0;
    while at < 64 {
        secret[at] = at as u8;
        at += 1;
    }
    secret
};

/// No future here ever waits.
pub(crate) fn now<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(done) => done,
        Poll::Pending => panic!("a token waited for something"),
    }
}

/// A manual clock. `u64::MAX` means that it cannot tell the time.
#[derive(Clone, Debug)]
pub(crate) struct Hands(Arc<AtomicU64>);

impl Hands {
    pub(crate) fn at(seconds: u64) -> Self {
        Self(Arc::new(AtomicU64::new(seconds)))
    }

    pub(crate) fn set(&self, seconds: u64) {
        self.0.store(seconds, Ordering::SeqCst);
    }
}

impl Clock for Hands {
    fn now(&self) -> Option<Timestamp> {
        match self.0.load(Ordering::SeqCst) {
            u64::MAX => None,
            seconds => Some(Timestamp::from_unix(seconds)),
        }
    }
}

/// Counts up, or fails.
#[derive(Clone, Debug, Default)]
pub(crate) struct Counting {
    pub fails: Arc<AtomicBool>,
}

impl Entropy for Counting {
    fn fill(&self, bytes: &mut [u8]) -> Result<()> {
        if self.fails.load(Ordering::SeqCst) {
            return Err(Error::unavailable("no entropy"));
        }
        for (value, byte) in (1..).zip(bytes) {
            *byte = value;
        }
        Ok(())
    }
}

pub(crate) fn at(seconds: u64) -> OffsetDateTime {
    Timestamp::from_unix(seconds).into()
}

pub(crate) fn key() -> Key {
    Key::hs256(&SECRET[..32]).unwrap()
}

pub(crate) fn builder(keys: impl Into<KeySource>, clock: &Hands) -> TokenBuilder {
    TokenAuthenticator::builder(keys)
        .issuer("https://auth.example")
        .audience("api")
        .lifetime(Duration::from_secs(900))
        .max_lifetime(Duration::from_secs(3600))
        .clock(clock.clone())
}

/// A view of a log that is read already.
pub(crate) fn view(clock: &Hands, max_lifetime: Duration) -> RevocationView {
    let view = RevocationView::builder(MemoryLog::new().unwrap())
        .max_lifetime(max_lifetime)
        .bound(Duration::from_secs(100_000))
        .clock(clock.clone())
        .build()
        .unwrap();
    now(view.follow()).unwrap();
    view
}

pub(crate) fn plain(clock: &Hands) -> TokenAuthenticator {
    builder(key(), clock).build().unwrap()
}

pub(crate) fn token_of<D>(issued: &statewise::Issued<D>) -> String {
    issued.credential().reveal().to_owned()
}

pub(crate) fn rejection<T: fmt::Debug>(result: Result<T>) -> Rejection {
    let error = result.expect_err("was accepted");
    error.rejection().unwrap_or_else(|| panic!("{error}"))
}

/// A token with arbitrary claims under the key's own header, as only the holder of the key can make
/// it.
pub(crate) fn signed_own(header: &str, claims: &str) -> String {
    let input = format!("{header}.{}", URL_SAFE_NO_PAD.encode(claims));
    signed(&input)
}

pub(crate) fn signed(input: &str) -> String {
    signed_with(&SECRET[..32], input)
}

pub(crate) fn signed_with(secret: &[u8], input: &str) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret).unwrap();
    mac.update(input.as_bytes());
    let tag = mac.finalize().into_bytes();
    format!("{input}.{}", URL_SAFE_NO_PAD.encode(tag))
}

pub(crate) fn claims_of(token: &str) -> String {
    let payload = token.split('.').nth(1).unwrap();
    String::from_utf8(URL_SAFE_NO_PAD.decode(payload).unwrap()).unwrap()
}

/// Written by hand, as in an application without derives.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Profile {
    pub plan: String,
}

impl Serialize for Profile {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        let mut profile = serializer.serialize_struct("Profile", 1)?;
        profile.serialize_field("plan", &self.plan)?;
        profile.end()
    }
}

impl<'de> Deserialize<'de> for Profile {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        let value = serde_json::Value::deserialize(deserializer)?;
        let plan = value.get("plan").and_then(serde_json::Value::as_str);
        plan.map(|plan| Self {
            plan: plan.to_owned(),
        })
        .ok_or_else(|| serde::de::Error::custom("no plan"))
    }
}
