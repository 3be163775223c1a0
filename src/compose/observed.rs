//! An authenticator with an observer.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::authenticator::{Authenticator, Presented};
use crate::base::public_id::PublicId;
use crate::compose::api_keys::ApiKeys;
use crate::compose::hybrid::HybridAuthenticator;
use crate::compose::migrating::Migrating;
use crate::error::{EndCause, Rejection, Result};
use crate::login::Login;
use crate::login::affected::Affected;
use crate::login::begun::{Begun, IssuerId};
use crate::login::edit::{Edit, EditFn};
use crate::login::identity::Identity;
use crate::login::issued::{Issued, Outcome, Revocation};
use crate::login::login_ref::LoginRef;
use crate::login::logout::Logout;
use crate::login::relatives::Relatives;
use crate::observer::event::{Act, Event, SteppedUp};
use crate::observer::{self, Observer};
use crate::session::authenticator::SessionAuthenticator;
use crate::session::listed::{Session, SessionPage};
use crate::store::answer::Removed;
use crate::store::listing::Cursor;
use crate::store::session_store::SessionStore;
use crate::token::TokenAuthenticator;
use crate::upkeep::Upkeep;

/// Authenticator that reports the result of each call, and the work of its
/// [`upkeep`](Authenticator::upkeep), to an [`Observer`]. It wraps any authenticator, also
/// `Arc<dyn DynAuthenticator<D>>`.
///
/// Around sessions and the hybrid it also has `revoke_id`, `revoke_others` and `update_id`, around tokens
/// and the hybrid `retire_key` and `revoke_everything`, and around
/// API keys `revoke_id`, `rename` and `leaked`. It reports them. The lists `sessions` and `keys` are in no
/// event. Calls to the [inner](Self::inner)
/// authenticator are not reported, for example `verify_now` of a token. For several observers pass a pair: if you nest `Observed`, each observer
/// gets the calls, but only the outermost one gets the upkeep.
///
/// ```
/// use std::sync::Arc;
/// use statewise::{Authenticator, DynAuthenticator, Observed};
/// use statewise::observer::Observer;
///
/// fn watched(
///     auth: Arc<dyn DynAuthenticator<()>>,
///     observer: Arc<dyn Observer>,
/// ) -> impl Authenticator<Data = ()> {
///     Observed::new(auth, observer)
/// }
/// ```
#[derive(Clone, Debug)]
pub struct Observed<A> {
    inner: A,
    observer: Arc<dyn Observer>,
}

impl<A: Authenticator> Observed<A> {
    /// Reports the calls of `auth` to `observer`.
    pub fn new(auth: A, observer: Arc<dyn Observer>) -> Self {
        Self {
            inner: auth,
            observer,
        }
    }

    /// Returns the wrapped authenticator.
    #[must_use]
    pub fn inner(&self) -> &A {
        &self.inner
    }

    fn report<'a, T>(
        &self,
        act: Act,
        begun: Instant,
        answer: &'a Result<T>,
        event: impl FnOnce(&'a T) -> Event<'a>,
    ) {
        observer::report(&*self.observer, act, begun, answer, event);
    }

    /// Reports the logins that ended with the login `by`, which was logged out.
    fn report_logged_out<'a>(
        &self,
        act: Act,
        logins: impl Iterator<Item = LoginRef<'a>>,
        by: Option<LoginRef<'a>>,
        effective: Revocation,
    ) {
        for login in logins {
            self.observer.observe(&Event::Ended {
                act,
                login,
                cause: EndCause::LoggedOut,
                by,
                effective: Some(effective),
            });
        }
    }

    /// Reports a call that issues a credential, after the logins that ended in favor of its login.
    fn report_issued<D>(&self, act: Act, begun: Instant, answer: &Result<Issued<D>>) {
        if let Ok(new) = answer
            && new.has_ended_logins()
        {
            let by: LoginRef<'_> = new.identity().into();
            let replaced = new.replaced().map(|old| (EndCause::Replaced, old));
            let upgraded = new.upgraded().map(|old| (EndCause::Upgraded, old));
            let ended = replaced
                .into_iter()
                .chain(upgraded)
                .flat_map(|(cause, old)| {
                    let logins = old.logins();
                    logins.map(move |login| (login, cause, Some(old.effective)))
                });
            let evicted = new.evicted().iter();
            let evicted =
                evicted.map(|id| (LoginRef::of(by.subject(), *id), EndCause::Evicted, None));
            for (login, cause, effective) in ended.chain(evicted) {
                self.observer.observe(&Event::Ended {
                    act,
                    login,
                    cause,
                    by: Some(by),
                    effective,
                });
            }
        }
        self.report(act, begun, answer, issued);
    }

    /// Reports the update of a listed login, if there is one or it fails.
    fn report_update(&self, begun: Instant, answer: &Result<Option<Session>>) {
        let act = Act::UpdateId;
        match answer {
            Ok(Some(session)) => {
                let login = session.record().identity((), IssuerId::NONE);
                let login = (&login).into();
                let event = Event::Updated {
                    act,
                    login,
                    stepped_up: None,
                };
                self.observer.observe_call(&event, begun.elapsed());
            }
            Ok(None) => {}
            Err(error) => {
                let event = Event::failed(act, error);
                self.observer.observe_call(&event, begun.elapsed());
            }
        }
    }
}

