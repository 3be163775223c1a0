//! The builder of [`Tickets`]: purpose and lifetime are steps of their own.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::base::sha256;
use crate::clock::{Clock, whole_seconds};
use crate::entropy::Entropy;
use crate::error::{Error, Result};
use crate::observer::Observer;
use crate::session::SessionAuthenticator;
use crate::session::builder::SessionBuilder;
use crate::session::credential::CredentialKind;
use crate::session::namespace::Namespace;
use crate::store::ask::Limit;
use crate::store::session_store::SessionStore;
use crate::tickets::issuer::Tickets;

/// Default of [`TicketsBuilder::outstanding`].
const DEFAULT_OUTSTANDING: u32 = 8;
/// Maximum length of a purpose: it is a part of each subject in the index of the store.
const MAX_PURPOSE_BYTES: usize = 64;

/// First step of the builder: call [`purpose`](Self::purpose).
#[derive(Debug)]
pub struct NeedsPurpose<S> {
    store: S,
}

/// Second step of the builder: call [`lifetime`](Self::lifetime).
#[derive(Debug)]
pub struct NeedsLifetime<S> {
    store: S,
    purpose: String,
}

/// A complete configuration of tickets: change its defaults or [`build`](Self::build) it.
///
/// # Defaults
///
/// | setting | default | unit | source |
/// |---|---|---|---|
/// | `purpose` | none: required | text | |
/// | `lifetime` | none: required | whole seconds | |
/// | [`with_payload`](Self::with_payload) | `()` | type | |
/// | [`outstanding`](Self::outstanding) | 8 | tickets per subject | |
/// | [`bound`](Self::bound) | off | | |
/// | [`observer`](Self::observer) | none | | |
/// | [`clock`](Self::clock) | [`SystemClock`](crate::clock::SystemClock) | | |
/// | [`entropy`](Self::entropy) | [`SystemEntropy`](crate::entropy::SystemEntropy) | | |
#[must_use = "a builder does nothing until you call `build`"]
pub struct TicketsBuilder<S, P = ()> {
    purpose: String,
    lifetime: Duration,
    outstanding: u32,
    is_bound: bool,
    observer: Arc<dyn Observer>,
    rows: SessionBuilder<S, P>,
}

impl<S: SessionStore> Tickets<S> {
    /// Starts a configuration with the store that keeps the tickets. It may be that of the sessions,
    /// in an `Arc`. Set purpose and lifetime next.
    #[must_use]
    pub fn builder(store: S) -> NeedsPurpose<S> {
        NeedsPurpose { store }
    }
}

impl<S: SessionStore> NeedsPurpose<S> {
    /// Sets the act that the tickets are for, such as `password-reset`. A ticket of another purpose is
    /// rejected. At most 64 bytes.
    pub fn purpose(self, purpose: impl Into<String>) -> NeedsLifetime<S> {
        NeedsLifetime {
            store: self.store,
            purpose: purpose.into(),
        }
    }
}

impl<S: SessionStore> NeedsLifetime<S> {
    /// Sets how long a ticket is valid, in whole seconds. Use as few as the client needs: seconds for
    /// a handshake, minutes for a link.
    pub fn lifetime(self, lifetime: Duration) -> TicketsBuilder<S> {
        TicketsBuilder {
            purpose: self.purpose,
            lifetime,
            outstanding: DEFAULT_OUTSTANDING,
            is_bound: false,
            observer: Arc::new(()),
            rows: SessionAuthenticator::builder(self.store)
                .idle(lifetime)
                .absolute(lifetime)
                // Nothing is rotated.
                .overlap(Duration::ZERO)
                .grace(Duration::ZERO),
        }
    }
}

impl<S: SessionStore, P> TicketsBuilder<S, P> {
    /// Chooses the type of the payload, which the server keeps. Default: `()`.
    pub fn with_payload<T>(self) -> TicketsBuilder<S, T> {
        TicketsBuilder {
            purpose: self.purpose,
            lifetime: self.lifetime,
            outstanding: self.outstanding,
            is_bound: self.is_bound,
            observer: self.observer,
            rows: self.rows.with_data(),
        }
    }

    /// Sets how many tickets of this purpose a subject may have at once. A further one ends the
    /// oldest. Default: 8.
    ///
    /// If strangers can have tickets issued for a subject that they choose, such as a name or an address
    /// in a form, they can end the tickets of its user: each new one ends an older one. That is harmless
    /// where the user gets all of them, such as links in mails. For a challenge that the asking browser
    /// answers, pass a random text as the subject, and the name in the payload.
    pub fn outstanding(mut self, max: u32) -> Self {
        self.outstanding = max;
        self
    }

