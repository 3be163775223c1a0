//! Layer that authenticates the requests of a service, in any framework.

use std::fmt;
use std::sync::Arc;

use crate::authenticator::{Authenticator as _, DynAuthenticator};
use crate::clock::{Clock, SystemClock};
use crate::error::{Error, Result};
use crate::observer::Observer;
use crate::web::answer::Answer;
use crate::web::client::ClientKind;
use crate::web::clone::clone_fields;
use crate::web::config::{LayerConfig, default_observer, log_unobserved};
use crate::web::denial::Denial;
use crate::web::denied::{DenialPages, DeniedRequest, RefreshPage, RequestHead};
use crate::web::headers::Headers;
use crate::web::next_path::local_path;
use crate::web::origin::{CrossOrigin, OriginPolicy, is_unsafe};
use crate::web::request::{Lines, RequestCredentials};
use crate::web::request_line::RequestLine;
use crate::web::response::answered;
use crate::web::serving::{Begun, Serving, refresh_page};
use crate::web::sign_in::SignIn;
use crate::web::transport::Transport;

/// Layer that authenticates the requests of any service, with any authenticator.
///
/// With the feature `tower` it is a layer of tower, for axum, hyper and tonic. With `actix` it is a
/// middleware of actix-web: `App::new()...wrap(layer.clone())`. In other frameworks
/// call [`begin`](Self::begin) before the handlers and [`Serving::finish`] after them.
///
/// ```
/// use std::sync::Arc;
/// use statewise::DynAuthenticator;
/// use statewise::web::{AuthLayer, Cookie, Transport};
///
/// fn layer(auth: Arc<dyn DynAuthenticator<()>>) -> statewise::Result<AuthLayer> {
///     // With axum: Router::new().route("/", get(home)).layer(layer(auth)?)
///     AuthLayer::new(auth, Transport::cookie(Cookie::default()))?.login_page("/login")
/// }
/// # let _ = layer;
/// ```
///
/// The layer alone admits every request. A handler that takes [`Auth`](crate::web::Auth), a guard
/// ([`Require`](crate::web::Require)) or a call of [`SignIn`] verifies the credential, once per
/// request. For the response, the layer
///
/// 1. revokes the login of this request if the response is a 5xx (gRPC: a failure status), an error
///    or a panic;
/// 2. rotates a credential in a cookie that is due, before it sends the head of the response. A 5xx
///    rotates too;
/// 3. answers a [`Denial`]: with a redirect to your [login page](Self::login_page), with
///    [your own answer](Self::on_denial), in the gRPC form, or else with the status as plain text;
/// 4. adds the challenge and `Retry-After` of a denial;
/// 5. sets or removes the cookies, each once;
/// 6. adds `Vary` and `Cache-Control: no-store` to every response that depends on a credential or
///    hands one out. A response that is marked `private` and sets no cookie keeps its
///    `Cache-Control`. Removes the fields that some shared caches obey instead
///    (`CDN-Cache-Control` and similar ones, RFC 9213; `Surrogate-Control`, `Edge-Control`,
///    `X-Accel-Expires`).
///
/// # Defaults
///
/// | setting | default | source |
/// |---|---|---|
/// | [`origins`](Self::origins), with a cookie | unsafe requests of other origins are denied with 403 before the service sees them | OWASP ASVS 3.5.1 |
/// | [`origins`](Self::origins), without a cookie | all origins are allowed: no browser sends a bearer token without a script | |
/// | [`login_page`](Self::login_page) | none: a denied navigation gets 401 | |
/// | [`refresh_page`](Self::refresh_page) | none: a script refreshes | |
/// | [`on_denial`](Self::on_denial) | status as plain text, without details | OWASP ASVS 16.5.1 |
/// | [`observer`](Self::observer) | that of the authenticator; else with the feature `tracing` a `TracingObserver` | OWASP ASVS 16.3 |
/// | [`passive`](Self::passive) | none: every request is a use of its login | OWASP ASVS 7.3.1 |
/// | [`clock`](Self::clock) | [`SystemClock`] | |
///
/// # Rejected cookies
///
/// A rejected cookie is removed, with any status of the response, so that the next visit is
/// anonymous. It stays if the browser reports that a script sent the request: the request may have
/// been sent before another tab logged in. It also stays if the service cannot
/// [read](crate::Error::is_unreadable) the login, which is a 503: after a rollback of the deployment
/// the visitor is back. A new login replaces the cookie.
///
/// # Deployment
///
/// `Secure` cookies need HTTPS between browser and server. TLS may end at a proxy before this
/// service; the layer reads no `X-Forwarded` fields. Put the layer outside of the handlers and
/// guards that ask for the caller, and inside of a layer that turns panics into responses. In nested
/// routers of axum it sees whole paths (feature `axum`); with another framework that removes a prefix, put
/// it outside of them.
pub struct AuthLayer<D = ()> {
    pub(crate) config: Arc<LayerConfig<D>>,
}

