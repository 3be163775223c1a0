//! The builder of a [`SessionAuthenticator`]: both timeouts are steps of their own.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::authenticator::RevokeAll;
use crate::authenticator::revoke_all::AlsoEnds;
use crate::clock::{Clock, SystemClock, whole_seconds};
use crate::entropy::{Entropy, SystemEntropy};
use crate::error::{Error, Result};
use crate::login::data::DataReader;
use crate::login::identity::MAX_FIELD_BYTES;
use crate::login::preset::Preset;
use crate::login::recent_changes::RecentChanges;
use crate::session::authenticator::SessionAuthenticator;
use crate::session::credential::CredentialKind;
use crate::session::judge::Windows;
use crate::session::logins::Logins;
use crate::session::namespace::Namespace;
use crate::session::policy::{Policy, Timeouts};
use crate::session::replay_limit::ReplayLimit;
use crate::store::ask::Limit;
use crate::store::session_store::SessionStore;

/// Default of [`SessionBuilder::overlap`].
const DEFAULT_OVERLAP: Duration = Duration::from_secs(10);
/// Default of [`SessionBuilder::grace`].
const DEFAULT_GRACE: Duration = Duration::from_secs(30);
/// Default of [`SessionBuilder::limit`] with a preset.
const PRESET_LIMIT: Limit = Limit::EvictOldest(10);
/// Default of [`SessionBuilder::max_replays`].
const DEFAULT_MAX_REPLAYS: u32 = 1000;
/// Default of [`SessionBuilder::max_data`].
const DEFAULT_MAX_DATA_BYTES: usize = 64 * 1024;

/// First step of the builder: call [`idle`](Self::idle), or [`preset`](Self::preset).
#[derive(Debug)]
pub struct NeedsIdle<S> {
    store: S,
}

/// Second step of the builder: call [`absolute`](Self::absolute).
#[derive(Debug)]
pub struct NeedsAbsolute<S> {
    store: S,
    idle: Duration,
}

/// A complete configuration of sessions: change its defaults or [`build`](Self::build) it.
///
/// # Defaults
///
/// | setting | default | unit | source |
/// |---|---|---|---|
/// | `idle` | none: required | whole seconds | OWASP ASVS 7.3.1 |
/// | `absolute` | none: required | whole seconds | OWASP ASVS 7.3.2 |
/// | [`remembered`](Self::remembered) | as all other sessions, at login | whole seconds | a user chooses it at login |
/// | [`rotate_after`](Self::rotate_after) | never | whole seconds | the application refreshes |
/// | [`overlap`](Self::overlap) | 10 | seconds, rounded up | requests in flight, other tabs |
/// | [`grace`](Self::grace) | 30 | seconds, rounded up | a lost response is requested again |
/// | [`reject_orphaned`](Self::reject_orphaned) | off | | a client that was offline stays logged in |
/// | [`max_replays`](Self::max_replays) | 1000 | within 10 seconds, per credential and node | bounds a client that loops |
/// | [`preset`](Self::preset) | none | | |
/// | [`limit`](Self::limit) | unlimited | sessions per subject | OWASP ASVS 7.1.2 leaves it to you |
/// | [`max_fields`](Self::max_fields) | 4096 | bytes per session | about a hundred roles |
/// | a [device label](crate::Login::device) is cut after | 512, fixed | bytes | the length of a `User-Agent` |
/// | [`max_data`](Self::max_data) | 65,536 | bytes per session | |
/// | [`also_ends`](Self::also_ends) | nothing | | `revoke_all` ends the sessions |
/// | [`with_data`](Self::with_data) | `()` | type | no data of the application |
/// | [`data_or_else`](Self::data_or_else) | none | | other data are unreadable, and stay |
/// | [`clock`](Self::clock) | [`SystemClock`] | | |
/// | [`entropy`](Self::entropy) | [`SystemEntropy`] | | |
///
/// # Example
///
/// ```
/// use std::time::Duration;
/// use statewise::session::{Limit, SessionAuthenticator};
/// use statewise::store::MemoryStore;
///
/// let auth = SessionAuthenticator::builder(MemoryStore::with_capacity(100_000)?)
///     .idle(Duration::from_secs(30 * 60))
///     .absolute(Duration::from_secs(12 * 3600))
///     .limit(Limit::EvictOldest(5))
///     .build()?;
/// # Ok::<(), statewise::Error>(())
/// ```
#[must_use = "a builder does nothing until you call `build`"]
pub struct SessionBuilder<S, D = ()> {
    pub(crate) settings: Settings<S>,
    pub(crate) data: DataReader<D>,
}