/// Reports the end of a login by its public id.
macro_rules! report_revoke_id {
    ($authenticator:ident) => {
        impl<S, D> Observed<$authenticator<S, D>>
        where
            S: SessionStore,
            D: Serialize + DeserializeOwned + Send + Sync + 'static,
        {
            #[doc = concat!("Reports [`", stringify!($authenticator), "::revoke_id`].")]
            ///
            /// # Errors
            ///
            /// Those of the inner authenticator.
            ///
            /// # Cancel safety
            ///
            /// As for the inner authenticator.
            pub async fn revoke_id(&self, subject: &str, id: PublicId) -> Result<Removed> {
                let begun = Instant::now();
                let answer = self.inner.revoke_id(subject, id).await;
                self.report(Act::RevokeId, begun, &answer, |removed| Event::Revoked {
                    act: Act::RevokeId,
                    login: Some(LoginRef::of(subject, id)),
                    found: removed.count > 0,
                    effective: removed.effective,
                });
                answer
            }
        }
    };
}

/// Reports the calls that only an authenticator of logins in a store has.
macro_rules! report_calls_on_logins {
    ($authenticator:ident) => {
        report_revoke_id! { $authenticator }

        impl<S, D> Observed<$authenticator<S, D>>
        where
            S: SessionStore,
            D: Serialize + DeserializeOwned + Send + Sync + 'static,
        {
            #[doc = concat!("Does as [`", stringify!($authenticator), "::sessions`], which is in no event.")]
            ///
            /// # Errors
            ///
            /// Those of the inner authenticator.
            ///
            /// # Cancel safety
            ///
            /// As for the inner authenticator.
            pub async fn sessions(&self, subject: &str, after: Option<Cursor>) -> Result<SessionPage> {
                self.inner.sessions(subject, after).await
            }

            #[doc = concat!("Reports [`", stringify!($authenticator), "::revoke_others`].")]
            ///
            /// # Errors
            ///
            /// Those of the inner authenticator.
            ///
            /// # Cancel safety
            ///
            /// As for the inner authenticator.
            pub async fn revoke_others(&self, credential: &str) -> Result<Removed> {
                let begun = Instant::now();
                let answer = self.inner.end_others(credential).await;
                self.report(Act::RevokeOthers, begun, &answer, |(row, removed)| {
                    Event::RevokedOthers {
                        login: LoginRef::new(row.handle(), &row.fields),
                        count: Some(removed.count),
                        effective: removed.effective,
                    }
                });
                Ok(answer?.1)
            }

            #[doc = concat!("Reports [`", stringify!($authenticator), "::update_id`], if there is such a login or it fails.")]
            ///
            /// # Errors
            ///
            /// Those of the inner authenticator.
            ///
            /// # Cancel safety
            ///
            /// As for the inner authenticator.
            pub async fn update_id(
                &self,
                subject: &str,
                id: PublicId,
                edit: EditFn<'_, D>,
            ) -> Result<Option<Session>> {
                let begun = Instant::now();
                let answer = self.inner.update_id(subject, id, edit).await;
                self.report_update(begun, &answer);
                answer
            }
        }
    };
}

/// Reports the calls that only an authenticator of tokens has.
macro_rules! report_calls_on_keys {
    ($authenticator:ident [$($store:ident)?]) => {
        impl<$($store: SessionStore,)? D> Observed<$authenticator<$($store,)? D>>
        where
            D: Serialize + DeserializeOwned + Send + Sync + 'static,
        {
            #[doc = concat!("Reports [`", stringify!($authenticator), "::retire_key`].")]
            ///
            /// # Errors
            ///
            /// Those of the inner authenticator.
            ///
            /// # Cancel safety
            ///
            /// As for the inner authenticator.
            pub async fn retire_key(&self, kid: &str) -> Result<Revocation> {
                let begun = Instant::now();
                let answer = self.inner.retire_key_reported(kid).await;
                self.report(Act::RetireKey, begun, &answer, |effective| Event::KeyRetired {
                    kid,
                    effective: *effective,
                });
                answer
            }

            #[doc = concat!("Reports [`", stringify!($authenticator), "::revoke_everything`].")]
            ///
            /// # Errors
            ///
            /// Those of the inner authenticator.
            ///
            /// # Cancel safety
            ///
            /// As for the inner authenticator.
            pub async fn revoke_everything(&self) -> Result<Revocation> {
                let begun = Instant::now();
                let answer = self.inner.revoke_everything_reported().await;
                self.report(Act::RevokeEverything, begun, &answer, |effective| {
                    Event::RevokedEverything {
                        effective: *effective,
                    }
                });
                answer
            }
        }
    };
}

