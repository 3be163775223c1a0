//! An old and a new strategy, with logins that upgrades have made from one to the other.

use crate::authenticator::Authenticator;
use crate::error::Result;
use crate::login::handle::Handle;
use crate::login::issued::Revocation;
use crate::login::login_ref::LoginRef;
use crate::login::logout::Logout;
use crate::login::relatives::Relatives;

/// Two strategies, of which nodes upgrade logins from the first to the second.
pub(super) struct Pair<'a, Old, New> {
    pub(super) old: &'a Old,
    pub(super) new: &'a New,
    /// Effect of the end of an old login that another node ends, which has upgraded it.
    pub(super) overlap: Revocation,
}

impl<Old: Authenticator, New: Authenticator> Pair<'_, Old, New> {
    /// Ends all that upgrades have made of an old login that has ended.
    pub(super) async fn end_of_old(&self, login: Option<LoginRef<'_>>) -> Result<Logout> {
        let ended = match login.and_then(find) {
            Some((handle, subject)) => {
                let upgrades = Relatives::upgrades_of(handle);
                self.new.revoke_relatives(subject, &upgrades).await?
            }
            None => None,
        };
        Ok(ended.unwrap_or(Logout::new(Revocation::Immediate)))
    }

    /// Ends the old login that a new one, which has ended, was made of, and all others that were made of
    /// it. `old` is the end of the old one if this node has ended it already.
    pub(super) async fn end_of_new(
        &self,
        login: Option<LoginRef<'_>>,
        old: Option<Logout>,
    ) -> Result<Logout> {
        let elsewhere = || Logout::new(self.overlap);
        let Some((handle, subject)) = login.and_then(find) else {
            return Ok(old.unwrap_or_else(elsewhere));
        };
        let siblings = Relatives::siblings_of(handle);
        let siblings = self.new.revoke_relatives(subject, &siblings).await?;
        let predecessor = Relatives::predecessor_of(handle);
        let old = match old {
            Some(old) => old,
            // A strategy of the application draws the handle of each login by itself.
            None if siblings.is_none() => elsewhere(),
            None if predecessor.is_empty() => Logout::new(Revocation::Immediate),
            None => {
                let ended = self.old.revoke_relatives(subject, &predecessor).await?;
                // Not found if it has ended, and if the old strategy is one of the application.
                let ended = ended.filter(|ended| ended.login().is_some());
                ended.unwrap_or_else(elsewhere)
            }
        };
        Ok(match siblings {
            Some(siblings) => old.and(siblings),
            None => old,
        })
    }
}

fn find(login: LoginRef<'_>) -> Option<(Handle, &str)> {
    Some((login.handle()?, login.subject()))
}
