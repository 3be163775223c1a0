//! Errors, split by blame.

use std::borrow::Cow;
use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use crate::base::public_id::PublicId;

mod ended_login;

pub use ended_login::EndCause;
pub(crate) use ended_login::EndedLogin;

/// The result of every fallible call of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An error, split by blame.
///
/// | predicate | to blame | status a web service answers |
/// |---|---|---|
/// | [`is_rejected`](Self::is_rejected) | the presented credential | 401 |
/// | [`is_refused`](Self::is_refused) | a rule of the service | 403, 409 or 429 |
/// | [`is_unavailable`](Self::is_unavailable) | a store, the clock, the entropy source, or a login that this version of the service [cannot read](Self::is_unreadable) | 503 |
/// | [`is_misuse`](Self::is_misuse) | the configuration or the calling code | 500 |
///
/// An outage is never reported as a rejection, and a rejection never as an outage: if a store is
/// down, no caller becomes an anonymous user (OWASP ASVS 16.5.3). A login that this service has
/// stored or signed, and cannot read, is *unavailable* too: the client keeps its credential. A
/// rejection allocates nothing, except one that reports a theft, or names a claim of another
/// issuer's token. Neither `Display` nor `Debug` contains a credential, a key or a part of one.
pub struct Error(Kind);

/// Text of an error of [`Error::unavailable`].
const THE_STORE: &str = "the store could not answer";

enum Kind {
    Rejected(Rejection),
    /// With the name of a claim.
    Claim(Rejection, Box<str>),
    Theft(Box<Theft>),
    Refused(Refusal),
    Unavailable(Box<Unavailable>),
    /// With the login, where it is known.
    Unreadable(Option<Box<PublicId>>),
    Misuse(Box<Misuse>),
    /// An error of any other kind, after the call has ended logins.
    Ended(Box<(Error, Vec<EndedLogin>)>),
}

struct Misuse {
    what: Cow<'static, str>,
    /// An event has reported it.
    is_reported: AtomicBool,
}

#[derive(Clone)]
struct Unavailable {
    what: &'static str,
    retry_after: Option<Duration>,
    source: Option<Arc<dyn StdError + Send + Sync>>,
}

/// The cause of a rejection. It contains nothing of the credential.
///
/// Use it in logs and metrics. Clients should get one uniform answer (OWASP ASVS 16.5.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Rejection {
    /// Wrong length, alphabet or form. Detected before any hashing and any call to a store.
    Malformed,
    /// The header of the token is not one that a key of the keyring writes. In the interop mode,
    /// its policy does not allow the header (RFC 8725, section 3.1).
    UnacceptableHeader,
    /// The signature does not match (RFC 7515, section 5.2).
    BadSignature,
    /// The signature matches, but the claims violate RFC 7519: they are not one object, a member is
    /// duplicated, a type is wrong, or a date is missing or out of range. In the interop mode: they
    /// are not one object, a member is duplicated, or they do not decode as the application's data.
    InvalidClaims,
    /// A claim of another issuer's token is required, and missing or empty: [`Error::claim`] names
    /// it.
    MissingClaim,
    /// A claim of another issuer's token has another type than required, or is a date out of range:
    /// [`Error::claim`] names it.
    WrongClaimType,
    /// A token of another issuer is valid for longer than the
    /// [maximum](crate::token::Interop::from_issuer).
    LivesTooLong,
    /// Past its expiry (RFC 7519, section 4.1.4).
    Expired,
    /// Not valid before a later time (RFC 7519, sections 4.1.5 and 4.1.6).
    NotYetValid,
    /// Issued by another issuer, or without one (RFC 7519, section 4.1.1).
    WrongIssuer,
    /// Meant for another audience (RFC 7519, section 4.1.3).
    WrongAudience,
    /// Its explicit type differs from the expected one (RFC 8725, section 3.11).
    WrongType,
    /// No such session: never issued here, ended, expired or forged. The cause does not distinguish
    /// these.
    Unknown,
    /// Ended by a revocation.
    Revoked,
    /// The login has changed since this access token was signed: its roles, or all logins of its user.
    /// The login goes on. Refresh, and present the new access token.
    Outdated,
    /// A replaced credential was presented after its successor was used, so there is a copy. The
    /// login has been ended; [`Error::theft`] returns its subject and id (RFC 9700, section
    /// 4.14.2).
    Reused,
    /// A valid token of another issuer, presented to be refreshed. Only its issuer can do that.
    NotRefreshable,
    /// Newer than the state of the store: the store lost a write. Rejected, but not a theft.
    Ahead,
    /// A ticket that is bound to another browser, or presented without the secret of its browser. It
    /// is not spent.
    WrongBrowser,
    /// Presented in a place where this strategy is not accepted, such as a session id as a bearer
    /// token: see [`Either`](crate::either::Either).
    WrongPlace,
}