report_calls_on_keys! { TokenAuthenticator [] }
report_calls_on_keys! { HybridAuthenticator [S] }
report_calls_on_logins! { SessionAuthenticator }
report_calls_on_logins! { HybridAuthenticator }
report_revoke_id! { ApiKeys }

impl<Old, New> Observed<Migrating<Old, New>>
where
    Old: Authenticator,
    New: Authenticator<Data = Old::Data>,
{
    /// Reports [`Migrating::revoke_listed`], as a [`Revoked`](Event::Revoked) by
    /// [`RevokeId`](Act::RevokeId), and the logins of the other strategy that ended with it.
    ///
    /// # Errors
    ///
    /// Those of the inner authenticator.
    ///
    /// # Cancel safety
    ///
    /// As for the inner authenticator.
    pub async fn revoke_listed(&self, listed: &Session) -> Result<Logout> {
        let begun = Instant::now();
        let answer = self.inner.revoke_listed(listed).await;
        let login = LoginRef::of(listed.subject(), listed.id());
        if let Ok(logout) = &answer {
            let others = logout.logins().filter(|other| other.id() != listed.id());
            self.report_logged_out(Act::RevokeId, others, Some(login), logout.effective);
        }
        self.report(Act::RevokeId, begun, &answer, |logout| Event::Revoked {
            act: Act::RevokeId,
            login: Some(login),
            found: logout.login().is_some(),
            effective: logout.effective,
        });
        answer
    }
}

impl<S, D> Observed<ApiKeys<S, D>>
where
    S: SessionStore,
    D: Serialize + DeserializeOwned + Send + Sync + 'static,
{
    /// Does as [`ApiKeys::keys`], which is in no event.
    ///
    /// # Errors
    ///
    /// Those of the inner authenticator.
    ///
    /// # Cancel safety
    ///
    /// As for the inner authenticator.
    pub async fn keys(&self, subject: &str, after: Option<Cursor>) -> Result<SessionPage> {
        self.inner.keys(subject, after).await
    }

    /// Reports [`ApiKeys::rename`], if there is such a key or it fails.
    ///
    /// # Errors
    ///
    /// Those of the inner authenticator.
    ///
    /// # Cancel safety
    ///
    /// As for the inner authenticator.
    pub async fn rename(&self, subject: &str, id: PublicId, name: &str) -> Result<Option<Session>> {
        let begun = Instant::now();
        let answer = self.inner.rename(subject, id, name).await;
        self.report_update(begun, &answer);
        answer
    }

    /// Reports [`ApiKeys::leaked`]: the end of the key, with its user, or a rejection.
    ///
    /// # Errors
    ///
    /// Those of the inner authenticator.
    ///
    /// # Cancel safety
    ///
    /// As for the inner authenticator.
    pub async fn leaked(&self, text: &str) -> Result<Option<Logout>> {
        let (act, begun) = (Act::Leaked, Instant::now());
        let answer = self.inner.leaked(text).await;
        self.report(act, begun, &answer, |ended| match ended {
            Some(ended) => Event::Revoked {
                act,
                login: ended.login(),
                found: true,
                effective: ended.effective,
            },
            None => Event::Rejected {
                act,
                cause: Rejection::Unknown,
                claim: None,
            },
        });
        answer
    }
}

/// Returns the event of a verified caller.
fn verified<D>(caller: &Identity<D>) -> Event<'_> {
    Event::Verified {
        login: caller.into(),
    }
}

/// Returns the event of an issued credential.
fn issued<D>(issued: &Issued<D>) -> Event<'_> {
    let login = issued.identity().into();
    match issued.outcome() {
        Outcome::New => Event::Issued { login },
        Outcome::Rotated => Event::Rotated { login },
        Outcome::Replayed => Event::Replayed { login },
        Outcome::Orphaned => Event::Orphaned { login },
    }
}

impl<A: Authenticator> Authenticator for Observed<A> {
    type Data = A::Data;

    fn is_well_formed(&self, credential: &str) -> bool {
        self.inner.is_well_formed(credential)
    }

    fn sample_credentials(&self) -> Vec<String> {
        self.inner.sample_credentials()
    }

