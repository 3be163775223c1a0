//! Configuration of a layer.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use crate::authenticator::DynAuthenticator;
use crate::clock::{self, Clock};
use crate::error::Error;
use crate::error::Result;
use crate::login::issued::Issued;
use crate::login::login_ref::LoginRef;
use crate::observer::event::{Act, Denied, Event};
use crate::observer::{Observer, print_mistake};
#[cfg(all(feature = "tower", any(test, feature = "testkit")))]
use crate::web::auth::Auth;
use crate::web::clone::clone_fields;
use crate::web::denial::Denial;
use crate::web::denied::DenialPages;
use crate::web::headers::Headers;
use crate::web::origin::OriginPolicy;
use crate::web::reply::{Factor, Tried};
use crate::web::request_line::RequestLine;
use crate::web::transport::Transport;

/// Rule of the application, over method, path and header fields.
pub(crate) type IsPassive = dyn Fn(&str, &str, &dyn Headers) -> bool + Send + Sync;

/// Configuration that all requests of an [`AuthLayer`](crate::web::AuthLayer) share.
pub(crate) struct LayerConfig<D> {
    pub(crate) auth: Arc<dyn DynAuthenticator<D>>,
    pub(crate) transport: Transport,
    /// Policy for requests of other origins; `None` allows all of them.
    pub(crate) origins: Option<OriginPolicy>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) pages: DenialPages,
    /// Rule of the application for [passive](crate::Presented::passive) requests.
    pub(crate) passive: Option<Arc<IsPassive>>,
    pub(crate) observer: Option<Arc<dyn Observer>>,
    /// A browser that loses the cookies has been reported.
    pub(crate) has_reported_loss: Arc<AtomicBool>,
    /// A logout at a path without the cookie that its login goes on with has been reported.
    pub(crate) has_reported_path: Arc<AtomicBool>,
    /// Caller that a test sets, without a credential.
    #[cfg(all(feature = "tower", any(test, feature = "testkit")))]
    pub(crate) assumed: Option<Auth<D>>,
}

clone_fields!(LayerConfig<D> {
    auth, transport, origins, clock, pages, passive, observer, has_reported_loss,
    has_reported_path;
    #[cfg(all(feature = "tower", any(test, feature = "testkit")))]
    assumed
});

impl<D> LayerConfig<D> {
    /// Returns the lines of `Set-Cookie` that hand out a login. The browser keeps a remembered one until
    /// its deadline: uses extend it without another line.
    pub(crate) fn cookies_of(&self, issued: &Issued<D>) -> Result<Vec<String>> {
        self.transport.set(issued, self.rest_of(issued)?)
    }

    /// The same for an updated login: the refresh cookie stays.
    pub(crate) fn access_cookie_of(&self, issued: &Issued<D>) -> Result<Vec<String>> {
        let credential = issued.credential();
        self.transport.set_access(credential, self.rest_of(issued)?)
    }

    /// Returns the time until the deadline of a remembered login.
    fn rest_of(&self, issued: &Issued<D>) -> Result<Option<Duration>> {
        let login = issued.identity();
        if !login.is_remembered() {
            return Ok(None);
        }
        let rest = login.deadline.saturating_since(clock::read(&*self.clock)?);
        Ok(Some(Duration::from_secs(rest)))
    }
}

/// Returns the observer of a layer to which the application gives none.
pub(crate) fn default_observer() -> Option<Arc<dyn Observer>> {
    #[cfg(feature = "tracing")]
    return Some(Arc::new(crate::observer::TracingObserver::new()));
    #[cfg(not(feature = "tracing"))]
    None
}

/// Logs that a layer sees denials alone: its authenticator has no observer.
pub(crate) fn log_unobserved() {
    #[cfg(feature = "tracing")]
    ::tracing::info!(
        target: "statewise",
        "logins, logouts and step-ups are not logged: build the layer around \
         `Observed::new(auth, Arc::new(TracingObserver::new()))`"
    );
}