/// Settings collected by the builder, for sessions and for the hybrid.
#[derive(Debug)]
pub(crate) struct Settings<S> {
    store: S,
    pub(crate) idle: Duration,
    pub(crate) absolute: Duration,
    pub(crate) remembered: Option<(Duration, Duration)>,
    pub(crate) overlap: Duration,
    grace: Duration,
    pub(crate) rotate_after: Option<Duration>,
    reject_orphaned: bool,
    max_replays: u32,
    limit: Option<Limit>,
    pub(crate) preset: Option<Preset>,
    max_fields: usize,
    max_data: usize,
    pub(crate) also_ends: AlsoEnds,
    pub(crate) clock: Option<Arc<dyn Clock>>,
    pub(crate) entropy: Option<Arc<dyn Entropy>>,
}

impl<S: SessionStore> SessionAuthenticator<S> {
    /// Starts a configuration with the store that keeps the sessions. Set both timeouts next.
    #[must_use]
    pub fn builder(store: S) -> NeedsIdle<S> {
        NeedsIdle { store }
    }
}

impl<S: SessionStore> NeedsIdle<S> {
    /// Sets the idle timeout: a session expires when it was not used for this long (OWASP ASVS
    /// 7.3.1). In whole seconds.
    ///
    /// NIST SP 800-63B-4 recommends at most one hour at AAL2, and 15 minutes at AAL3.
    pub fn idle(self, idle: Duration) -> NeedsAbsolute<S> {
        NeedsAbsolute {
            store: self.store,
            idle,
        }
    }

    /// Sets both timeouts, and the defaults of rotation and limit, to those of a standard. To
    /// choose shorter timeouts, set both and then call [`SessionBuilder::preset`].
    ///
    /// ```
    /// use statewise::Preset;
    /// use statewise::session::SessionAuthenticator;
    /// use statewise::store::MemoryStore;
    ///
    /// let auth = SessionAuthenticator::builder(MemoryStore::with_capacity(100_000)?)
    ///     .preset(Preset::Aal2)
    ///     .build()?;
    /// # Ok::<(), statewise::Error>(())
    /// ```
    pub fn preset(self, preset: Preset) -> SessionBuilder<S> {
        let builder = self.idle(preset.idle()).absolute(preset.absolute());
        builder.preset(preset)
    }
}

impl<S: SessionStore> NeedsAbsolute<S> {
    /// Sets the absolute timeout: a session expires this long after the user authenticated, however
    /// much it is used and refreshed (OWASP ASVS 7.3.2). In whole seconds.
    ///
    /// NIST SP 800-63B-4 recommends at most 24 hours at AAL2, and requires at most 12 at AAL3.
    pub fn absolute(self, absolute: Duration) -> SessionBuilder<S> {
        SessionBuilder {
            settings: Settings {
                store: self.store,
                idle: self.idle,
                absolute,
                remembered: None,
                overlap: DEFAULT_OVERLAP,
                grace: DEFAULT_GRACE,
                rotate_after: None,
                reject_orphaned: false,
                max_replays: DEFAULT_MAX_REPLAYS,
                limit: None,
                preset: None,
                max_fields: MAX_FIELD_BYTES,
                max_data: DEFAULT_MAX_DATA_BYTES,
                also_ends: AlsoEnds::default(),
                clock: None,
                entropy: None,
            },
            data: DataReader::default(),
        }
    }
}

