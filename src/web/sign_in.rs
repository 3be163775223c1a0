//! Logging in and out, from within a handler.

use std::fmt;
use std::sync::Arc;

use http::Extensions;

use crate::authenticator::DynAuthenticator;
use crate::clock::{self, Timestamp};
use crate::error::{Error, Rejection, Result};
use crate::login::Login;
use crate::login::issued::{Issued, Revocation, replaced};
use crate::web::auth::Auth;
use crate::web::denial::Denial;
use crate::web::exchange::Exchange;
use crate::web::token_response::{TokenBody, TokenResponse};

/// What a handler verifies, logs in and logs out through. It knows what the request carried, and
/// the layer that put it there sets and removes the cookies.
///
/// Whatever a request carries, a login gets a new credential, and what was carried ends: a session
/// that somebody planted is never logged in (OWASP ASVS 7.2.4).
///
/// A response 5xx (of gRPC: a status in its head that means one), an error or a panic after a login
/// takes the new login back, and no cookie of it is set. Once the handler has answered, or its future is dropped, no login in a cookie begins: a
/// task that outlives the answer is told so. A handler whose future is dropped in between, because
/// the client went away, may leave a login behind that nobody has the credential of, until it
/// expires. Of logins that tasks of one request begin at once one is handed out, and the others
/// end.
pub struct SignIn<D = ()>(Arc<Exchange<D>>);