    fn has_refresh_credentials(&self) -> bool {
        self.inner.has_refresh_credentials()
    }

    async fn begin(&self) -> Result<Begun> {
        let begun_at = Instant::now();
        let answer = self.inner.begin().await;
        if let Err(error) = &answer {
            let event = Event::failed(Act::Issue, error);
            self.observer.observe_call(&event, begun_at.elapsed());
        }
        answer
    }

    async fn issue(&self, login: Login<A::Data>) -> Result<Issued<A::Data>> {
        let begun = Instant::now();
        let answer = self.inner.issue(login).await;
        self.report_issued(Act::Issue, begun, &answer);
        answer
    }

    async fn verify_with(&self, presented: Presented<'_>) -> Result<Identity<A::Data>> {
        let begun = Instant::now();
        let answer = self.inner.verify_with(presented).await;
        self.report(Act::Verify, begun, &answer, verified);
        answer
    }

    fn try_verify_now(&self, presented: Presented<'_>) -> Option<Result<Identity<A::Data>>> {
        let begun = Instant::now();
        let answer = self.inner.try_verify_now(presented)?;
        self.report(Act::Verify, begun, &answer, verified);
        Some(answer)
    }

    async fn refresh_with(&self, presented: Presented<'_>) -> Result<Issued<A::Data>> {
        let begun = Instant::now();
        let answer = self.inner.refresh_with(presented).await;
        self.report_issued(Act::Refresh, begun, &answer);
        answer
    }

    async fn revoke(&self, credential: &str) -> Result<Logout> {
        let begun = Instant::now();
        let answer = self.inner.revoke(credential).await;
        if let Ok(logout) = &answer {
            self.report_logged_out(
                Act::Revoke,
                logout.others(),
                logout.login(),
                logout.effective,
            );
        }
        self.report(Act::Revoke, begun, &answer, |logout| Event::Revoked {
            act: Act::Revoke,
            login: logout.login(),
            found: logout.login().is_some(),
            effective: logout.effective,
        });
        answer
    }

    async fn revoke_all(&self, subject: &str) -> Result<Affected> {
        let begun = Instant::now();
        let answer = self.inner.revoke_all(subject).await;
        self.report(Act::RevokeAll, begun, &answer, |affected| {
            Event::RevokedAll {
                subject,
                count: affected.count,
                effective: affected.effective,
            }
        });
        answer
    }

    async fn revoke_all_except(&self, kept: &Identity<A::Data>) -> Result<Affected> {
        let begun = Instant::now();
        let answer = self.inner.revoke_all_except(kept).await;
        self.report(Act::RevokeOthers, begun, &answer, |affected| {
            Event::RevokedOthers {
                login: kept.into(),
                count: affected.count,
                effective: affected.effective,
            }
        });
        answer
    }

    fn check_overlap(&self, overlap: Duration) -> Result<()> {
        self.inner.check_overlap(overlap)
    }

    async fn find_login(&self, credential: &str) -> Result<Option<Logout>> {
        self.inner.find_login(credential).await
    }

    async fn revoke_relatives(
        &self,
        subject: &str,
        relatives: &Relatives,
    ) -> Result<Option<Logout>> {
        self.inner.revoke_relatives(subject, relatives).await
    }

    async fn update(&self, credential: &str, edit: EditFn<'_, A::Data>) -> Result<Issued<A::Data>> {
        let begun = Instant::now();
        // The last call of the edit counts.
        let mut stepped_up = None;
        let noted = &mut |login: &mut Edit<A::Data>| {
            edit(login)?;
            stepped_up = login
                .stepped_up()
                .map(|(acr, lasts)| (acr.to_owned(), lasts));
            Ok(())
        };
        let answer = self.inner.update(credential, noted).await;
        self.report(Act::Update, begun, &answer, |issued| Event::Updated {
            act: Act::Update,
            login: issued.identity().into(),
            stepped_up: stepped_up
                .as_ref()
                .map(|(acr, lasts)| SteppedUp { acr, lasts: *lasts }),
        });
        answer
    }

    async fn update_all(&self, subject: &str, edit: EditFn<'_, A::Data>) -> Result<Affected> {
        let begun = Instant::now();
        let answer = self.inner.update_all(subject, edit).await;
        self.report(Act::UpdateAll, begun, &answer, |affected| {
            Event::UpdatedAll {
                subject,
                count: affected.count,
                effective: affected.effective,
            }
        });
        answer
    }

    async fn ready(&self) -> Result<()> {
        self.inner.ready().await
    }

    fn upkeep(&self) -> Upkeep {
        self.inner.upkeep().observer(Arc::clone(&self.observer))
    }

    fn observer(&self) -> Option<Arc<dyn Observer>> {
        Some(Arc::clone(&self.observer))
    }
}