impl<S: SessionStore, D> SessionBuilder<S, D> {
    /// Chooses the type of the application's data in a session. Default: `()`. With data, a refresh
    /// takes one more call of the store: it reads them before it rotates the credential.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use statewise::session::SessionAuthenticator;
    /// # use statewise::store::MemoryStore;
    /// use statewise::{Authenticator, Login};
    ///
    /// # async fn example() -> statewise::Result<()> {
    /// let auth = SessionAuthenticator::builder(MemoryStore::with_capacity(100_000)?)
    ///     .idle(Duration::from_secs(30 * 60))
    ///     .absolute(Duration::from_secs(12 * 3600))
    ///     .with_data::<Vec<String>>()
    ///     .build()?;
    /// let cart = vec!["tea".to_owned()];
    /// let issued = auth.issue(Login::new("alice").data(cart)).await?;
    /// assert_eq!(issued.identity().data(), &["tea"]);
    /// # Ok(())
    /// # }
    /// ```
    pub fn with_data<T>(self) -> SessionBuilder<S, T> {
        SessionBuilder {
            settings: self.settings,
            data: DataReader::default(),
        }
    }

    /// Sets how to read data that do not decode as the present type. `other` gets their JSON, or
    /// `null` if the login has no data. If it returns `None`, or is not set, the login is
    /// [unreadable](crate::Error::is_unreadable) for this version of the service, and goes on.
    ///
    /// Use it where serde's `default` and `alias` are not enough. Reading changes no stored data.
    /// Set it after [`with_data`](Self::with_data), which discards it.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use statewise::session::SessionAuthenticator;
    /// # use statewise::store::MemoryStore;
    /// /// Reads the data of logins from before: the whole name in one text.
    /// fn read_whole_name(json: &[u8]) -> Option<(String, String)> {
    ///     let name: String = serde_json::from_slice(json).ok()?;
    ///     let (first, last) = name.split_once(' ')?;
    ///     Some((first.to_owned(), last.to_owned()))
    /// }
    ///
    /// let auth = SessionAuthenticator::builder(MemoryStore::with_capacity(100_000)?)
    ///     .idle(Duration::from_secs(30 * 60))
    ///     .absolute(Duration::from_secs(12 * 3600))
    ///     .with_data::<(String, String)>()
    ///     .data_or_else(read_whole_name)
    ///     .build()?;
    /// # Ok::<(), statewise::Error>(())
    /// ```
    pub fn data_or_else(
        mut self,
        other: impl Fn(&[u8]) -> Option<D> + Send + Sync + 'static,
    ) -> Self {
        self.data = DataReader::or_else(other);
        self
    }

    /// Sets the idle and the absolute timeout of [remembered](crate::Login::remember) sessions, in
    /// whole seconds. Default: those of all other sessions.
    ///
    /// A longer timeout counts for new sessions only. A shorter one counts at once, with one exception:
    /// **without this
    /// setting, shorter timeouts of all other sessions do not count for remembered sessions that exist
    /// already**: a node that knows no remembered sessions must not end those of other nodes. If you
    /// call [`remember`](crate::Login::remember) for the cookie alone, pass the timeouts of all other
    /// sessions here too.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use statewise::session::SessionAuthenticator;
    /// # use statewise::store::MemoryStore;
    /// const DAY: Duration = Duration::from_secs(24 * 3600);
    ///
    /// let auth = SessionAuthenticator::builder(MemoryStore::with_capacity(100_000)?)
    ///     .idle(Duration::from_secs(30 * 60))
    ///     .absolute(DAY / 2)
    ///     .remembered(30 * DAY, 90 * DAY)
    ///     .build()?;
    /// # Ok::<(), statewise::Error>(())
    /// ```
    pub fn remembered(mut self, idle: Duration, absolute: Duration) -> Self {
        self.settings.remembered = Some((idle, absolute));
        self
    }

    /// Sets the age at which a credential is [due for a refresh](crate::Identity::refresh_due), in
    /// whole seconds. Default: never. Without it a credential is due when its roles have changed,
    /// and the application refreshes when it wants to.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use statewise::session::SessionAuthenticator;
    /// # use statewise::store::MemoryStore;
    /// let auth = SessionAuthenticator::builder(MemoryStore::with_capacity(100_000)?)
    ///     .idle(Duration::from_secs(30 * 60))
    ///     .absolute(Duration::from_secs(12 * 3600))
    ///     // A stolen credential is replaced, and its reuse detected, after an hour.
    ///     .rotate_after(Duration::from_secs(3600))
    ///     .build()?;
    /// # Ok::<(), statewise::Error>(())
    /// ```
    pub fn rotate_after(mut self, age: Duration) -> Self {
        self.settings.rotate_after = Some(age);
        self
    }