/// The rule of the service that forbids the call.
///
/// ```
/// # use std::time::Duration;
/// # use statewise::store::MemoryStore;
/// # use statewise::testkit::block_on;
/// use statewise::session::{Limit, SessionAuthenticator};
/// use statewise::{Authenticator, Login, Refusal};
///
/// # block_on(async {
/// let auth = SessionAuthenticator::builder(MemoryStore::with_capacity(100)?)
///     .idle(Duration::from_secs(1800))
///     .absolute(Duration::from_secs(12 * 3600))
///     .limit(Limit::Reject(1))
///     .build()?;
/// let first = auth.issue(Login::new("alice")).await?;
/// let error = auth.issue(Login::new("alice")).await.unwrap_err();
/// assert_eq!(error.refusal(), Some(Refusal::SessionLimit));
/// assert!(auth.verify(first.credential().reveal()).await.is_ok());
/// # Ok::<(), statewise::Error>(()) }).unwrap();
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Refusal {
    /// The subject already has the maximum number of sessions (OWASP ASVS 7.1.2).
    SessionLimit,
    /// The store holds its maximum number of sessions.
    Capacity,
    /// Subject, roles, device, acr and data together are too large.
    TooLarge,
    /// One replaced credential was refreshed too often within a moment.
    RefreshLimit,
    /// The user was logged out everywhere, or changed, after this login had begun, or the login that it
    /// [continues](crate::Identity::into_login) has ended. Begin again: load
    /// the user, check the password, and issue a new login. See
    /// [`Login::begun`](crate::Login::begun).
    Outdated,
    /// An [API key](crate::api_keys) is never refreshed, and not stepped up: it stays as it is until it
    /// expires.
    NotRefreshable,
    /// The key to [retire](crate::token::TokenAuthenticator::retire_key) is the only one of the node that
    /// signs: without it, no login would be possible. First give every node a ring with another one.
    LastKey,
    /// The key that would sign after the one to [retire](crate::token::TokenAuthenticator::retire_key) came
    /// to the node less than a minute ago, so that other nodes may not know it. Call again in a minute.
    NextKeyTooNew,
}

/// The login that was ended because its replaced credential was presented again.
///
/// ```
/// # use std::time::Duration;
/// # use statewise::session::SessionAuthenticator;
/// # use statewise::store::MemoryStore;
/// # use statewise::testkit::{ManualClock, block_on};
/// use statewise::{Authenticator, Login};
///
/// # block_on(async {
/// # let clock = ManualClock::default();
/// let auth = SessionAuthenticator::builder(MemoryStore::with_capacity(100)?)
///     .idle(Duration::from_secs(1800))
///     .absolute(Duration::from_secs(12 * 3600))
/// #     .clock(clock.clone())
///     .build()?;
/// let stolen = auth.issue(Login::new("alice")).await?;
/// let fresh = auth.refresh(stolen.credential().reveal()).await?;
/// auth.verify(fresh.credential().reveal()).await?;
///
/// // A minute later the thief presents the replaced credential: the login ends for both.
/// # clock.advance(Duration::from_secs(60));
/// let error = auth.verify(stolen.credential().reveal()).await.unwrap_err();
/// assert_eq!(error.theft().map(|theft| theft.subject()), Some("alice"));
/// assert!(auth.verify(fresh.credential().reveal()).await.is_err());
/// # Ok::<(), statewise::Error>(()) }).unwrap();
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Theft {
    pub(crate) subject: Box<str>,
    pub(crate) login: PublicId,
}

