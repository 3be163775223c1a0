//! Reason why a request is not served.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::error::{Error, Refusal};
use crate::web::origin::CrossOrigin;

/// Reason why a request is not served.
///
/// Return it from your handlers with `?`: it is built from any [`Error`], and with the feature
/// `axum` it is a response, with `actix` an error that becomes one.
///
/// | cause | status | challenge, after scheme and realm | source |
/// |---|---|---|---|
/// | [`Absent`](Self::Absent) | 401 | no parameters | RFC 6750, section 3.1 |
/// | [`Unproven`](Self::Unproven) | 401 | no parameters | RFC 9110, section 15.5.2 |
/// | [`Malformed`](Self::Malformed) | 400 | `error="invalid_request"` | RFC 6750, section 3.1 |
/// | [`Ambiguous`](Self::Ambiguous) | 401 | `error="invalid_request"` | RFC 6750, section 2 |
/// | [`Failed`](Self::Failed), *rejected* | 401 | `error="invalid_token"` | RFC 6750, section 3.1 |
/// | [`TooOld`](Self::TooOld) | 401 | `error="insufficient_user_authentication"`, `max_age`; `acr_values` too if a class was required | RFC 9470, section 3 |
/// | [`WeakAcr`](Self::WeakAcr) | 401 | `error="insufficient_user_authentication"`, `acr_values` | RFC 9470, section 3 |
/// | [`MissingRole`](Self::MissingRole) | 403 | `error="insufficient_scope"` | RFC 6750, section 3.1 |
/// | [`NotALogin`](Self::NotALogin) | 403 | `error="insufficient_scope"` | RFC 6750, section 3.1 |
/// | [`Forbidden`](Self::Forbidden) | 403 | `error="insufficient_scope"` | RFC 6750, section 3.1 |
/// | [`CrossOrigin`](Self::CrossOrigin) | 403 | none | OWASP ASVS 3.5.1 |
/// | *refused*: an API key, which cannot be refreshed | 403 | none | |
/// | *refused*: the user has too many sessions, or has changed since the login began | 409 | none | |
/// | *refused*: the key to retire is the only one that signs, or the next one is too new | 409 | none | |
/// | *refused*: too large | 500 | none | |
/// | *refused*: capacity, refreshed too often | 429 | none; `Retry-After` | |
/// | *unavailable* | 503 | none; `Retry-After` | OWASP ASVS 16.5.3 |
/// | *misuse* | 500 | none | |
///
/// An outage is never a 401, because clients would drop valid credentials. A login that this version
/// of the service [cannot read](Error::is_unreadable) is *unavailable* for the same reason. All
/// rejections have the same answer (OWASP ASVS 6.3.8, 16.5.1).
///
/// # Login forms
///
/// To show the form again after a wrong password, answer with your page and put the denial into the
/// extensions of the response. The layer then keeps the page and reports the failed login:
///
/// ```
/// # #[cfg(feature = "tower")] {
/// use http::{HeaderValue, Response, StatusCode, header};
/// use statewise::web::Denial;
///
/// // With axum: (StatusCode::UNAUTHORIZED, Extension(Denial::Unproven), Html(form))
/// fn wrong_password(form: String) -> Response<String> {
///     let mut response = Response::new(form);
///     *response.status_mut() = StatusCode::UNAUTHORIZED;
///     let html = HeaderValue::from_static("text/html; charset=utf-8");
///     response.headers_mut().insert(header::CONTENT_TYPE, html);
///     response.extensions_mut().insert(Denial::Unproven);
///     response
/// }
/// # let _ = wrong_password;
/// # }
/// ```
///
/// [`AuthLayer::on_denial`](crate::web::AuthLayer::on_denial) gets this denial too: return `None` for
/// [`Unproven`](Self::Unproven) there.
///
/// # Log the cause
///
/// Bodies have no details. Only in debug builds the body of a *misuse* (500), for example a layer
/// with another data type, says what to change. With the feature `tracing` the layer logs denials:
/// see [`AuthLayer::observer`](crate::web::AuthLayer::observer). Wrap the authenticator in
/// [`Observed`](crate::Observed) to log its errors too. To handle denials in another way, take them
/// from the extensions of the response:
///
/// ```
/// # #[cfg(feature = "tower")] {
/// use http::Response;
/// use statewise::web::Denial;
///
/// // With axum: Router::new().. .layer(axum::middleware::map_response(log_denial))
/// async fn log_denial<B>(response: Response<B>) -> Response<B> {
///     if let Some(denial) = response.extensions().get::<Denial>() {
///         eprintln!("{}: {denial}", response.status());
///     }
///     response
/// }
/// # let _ = log_denial::<()>;
/// # }
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Denial {
    /// The request carries no credential.
    Absent,
    /// A login failed: unknown user, wrong password or wrong second factor. Return it from your
    /// login handler for all of them, so that the response does not tell which it was (OWASP ASVS
    /// 6.3.8).
    Unproven,
    /// The `Authorization` field has the scheme `Bearer`, but not its syntax.
    Malformed,
    /// The request carries two credentials, which may belong to two users.
    Ambiguous,
    /// An error of the authenticator, or of another call of this crate.
    Failed(Arc<Error>),
    /// The caller lacks a role. [`missing_role`](Self::missing_role) creates it.
    MissingRole {
        /// The roles of which the caller needs one, for your log. No answer shows them.
        any_of: Arc<[Box<str>]>,
    },
    /// The caller presents an [API key](crate::api_keys), and the route requires a login of the user.
    NotALogin,
    /// The caller fails a condition of your application. Return it from a handler for a caller that
    /// may not do this.
    Forbidden,
    /// The last authentication of the caller is too old.
    TooOld {
        /// Maximum age of the authentication, in whole seconds.
        max_age: Duration,
        /// The authentication context class, if one was required too: the caller has it. `None` if any
        /// authentication will do.
        acr: Option<Arc<str>>,
    },
    /// The caller authenticated in another way than required. If a maximum age was required too, the proof
    /// of the class meets it as well.
    WeakAcr {
        /// Required authentication context class. The challenge names it if it is printable ASCII
        /// without spaces, quotes and backslashes.
        acr: Arc<str>,
    },
    /// A page of another origin sent the request. Log its content: if the origin is that of your
    /// own pages, a proxy has changed the host.
    CrossOrigin(Arc<CrossOrigin>),
}