    /// Sets how long after a rotation the replaced credential is accepted in any case, and the new
    /// one is not rotated again, so that requests in flight and other tabs keep working. It counts
    /// again from the first use of the new credential, as the response that carried it may have
    /// been lost and replayed. Default: 10 seconds.
    ///
    /// Each node judges by its own clock and in whole seconds. A response and the request after it
    /// must fit into the overlap minus the clock skew between nodes minus one second.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use statewise::session::SessionAuthenticator;
    /// # use statewise::store::MemoryStore;
    /// # use statewise::testkit::{ManualClock, block_on};
    /// use statewise::{Authenticator, Login, Rejection};
    ///
    /// # block_on(async {
    /// # let clock = ManualClock::default();
    /// let auth = SessionAuthenticator::builder(MemoryStore::with_capacity(100)?)
    ///     .idle(Duration::from_secs(1800))
    ///     .absolute(Duration::from_secs(12 * 3600))
    ///     // Phones in the underground: a response may need half a minute.
    ///     .overlap(Duration::from_secs(30))
    ///     .grace(Duration::from_secs(60))
    /// #     .clock(clock.clone())
    ///     .build()?;
    /// let old = auth.issue(Login::new("alice")).await?;
    /// let new = auth.refresh(old.credential().reveal()).await?;
    /// auth.verify(new.credential().reveal()).await?;
    /// # clock.advance(Duration::from_secs(20));
    /// // After 20 seconds, a request in flight still has the old credential.
    /// assert!(auth.verify(old.credential().reveal()).await.is_ok());
    /// # clock.advance(Duration::from_secs(20));
    /// // After 40 seconds, only a thief has it.
    /// let error = auth.verify(old.credential().reveal()).await.unwrap_err();
    /// assert_eq!(error.rejection(), Some(Rejection::Reused));
    /// # Ok::<(), statewise::Error>(()) }).unwrap();
    /// ```
    pub fn overlap(mut self, overlap: Duration) -> Self {
        self.settings.overlap = overlap;
        self
    }

    /// Sets how long after a rotation the replaced credential is accepted while its successor has
    /// not been used, as the response that carried the successor may be lost. At least the overlap.
    /// Default: 30 seconds. In a [hybrid](crate::hybrid#refreshing), each refresh after the overlap prolongs it.
    pub fn grace(mut self, grace: Duration) -> Self {
        self.settings.grace = grace;
        self
    }

    /// Treats an orphaned credential as stolen: one that was replaced, comes back after the grace,
    /// and has a successor that was never used. Default: it is treated as the sign of a lost
    /// response, and gets a successor.
    ///
    /// With the default, a client that was offline when its response arrived stays logged in. The
    /// price: a thief of that one credential shares the login until the first of the two uses the successor
    /// that it got (sessions), or refreshes again ([hybrid](crate::hybrid#a-stolen-refresh-credential)). Choose
    /// this where logging a user out is better than that.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use statewise::session::SessionAuthenticator;
    /// # use statewise::store::MemoryStore;
    /// let banking = SessionAuthenticator::builder(MemoryStore::with_capacity(100_000)?)
    ///     .idle(Duration::from_secs(10 * 60))
    ///     .absolute(Duration::from_secs(3600))
    ///     .reject_orphaned()
    ///     .build()?;
    /// # Ok::<(), statewise::Error>(())
    /// ```
    pub fn reject_orphaned(mut self) -> Self {
        self.settings.reject_orphaned = true;
        self
    }

    /// Sets how often this node replays the successor of one replaced credential within ten
    /// seconds. Beyond it the refresh is *refused* as
    /// [`RefreshLimit`](crate::Refusal::RefreshLimit), and works again afterwards. Default: 1000.
    pub fn max_replays(mut self, max: u32) -> Self {
        self.settings.max_replays = max;
        self
    }

