//! Extractors for the handlers of actix-web.

use std::cell::Cell;
use std::fmt;
use std::future::{Ready, ready};
use std::rc::Rc;

use actix_web::dev::Payload;
use actix_web::http::StatusCode;
use actix_web::{FromRequest, HttpMessage, HttpRequest, HttpResponse, ResponseError};

use crate::error::Result;
use crate::web::actix::LocalFuture;
use crate::web::auth::Auth;
use crate::web::denial::Denial;
use crate::web::sign_in::SignIn;
use crate::web::visitor::Visitor;

/// Error of the extractors [`Auth`] and [`Visitor`] in actix-web: a [`Denial`].
///
/// You do not need to name it. A handler that answers denials itself takes `Result<Auth, Denial>`.
///
/// actix-web turns every error of an extractor into `None` where a handler takes an `Option`. For
/// `Option<Auth>` that would make every outage an anonymous user. The layer therefore drops the
/// response of such a handler and answers the denial, unless the denial is [`Denial::Absent`]. The
/// handler itself has run without a caller: take [`Visitor`] for public pages.
#[derive(Clone, Debug)]
pub struct AuthError {
    denial: Denial,
    /// The handler may not know of the denial.
    is_ignored: Rc<Cell<bool>>,
}

impl AuthError {
    /// Returns the denial that the handler of a request has ignored.
    pub(crate) fn ignored(request: &HttpRequest) -> Option<Denial> {
        let extensions = request.extensions();
        let error: &Self = extensions.get()?;
        error.is_ignored.get().then(|| error.denial.clone())
    }
}

impl From<AuthError> for Denial {
    fn from(error: AuthError) -> Self {
        error.is_ignored.set(false);
        error.denial
    }
}

impl fmt::Display for AuthError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.denial.fmt(f)
    }
}

impl std::error::Error for AuthError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.denial.source()
    }
}

impl ResponseError for AuthError {
    fn status_code(&self) -> StatusCode {
        self.denial.status_code()
    }

    fn error_response(&self) -> HttpResponse {
        self.denial.error_response()
    }
}

/// Extracts the verified caller, and denies all other requests.
impl<D: Send + Sync + 'static> FromRequest for Auth<D> {
    type Error = AuthError;
    type Future = LocalFuture<Result<Self, AuthError>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        extract(request, async |sign_in: SignIn<D>| sign_in.verify().await)
    }
}

/// Extracts the visitor of a public page.
impl<D: Send + Sync + 'static> FromRequest for Visitor<D> {
    type Error = AuthError;
    type Future = LocalFuture<Result<Self, AuthError>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        extract(request, async |sign_in: SignIn<D>| sign_in.visitor().await)
    }
}

impl<D: Send + Sync + 'static> FromRequest for SignIn<D> {
    type Error = Denial;
    type Future = Ready<Result<Self, Denial>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(Self::of_request(request))
    }
}

/// Asks for the caller, and notes a denial for the layer.
fn extract<T: 'static, D: Send + Sync + 'static>(
    request: &HttpRequest,
    ask: impl AsyncFnOnce(SignIn<D>) -> Result<T, Denial> + 'static,
) -> LocalFuture<Result<T, AuthError>> {
    let request = request.clone();
    Box::pin(async move {
        let asked = match SignIn::of_request(&request) {
            Ok(sign_in) => ask(sign_in).await,
            Err(denial) => Err(denial),
        };
        asked.map_err(|denial| {
            let is_ignored = Rc::new(Cell::new(!matches!(denial, Denial::Absent)));
            let error = AuthError { denial, is_ignored };
            request.extensions_mut().insert(error.clone());
            error
        })
    })
}