    /// Binds each ticket to a browser: [`issue`](Tickets::issue) also returns a
    /// [secret](crate::tickets::Ticket::browser_secret) for a cookie, without which the ticket is
    /// rejected. A browser that gets a second ticket loses the first one with its cookie.
    ///
    /// ```
    /// use std::time::Duration;
    /// use statewise::store::contract::SessionStore;
    /// use statewise::tickets::{Ticket, Tickets};
    /// use statewise::web::{Cookie, Denial, Found, Headers};
    ///
    /// const LIFETIME: Duration = Duration::from_secs(10 * 60);
    ///
    /// fn build<S: SessionStore>(store: S) -> statewise::Result<(Tickets<S>, Cookie)> {
    ///     let states = Tickets::builder(store).purpose("oauth-state").lifetime(LIFETIME);
    ///     let cookie = Cookie::builder().name("__Host-state").build()?;
    ///     Ok((states.bound().build()?, cookie))
    /// }
    ///
    /// /// Returns the line of `Set-Cookie` for a ticket.
    /// fn set_cookie(cookie: &Cookie, ticket: &Ticket) -> statewise::Result<Option<String>> {
    ///     let secret = ticket.browser_secret();
    ///     secret.map(|secret| cookie.set_for(secret, LIFETIME)).transpose()
    /// }
    ///
    /// /// Redeems the `state` of a callback. Send `cookie.remove()` with the answer.
    /// async fn callback<S: SessionStore, H: Headers>(
    ///     states: &Tickets<S>,
    ///     cookie: &Cookie,
    ///     headers: &H,
    ///     state: &str,
    /// ) -> Result<(), Denial> {
    ///     let secret = match cookie.find(headers, |_| true) {
    ///         Found::One(secret) => Some(secret),
    ///         _ => None,
    ///     };
    ///     states.redeem(state, secret).await.map(drop).map_err(Denial::of_ticket)
    /// }
    /// # let _ = (build::<statewise::store::MemoryStore>, set_cookie, callback::<statewise::store::MemoryStore, Vec<(String, String)>>);
    /// ```
    pub fn bound(mut self) -> Self {
        self.is_bound = true;
        self
    }

    /// Reports each call, with its failure if there is one. Default: nothing.
    pub fn observer(mut self, observer: impl Observer) -> Self {
        self.observer = Arc::new(observer);
        self
    }

    /// Sets the source of time. Default: [`SystemClock`](crate::clock::SystemClock).
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.rows = self.rows.clock(clock);
        self
    }

    /// Sets the source of unguessable bytes. Default:
    /// [`SystemEntropy`](crate::entropy::SystemEntropy).
    pub fn entropy(mut self, entropy: impl Entropy) -> Self {
        self.rows = self.rows.entropy(entropy);
        self
    }

    /// Checks the configuration and builds the [`Tickets`].
    ///
    /// # Errors
    ///
    /// *Misuse*, with the remedy: a purpose that is empty, longer than 64 bytes, or has control
    /// characters; a lifetime below one second, or longer than the
    /// [store allows](SessionStore::max_lifetime); or no outstanding ticket at all.
    pub fn build(self) -> Result<Tickets<S, P>> {
        whole_seconds("lifetime of a ticket", self.lifetime)?;
        if self.purpose.is_empty() || self.purpose.len() > MAX_PURPOSE_BYTES {
            return Err(Error::misuse(
                "the purpose of tickets is empty or longer than 64 bytes: name the act, such as \
                 `password-reset`",
            ));
        }
        if self.purpose.contains(char::is_control) {
            return Err(Error::misuse(
                "the purpose of tickets has a control character: name the act, such as \
                 `password-reset`",
            ));
        }
        if self.outstanding == 0 {
            return Err(Error::misuse(
                "no ticket may be outstanding, so that none could be issued: allow at least one",
            ));
        }
        let purpose = sha256::half(self.purpose.as_bytes());
        let namespace = Namespace::new("ticket", &self.purpose);
        let rows = self.rows.limit(Limit::EvictOldest(self.outstanding));
        let SessionBuilder { settings, data } = rows;
        let rows = settings.logins(CredentialKind::Ticket { purpose }, namespace)?;
        Ok(Tickets {
            purpose: self.purpose,
            rows,
            payload: data,
            is_bound: self.is_bound,
            observer: self.observer,
        })
    }
}

impl<S: fmt::Debug, P> fmt::Debug for TicketsBuilder<S, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TicketsBuilder")
            .field("purpose", &self.purpose)
            .field("lifetime", &self.lifetime)
            .field("is_bound", &self.is_bound)
            .finish_non_exhaustive()
    }
}
