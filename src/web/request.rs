//! Credentials that a request carries.

use std::sync::{Arc, OnceLock};

use crate::authenticator::Authenticator as _;
use crate::web::client::ClientKind;
use crate::web::config::LayerConfig;
use crate::web::cookie::CookieVersions;
use crate::web::denial::Denial;
use crate::web::denied::RequestHead;
use crate::web::found::Found;
use crate::web::headers::Headers;
use crate::web::transport::Carried;

/// Header lines of one request that may carry a credential.
///
/// The lines are shared with the request, not copied, and they are parsed only when a handler asks
/// for the caller.
pub(crate) struct RequestCredentials<D> {
    pub(crate) config: Arc<LayerConfig<D>>,
    pub(crate) client: ClientKind,
    pub(crate) head: RequestHead,
    cookies: Lines,
    authorization: Lines,
    /// Value that the authenticator has chosen from several cookies.
    chosen: OnceLock<Box<str>>,
}

/// Values of one header field. Most requests have one, which needs no allocation.
#[derive(Default)]
pub(crate) struct Lines {
    first: Option<Line>,
    others: Vec<Line>,
}

/// Value of a header field. Shared with the request where the framework allows it.
pub(crate) enum Line {
    #[cfg(feature = "tower")]
    Http(http::HeaderValue),
    #[cfg(feature = "actix")]
    Actix(actix_web::http::header::HeaderValue),
    Copied(Box<[u8]>),
}

impl Line {
    fn as_bytes(&self) -> &[u8] {
        match self {
            #[cfg(feature = "tower")]
            Self::Http(value) => value.as_bytes(),
            #[cfg(feature = "actix")]
            Self::Actix(value) => value.as_bytes(),
            Self::Copied(value) => value,
        }
    }
}

impl FromIterator<Line> for Lines {
    fn from_iter<I: IntoIterator<Item = Line>>(lines: I) -> Self {
        let mut lines = lines.into_iter();
        Self {
            first: lines.next(),
            others: lines.collect(),
        }
    }
}

impl Lines {
    /// Copies the values of a field.
    pub(crate) fn copied<H: Headers + ?Sized>(headers: &H, name: &str) -> Self {
        let mut lines = Vec::new();
        headers.each(name, &mut |value| lines.push(Line::Copied(value.into())));
        lines.into_iter().collect()
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
        head: RequestHead,
        mut lines: impl FnMut(&'static str) -> Lines,
    ) -> Self {
        let mut read = |is_read: bool, name| match is_read {
            true => lines(name),
            false => Lines::default(),
        };
        Self {
            cookies: read(config.transport.access().is_some(), "cookie"),
            authorization: read(config.transport.reads_bearer(), "authorization"),
            config,
            client,
            head,
            chosen: OnceLock::new(),
        }
    }

    /// Returns the credential that the request presents: the [chosen](Self::choose) one, or as by
    /// [`Transport::read`].
    ///
    /// [`Transport::read`]: crate::web::Transport::read
    pub(crate) fn carried(&self) -> Result<Carried<'_>, Denial> {
        if let Some(chosen) = self.chosen.get() {
            return Ok(Carried::in_cookie(chosen));
        }
        let is_ours = |value: &str| self.is_well_formed(value);
        self.config.transport.read(self, is_ours)
    }

    /// Returns all values of the access cookie, as by [`Transport::read_cookies`], if the
    /// authenticator must decide between them after it gave this answer to the first one.
    ///
    /// [`Transport::read_cookies`]: crate::web::Transport::read_cookies
    pub(crate) fn rivals(&self, denial: &Denial) -> Option<Result<Vec<Vec<&str>>, Denial>> {
        let is_cookie = || self.carried().is_ok_and(|carried| !carried.is_bearer());
        let has_former = || {
            self.config
                .transport
                .access()
                .is_some_and(CookieVersions::has_former)
        };
        let is_open = match denial {
            Denial::Ambiguous => true,
            denial => denial.is_rejected() && has_former() && is_cookie(),
        };
        let is_ours = |value: &str| self.is_well_formed(value);
        is_open.then(|| self.config.transport.read_cookies(self, is_ours))
    }

    /// Notes which of several cookies counts.
    pub(crate) fn choose(&self, credential: &str) {
        let _ = self.chosen.set(credential.into());
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

    /// Returns whether the request has an access cookie, although it carries no credential.
    pub(crate) fn carries_unknown(&self) -> bool {
        let cookie = self.config.transport.access();
        cookie.is_some_and(|cookie| {
            cookie.find(self, |value| !value.is_empty()) != Found::Absent
                && cookie.find(self, |value| self.is_well_formed(value)) == Found::Absent
        })
    }

    fn is_well_formed(&self, value: &str) -> bool {
        self.config.auth.is_well_formed(value)
    }
}