impl Theft {
    /// The user whose login was ended.
    #[must_use]
    pub fn subject(&self) -> &str {
        &self.subject
    }

    /// The public id of the ended login.
    #[must_use]
    pub fn login(&self) -> PublicId {
        self.login
    }
}

impl Rejection {
    /// All causes.
    #[cfg(feature = "metrics")]
    pub(crate) const ALL: [Self; 20] = [
        Self::Malformed,
        Self::UnacceptableHeader,
        Self::BadSignature,
        Self::InvalidClaims,
        Self::MissingClaim,
        Self::WrongClaimType,
        Self::LivesTooLong,
        Self::Expired,
        Self::NotYetValid,
        Self::WrongIssuer,
        Self::WrongAudience,
        Self::WrongType,
        Self::Unknown,
        Self::Revoked,
        Self::Outdated,
        Self::Reused,
        Self::NotRefreshable,
        Self::Ahead,
        Self::WrongBrowser,
        Self::WrongPlace,
    ];

    /// Name in metrics and structured logs, such as `"bad_signature"`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::UnacceptableHeader => "unacceptable_header",
            Self::BadSignature => "bad_signature",
            Self::InvalidClaims => "invalid_claims",
            Self::MissingClaim => "missing_claim",
            Self::WrongClaimType => "wrong_claim_type",
            Self::LivesTooLong => "lives_too_long",
            Self::Expired => "expired",
            Self::NotYetValid => "not_yet_valid",
            Self::WrongIssuer => "wrong_issuer",
            Self::WrongAudience => "wrong_audience",
            Self::WrongType => "wrong_type",
            Self::Unknown => "unknown",
            Self::Revoked => "revoked",
            Self::Outdated => "outdated",
            Self::Reused => "reused",
            Self::NotRefreshable => "not_refreshable",
            Self::Ahead => "ahead",
            Self::WrongBrowser => "wrong_browser",
            Self::WrongPlace => "wrong_place",
        }
    }
}

impl Refusal {
    /// All rules.
    #[cfg(feature = "metrics")]
    pub(crate) const ALL: [Self; 8] = [
        Self::SessionLimit,
        Self::Capacity,
        Self::TooLarge,
        Self::RefreshLimit,
        Self::Outdated,
        Self::NotRefreshable,
        Self::LastKey,
        Self::NextKeyTooNew,
    ];

    /// Name in metrics and structured logs, such as `"session_limit"`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::SessionLimit => "session_limit",
            Self::Capacity => "capacity",
            Self::TooLarge => "too_large",
            Self::RefreshLimit => "refresh_limit",
            Self::Outdated => "outdated",
            Self::NotRefreshable => "not_refreshable",
            Self::LastKey => "last_key",
            Self::NextKeyTooNew => "next_key_too_new",
        }
    }
}

impl Error {
    /// Creates a rejection, for implementers of [`Authenticator`](crate::Authenticator).
    #[must_use]
    pub const fn rejected(cause: Rejection) -> Self {
        Self(Kind::Rejected(cause))
    }

    /// Creates a rejection that names the claim at fault. See
    /// [`Interop::map`](crate::token::Interop::map).
    ///
    /// ```
    /// use statewise::{Error, Rejection};
    ///
    /// let error = Error::rejected_claim(Rejection::MissingClaim, "user_id");
    /// assert_eq!(error.rejection(), Some(Rejection::MissingClaim));
    /// assert_eq!(error.claim(), Some("user_id"));
    /// assert_eq!(error.to_string(), "credential rejected: missing claim `user_id`");
    /// ```
    #[must_use]
    pub fn rejected_claim(cause: Rejection, claim: &str) -> Self {
        Self(Kind::Claim(cause, claim.into()))
    }