/// The mistake of a page over plain HTTP.
const LOST_COOKIES: &str = "a page that is served over plain HTTP has sent a request: its browser drops `Secure` cookies, \
     so a login has no effect. Serve the page over HTTPS, or build the cookie with `insecure()` for \
     development";

impl<D> LayerConfig<D> {
    /// Reports a denial that no call of the authenticator has caused: those report themselves.
    pub(crate) fn report(
        &self,
        denial: &Denial,
        line: &RequestLine,
        login: Option<LoginRef<'_>>,
        tried: Option<&Tried>,
    ) {
        let denied = match denial {
            Denial::Absent => Denied::NoCredential,
            Denial::Malformed | Denial::Ambiguous => Denied::Unclear,
            Denial::Unproven => match tried {
                Some(Tried { subject, factor }) => match factor {
                    Factor::First => Denied::FailedLogin {
                        tried: Some(subject),
                    },
                    Factor::Second => Denied::FailedSecondFactor { tried: subject },
                },
                None => Denied::FailedLogin { tried: None },
            },
            Denial::MissingRole { any_of } => Denied::MissingRole { any_of },
            Denial::NotALogin => Denied::NotALogin,
            Denial::Forbidden => Denied::Forbidden,
            Denial::TooOld { max_age, acr } => Denied::TooOld {
                max_age: *max_age,
                acr: acr.as_deref(),
            },
            Denial::WeakAcr { acr } => Denied::WeakAcr { acr },
            Denial::CrossOrigin(refused) => Denied::CrossOrigin {
                origin: refused.origin(),
                host: refused.host(),
            },
            Denial::Failed(_) => return,
        };
        self.report_denied(denied, line, login);
    }

    /// Reports a denied request by its cause.
    pub(crate) fn report_denied(
        &self,
        denied: Denied<'_>,
        line: &RequestLine,
        login: Option<LoginRef<'_>>,
    ) {
        self.observe(&Event::Denied {
            denied,
            login,
            method: Some(line.method()),
            path: Some(line.path()),
        });
    }

    /// Reports, once, a browser that drops the cookies of a response: the page is served over plain
    /// HTTP.
    pub(crate) fn report_loss<H: Headers + ?Sized>(&self, headers: &H) {
        if self.has_reported_loss.load(Relaxed) || !self.transport.loses_cookies(headers) {
            return;
        }
        if !self.has_reported_loss.swap(true, Relaxed) {
            let error = Error::misuse(LOST_COOKIES);
            self.report_error(Act::Issue, &error);
            print_mistake(LOST_COOKIES);
        }
    }

    /// Refuses a path of a logout to which the browser does not send the cookie that its login goes on with.
    pub(crate) fn check_logout_path(&self, line: &RequestLine) -> Result<()> {
        let cookie = self.transport.refresh().or(self.transport.access());
        match cookie.map(|cookie| &cookie.present) {
            Some(cookie) if !cookie.is_sent_to(line.path()) => Err(Error::misuse(format!(
                "a logout at a path to which the browser does not send the cookie `{}`: a request without a \
                 credential removes the cookies, and its login goes on until it expires. Put the route of \
                 the logout below {}",
                cookie.name(),
                cookie.path(),
            ))),
            _ => Ok(()),
        }
    }

    /// Reports, once, the route of a logout that works only as long as the browser has the access cookie.
    pub(crate) fn report_misplaced(&self, error: &Error) {
        if !self.has_reported_path.swap(true, Relaxed) {
            self.report_error(Act::Revoke, error);
        }
    }

    /// Reports an error that the authenticator has not seen.
    pub(crate) fn report_error(&self, act: Act, error: &Error) {
        self.observe(&Event::failed(act, error));
    }

    fn observe(&self, event: &Event<'_>) {
        if let Some(observer) = &self.observer {
            observer.observe(event);
        }
    }
}
