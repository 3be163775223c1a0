//! Answers to denials: those of the application, and redirects to its pages.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::error::Result;
use crate::login::issued::Credential;
use crate::web::answer::Answer;
use crate::web::client::{ClientKind, is_navigation};
use crate::web::cookie::Cookie;
use crate::web::denial::Denial;
use crate::web::found::Found;
use crate::web::headers::{Headers, first};
use crate::web::next_path::{NEXT, local_path, next_of, with_parameter};
use crate::web::request_line::{RequestLine, path_of};

/// Request that was denied, as far as its answer may depend on it.
///
/// [`AuthLayer::on_denial`](crate::web::AuthLayer::on_denial) passes it to your function.
///
/// ```
/// use statewise::web::{Answer, AuthLayer};
///
/// fn in_their_language(layer: AuthLayer) -> AuthLayer {
///     layer.on_denial(|denial, request| {
///         if !request.is_navigation() {
///             return None;
///         }
///         let is_german = request.header("accept-language").is_some_and(|tag| tag.starts_with("de"));
///         let text = if is_german { "Bitte anmelden" } else { "Please log in" };
///         Some(Answer::html(denial.status(), format!("<h1>{text}</h1>")))
///     })
/// }
/// # let _ = in_their_language;
/// ```
pub struct DeniedRequest<'a>(&'a RequestHead);

impl<'a> DeniedRequest<'a> {
    /// Method, such as `GET`.
    #[must_use]
    pub fn method(&self) -> &'a str {
        self.0.line.method()
    }

    /// Path and query. With the feature `axum` they are those of the client, also if the layer is
    /// inside of a nested router. Otherwise they are as the layer has seen them: another framework
    /// may have removed a prefix.
    #[must_use]
    pub fn path_and_query(&self) -> &'a str {
        self.0.line.target()
    }

    /// Returns whether the browser shows the answer as a page. Others are calls of scripts and
    /// programs, which expect a status and often JSON.
    #[must_use]
    pub fn is_navigation(&self) -> bool {
        self.0.is_navigation
    }

    /// Returns the first value of a header field, such as `accept-language`. The name is in lower
    /// case.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&'a str> {
        let value = first(&**self.0.headers.as_ref()?, name)?;
        std::str::from_utf8(value).ok()
    }
}

impl fmt::Debug for DeniedRequest<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DeniedRequest")
            .field("method", &self.method())
            .field("is_navigation", &self.is_navigation())
            .finish_non_exhaustive()
    }
}

/// Head of a request that may be denied.
pub(crate) struct RequestHead {
    pub(crate) line: RequestLine,
    /// The browser shows the answer as a page. Known only if an answer can depend on it.
    is_navigation: bool,
    /// The refresh page has just sent the browser back.
    is_sent_back: bool,
    /// The request is no use of its login.
    is_passive: bool,
    /// Header fields, if a function of the application may read them.
    headers: Option<Box<dyn Headers + Send + Sync>>,
}

impl RequestHead {
    /// Returns whether a browser that is redirected can repeat the request.
    fn is_repeatable(&self) -> bool {
        matches!(self.line.method(), "GET" | "HEAD")
    }
}