impl Denial {
    /// Returns the status code.
    #[must_use]
    pub fn status(&self) -> u16 {
        match self {
            Self::Absent
            | Self::Unproven
            | Self::Ambiguous
            | Self::TooOld { .. }
            | Self::WeakAcr { .. } => 401,
            Self::Malformed => 400,
            Self::MissingRole { .. } | Self::NotALogin | Self::Forbidden | Self::CrossOrigin(_) => {
                403
            }
            Self::Failed(error) if error.is_rejected() => 401,
            Self::Failed(error) if error.is_unavailable() => 503,
            Self::Failed(error) => match error.refusal() {
                Some(Refusal::NotRefreshable) => 403,
                Some(
                    Refusal::SessionLimit
                    | Refusal::Outdated
                    | Refusal::LastKey
                    | Refusal::NextKeyTooNew,
                ) => 409,
                Some(Refusal::Capacity | Refusal::RefreshLimit) => 429,
                Some(Refusal::TooLarge) | None => 500,
            },
        }
    }

    /// Returns whether the authenticator rejected the credential.
    #[must_use]
    pub fn is_rejected(&self) -> bool {
        self.error().is_some_and(Error::is_rejected)
    }

    /// Returns the authentication context class that the user must prove (again) to be admitted. Lead the
    /// user to the form for it, for example in [`AuthLayer::on_denial`](crate::web::AuthLayer::on_denial):
    ///
    /// ```
    /// use statewise::web::{Answer, AuthLayer};
    ///
    /// /// Leads browsers to the form for the second factor.
    /// fn with_second_factor(layer: AuthLayer) -> AuthLayer {
    ///     layer.on_denial(|denial, request| match denial.required_acr() {
    ///         Some("confirmed") if request.is_navigation() => Some(Answer::redirect("/confirm")),
    ///         _ => None,
    ///     })
    /// }
    /// # let _ = with_second_factor;
    /// ```
    #[must_use]
    pub fn required_acr(&self) -> Option<&str> {
        match self {
            Self::WeakAcr { acr } => Some(acr),
            Self::TooOld { acr, .. } => acr.as_deref(),
            _ => None,
        }
    }