impl<D: Send + Sync + 'static> AuthLayer<D> {
    /// Creates a layer for credentials of `auth` that requests carry as `transport` describes.
    ///
    /// Pass an `Arc` of any authenticator as `auth`; it is type-erased.
    ///
    /// # Errors
    ///
    /// *Misuse* if `auth` issues refresh credentials, as the
    /// [hybrid](crate::hybrid::HybridAuthenticator) does, and the transport has a cookie for access
    /// tokens, but none for them: see [`Transport::refresh_cookie`].
    pub fn new(auth: Arc<dyn DynAuthenticator<D>>, transport: Transport) -> Result<Self> {
        if transport.access().is_some()
            && transport.refresh().is_none()
            && auth.has_refresh_credentials()
        {
            return Err(Error::misuse(
                "this authenticator issues refresh credentials, and the transport has no cookie \
                 for them: add one with `Transport::refresh_cookie`, or use `Transport::bearer`",
            ));
        }
        let origins = transport.access().map(|_| OriginPolicy::new());
        let observer = auth.observer().or_else(|| {
            log_unobserved();
            default_observer()
        });
        Ok(Self {
            config: Arc::new(LayerConfig {
                auth,
                transport,
                origins,
                clock: Arc::new(SystemClock),
                pages: DenialPages::default(),
                passive: None,
                observer,
                has_reported_loss: Arc::default(),
                has_reported_path: Arc::default(),
                #[cfg(all(feature = "tower", any(test, feature = "testkit")))]
                assumed: None,
            }),
        })
    }

    /// Redirects navigations to the login page (303 See Other) instead of answering them with 401, if a
    /// login can help. Requests of scripts and programs get 401 as before, with the challenge.
    ///
    /// | denial | the address of the login page gets | the page |
    /// |---|---|---|
    /// | a missing, rejected or ambiguous credential | `next` | asks who the visitor is |
    /// | [`TooOld`](Denial::TooOld) | `next`, and `max_age` in seconds | asks the user for the password again |
    /// | [`WeakAcr`](Denial::WeakAcr) | `next`, and `acr_values` with the class | asks the user for the second factor, for example |
    /// | [`TooOld`](Denial::TooOld), where a class is required too | `next`, `acr_values` and `max_age` | the same: the user has the class, and proves it again |
    ///
    /// `max_age` and `acr_values` have the names and the meaning of RFC 9470, section 4, so you can pass
    /// them on to a login provider. A visitor can change them: they choose the text of the page, and the
    /// guard decides. Read `acr_values` first: a page that asks for the password because of `max_age` ends in a
    /// login without the class. A login page that sends logged-in users back to `next` must not do so if
    /// one of the two is there: the guard would send them back, and the browser would give up.
    ///
    /// `next` has path and query of the denied page, if the browser can repeat the request. Links of
    /// your own get it by [`with_next`](crate::web::with_next). After the login, check it with
    /// [`local_path`] and redirect the browser there:
    ///
    /// ```
    /// use statewise::Login;
    /// use statewise::web::{Denial, SignIn, local_path};
    ///
    /// /// Returns the address for the redirect.
    /// async fn logged_in(sign_in: SignIn, next: Option<&str>) -> Result<String, Denial> {
    ///     // .. after the password check:
    ///     sign_in.issue(Login::new("alice")).await?;
    ///     Ok(next.and_then(local_path).unwrap_or("/").to_owned())
    /// }
    /// # let _ = logged_in;
    /// ```
    ///
    /// The form of the login page carries `next` on to the login handler, for example in a hidden
    /// field: escape it for HTML. To show the form again after a wrong password, see
    /// [`Denial`](crate::web::Denial#login-forms). The example `axum_sessions` is a complete site.
    ///
    /// The login page itself must be public: take [`Visitor`](crate::web::Visitor) there, or no
    /// caller at all. Denials of it are never redirected.
    ///
    /// # Errors
    ///
    /// *Misuse* if `page` is not a [`local_path`]: write `/login`.
    pub fn login_page(self, page: impl Into<String>) -> Result<Self> {
        let page = checked(page.into())?;
        Ok(self.with(|config| config.pages.login = Some(page)))
    }

    /// Refreshes the credentials of browsers that navigate, for a
    /// [hybrid](crate::hybrid::HybridAuthenticator) in cookies. The layer serves `page` itself.
    ///
    /// If the access token of a navigation has expired or is missing, the browser is redirected to
    /// this page, which gets the refresh cookie, refreshes, and sends the browser back (303 See
    /// Other). If the refresh credential is rejected, both cookies are removed. After a failed refresh,
    /// a page that requires a caller leads to the [`login_page`](Self::login_page). Scripts refresh
    /// with a POST to a route of your own, which calls [`SignIn::refresh`]; its path may be that of
    /// this page.
    ///
    /// ```
    /// use std::sync::Arc;
    /// use statewise::DynAuthenticator;
    /// use statewise::web::{AuthLayer, Cookie, Transport};
    ///
    /// fn layer(hybrid: Arc<dyn DynAuthenticator<()>>) -> statewise::Result<AuthLayer> {
    ///     // The browser sends the refresh credential below /auth only: put refresh and logout
    ///     // there, and the login, which ends a former one.
    ///     let refresh = Cookie::builder().name("__Secure-refresh").path("/auth").build()?;
    ///     let transport = Transport::cookie(Cookie::default()).refresh_cookie(refresh)?;
    ///     AuthLayer::new(hybrid, transport)?
    ///         .login_page("/auth/login")?
    ///         .refresh_page("/auth/refresh")
    /// }
    /// # let _ = layer;
    /// ```
    ///
    /// A public page that takes [`Visitor`](crate::web::Visitor) is refreshed too, if the request
    /// carries an expired access token. Without an access token its visitor is anonymous. Leave
    /// `SameSite` of the refresh cookie at `Lax`: with `Strict` the browser does not send it after a
    /// link from another site.
    ///
    /// The redirect back sets a cookie without a secret, for ten seconds: the name of the refresh
    /// cookie with the suffix `-done`. While the browser sends it, the layer does not redirect to
    /// this page again. So there is no endless redirect if the browser does not store or send the
    /// new access cookie. A response to a caller with the new cookie removes the mark, so access tokens
    /// may live shorter than that. One that expires before the browser is back, within a second or
    /// two, leads to the login page.
    ///
    /// # Errors
    ///
    /// *Misuse* if the transport has no refresh cookie, or if `page` is not below the path of that
    /// cookie or has a query.
    pub fn refresh_page(self, page: impl Into<String>) -> Result<Self> {
        let page = checked(page.into())?;
        let Some(cookie) = self.config.transport.refresh() else {
            return Err(Error::misuse(
                "a refresh page, but no cookie for refresh credentials: add one with \
                 `Transport::refresh_cookie`",
            ));
        };
        let cookie = &cookie.present;
        if !cookie.is_sent_to(&page) || page.contains(['?', '#']) {
            return Err(Error::misuse(format!(
                "the browser sends the refresh cookie below {} only: put the refresh page there, \
                 without a query",
                cookie.path(),
            )));
        }
        let page = RefreshPage::new(page, cookie)?;
        Ok(self.with(|config| config.pages.refresh = Some(page)))
    }

    /// Answers denials with your own pages. `None` is the answer that the layer gives without this
    /// function.
    ///
    /// The layer adds cookies, `Vary` and `Cache-Control` to your answer; if you keep the status of
    /// the denial, also challenge and `Retry-After`. If your handler or another layer has changed the
    /// status of a denial, it counts as answered. gRPC clients get the gRPC form.
    ///
    /// The function runs within the request: do not block. It is called after the redirect to the
    /// [`refresh_page`](Self::refresh_page), and before that to the [`login_page`](Self::login_page).
    ///
    /// ```
    /// use statewise::web::{Answer, AuthLayer};
    ///
    /// fn with_pages(layer: AuthLayer) -> AuthLayer {
    ///     layer.on_denial(|denial, request| {
    ///         let status = denial.status();
    ///         Some(if request.is_navigation() {
    ///             Answer::html(status, format!("<h1>{status}</h1>"))
    ///         } else {
    ///             Answer::json(status, format!("{{\"status\":{status}}}"))
    ///         })
    ///     })
    /// }
    /// # let _ = with_pages;
    /// ```
    #[must_use]
    pub fn on_denial(
        self,
        answer: impl Fn(&Denial, &DeniedRequest<'_>) -> Option<Answer> + Send + Sync + 'static,
    ) -> Self {
        self.with(|config| config.pages.on_denial = Some(Arc::new(answer)))
    }

    /// Selects other origins: their pages may send unsafe requests with the cookies of their
    /// visitors. Default: none.
    ///
    /// ```
    /// use statewise::web::{AuthLayer, OriginPolicy};
    ///
    /// fn with_app(layer: AuthLayer) -> statewise::Result<AuthLayer> {
    ///     Ok(layer.origins(OriginPolicy::new().trust("https://app.example.com")?))
    /// }
    /// # let _ = with_app;
    /// ```
    #[must_use]
    pub fn origins(self, origins: OriginPolicy) -> Self {
        self.with(|config| config.origins = Some(origins))
    }

    /// Allows requests of all origins. Use it only if your service prevents cross-site request
    /// forgery by other means.
    #[must_use]
    pub fn any_origin(self) -> Self {
        self.with(|config| config.origins = None)
    }

    /// Selects the requests that are [no use](crate::Presented::passive) of their login: a page sends
    /// them on its own, and they must not keep an unattended session alive. Their credential is
    /// verified, but not refreshed, and they never lead to the [`refresh_page`](Self::refresh_page).
    /// Default: every request is a use.
    ///
    /// The function gets method, path without the query, and header fields. A header that your own
    /// scripts set is a fine mark, because a client restricts only itself with it. Answer such
    /// requests with [`Auth::remaining`](crate::web::Auth::remaining) to warn the user in time.
    ///
    /// ```
    /// use statewise::web::AuthLayer;
    ///
    /// fn with_polls(layer: AuthLayer) -> AuthLayer {
    ///     layer.passive(|_method, path, fields| {
    ///         let mut is_marked = false;
    ///         fields.each("x-background", &mut |_| is_marked = true);
    ///         is_marked || path == "/notifications"
    ///     })
    /// }
    /// # let _ = with_polls;
    /// ```
    #[must_use]
    pub fn passive(
        self,
        is_passive: impl Fn(&str, &str, &dyn Headers) -> bool + Send + Sync + 'static,
    ) -> Self {
        self.with(|config| config.passive = Some(Arc::new(is_passive)))
    }

    /// Sets the clock of guards, of `expires_in` and of `Max-Age`. Default: [`SystemClock`].
    #[must_use]
    pub fn clock(self, clock: impl Clock) -> Self {
        self.with(|config| config.clock = Arc::new(clock))
    }

    /// Reports denials to an observer: failed logins, missing roles, logins that are too old or too
    /// weak, requests of other origins, and mistakes in the use of this crate (OWASP ASVS 16.3.1 to
    /// 16.3.3). Default: the observer of the authenticator if it is
    /// [`Observed`](crate::Observed); else with the feature `tracing` a `TracingObserver`.
    ///
    /// Logins, logouts and errors of the authenticator, such as an outage of its store, are not among them,
    /// except for a *misuse*. Wrap the authenticator in [`Observed`](crate::Observed), which reports those; the
    /// layer then reports to the same observer:
    ///
    /// ```
    /// # #[cfg(feature = "tracing")] {
    /// use std::sync::Arc;
    /// use statewise::observer::TracingObserver;
    /// use statewise::web::{AuthLayer, Cookie, Transport};
    /// use statewise::{DynAuthenticator, Observed, Result};
    ///
    /// fn logged(auth: Arc<dyn DynAuthenticator<()>>) -> Result<AuthLayer> {
    ///     let auth = Observed::new(auth, Arc::new(TracingObserver::new()));
    ///     AuthLayer::new(Arc::new(auth), Transport::cookie(Cookie::default()))
    /// }
    /// # let _ = logged;
    /// # }
    /// ```
    #[must_use]
    pub fn observer(self, observer: Arc<dyn Observer>) -> Self {
        self.with(|config| config.observer = Some(observer))
    }

    /// Takes `caller` for that of every request, also in layers inside of this one.
    #[cfg(all(feature = "tower", any(test, feature = "testkit")))]
    pub(crate) fn assume(self, caller: crate::web::auth::Auth<D>) -> Self {
        self.with(|config| config.assumed = Some(caller))
    }

    fn with(mut self, change: impl FnOnce(&mut LayerConfig<D>)) -> Self {
        change(Arc::make_mut(&mut self.config));
        self
    }

    /// Begins a request: checks its origin, and reads its credentials. Call it in a framework for
    /// which this crate has no layer, before the handlers.
    ///
    /// `target` is path and query. Pass the authority of the request's URI if it has one, as in
    /// HTTP/2.
    ///
    /// # Errors
    ///
    /// The answer to send instead of calling a handler: to a request of another origin, or of the
    /// [`refresh_page`](Self::refresh_page).
    ///
    /// # Cancel safety
    ///
    /// A refresh may have happened: the browser repeats it.
    pub async fn begin<H>(
        &self,
        method: &str,
        target: &str,
        authority: Option<&str>,
        headers: &H,
    ) -> Result<Serving<D>, Answer>
    where
        H: Headers + Clone + Send + Sync + 'static,
    {
        let line = RequestLine::Copied(method.into(), target.into());
        let admitted = self.config.admit(line, authority, headers);
        let (client, head) = admitted.map_err(|(_, answer)| answer)?;
        let copied = |name| Lines::copied(headers, name);
        match self.config.open(client, head, copied) {
            Begun::Serve(serving) => Ok(serving),
            Begun::Refresh(answer) => Err(answer.await),
        }
    }
}

