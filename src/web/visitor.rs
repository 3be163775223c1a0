//! Visitor of a public page.

use std::fmt;

use crate::web::auth::Auth;
use crate::web::clone::clone_fields;

/// Visitor of a public page: a caller, or an anonymous visitor.
///
/// Take it as the argument of a handler for a public page (features `axum` and `actix`). A
/// rejected credential, such as the session of yesterday, makes the visitor anonymous, and the layer
/// removes its cookie. An outage is still a 503, because it is unknown whether the visitor is logged
/// in.
///
/// ```
/// use statewise::web::Visitor;
///
/// async fn home(visitor: Visitor) -> String {
///     match visitor.caller() {
///         Some(caller) => format!("hello {}", caller.subject()),
///         None if visitor.was_logged_in() => "welcome back, please log in".to_owned(),
///         None => "hello".to_owned(),
///     }
/// }
/// # let _ = home;
/// ```
pub struct Visitor<D = ()> {
    caller: Option<Auth<D>>,
    was_logged_in: bool,
}

impl<D> Visitor<D> {
    pub(crate) fn logged_in(caller: Auth<D>) -> Self {
        Self {
            caller: Some(caller),
            was_logged_in: false,
        }
    }

    pub(crate) fn anonymous(was_logged_in: bool) -> Self {
        Self {
            caller: None,
            was_logged_in,
        }
    }

    /// The verified caller, or `None` for an anonymous visitor.
    #[must_use]
    pub fn caller(&self) -> Option<&Auth<D>> {
        self.caller.as_ref()
    }

    /// Returns the verified caller, or `None` for an anonymous visitor.
    #[must_use]
    pub fn into_caller(self) -> Option<Auth<D>> {
        self.caller
    }

    /// Returns whether the request carries a credential that was rejected: usually that of a login
    /// that has expired or was revoked. It proves nothing, as a client can make one up.
    #[must_use]
    pub fn was_logged_in(&self) -> bool {
        self.was_logged_in
    }
}

clone_fields!(Visitor<D> { caller, was_logged_in });

impl<D> fmt::Debug for Visitor<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Visitor")
            .field("caller", &self.caller)
            .field("was_logged_in", &self.was_logged_in)
            .finish()
    }
}
