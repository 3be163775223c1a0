//! The authenticator for the credentials of two strategies.

use std::sync::Arc;
use std::time::Duration;

use crate::authenticator::{Authenticator, Presented};
use crate::compose::pair::{Pair, issue};
use crate::error::{Rejection, Result};
use crate::login::Login;
use crate::login::affected::Affected;
use crate::login::begun::Begun;
use crate::login::edit::EditFn;
use crate::login::identity::Identity;
use crate::login::issued::{Issued, Revocation};
use crate::login::logout::Logout;
use crate::login::place::Place;
use crate::login::relatives::Relatives;
use crate::observer::Observer;
use crate::upkeep::Upkeep;

/// Authenticator for the credentials of two strategies, which it tells apart by their form and
/// place. See [the module](super).
///
/// A login of one strategy may [replace](Login::replaces) a credential of the other.
#[derive(Clone, Debug)]
pub struct Either<A, B> {
    pub(super) first: A,
    pub(super) second: B,
    pub(super) is_by_place: bool,
}

/// The strategy of a credential.
pub(in crate::compose) enum Strategy {
    First,
    Second,
}

impl<A, B> Either<A, B> {
    /// Returns the first and the second strategy.
    #[must_use]
    pub fn strategies(&self) -> (&A, &B) {
        (&self.first, &self.second)
    }
}

impl<A, B> Either<A, B>
where
    A: Authenticator,
    B: Authenticator<Data = A::Data>,
{
    /// Returns the strategy of a credential.
    ///
    /// # Errors
    ///
    /// *Rejected* as malformed.
    pub(in crate::compose) fn strategy(&self, credential: &str) -> Result<Strategy> {
        if self.first.is_well_formed(credential) {
            Ok(Strategy::First)
        } else if self.second.is_well_formed(credential) {
            Ok(Strategy::Second)
        } else {
            Err(Rejection::Malformed.into())
        }
    }

    /// The two as the step before a `Migrating`: other nodes may upgrade logins of the first strategy already.
    fn pair(&self) -> Pair<'_, A, B> {
        Pair {
            old: &self.first,
            new: &self.second,
            overlap: Revocation::Immediate,
        }
    }

    /// Returns the strategy of a presented credential. Consumes the place if it decides by it, so
    /// that a nested `Either` does not decide again.
    fn accept<'a>(&self, mut presented: Presented<'a>) -> Result<(Strategy, Presented<'a>)> {
        let strategy = self.strategy(presented.credential())?;
        let place = presented.place.take_if(|_| self.is_by_place);
        match (&strategy, place) {
            (Strategy::First, Some(Place::Bearer)) | (Strategy::Second, Some(Place::Cookie)) => {
                Err(Rejection::WrongPlace.into())
            }
            _ => Ok((strategy, presented)),
        }
    }
}

