//! Callers for tests of handlers.

use std::sync::Arc;

use crate::clock::{Clock, SystemClock};
use crate::login::Login;
use crate::login::identity::Identity;
use crate::web::Auth;

/// Seconds until the credential of a test caller expires.
const LIFETIME_SECS: u64 = 3600;

/// Creates the caller of a handler under test, without a credential. The caller has authenticated
/// just now, and the credential expires in an hour.
///
/// ```
/// use statewise::Login;
/// use statewise::testkit::{block_on, caller};
/// use statewise::web::{Auth, Denial};
///
/// async fn delete_account(caller: Auth) -> Result<String, Denial> {
///     caller.require_role("owner")?;
///     Ok(format!("goodbye, {}", caller.subject()))
/// }
///
/// let owner = caller(Login::new("alice").role("owner"));
/// assert_eq!(block_on(delete_account(owner)).unwrap(), "goodbye, alice");
/// assert_eq!(block_on(delete_account(caller(Login::new("bob")))).unwrap_err().status(), 403);
/// ```
///
/// # Panics
///
/// If the subject is empty, or the login is too large.
#[must_use]
pub fn caller<D>(login: Login<D>) -> Auth<D> {
    caller_at(login, SystemClock)
}

/// Creates a [`caller`] with a clock, usually a [`ManualClock`](crate::testkit::ManualClock). Move it
/// to make the authentication too old for [`Auth::require_fresh`].
///
/// # Panics
///
/// If the subject is empty, the login is too large, or the clock shows no time.
#[must_use]
pub fn caller_at<D>(login: Login<D>, clock: impl Clock) -> Auth<D> {
    Auth::new(unverified(login, &clock), Arc::new(clock))
}

/// Creates the identity of a test caller.
pub(crate) fn unverified<D>(login: Login<D>, clock: &impl Clock) -> Identity<D> {
    let now = clock.now().expect("the clock of a test caller is stopped");
    let expires_at = now.saturating_add(LIFETIME_SECS);
    let identity = Identity::unverified(login, now.into(), expires_at.into());
    identity.expect("a test caller has a subject, and fits into a login")
}