    /// Creates a refusal, for implementers of [`Authenticator`](crate::Authenticator).
    #[must_use]
    pub const fn refused(rule: Refusal) -> Self {
        Self(Kind::Refused(rule))
    }

    /// Creates an *unavailable* error, for implementers of
    /// [`SessionStore`](crate::store::contract::SessionStore). `source` must not contain a secret.
    ///
    /// Its text names the store. If the fetch of a `KeySetView`, a `Signer` or a revocation log returns
    /// it, the error that reaches the caller names that one instead.
    #[must_use]
    pub fn unavailable(source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self::could_not(THE_STORE, Some(source.into()))
    }

    /// Names what could not answer in an error of [`unavailable`](Self::unavailable), which blames the
    /// store. Other errors stay as they are.
    pub(crate) fn naming(mut self, what: &'static str) -> Self {
        if let Kind::Unavailable(unavailable) = &mut self.0
            && unavailable.what == THE_STORE
        {
            unavailable.what = what;
        }
        self
    }

    /// Names the revocation log, like [`naming`](Self::naming).
    pub(crate) fn of_the_log(self) -> Self {
        self.naming("the revocation log could not answer")
    }

    /// Creates an *unreadable* error, for implementers of
    /// [`SessionStore`](crate::store::contract::SessionStore): a stored record does not decode. It
    /// affects only the user of that record.
    #[must_use]
    pub const fn unreadable() -> Self {
        Self(Kind::Unreadable(None))
    }

    /// Names the login that is unreadable, if this is such an error and names none yet.
    #[cold]
    pub(crate) fn of_login(self, login: PublicId) -> Self {
        match self.0 {
            Kind::Unreadable(None) => Self(Kind::Unreadable(Some(Box::new(login)))),
            _ => self,
        }
    }

    /// Creates a *misuse* error: a mistake in the configuration or in the calling code. `what`
    /// tells the developer what to do.
    #[must_use]
    pub fn misuse(what: impl Into<Cow<'static, str>>) -> Self {
        Self(Kind::Misuse(Box::new(Misuse {
            what: what.into(),
            is_reported: AtomicBool::new(false),
        })))
    }

    /// Creates a [`Reused`](Rejection::Reused) rejection that names the ended login, for
    /// implementers of [`Authenticator`](crate::Authenticator).
    #[must_use]
    pub fn theft_of(subject: &str, login: PublicId) -> Self {
        Self(Kind::Theft(Box::new(Theft {
            subject: subject.into(),
            login,
        })))
    }

    pub(crate) fn could_not(
        what: &'static str,
        source: Option<Box<dyn StdError + Send + Sync>>,
    ) -> Self {
        Self(Kind::Unavailable(Box::new(Unavailable {
            what,
            retry_after: None,
            source: source.map(Arc::from),
        })))
    }

    /// Notes logins that the failed call has ended.
    pub(crate) fn with_ended(self, ended: impl IntoIterator<Item = EndedLogin>) -> Self {
        let mut ended = ended.into_iter().peekable();
        if ended.peek().is_none() {
            return self;
        }
        let mut both = match self.0 {
            Kind::Ended(both) => both,
            kind => Box::new((Self(kind), Vec::new())),
        };
        both.1.extend(ended);
        Self(Kind::Ended(both))
    }

    /// Logins that the failed call has ended.
    pub(crate) fn ended(&self) -> &[EndedLogin] {
        match &self.0 {
            Kind::Ended(both) => &both.1,
            _ => &[],
        }
    }

    fn kind(&self) -> &Kind {
        match &self.0 {
            Kind::Ended(both) => &both.0.0,
            kind => kind,
        }
    }

    /// Notes that an event reports this *misuse*, so that the web layer does not report it again.
    pub(crate) fn note_reported(&self) {
        if let Kind::Misuse(misuse) = self.kind() {
            misuse.is_reported.store(true, Relaxed);
        }
    }

    /// Returns true for a *misuse* that no event has reported.
    pub(crate) fn is_unreported_misuse(&self) -> bool {
        matches!(self.kind(), Kind::Misuse(misuse) if !misuse.is_reported.load(Relaxed))
    }