impl<D: Send + Sync + 'static> SignIn<D> {
    pub(crate) fn new(exchange: Arc<Exchange<D>>) -> Self {
        Self(exchange)
    }

    /// The one that the layer put into a request.
    ///
    /// # Errors
    ///
    /// *Misuse* if there is no layer, or one for logins with other data.
    pub fn of(extensions: &Extensions) -> Result<Self> {
        extensions.get().cloned().ok_or_else(|| {
            Error::misuse(
                "no `AuthLayer` for logins with this data has seen the request: add it to the \
                 router, outside of what asks for the caller",
            )
        })
    }

    /// The authenticator of the layer.
    #[must_use]
    pub fn authenticator(&self) -> &Arc<dyn DynAuthenticator<D>> {
        &self.0.site.auth
    }

    /// Who is calling. The first to ask for it in a request causes the verification, and all
    /// others get its answer.
    ///
    /// # Errors
    ///
    /// A denial: return it.
    ///
    /// # Cancel safety
    ///
    /// As for [`Authenticator::verify`](crate::Authenticator::verify).
    pub async fn verify(&self) -> Result<Auth<D>, Denial> {
        self.0.verify().await
    }

    /// Who is calling, asked anew and past all caches: for sensitive actions. See
    /// [`Presented::authoritative`](crate::Presented::authoritative).
    ///
    /// # Errors
    ///
    /// A denial: return it.
    ///
    /// # Cancel safety
    ///
    /// As for [`Authenticator::verify`](crate::Authenticator::verify).
    pub async fn verify_authoritative(&self) -> Result<Auth<D>, Denial> {
        self.0.verify_authoritative().await
    }

    /// Logs a user in, who has just proven who they are: ends what the request carried, and sets
    /// the cookie.
    ///
    /// # Errors
    ///
    /// As for [`Authenticator::issue`](crate::Authenticator::issue); *misuse* where credentials
    /// travel in no cookie; *refused* if the credential is too large for one. Nobody is logged in
    /// then.
    ///
    /// # Cancel safety
    ///
    /// What the request carried may have been ended, and a login that nobody holds may exist.
    pub async fn issue(&self, login: Login<D>) -> Result<Auth<D>, Denial> {
        self.0.open()?;
        let issued = self.begin(login).await?;
        Ok(self.0.logged_in(issued, false).await?)
    }

    /// Logs a user in, and answers with the credential in the body (RFC 6749, section 5.1): for
    /// programs, which present it as a bearer token. Ends what the request carried, and removes
    /// its cookies.
    ///
    /// # Errors
    ///
    /// As for [`Authenticator::issue`](crate::Authenticator::issue).
    ///
    /// # Cancel safety
    ///
    /// What the request carried may have been ended, and a login that nobody holds may exist.
    pub async fn issue_token(&self, login: Login<D>) -> Result<TokenResponse<D>, Denial> {
        let now = self.now()?;
        let issued = self.begin(login).await?;
        let body = TokenBody::of(&issued, now);
        let caller = self.0.logged_in(issued, true).await?;
        Ok(TokenResponse::new(body, caller))
    }

    /// Refreshes what the request carries in its cookies, and sets them anew. After a login or a
    /// logout in the same request there is nothing to refresh, and the caller is the one of that.
    ///
    /// # Errors
    ///
    /// [`Denial::Absent`] if there is nothing to refresh; otherwise as for
    /// [`Authenticator::refresh`](crate::Authenticator::refresh). What is rejected is
    /// removed, unless a script has sent the request: another tab may have logged in meanwhile.
    ///
    /// # Cancel safety
    ///
    /// Refresh again.
    pub async fn refresh(&self) -> Result<Auth<D>, Denial> {
        let exchange = &*self.0;
        exchange.touch();
        exchange.open()?;
        if let Some(settled) = exchange.settled() {
            return settled;
        }
        let refresh = exchange.refreshable()?;
        let credential = match refresh {
            Some(refresh) => refresh,
            None => match exchange.carried()? {
                carried if carried.is_bearer() => return Err(Denial::Absent),
                carried => carried.credential(),
            },
        };
        let issued = match exchange.site.auth.refresh_dyn(credential).await {
            Ok(issued) => issued,
            // Where there is a cookie for it, it was not sent along, and what was is none.
            Err(error)
                if refresh.is_none()
                    && exchange.site.transport.refresh().is_some()
                    && error.rejection() == Some(Rejection::Malformed) =>
            {
                return Err(Denial::Absent);
            }
            Err(error) => {
                if error.is_rejected() {
                    exchange.forget(refresh.is_some());
                }
                return Err(error.into());
            }
        };
        exchange.refreshed(issued, false)
    }

    /// Exchanges a refresh token, or whatever the strategy refreshes, that the client sent in the
    /// body (RFC 6749, section 6), and answers in the body.
    ///
    /// # Errors
    ///
    /// As for [`Authenticator::refresh`](crate::Authenticator::refresh).
    ///
    /// # Cancel safety
    ///
    /// Refresh again with the same.
    pub async fn refresh_token(&self, refresh_token: &str) -> Result<TokenResponse<D>, Denial> {
        self.0.touch();
        let now = self.now()?;
        let issued = self.0.site.auth.refresh_dyn(refresh_token).await?;
        let body = TokenBody::of(&issued, now);
        let caller = self.0.refreshed(issued, true)?;
        Ok(TokenResponse::new(body, caller))
    }

    /// Logs the caller out: ends what the request carried, and removes the cookies. `Ok` for one
    /// that has ended already, or that is none.
    ///
    /// # Errors
    ///
    /// *Unavailable*: it may not have ended, the cookies stay, and trying again is safe.
    ///
    /// # Cancel safety
    ///
    /// Log out again.
    pub async fn revoke(&self) -> Result<Revocation, Denial> {
        let exchange = &*self.0;
        exchange.touch();
        let mut effective = Revocation::Immediate;
        for credential in exchange.all_carried()? {
            match exchange.site.auth.revoke_dyn(&credential).await {
                Ok(revocation) => effective = effective.or_later(revocation),
                // It logs nobody in.
                Err(error) if error.is_rejected() => {}
                Err(error) => return Err(error.into()),
            }
        }
        exchange.ended().await;
        Ok(effective)
    }

    /// Logs the caller out everywhere: ends all logins of the user (OWASP ASVS 7.4.3), and removes
    /// the cookies. After a change of password, [`issue`](Self::issue) a login after it: the caller
    /// goes on with a new credential, and nobody else does.
    ///
    /// # Errors
    ///
    /// As for [`verify`](Self::verify), as the caller must be known; *unavailable*: some may not
    /// have ended, and trying again is safe.
    ///
    /// # Cancel safety
    ///
    /// Log out again.
    pub async fn revoke_all(&self) -> Result<Revocation, Denial> {
        let caller = self.verify().await?;
        let revocation = self.0.site.auth.revoke_all_dyn(caller.subject()).await?;
        self.0.ended_everywhere().await;
        Ok(revocation)
    }

    /// Issues a login in place of all that the request carried.
    async fn begin(&self, login: Login<D>) -> Result<Issued<D>, Denial> {
        self.0.touch();
        let issued = self.replace(login).await;
        if issued.is_err() {
            self.0.end_issued().await;
        }
        issued
    }

    async fn replace(&self, login: Login<D>) -> Result<Issued<D>, Denial> {
        let exchange = &*self.0;
        let auth = &exchange.site.auth;
        let mut login = login;
        for carried in exchange.all_carried()? {
            match &login.replaces {
                None => login = login.replaces(carried),
                Some(_) => replaced(auth.revoke_dyn(&carried).await)?,
            }
        }
        Ok(auth.issue_dyn(login).await?)
    }

    fn now(&self) -> Result<Timestamp> {
        clock::read(&*self.0.site.clock)
    }
}

impl<D> Clone for SignIn<D> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<D> fmt::Debug for SignIn<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SignIn")
            .field("auth", &self.0.site.auth)
            .finish_non_exhaustive()
    }
}
