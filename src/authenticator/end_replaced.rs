//! The ends of logins that a new one replaces.

use crate::authenticator::Authenticator;
use crate::error::Result;
use crate::login::issued::{ended_by, replaced};
use crate::login::logout::Logout;

/// Ends the logins of replaced credentials. Returns their end; `None` if there was none. An error names
/// those that have ended before.
pub(crate) async fn end_replaced<A: Authenticator>(
    auth: &A,
    old: &[String],
) -> Result<Option<Logout>> {
    let mut ended: Option<Logout> = None;
    for credential in old {
        let logout = match replaced(auth.revoke(credential).await) {
            Ok(Some(logout)) => logout,
            Ok(None) => continue,
            Err(error) => return Err(error.with_ended(ended_by(&ended))),
        };
        ended = Some(match ended.take() {
            Some(before) => before.and(logout),
            None => logout,
        });
    }
    Ok(ended)
}