    /// Returns a copy of an *unavailable* error, to report it apart from its caller; `None` for another
    /// one.
    pub(crate) fn shared_outage(&self) -> Option<Self> {
        match self.kind() {
            Kind::Unavailable(unavailable) => Some(Self(Kind::Unavailable(unavailable.clone()))),
            _ => None,
        }
    }

    /// Sets the time after which a retry makes sense. Changes only *unavailable* errors.
    #[must_use]
    pub fn with_retry_after(mut self, after: Duration) -> Self {
        let kind = match &mut self.0 {
            Kind::Ended(both) => &mut both.0.0,
            kind => kind,
        };
        if let Kind::Unavailable(unavailable) = kind {
            unavailable.retry_after = Some(after);
        }
        self
    }

    /// Returns true if the presented credential is to blame.
    ///
    /// ```
    /// use statewise::{Error, Rejection};
    ///
    /// let error = Error::rejected(Rejection::Expired);
    /// assert!(error.is_rejected() && !error.is_unavailable());
    /// assert_eq!(error.rejection(), Some(Rejection::Expired));
    /// assert_eq!(error.to_string(), "credential rejected: expired");
    /// ```
    #[must_use]
    pub fn is_rejected(&self) -> bool {
        self.rejection().is_some()
    }

    /// Returns true if a rule of the service is to blame.
    ///
    /// ```
    /// use statewise::{Error, Refusal};
    ///
    /// assert!(Error::refused(Refusal::SessionLimit).is_refused());
    /// ```
    #[must_use]
    pub fn is_refused(&self) -> bool {
        self.refusal().is_some()
    }

    /// Returns true if a store, the clock or the entropy source could not answer, or if a login is
    /// [unreadable](Self::is_unreadable).
    ///
    /// ```
    /// use statewise::Error;
    ///
    /// assert!(Error::unavailable("connection refused").is_unavailable());
    /// ```
    #[must_use]
    pub fn is_unavailable(&self) -> bool {
        matches!(self.kind(), Kind::Unavailable(_) | Kind::Unreadable(_))
    }

    /// Returns true if the service cannot read a login that it has stored or signed itself: the row
    /// is damaged or of a newer version of this crate, or the application's data do not decode as
    /// its present type.
    ///
    /// Such an error is *unavailable*: the login goes on, and the client keeps its credential. It
    /// can be used again as soon as a version of the service runs that reads it; see
    /// [`SessionBuilder::data_or_else`](crate::session::SessionBuilder::data_or_else).
    ///
    /// ```
    /// use statewise::Error;
    ///
    /// let error = Error::unreadable();
    /// assert!(error.is_unreadable() && error.is_unavailable() && !error.is_rejected());
    /// ```
    #[must_use]
    pub fn is_unreadable(&self) -> bool {
        matches!(self.kind(), Kind::Unreadable(_))
    }

    /// The login that is unreadable, if the error is about one.
    #[must_use]
    pub fn unreadable_login(&self) -> Option<PublicId> {
        match self.kind() {
            Kind::Unreadable(login) => login.as_deref().copied(),
            _ => None,
        }
    }

    /// Returns true if the configuration or the calling code is to blame.
    ///
    /// ```
    /// use statewise::Error;
    ///
    /// assert!(Error::misuse("the issuer is empty: name the service").is_misuse());
    /// ```
    #[must_use]
    pub fn is_misuse(&self) -> bool {
        matches!(self.kind(), Kind::Misuse(_))
    }

    /// The cause, if the credential was rejected.
    #[must_use]
    pub fn rejection(&self) -> Option<Rejection> {
        match self.kind() {
            Kind::Rejected(cause) | Kind::Claim(cause, _) => Some(*cause),
            Kind::Theft(_) => Some(Rejection::Reused),
            _ => None,
        }
    }

    /// The claim at fault, if the credential was rejected for one that is known. Use it in logs.
    #[must_use]
    pub fn claim(&self) -> Option<&str> {
        match self.kind() {
            Kind::Claim(_, claim) => Some(claim),
            _ => None,
        }
    }

