//! An authenticator with an observer.

use std::sync::Arc;

use crate::authenticator::{Authenticator, Presented};
use crate::error::Result;
use crate::login::Login;
use crate::login::identity::Identity;
use crate::login::issued::{Issued, Outcome, Revocation};
use crate::observer::Observer;
use crate::observer::event::{Act, Event};
use crate::upkeep::Upkeep;

/// Authenticator that reports the result of each call, and the work of its
/// [`upkeep`](Authenticator::upkeep), to an [`Observer`]. It wraps any authenticator, also
/// `Arc<dyn DynAuthenticator<D>>`.
///
/// Calls to the [inner](Self::inner) authenticator are not reported, for example `verify_now` of a
/// token or `revoke_id` of a session. For several observers pass a pair: if you nest `Observed`,
/// each observer gets the calls, but only the outermost one gets the upkeep.
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
        answer: &'a Result<T>,
        event: impl FnOnce(&'a T) -> Event<'a>,
    ) {
        self.observer.observe(&match answer {
            Ok(answer) => event(answer),
            Err(error) => Event::failed(act, error),
        });
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

    async fn issue(&self, login: Login<A::Data>) -> Result<Issued<A::Data>> {
        let answer = self.inner.issue(login).await;
        self.report(Act::Issue, &answer, issued);
        answer
    }

    async fn verify_with(&self, presented: Presented<'_>) -> Result<Identity<A::Data>> {
        let answer = self.inner.verify_with(presented).await;
        self.report(Act::Verify, &answer, verified);
        answer
    }

    fn try_verify_now(&self, presented: Presented<'_>) -> Option<Result<Identity<A::Data>>> {
        let answer = self.inner.try_verify_now(presented)?;
        self.report(Act::Verify, &answer, verified);
        Some(answer)
    }

    async fn refresh_with(&self, presented: Presented<'_>) -> Result<Issued<A::Data>> {
        let answer = self.inner.refresh_with(presented).await;
        self.report(Act::Refresh, &answer, issued);
        answer
    }

    async fn revoke(&self, credential: &str) -> Result<Revocation> {
        let answer = self.inner.revoke(credential).await;
        self.report(Act::Revoke, &answer, |effective| Event::Revoked {
            effective: *effective,
        });
        answer
    }

    async fn revoke_all(&self, subject: &str) -> Result<Revocation> {
        let answer = self.inner.revoke_all(subject).await;
        self.report(Act::RevokeAll, &answer, |effective| Event::RevokedAll {
            subject,
            effective: *effective,
        });
        answer
    }

    fn upkeep(&self) -> Upkeep {
        self.inner.upkeep().observer(Arc::clone(&self.observer))
    }
}