    /// Returns the maximum age of an authentication, if that of the caller is older.
    pub(crate) fn max_age(&self) -> Option<Duration> {
        match self {
            Self::TooOld { max_age, .. } => Some(*max_age),
            _ => None,
        }
    }

    /// Returns whether a login can admit the user: the credential is missing or not valid, or the
    /// last authentication is too old or of another class.
    pub(crate) fn is_cured_by_login(&self) -> bool {
        match self {
            Self::Absent | Self::Ambiguous | Self::TooOld { .. } | Self::WeakAcr { .. } => true,
            denial => denial.is_rejected(),
        }
    }

    /// Creates the denial of a caller without a role. Return it where your application decides by a rule
    /// of its own; [`Auth::require_role`](crate::web::Auth::require_role) creates it for you.
    ///
    /// ```
    /// use statewise::web::{Auth, Denial};
    ///
    /// fn may_edit(caller: &Auth, document_owner: &str) -> Result<(), Denial> {
    ///     if caller.subject() == document_owner || caller.has_role("editor") {
    ///         return Ok(());
    ///     }
    ///     Err(Denial::missing_role("editor"))
    /// }
    /// # let _ = may_edit;
    /// ```
    #[must_use]
    pub fn missing_role(role: impl AsRef<str>) -> Self {
        Self::missing_any_role(&[role])
    }

    pub(crate) fn missing_any_role<R: AsRef<str>>(roles: &[R]) -> Self {
        let any_of = roles.iter().map(|role| role.as_ref().into()).collect();
        Self::MissingRole { any_of }
    }

    /// Creates the denial of a [ticket](crate::tickets) that was not redeemed. If the ticket was
    /// rejected, it is a [failed login](Self::Unproven), as the login that the request carries is not
    /// at fault: the browser keeps its cookie, and is not sent to the login page and back.
    ///
    /// ```
    /// use statewise::tickets::{TicketContent, Tickets};
    /// use statewise::store::MemoryStore;
    /// use statewise::web::Denial;
    ///
    /// async fn redeem(
    ///     tickets: &Tickets<MemoryStore>,
    ///     ticket: &str,
    /// ) -> Result<TicketContent<()>, Denial> {
    ///     tickets.redeem(ticket, None).await.map_err(Denial::of_ticket)
    /// }
    /// # let _ = redeem;
    /// ```
    #[must_use]
    pub fn of_ticket(error: Error) -> Self {
        match error.is_rejected() {
            true => Self::Unproven,
            false => error.into(),
        }
    }

    /// Returns the error, if the denial comes from one.
    #[must_use]
    pub fn error(&self) -> Option<&Error> {
        match self {
            Self::Failed(error) => Some(error),
            _ => None,
        }
    }
}

impl From<Error> for Denial {
    fn from(error: Error) -> Self {
        Self::Failed(Arc::new(error))
    }
}

impl From<CrossOrigin> for Denial {
    fn from(refused: CrossOrigin) -> Self {
        Self::CrossOrigin(Arc::new(refused))
    }
}

impl fmt::Display for Denial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Absent => "no credential",
            Self::Unproven => "failed login",
            Self::Malformed => "malformed authorization field",
            Self::Ambiguous => "more than one credential",
            Self::Failed(error) => return write!(f, "{error}"),
            Self::MissingRole { .. } => "missing role",
            Self::NotALogin => "an API key where a login of the user is required",
            Self::Forbidden => "forbidden by a condition of the application",
            Self::TooOld { .. } => "authentication too old",
            Self::WeakAcr { .. } => "another authentication context class is required",
            Self::CrossOrigin(refused) => {
                return write!(
                    f,
                    "request from another origin ({refused}): trust it with `OriginPolicy::trust`, \
                     or let your proxy keep the host"
                );
            }
        })
    }
}

impl std::error::Error for Denial {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.error()?.source()
    }
}