    /// The rule, if one forbids the call.
    #[must_use]
    pub fn refusal(&self) -> Option<Refusal> {
        match self.kind() {
            Kind::Refused(rule) => Some(*rule),
            _ => None,
        }
    }

    /// The ended login, if a stolen credential was detected.
    #[must_use]
    pub fn theft(&self) -> Option<&Theft> {
        match self.kind() {
            Kind::Theft(theft) => Some(theft),
            _ => None,
        }
    }

    /// The time after which a retry makes sense, if the failing part stated one.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        match self.kind() {
            Kind::Unavailable(unavailable) => unavailable.retry_after,
            _ => None,
        }
    }
}

impl From<Rejection> for Error {
    fn from(cause: Rejection) -> Self {
        Self::rejected(cause)
    }
}

impl From<Refusal> for Error {
    fn from(rule: Refusal) -> Self {
        Self::refused(rule)
    }
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Malformed => "malformed",
            Self::UnacceptableHeader => "unacceptable header",
            Self::BadSignature => "bad signature",
            Self::InvalidClaims => "invalid claims",
            Self::MissingClaim => "missing claim",
            Self::WrongClaimType => "claim of a wrong type",
            Self::LivesTooLong => "valid for too long",
            Self::Expired => "expired",
            Self::NotYetValid => "not yet valid",
            Self::WrongIssuer => "wrong issuer",
            Self::WrongAudience => "wrong audience",
            Self::WrongType => "wrong type",
            Self::Unknown => "unknown",
            Self::Revoked => "revoked",
            Self::Outdated => "outdated",
            Self::Reused => "reused after it was replaced",
            Self::NotRefreshable => "token of another issuer, which cannot be refreshed here",
            Self::Ahead => "ahead of the store",
            Self::WrongBrowser => "bound to another browser",
            Self::WrongPlace => "presented in the wrong place",
        })
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::SessionLimit => "the subject has the maximum number of sessions",
            Self::Capacity => "the store is full: raise its capacity, and spawn `upkeep`",
            Self::TooLarge => "the login is too large: keep its data elsewhere, or raise the limit",
            Self::RefreshLimit => "refreshed too often in a short time",
            Self::Outdated => "the user has changed since the login began: begin again",
            Self::NotRefreshable => "an API key is never replaced by another one",
            Self::LastKey => {
                "no other key of the ring could sign: first give every node a ring with another \
                 one, `Keyring::new(leaked).then(new, time)`"
            }
            Self::NextKeyTooNew => {
                "the next key is so new that other nodes may not know it: give every node the \
                 ring, and call again in a minute"
            }
        })
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Kind::Rejected(cause) => write!(f, "credential rejected: {cause}"),
            Kind::Claim(cause, claim) => write!(f, "credential rejected: {cause} `{claim}`"),
            Kind::Theft(_) => write!(f, "credential rejected: {}", Rejection::Reused),
            Kind::Refused(rule) => write!(f, "refused: {rule}"),
            Kind::Unavailable(unavailable) => write!(f, "unavailable: {}", unavailable.what),
            Kind::Unreadable(None) => f.write_str("unavailable: a login does not decode"),
            Kind::Unreadable(Some(login)) => {
                write!(f, "unavailable: the login {login} does not decode")
            }
            Kind::Misuse(misuse) => write!(f, "misuse: {}", misuse.what),
            Kind::Ended(both) => fmt::Display::fmt(&both.0, f),
        }
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Error({:?}", self.to_string())?;
        // As text, because `main` prints an error in this form, and the causes name the next step.
        let sources = std::iter::successors(self.source(), |source| (*source).source());
        for source in sources {
            write!(f, ", source: {:?}", source.to_string())?;
        }
        f.write_str(")")
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        match self.kind() {
            Kind::Unavailable(unavailable) => {
                let source = unavailable.source.as_deref()?;
                Some(source)
            }
            _ => None,
        }
    }
}
