//! An observer that records events as text.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use statewise::clock::Timestamp;
use statewise::observer::{Event, Observer};
use statewise::revocation::MemoryLog;
use statewise::revocation::log::{Draft, Page, RevocationLog};
use statewise::session::{Limit, SessionAuthenticator, SessionBuilder};
use statewise::store::MemoryStore;
use statewise::store::contract::Stamp;
use statewise::testkit::{FaultyStore, ManualClock, block_on};
use statewise::token::{Key, TokenAuthenticator, TokenBuilder};
use statewise::{Authenticator as _, Error, Issued, Login, Observed, PublicId, Result};

/// Records the names of events and everything that can be printed of them.
#[derive(Debug, Default)]
pub(crate) struct Notes {
    told: Mutex<Vec<String>>,
    pub(crate) printed: Mutex<String>,
}

impl Notes {
    pub(crate) fn new() -> Arc<Self> {
        Arc::default()
    }

    /// Returns the events since the last call.
    pub(crate) fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.told.lock().unwrap())
    }

    /// Asserts the exact events since the last call.
    #[track_caller]
    pub(crate) fn expect(&self, told: &str) {
        assert_eq!(self.take(), [told]);
    }
}

impl Observer for Notes {
    fn observe(&self, event: &Event<'_>) {
        *self.printed.lock().unwrap() += &format!("{event:?}\n{event:#?}\n");
        let told = match event {
            Event::Issued { login } => format!("issued {} {}", login.subject(), login.id()),
            Event::Ended {
                act,
                login,
                cause,
                by,
                effective,
            } => {
                let (subject, id) = (login.subject(), login.id());
                let by = by.map(|by| format!(" by {}", by.id())).unwrap_or_default();
                let effective = effective.map(|effective| format!(" {effective:?}"));
                let effective = effective.unwrap_or_default();
                format!("{act:?} ended {cause:?} {subject} {id}{by}{effective}")
            }
            Event::TicketIssued { ticket, .. } => {
                format!("ticket issued {} {}", ticket.subject(), ticket.id())
            }
            Event::Verified { login } => format!("verified {} {}", login.subject(), login.id()),
            Event::Rotated { login } => format!("rotated {} {}", login.subject(), login.id()),
            Event::Replayed { login } => format!("replayed {} {}", login.subject(), login.id()),
            Event::Orphaned { login } => format!("orphaned {} {}", login.subject(), login.id()),
            Event::Revoked {
                act,
                login,
                found,
                effective,
            } => {
                let login = login.map(|login| format!("{} {}", login.subject(), login.id()));
                let login = login.unwrap_or_default();
                let nothing = if *found { "" } else { "nothing " };
                format!("{act:?} revoked {nothing}{login} {effective:?}")
            }
            Event::KeyRetired { kid, effective } => format!("key {kid} retired {effective:?}"),
            Event::RevokedEverything { effective } => format!("revoked everything {effective:?}"),
            Event::RevokedOthers {
                login,
                count,
                effective,
            } => {
                let (subject, id) = (login.subject(), login.id());
                let count = count.unwrap();
                format!("revoked {count} others of {subject} {id} {effective:?}")
            }
            Event::UpdatedAll {
                subject,
                count,
                effective,
            } => {
                format!("updated all {subject} {count:?} {effective:?}")
            }
            Event::Updated { act, login, .. } => format!(
                "{act:?} updated {} {} on {:?}",
                login.subject(),
                login.id(),
                login.device()
            ),
            Event::RevokedAll {
                subject,
                count,
                effective,
            } => {
                format!("revoked all {subject} {count:?} {effective:?}")
            }
            Event::Denied { denied, login, .. } => {
                let subject = login.map(|login| login.subject());
                format!("denied {} {subject:?}", denied.name())
            }
            Event::Rejected {
                act, cause, claim, ..
            } => match claim {
                Some(claim) => format!("{act:?} rejected {cause:?} {claim}"),
                None => format!("{act:?} rejected {cause:?}"),
            },
            Event::Theft { act, theft } => {
                format!("{act:?} theft {} {}", theft.subject(), theft.login())
            }
            Event::Refused { act, rule } => format!("{act:?} refused {rule:?}"),
            Event::Unreadable { act, login } => format!("{act:?} unreadable {login:?}"),
            Event::Unavailable { act, error } => format!("{act:?} {error}"),
            Event::Misused { act, error } => {
                assert!(error.is_misuse());
                format!("{act:?} misused")
            }
            Event::ViewLag {
                behind,
                stale,
                facts,
            } => format!("lag {behind:?} stale {stale} facts {facts}"),
            Event::ClockSkew {
                ahead,
                is_excessive,
            } => format!("ahead by {ahead}, excessive: {is_excessive}"),
            Event::Swept { rows } => format!("swept {rows}"),
            Event::UpkeepFailed { chore, error } => format!("{chore:?} failed: {error}"),
            Event::UpkeepStarted => "upkeep started".to_owned(),
            Event::UpkeepStopped {
                follows_view,
                panicked,
            } => format!("upkeep stopped, follows view {follows_view}, panicked {panicked}"),
            Event::LogFailed { calls, error } => format!("log failed {calls}: {error}"),
            Event::LogLost => "log lost".to_owned(),
            Event::LogShortened => "log shortened".to_owned(),
            Event::OtherLog => "other log".to_owned(),
            other => panic!("not known here: {other:?}"),
        };
        self.told.lock().unwrap().push(told);
    }
}