type OnDenial = dyn Fn(&Denial, &DeniedRequest<'_>) -> Option<Answer> + Send + Sync;

/// Pages that denials lead to.
#[derive(Clone, Default)]
pub(crate) struct DenialPages {
    pub(crate) on_denial: Option<Arc<OnDenial>>,
    /// Path and perhaps query of the login page.
    pub(crate) login: Option<Box<str>>,
    pub(crate) refresh: Option<RefreshPage>,
}

/// Page at which the layer refreshes the credentials of a browser.
#[derive(Clone)]
pub(crate) struct RefreshPage {
    path: Box<str>,
    /// Set while the browser is sent back, so that it is not redirected for ever if the new access
    /// cookie does not arrive, or the removal of a dead one has no effect.
    mark: Cookie,
    /// Line of `Set-Cookie` that sets the mark.
    set_mark: Box<str>,
}

/// Lifetime of the mark, for one redirect. The page after it [removes](DenialPages::unmark) the mark.
const MARK_LIFETIME: Duration = Duration::from_secs(10);

impl RefreshPage {
    /// Creates a page for the refresh credentials in `cookie`.
    pub(crate) fn new(path: Box<str>, cookie: &Cookie) -> Result<Self> {
        let mark = Cookie::builder()
            .name(format!("{}-done", cookie.name()))
            .max_age(MARK_LIFETIME)
            .unprefixed();
        let mark = match cookie.is_secure() {
            true => mark,
            false => mark.insecure(),
        };
        let mark = mark.build()?;
        let set_mark = mark.set(&Credential::new("1".to_owned()))?.into();
        Ok(Self {
            path,
            mark,
            set_mark,
        })
    }
}

/// Parameter of the refresh page: the page that was denied is not public.
const REQUIRED: &str = "required=1";

impl DenialPages {
    /// Returns the head of a request, as far as an answer can depend on it.
    pub(crate) fn head<H>(&self, line: RequestLine, client: ClientKind, headers: &H) -> RequestHead
    where
        H: Headers + Clone + Send + Sync + 'static,
    {
        let has_hook = self.on_denial.is_some();
        let has_page = has_hook || self.login.is_some() || self.refresh.is_some();
        RequestHead {
            line,
            is_navigation: has_page && is_navigation(headers),
            is_sent_back: self
                .refresh
                .as_ref()
                .is_some_and(|page| page.mark.find(headers, |_| true) != Found::Absent),
            is_passive: client.is_passive,
            headers: has_hook.then(|| Box::new(headers.clone()) as Box<_>),
        }
    }

    /// Returns whether a request asks the layer to refresh the credentials of a browser.
    pub(crate) fn is_refresh(&self, head: &RequestHead) -> bool {
        let page = self.refresh.as_ref();
        head.is_navigation
            && head.is_repeatable()
            && page.is_some_and(|page| *page.path == *head.line.path())
    }

    /// Returns whether a denied request leads to the refresh page.
    pub(crate) fn refreshes(&self, denial: &Denial, head: &RequestHead) -> bool {
        let is_curable = denial.is_rejected() || matches!(denial, Denial::Absent);
        is_curable
            && head.is_navigation
            && head.is_repeatable()
            && !head.is_passive
            && self.refresh.is_some()
            && !head.is_sent_back
            && !self.is_refresh(head)
            && !self.is_login(head)
    }

    fn is_login(&self, head: &RequestHead) -> bool {
        let login = self.login.as_deref().map(path_of);
        login == Some(head.line.path())
    }

    /// Returns the line of `Set-Cookie` that removes the mark of the refresh page. The caller of the
    /// request is known, so the new access cookie has arrived: when it expires, the browser may be
    /// redirected again.
    pub(crate) fn unmark(&self, head: &RequestHead) -> Option<String> {
        let page = self.refresh.as_ref().filter(|_| head.is_sent_back)?;
        (!self.is_refresh(head)).then(|| page.mark.remove().to_owned())
    }

    /// Returns the answer to a denial, unless it is the default one. `is_public` is true for a page
    /// that is shown to anonymous visitors too.
    pub(crate) fn answer(
        &self,
        denial: &Denial,
        head: &RequestHead,
        is_public: bool,
    ) -> Option<Answer> {
        if self.refreshes(denial, head) {
            let page = &*self.refresh.as_ref()?.path;
            let next = local_path(head.line.target()).unwrap_or("/");
            let mut address = with_parameter(page, NEXT, next);
            if !is_public {
                address.push('&');
                address.push_str(REQUIRED);
            }
            return Some(Answer::redirect(&address));
        }
        let hook = self.on_denial.as_ref();
        if let Some(answer) = hook.and_then(|hook| hook(denial, &DeniedRequest(head))) {
            return Some(answer);
        }
        if !denial.is_cured_by_login() || !head.is_navigation || self.is_login(head) {
            return None;
        }
        let next = local_path(head.line.target()).filter(|_| head.is_repeatable());
        let mut address = self.login_address(next)?;
        if let Some(acr) = denial.required_acr() {
            address = with_parameter(&address, "acr_values", acr);
        }
        if let Some(max_age) = denial.max_age() {
            address = with_parameter(&address, "max_age", &max_age.as_secs().to_string());
        }
        Some(Answer::redirect(&address))
    }

    /// Returns the address of the login page.
    fn login_address(&self, next: Option<&str>) -> Option<String> {
        let page = self.login.as_deref()?;
        Some(match next {
            Some(path) => with_parameter(page, NEXT, path),
            None => page.to_owned(),
        })
    }

    /// Returns the answer of the refresh page: back to the page that was denied, or to the login
    /// page if the refresh failed and that page requires a caller.
    pub(crate) fn after_refresh(&self, succeeded: bool, head: &RequestHead) -> Option<Answer> {
        let query = head.line.query();
        let next = next_of(query);
        let next = next.as_deref().unwrap_or("/");
        let is_required = query.split('&').any(|pair| pair == REQUIRED);
        if succeeded || !is_required {
            let mut answer = Answer::redirect(next);
            let page = self.refresh.as_ref()?;
            answer.add("set-cookie", page.set_mark.to_string());
            return Some(answer);
        }
        Some(Answer::redirect(&self.login_address(Some(next))?))
    }
}