    /// Sets how many sessions a subject may have at once (OWASP ASVS 7.1.2). Default: unlimited.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use statewise::store::MemoryStore;
    /// use statewise::session::{Limit, SessionAuthenticator};
    ///
    /// let auth = SessionAuthenticator::builder(MemoryStore::with_capacity(100_000)?)
    ///     .idle(Duration::from_secs(30 * 60))
    ///     .absolute(Duration::from_secs(12 * 3600))
    ///     // A sixth login is refused. `EvictOldest` would end the oldest one instead, and
    ///     // `EvictLeastRecentlyUsed` the one that was not used for the longest time.
    ///     .limit(Limit::Reject(5))
    ///     .build()?;
    /// # Ok::<(), statewise::Error>(())
    /// ```
    pub fn limit(mut self, limit: Limit) -> Self {
        self.settings.limit = Some(limit);
        self
    }

    /// Sets how many bytes subject, roles, device, acr and step-up of a session may have together, with
    /// two or three bytes of overhead each. A login or an update beyond it is *refused* as
    /// [`TooLarge`](crate::Refusal::TooLarge). Default: 4096. Raise it if users are in hundreds of groups: each
    /// verification reads all of them. In a hybrid, they must fit into an
    /// [access token](crate::token::TokenBuilder::max_length) too.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use statewise::session::SessionAuthenticator;
    /// # use statewise::store::MemoryStore;
    /// # use statewise::testkit::block_on;
    /// use statewise::{Authenticator, Login, Refusal};
    ///
    /// # block_on(async {
    /// let groups = || (0..500).map(|group| format!("group-{group}"));
    /// let build = |bytes| {
    ///     SessionAuthenticator::builder(MemoryStore::with_capacity(100)?)
    ///         .idle(Duration::from_secs(1800))
    ///         .absolute(Duration::from_secs(12 * 3600))
    ///         .max_fields(bytes)
    ///         .build()
    /// };
    /// let error = build(4096)?.issue(Login::new("alice").roles(groups())).await.unwrap_err();
    /// assert_eq!(error.refusal(), Some(Refusal::TooLarge));
    /// assert!(build(16 * 1024)?.issue(Login::new("alice").roles(groups())).await.is_ok());
    /// # Ok::<(), statewise::Error>(()) }).unwrap();
    /// ```
    pub fn max_fields(mut self, bytes: usize) -> Self {
        self.settings.max_fields = bytes;
        self
    }

    /// Sets how many bytes of application data a session may have, as JSON. Default: 64 KiB.
    pub fn max_data(mut self, bytes: usize) -> Self {
        self.settings.max_data = bytes;
        self
    }

    /// Enforces the requirements of a standard: [`build`](Self::build) fails if a timeout is longer. Sets
    /// the defaults of [`rotate_after`](Self::rotate_after) and [`limit`](Self::limit). In a hybrid, it
    /// counts for the access tokens too. Default: none. See [`Preset`].
    pub fn preset(mut self, preset: Preset) -> Self {
        self.settings.preset = Some(preset);
        self
    }

    /// Makes [`revoke_all`](crate::Authenticator::revoke_all) of the sessions end something else of
    /// the subject too, such as its tickets. Call it once for each. Default: nothing else.
    ///
    /// If that cannot be ended, the sessions have ended all the same, and the call fails as
    /// *unavailable*: try again.
    pub fn also_ends(mut self, other: Arc<impl RevokeAll>) -> Self {
        self.settings.also_ends.0.push(other);
        self
    }