/// The credential of a successful call.
pub(crate) fn secret<D>(issued: &Issued<D>) -> &str {
    issued.credential().reveal()
}

pub(crate) type Store = Arc<FaultyStore<MemoryStore>>;

pub(crate) fn store(capacity: usize) -> Store {
    let store = MemoryStore::with_capacity(capacity).unwrap();
    Arc::new(FaultyStore::new(store))
}

pub(crate) fn sessions<D>(store: &Store, clock: &ManualClock) -> SessionBuilder<Store, D> {
    SessionAuthenticator::builder(Arc::clone(store))
        .idle(Duration::from_secs(600))
        .absolute(Duration::from_secs(3600))
        .clock(clock.clone())
        .with_data()
}

/// Logs a user in, and again beyond the limit. Returns both ids.
#[allow(dead_code, reason = "only the tests of logs and metrics need it")]
pub(crate) fn evict(observer: impl Observer + 'static) -> [PublicId; 2] {
    let auth = sessions(&store(10), &ManualClock::default()).limit(Limit::EvictOldest(1));
    let auth: SessionAuthenticator<_> = auth.build().unwrap();
    let auth = Observed::new(auth, Arc::new(observer));
    block_on(async {
        let first = auth.issue(Login::new("alice")).await.unwrap();
        let second = auth.issue(Login::new("alice")).await.unwrap();
        [&first, &second].map(|issued| issued.identity().id())
    })
}

pub(crate) fn tokens<D>(clock: &ManualClock) -> TokenBuilder<D> {
    tokens_for("api", clock)
}

pub(crate) fn tokens_for<D>(audience: &str, clock: &ManualClock) -> TokenBuilder<D> {
    TokenAuthenticator::builder(Key::hs256(b"0123456789abcdefghijklmnopqrstuv").unwrap())
        .issuer("https://auth.example")
        .audience(audience)
        .lifetime(Duration::from_secs(900))
        .max_lifetime(Duration::from_secs(3600))
        .clock(clock.clone())
        .with_data()
}

/// A log that can be disconnected.
#[derive(Debug)]
pub(crate) struct Line {
    log: MemoryLog,
    pub(crate) cut: Mutex<bool>,
}

impl Line {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            log: MemoryLog::new().unwrap(),
            cut: Mutex::new(false),
        })
    }

    fn check(&self) -> Result<()> {
        if *self.cut.lock().unwrap() {
            return Err(Error::unavailable("cut off"));
        }
        Ok(())
    }
}

impl RevocationLog for Line {
    async fn append(&self, facts: &[Draft], now: Timestamp) -> Result<Stamp> {
        self.check()?;
        self.log.append(facts, now).await
    }

    async fn head(&self, now: Timestamp) -> Result<Stamp> {
        self.check()?;
        self.log.head(now).await
    }

    async fn read(&self, from: u64, limit: usize, now: Timestamp) -> Result<Page> {
        self.check()?;
        self.log.read(from, limit, now).await
    }

    async fn fence(&self, now: Timestamp) -> Result<()> {
        self.check()?;
        self.log.fence(now).await
    }
}
