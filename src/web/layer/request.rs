//! Credentials that a request carries.

use std::sync::Arc;

use http::header::{AUTHORIZATION, COOKIE, Entry};
use http::{HeaderMap, HeaderName, HeaderValue};

use crate::authenticator::Authenticator as _;
use crate::web::denial::Denial;
use crate::web::found::Found;
use crate::web::headers::Headers;
use crate::web::layer::client::ClientKind;
use crate::web::layer::config::LayerConfig;
use crate::web::transport::Carried;

/// Header lines of one request that may carry a credential. Immutable.
///
/// The lines are shared with the request, not copied, and they are parsed only when a handler asks
/// for the caller.
pub(crate) struct RequestCredentials<D> {
    pub(crate) config: Arc<LayerConfig<D>>,
    pub(crate) client: ClientKind,
    cookies: Lines,
    authorization: Lines,
}

/// Values of one header field. Most requests have one, which needs no allocation.
#[derive(Default)]
struct Lines {
    first: Option<HeaderValue>,
    others: Vec<HeaderValue>,
}

impl Lines {
    /// Shares the values of a field, and marks them in the request as sensitive so that `Debug`
    /// does not print them.
    fn share(headers: &mut HeaderMap, name: HeaderName) -> Self {
        let Entry::Occupied(mut entry) = headers.entry(name) else {
            return Self::default();
        };
        let mut values = entry.iter_mut().map(|value| {
            value.set_sensitive(true);
            value.clone()
        });
        Self {
            first: values.next(),
            others: values.collect(),
        }
    }
}

impl<D> Headers for RequestCredentials<D> {
    fn each<'a>(&'a self, name: &str, each: &mut dyn FnMut(&'a [u8])) {
        let lines = match name {
            "cookie" => &self.cookies,
            "authorization" => &self.authorization,
            _ => return,
        };
        let values = lines.first.iter().chain(&lines.others);
        values.for_each(|value| each(value.as_bytes()));
    }
}

impl<D: Send + Sync + 'static> RequestCredentials<D> {
    pub(crate) fn new(
        config: Arc<LayerConfig<D>>,
        client: ClientKind,
        headers: &mut HeaderMap,
    ) -> Self {
        let mut lines = |is_read: bool, name| {
            let lines = is_read.then(|| Lines::share(headers, name));
            lines.unwrap_or_default()
        };
        Self {
            cookies: lines(config.transport.access().is_some(), COOKIE),
            authorization: lines(config.transport.reads_bearer(), AUTHORIZATION),
            config,
            client,
        }
    }

    /// Returns the credential that the request presents, as by [`Transport::read`].
    ///
    /// [`Transport::read`]: crate::web::Transport::read
    pub(crate) fn carried(&self) -> Result<Carried<'_>, Denial> {
        let is_ours = |value: &str| self.is_well_formed(value);
        self.config.transport.read(self, is_ours)
    }

    /// Returns the refresh credential from its cookie, if there is one.
    pub(crate) fn refreshable(&self) -> Result<Option<&str>, Denial> {
        let Some(cookie) = self.config.transport.refresh() else {
            return Ok(None);
        };
        match cookie.find(self, |value| self.is_well_formed(value)) {
            Found::One(credential) => Ok(Some(credential)),
            Found::Absent => Ok(None),
            Found::Ambiguous(..) | Found::Malformed => Err(Denial::Ambiguous),
        }
    }

    /// Returns every possible credential of the request, as by [`Transport::read_all`].
    ///
    /// [`Transport::read_all`]: crate::web::Transport::read_all
    pub(crate) fn all_carried(&self) -> Result<Vec<&str>, Denial> {
        let is_ours = |value: &str| self.is_well_formed(value);
        self.config.transport.read_all(self, is_ours)
    }

    /// Returns whether the request has one of our cookies, with any value.
    pub(crate) fn carries_cookie(&self) -> bool {
        let mut cookies = self.config.transport.cookies();
        cookies.any(|cookie| cookie.find(self, |_| true) != Found::Absent)
    }

    fn is_well_formed(&self, value: &str) -> bool {
        self.config.auth.is_well_formed(value)
    }
}