    /// Sets the source of time. Default: [`SystemClock`].
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.settings.clock = Some(Arc::new(clock));
        self
    }

    /// Sets the source of unguessable bytes. Default: [`SystemEntropy`].
    pub fn entropy(mut self, entropy: impl Entropy) -> Self {
        self.settings.entropy = Some(Arc::new(entropy));
        self
    }

    /// Checks the configuration and builds the authenticator.
    ///
    /// # Errors
    ///
    /// *Misuse*, with the remedy: a timeout below one second; an idle timeout longer than the
    /// absolute one; remembered sessions that expire before others; sessions that live longer than the
    /// [store allows](SessionStore::max_lifetime); a grace shorter than the overlap, or as long as the
    /// absolute timeout; an age of rotation that is never reached; a limit of zero sessions; or a setting
    /// that is weaker than the [preset](Self::preset) requires.
    pub fn build(mut self) -> Result<SessionAuthenticator<S, D>> {
        let settings = &mut self.settings;
        let of_preset = settings.preset.map(Preset::rotate_after);
        let of_preset = of_preset.filter(|age| *age < settings.absolute);
        settings.rotate_after = settings.rotate_after.or(of_preset);
        let logins = self
            .settings
            .logins(CredentialKind::Session, Namespace::default())?;
        Ok(SessionAuthenticator::new(logins, self.data))
    }
}

impl<S: SessionStore> Settings<S> {
    /// Checks the configuration and builds logins with credentials of `kind`, in `namespace`.
    pub(crate) fn logins(self, kind: CredentialKind, namespace: Namespace) -> Result<Logins<S>> {
        if let Some(preset) = self.preset {
            preset.check(
                ("idle timeout", self.idle),
                ("absolute timeout", self.absolute),
            )?;
            if let Some((idle, absolute)) = self.remembered {
                preset.check(
                    ("idle timeout of remembered logins", idle),
                    ("absolute timeout of remembered logins", absolute),
                )?;
            }
        }
        let timeouts = Timeouts::new(self.idle, self.absolute)?;
        let remembered = match self.remembered {
            Some((idle, absolute)) => Timeouts::new(idle, absolute)?,
            None => Timeouts::UNLIMITED,
        };
        if remembered.is_shorter(timeouts) {
            return Err(Error::misuse(
                "a remembered login would expire before another one: lengthen its timeouts",
            ));
        }
        if self.store.max_lifetime().as_secs() < timeouts.longest(remembered) {
            return Err(Error::misuse(
                "logins would live longer than their store allows: shorten the absolute timeout (of \
                 API keys the longest life, of tickets the lifetime), or raise the maximum lifetime of \
                 the revocation view of a cached store",
            ));
        }
        if self.grace < self.overlap {
            return Err(Error::misuse(
                "the grace is shorter than the overlap, in which every replaced credential is \
                 accepted: make it at least as long",
            ));
        }
        if self.grace >= self.absolute {
            return Err(Error::misuse(
                "the grace is as long as the absolute timeout: shorten it",
            ));
        }
        let rotate_after = match self.rotate_after {
            Some(age) if age >= self.absolute => {
                return Err(Error::misuse(
                    "credentials would be rotated after the absolute timeout, and so never: \
                     rotate earlier",
                ));
            }
            Some(age) => Some(whole_seconds("age at which credentials are rotated", age)?),
            None => None,
        };
        let default_limit = self.preset.map_or(Limit::Unlimited, |_| PRESET_LIMIT);
        let limit = self.limit.unwrap_or(default_limit);
        if limit.max() == Some(0) {
            return Err(Error::misuse(
                "the limit of logins per user is zero, so that no user could log in: allow at least one",
            ));
        }
        let policy = Policy {
            timeouts: [timeouts, remembered],
            windows: Windows {
                overlap: rounded_up(self.overlap),
                grace: rounded_up(self.grace),
            },
            rotate_after,
            reject_orphaned: self.reject_orphaned,
            limit,
            max_fields: self.max_fields,
            max_data: self.max_data,
        };
        Ok(Logins {
            kind,
            namespace,
            also_ends: self.also_ends,
            store: Arc::new(self.store),
            policy,
            replays: ReplayLimit::new(self.max_replays),
            clock: self.clock.unwrap_or_else(|| Arc::new(SystemClock)),
            entropy: self.entropy.unwrap_or_else(|| Arc::new(SystemEntropy)),
            changes: RecentChanges::new(),
        })
    }
}

/// Returns whole seconds, rounded up so that a short window is not lost.
fn rounded_up(window: Duration) -> u64 {
    window.as_secs() + u64::from(window.subsec_nanos() > 0)
}

impl<S: fmt::Debug, D> fmt::Debug for SessionBuilder<S, D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SessionBuilder")
            .field(&self.settings)
            .finish()
    }
}
