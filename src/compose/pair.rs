//! An old and a new strategy, with logins that upgrades have made from one to the other.

use crate::authenticator::Authenticator;
use crate::authenticator::end_replaced::end_replaced;
use crate::error::Result;
use crate::login::Login;
use crate::login::handle::Handle;
use crate::login::issued::{Issued, Revocation};
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

impl<Old, New> Pair<'_, Old, New>
where
    Old: Authenticator,
    New: Authenticator<Data = Old::Data>,
{
    /// Ends the login of an old credential, and all that upgrades have made of it. `known` is the end of
    /// the one that this node has made.
    pub(super) async fn revoke_old(
        &self,
        credential: &str,
        known: Option<Logout>,
    ) -> Result<Logout> {
        // First the others: after the old login has ended, a repeated call finds none of them.
        let login = self.old.find_login(credential).await?;
        let others = self.end_upgrades(login.as_ref().and_then(Logout::login));
        let others = others.await?;
        let ended = self.old.revoke(credential).await?;
        // Another node may have made one in between.
        let late = self.end_upgrades(ended.login()).await?;
        let ended = ended.and(others).and(late);
        Ok(match known {
            Some(known) => ended.and(known),
            None => ended,
        })
    }

    /// Ends the login of a new credential, the old one that it was made of, and all others that were made
    /// of that one. `old` is the end of the old one, if this node has made the upgrade.
    pub(super) async fn revoke_new(&self, credential: &str, old: Option<Logout>) -> Result<Logout> {
        let login = self.new.find_login(credential).await?;
        let others = self.end_relatives(login.as_ref().and_then(Logout::login), old);
        let others = others.await?;
        Ok(self.new.revoke(credential).await?.and(others))
    }

    /// Ends a login of either strategy, the one that it was made of, and those that were made of that one.
    pub(super) async fn revoke_listed(&self, subject: &str, handle: Handle) -> Result<Logout> {
        let of_old = [Relatives::predecessor_of(handle), Relatives::itself(handle)];
        let of_new = [
            Relatives::siblings_of(handle),
            Relatives::itself(handle),
            Relatives::upgrades_of(handle),
        ];
        let mut ended = Logout::new(Revocation::Immediate);
        // The old ones first, as an upgrade looks at them after it has stored the new one.
        for relatives in &of_old {
            let old = self.old.revoke_relatives(subject, relatives).await?;
            ended = old.into_iter().fold(ended, Logout::and);
        }
        for relatives in &of_new {
            let new = self.new.revoke_relatives(subject, relatives).await?;
            ended = new.into_iter().fold(ended, Logout::and);
        }
        Ok(ended)
    }

    /// Ends the relatives of the logins that a new one is about to replace.
    pub(super) async fn end_relatives_of(&self, credentials: &[String]) -> Result<Logout> {
        let mut ended = Logout::new(Revocation::Immediate);
        for credential in credentials {
            let (is_new, login) = match self.new.is_well_formed(credential) {
                true => (true, self.new.find_login(credential).await?),
                false if self.old.is_well_formed(credential) => {
                    (false, self.old.find_login(credential).await?)
                }
                false => continue,
            };
            let login = login.as_ref().and_then(Logout::login);
            ended = ended.and(match is_new {
                true => self.end_relatives(login, None).await?,
                false => self.end_upgrades(login).await?,
            });
        }
        Ok(ended)
    }

    /// Issues a login of one of the two, after `others` have ended, the relatives of those that it replaces.
    pub(super) async fn issue<One>(
        &self,
        one: &One,
        other: &impl Authenticator<Data = Old::Data>,
        login: Login<Old::Data>,
        others: Logout,
    ) -> Result<Issued<Old::Data>>
    where
        One: Authenticator<Data = Old::Data>,
    {
        let issued = issue(one, other, login).await?.with_replaced(others);
        let late = self.end_late(&issued).await;
        finish_replacement(one, issued, late).await
    }

    /// Ends what another node has made of the replaced logins before they ended.
    async fn end_late(&self, issued: &Issued<Old::Data>) -> Result<Option<Logout>> {
        let mut ended = Logout::new(Revocation::Immediate);
        for login in issued.replaced().into_iter().flat_map(Logout::logins) {
            ended = ended.and(self.end_upgrades(Some(login)).await?);
        }
        Ok(Some(ended))
    }

    /// Ends all that upgrades have made of an old login.
    async fn end_upgrades(&self, login: Option<LoginRef<'_>>) -> Result<Logout> {
        let ended = match login.and_then(find) {
            Some((handle, subject)) => {
                let upgrades = Relatives::upgrades_of(handle);
                self.new.revoke_relatives(subject, &upgrades).await?
            }
            None => None,
        };
        Ok(ended.unwrap_or(Logout::new(Revocation::Immediate)))
    }

    /// Ends the old login that a new one was made of, and then all others that were made of it: an upgrade
    /// looks at the old login after it has stored the new one.
    async fn end_relatives(
        &self,
        login: Option<LoginRef<'_>>,
        old: Option<Logout>,
    ) -> Result<Logout> {
        let elsewhere = || Logout::new(self.overlap);
        let Some((handle, subject)) = login.and_then(find) else {
            return Ok(old.unwrap_or_else(elsewhere));
        };
        let predecessor = Relatives::predecessor_of(handle);
        let ended = match predecessor.is_empty() {
            true => None,
            // Nothing ends if it has ended before, or if the old strategy is one of the application.
            false => self.old.revoke_relatives(subject, &predecessor).await?,
        };
        let ended = ended.filter(|ended| ended.login().is_some());
        let siblings = Relatives::siblings_of(handle);
        let siblings = self.new.revoke_relatives(subject, &siblings).await?;
        let old = match (old, ended) {
            (Some(old), Some(ended)) => old.and(ended),
            (Some(one), None) | (None, Some(one)) => one,
            // The new strategy is one of the application: its handles do not name an old login.
            (None, None) if predecessor.is_empty() && siblings.is_some() => {
                Logout::new(Revocation::Immediate)
            }
            (None, None) => elsewhere(),
        };
        Ok(match siblings {
            Some(siblings) => old.and(siblings),
            None => old,
        })
    }
}

/// Issues a login of one strategy. Ends the logins of the other strategy that it replaces.
pub(super) async fn issue<One: Authenticator>(
    one: &One,
    other: &impl Authenticator<Data = One::Data>,
    mut login: Login<One::Data>,
) -> Result<Issued<One::Data>> {
    let is_of_other = |credential: &mut String| other.is_well_formed(credential);
    let old: Vec<_> = login.replaces.extract_if(.., is_of_other).collect();
    let issued = one.issue(login).await?;
    finish_replacement(one, issued, end_replaced(other, &old).await).await
}

/// Returns a new login. If the logins that it replaces could not be ended, ends the new one instead.
async fn finish_replacement<A: Authenticator>(
    auth: &A,
    issued: Issued<A::Data>,
    replaced: Result<Option<Logout>>,
) -> Result<Issued<A::Data>> {
    match replaced {
        Ok(replaced) => Ok(issued.with_replaced(replaced)),
        Err(error) => {
            let _ = auth.revoke(issued.refreshable().reveal()).await;
            Err(error.with_ended(issued.all_ended()))
        }
    }
}

fn find(login: LoginRef<'_>) -> Option<(Handle, &str)> {
    Some((login.handle()?, login.subject()))
}