fn checked(page: String) -> Result<Box<str>> {
    if local_path(&page).is_none() || page.contains('#') {
        return Err(Error::misuse(
            "a page is a path on this origin: write /login, without scheme, host and fragment",
        ));
    }
    Ok(page.into())
}

/// Client and head of an admitted request.
type Admitted = (ClientKind, RequestHead);

impl<D: Send + Sync + 'static> LayerConfig<D> {
    /// Checks the origin of a request. Returns the denial and its answer if it is refused.
    pub(crate) fn admit<H>(
        &self,
        line: RequestLine,
        authority: Option<&str>,
        headers: &H,
    ) -> Result<Admitted, (Denial, Answer)>
    where
        H: Headers + Clone + Send + Sync + 'static,
    {
        let mut client = ClientKind::of(line.method(), headers);
        if let Some(is_passive) = &self.passive {
            client.is_passive = is_passive(line.method(), line.path(), headers);
        }
        let head = self.pages.head(line, client, headers);
        if is_unsafe(head.line.method(), headers) {
            if let Err(refused) = self.check_origin(&head.line, authority, headers) {
                let denial = Denial::from(refused);
                self.report(&denial, &head.line, None, None);
                let answer = self.cross_origin(&denial, client, &head);
                return Err((denial, answer));
            }
            self.report_loss(headers);
        }
        Ok((client, head))
    }

    /// Opens the reply to a request. `lines` returns the values of a header field, shared or copied.
    pub(crate) fn open(
        self: &Arc<Self>,
        client: ClientKind,
        head: RequestHead,
        lines: impl FnMut(&'static str) -> Lines,
    ) -> Begun<D> {
        let is_refresh = self.pages.is_refresh(&head);
        let sign_in = SignIn::new(RequestCredentials::new(
            Arc::clone(self),
            client,
            head,
            lines,
        ));
        match is_refresh {
            true => Begun::Refresh(Box::pin(refresh_page(sign_in))),
            false => Begun::Serve(Serving::new(sign_in)),
        }
    }

    /// Returns the answer to a request of another origin, which the service does not see.
    fn cross_origin(&self, denial: &Denial, client: ClientKind, head: &RequestHead) -> Answer {
        let mut headers = Vec::new();
        let plain = denial.plain_answer().write(&mut headers);
        let custom = || self.pages.answer(denial, head, false);
        let finished = answered(denial, &self.transport, client, custom, &mut headers);
        headers.push(("cache-control".to_owned(), "no-store".to_owned()));
        Answer::from_parts(finished.status, headers, finished.body.unwrap_or(plain))
    }

    /// Checks whether the origin of an unsafe request may use the cookies that the request carries.
    fn check_origin<H>(
        &self,
        line: &RequestLine,
        authority: Option<&str>,
        headers: &H,
    ) -> Result<(), CrossOrigin>
    where
        H: Headers + ?Sized,
    {
        match &self.origins {
            // No browser sends a bearer token without a script.
            Some(origins) if !self.transport.has_token(headers) => {
                origins.check(line.method(), line.path(), authority, headers)
            }
            _ => Ok(()),
        }
    }
}

clone_fields!(AuthLayer<D> { config });

impl<D> fmt::Debug for AuthLayer<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuthLayer")
            .field("auth", &self.config.auth)
            .field("transport", &self.config.transport)
            .field("origins", &self.config.origins)
            .finish_non_exhaustive()
    }
}