impl<A, B> Authenticator for Either<A, B>
where
    A: Authenticator,
    B: Authenticator<Data = A::Data>,
{
    type Data = A::Data;

    fn is_well_formed(&self, credential: &str) -> bool {
        self.strategy(credential).is_ok()
    }

    fn sample_credentials(&self) -> Vec<String> {
        let mut samples = self.first.sample_credentials();
        samples.extend(self.second.sample_credentials());
        samples
    }

    /// Those of the first strategy, which issues the logins in cookies. In any place, those of both.
    fn has_refresh_credentials(&self) -> bool {
        let second = !self.is_by_place && self.second.has_refresh_credentials();
        self.first.has_refresh_credentials() || second
    }

    fn check_overlap(&self, overlap: Duration) -> Result<()> {
        self.first.check_overlap(overlap)?;
        self.second.check_overlap(overlap)
    }

    /// Begins with each strategy that may issue the login. An outage of one keeps no login from the
    /// other: it is returned if that strategy issues.
    async fn begin(&self) -> Result<Begun> {
        let first = self.first.begin().await;
        if !self.is_by_place {
            return first;
        }
        match (first, self.second.begin().await) {
            (Ok(first), Ok(second)) => Ok(first.and(second)),
            (Ok(begun), Err(error)) | (Err(error), Ok(begun)) => Ok(begun.with_failed(error)),
            (Err(error), Err(_)) => Err(error),
        }
    }

    async fn issue(&self, mut login: Login<A::Data>) -> Result<Issued<A::Data>> {
        if !self.is_by_place {
            let pair = self.pair();
            let others = pair.end_relatives_of(&login.replaces).await?;
            return pair.issue(&self.first, &self.second, login, others).await;
        }
        // As for a verification, the place is consumed.
        let place = login.place.take();
        match place {
            Some(Place::Bearer) => issue(&self.second, &self.first, login).await,
            _ => issue(&self.first, &self.second, login).await,
        }
    }

    async fn verify_with(&self, presented: Presented<'_>) -> Result<Identity<A::Data>> {
        match self.accept(presented)? {
            (Strategy::First, presented) => self.first.verify_with(presented).await,
            (Strategy::Second, presented) => self.second.verify_with(presented).await,
        }
    }

    fn try_verify_now(&self, presented: Presented<'_>) -> Option<Result<Identity<A::Data>>> {
        match self.accept(presented) {
            Ok((Strategy::First, presented)) => self.first.try_verify_now(presented),
            Ok((Strategy::Second, presented)) => self.second.try_verify_now(presented),
            Err(error) => Some(Err(error)),
        }
    }

    async fn refresh_with(&self, presented: Presented<'_>) -> Result<Issued<A::Data>> {
        match self.accept(presented)? {
            (Strategy::First, presented) => self.first.refresh_with(presented).await,
            (Strategy::Second, presented) => self.second.refresh_with(presented).await,
        }
    }

    async fn revoke(&self, credential: &str) -> Result<Logout> {
        match self.strategy(credential)? {
            Strategy::First if self.is_by_place => self.first.revoke(credential).await,
            Strategy::Second if self.is_by_place => self.second.revoke(credential).await,
            Strategy::First => self.pair().revoke_old(credential, None).await,
            Strategy::Second => self.pair().revoke_new(credential, None).await,
        }
    }

    async fn find_login(&self, credential: &str) -> Result<Option<Logout>> {
        match self.strategy(credential)? {
            Strategy::First => self.first.find_login(credential).await,
            Strategy::Second => self.second.find_login(credential).await,
        }
    }

    async fn revoke_all(&self, subject: &str) -> Result<Affected> {
        // An upgrade of a login, on this node or another one, stores the new login and then checks that the
        // old one is still there. So the new strategy ends its logins after the old one, whichever of the
        // two is the first here. An outage of one strategy keeps no login of the other.
        let second = self.second.revoke_all(subject).await;
        let first = self.first.revoke_all(subject).await?;
        let again = self.second.revoke_all(subject).await?;
        Ok(second?.and(first).and(again))
    }

    async fn revoke_all_except(&self, kept: &Identity<A::Data>) -> Result<Affected> {
        // As in `revoke_all`: the login is a row of one of them, or of none.
        let second = self.second.revoke_all_except(kept).await;
        let first = self.first.revoke_all_except(kept).await?;
        let again = self.second.revoke_all_except(kept).await?;
        Ok(second?.and(first).and(again))
    }

    async fn revoke_relatives(
        &self,
        subject: &str,
        relatives: &Relatives,
    ) -> Result<Option<Logout>> {
        let second = self.second.revoke_relatives(subject, relatives).await;
        let first = self.first.revoke_relatives(subject, relatives).await?;
        Ok(second?.zip(first).map(|(second, first)| second.and(first)))
    }

    async fn update(&self, credential: &str, edit: EditFn<'_, A::Data>) -> Result<Issued<A::Data>> {
        match self.strategy(credential)? {
            Strategy::First => self.first.update(credential, edit).await,
            Strategy::Second => self.second.update(credential, edit).await,
        }
    }

    async fn update_all(&self, subject: &str, edit: EditFn<'_, A::Data>) -> Result<Affected> {
        // The edit is called once for each login. An upgrade on another node stores the new login, and then
        // looks whether the old one has changed. So the old strategy comes first, as in the steps of
        // `Migrating`. An outage of one strategy keeps no role of the other.
        let first = self.first.update_all(subject, &mut *edit).await;
        let second = self.second.update_all(subject, edit).await?;
        Ok(first?.and(second))
    }

    async fn ready(&self) -> Result<()> {
        self.first.ready().await?;
        self.second.ready().await
    }

    fn upkeep(&self) -> Upkeep {
        self.first.upkeep().and(self.second.upkeep())
    }

    fn observer(&self) -> Option<Arc<dyn Observer>> {
        self.first.observer().or_else(|| self.second.observer())
    }
}
