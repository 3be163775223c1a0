//! Login, refresh and logout from a handler.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::authenticator::{Authenticator as _, DynAuthenticator, Presented};
use crate::clock::{self, Clock, Timestamp};
use crate::error::{Error, Rejection, Result};
use crate::login::Login;
use crate::login::affected::Affected;
use crate::login::begun::Begun;
use crate::login::edit::Edit;
use crate::login::issued::{Credential, Issued, Revocation};
use crate::login::logout::Logout;
use crate::login::place::Place;
use crate::observer::event::Act;
use crate::web::auth::Auth;
use crate::web::clone::clone_fields;
use crate::web::denial::Denial;
use crate::web::reply::{Caller, Factor, Reply, Tried, Verified};
use crate::web::request::RequestCredentials;
use crate::web::token_error::TokenError;
use crate::web::token_response::TokenResponse;
use crate::web::transport::{Carried, Transport};
use crate::web::visitor::Visitor;

/// Verifies the caller of a request, logs users in, refreshes their credentials and logs them out.
///
/// Take it as an argument of your handler (features `axum` and `actix`), or get it from the extensions of the
/// request with `SignIn::of` (feature `tower`) or `SignIn::of_request` (`actix`). It knows the credentials of
/// the request. The [`AuthLayer`](crate::web::AuthLayer) sets and removes the cookies in the response.
///
/// | call | when | the credential is |
/// |---|---|---|
/// | [`verify`](Self::verify) | you need the caller, and the handler logs in or out too | |
/// | [`visitor`](Self::visitor) | the same, on a public page | |
/// | [`verify_authoritative`](Self::verify_authoritative) | before a sensitive action | |
/// | [`begin`](Self::begin) | before you load a user who logs in | |
/// | [`failed`](Self::failed) | a password is wrong, and your audit log needs the user | |
/// | [`failed_second_factor`](Self::failed_second_factor) | a code is wrong | |
/// | [`issue`](Self::issue) | the user of a browser has authenticated | set as a cookie |
/// | [`issue_token`](Self::issue_token) | the user of a program has authenticated | in the body |
/// | [`refresh`](Self::refresh) | a browser refreshes | set as a cookie |
/// | [`refresh_token`](Self::refresh_token) | a program refreshes | in the body |
/// | [`update`](Self::update) | roles or data of the caller change | set as a cookie, if it changes |
/// | [`step_up`](Self::step_up) | the caller has proven more, such as a second factor | set as a cookie |
/// | [`step_up_token`](Self::step_up_token) | the same, of a program | in the body |
/// | [`update_all`](Self::update_all) | an administrator changes a user | |
/// | [`revoke`](Self::revoke) | the user logs out here | removed |
/// | [`revoke_others`](Self::revoke_others) | the user logs out all other devices | |
/// | [`revoke_all`](Self::revoke_all) | the user logs out everywhere | removed |
///
/// ```
/// use statewise::Login;
/// use statewise::web::{Denial, SignIn};
///
/// # fn password_is_right(_: &str, _: &str) -> bool { true }
/// async fn log_in(sign_in: SignIn, user: &str, password: &str) -> Result<String, Denial> {
///     if !password_is_right(user, password) {
///         return Err(Denial::Unproven);
///     }
///     let caller = sign_in.issue(Login::new(user)).await?;
///     Ok(format!("welcome {}", caller.subject()))
/// }
///
/// async fn log_out(sign_in: SignIn) -> Result<&'static str, Denial> {
///     let _ = sign_in.revoke().await?;
///     Ok("goodbye")
/// }
/// # let _ = (log_in, log_out);
/// ```
///
/// # Security
///
/// A login always gets a new credential, and it revokes every credential that the request
/// carries. A session that an attacker has planted is therefore never logged in (OWASP ASVS 7.2.4).
///
/// # Failing responses
///
/// If the service responds to a login with a 5xx (gRPC: with a failure status in the head), with an
/// error or with a panic, the layer revokes the new login and sets no cookie. After the handler has
/// returned, or its future was dropped, cookie logins fail with a *misuse* error: do not log in
/// from a task that outlives the handler.
///
/// If the client disconnects and the future of the handler is dropped during a login, a login may
/// remain in the store until it expires, but its credential was never sent. If tasks of one
/// request log in concurrently, one login is handed out and the others are revoked.
pub struct SignIn<D = ()>(Arc<Inner<D>>);

struct Inner<D> {
    request: RequestCredentials<D>,
    reply: Mutex<Reply<D>>,
}

impl<D> SignIn<D> {
    pub(crate) fn new(request: RequestCredentials<D>) -> Self {
        let reply = Mutex::new(Reply {
            caller: Caller::Unasked,
            cookies: Vec::new(),
            closed: false,
            is_public: false,
            tried: None,
        });
        Self(Arc::new(Inner { request, reply }))
    }

    pub(crate) fn request(&self) -> &RequestCredentials<D> {
        &self.0.request
    }

    pub(crate) fn reply(&self) -> MutexGuard<'_, Reply<D>> {
        // No code under the lock panics.
        let reply = self.0.reply.lock();
        reply.unwrap_or_else(PoisonError::into_inner)
    }

    fn transport(&self) -> &Transport {
        &self.request().config.transport
    }
}

#[cfg(all(feature = "tower", any(test, feature = "testkit")))]
impl<D> SignIn<D> {
    /// Takes the caller of a test for that of the request.
    pub(crate) fn assume(&self, caller: Auth<D>) {
        self.reply().caller = Caller::Settled(Ok(caller));
    }
}

impl<D: Send + Sync + 'static> SignIn<D> {
    /// The authenticator of the layer.
    #[must_use]
    pub fn authenticator(&self) -> &Arc<dyn DynAuthenticator<D>> {
        &self.request().config.auth
    }

    /// Returns the caller. The first call in a request verifies the credential; later calls return
    /// the same result.
    ///
    /// # Errors
    ///
    /// The denial to return from your handler.
    ///
    /// # Cancel safety
    ///
    /// As for [`Authenticator::verify`](crate::Authenticator::verify).
    pub async fn verify(&self) -> Result<Auth<D>, Denial> {
        if let Some(known) = self.reply().ask() {
            return known;
        }
        let verified = self.ask_authenticator(false).await;
        let mut reply = self.reply();
        // Another task of this request may have been faster: its result stays.
        reply.ask().unwrap_or_else(|| reply.found(verified))
    }

    /// Returns the visitor of a public page: the caller, or an anonymous visitor if the credential
    /// is missing or rejected.
    ///
    /// # Errors
    ///
    /// *Unavailable*: it is unknown whether the visitor is logged in. With a
    /// [refresh page](crate::web::AuthLayer::refresh_page), the denial that leads a navigation with
    /// an expired access token there.
    ///
    /// # Cancel safety
    ///
    /// As for [`Authenticator::verify`](crate::Authenticator::verify).
    pub async fn visitor(&self) -> Result<Visitor<D>, Denial> {
        let denial = match self.verify().await {
            Ok(caller) => return Ok(Visitor::logged_in(caller)),
            Err(denial) => denial,
        };
        let request = self.request();
        let pages = &request.config.pages;
        if denial.is_rejected() && pages.refreshes(&denial, &request.head) {
            self.reply().is_public = true;
            return Err(denial);
        }
        match denial.status() {
            400 | 401 => Ok(Visitor::anonymous(denial.is_rejected())),
            _ => Err(denial),
        }
    }

    /// Verifies the caller again and bypasses all caches: call it before sensitive actions. See
    /// [`Presented::authoritative`](crate::Presented::authoritative).
    ///
    /// # Errors
    ///
    /// The denial to return from your handler.
    ///
    /// # Cancel safety
    ///
    /// As for [`Authenticator::verify`](crate::Authenticator::verify).
    pub async fn verify_authoritative(&self) -> Result<Auth<D>, Denial> {
        self.reply().ask();
        if let Some(settled) = self.reply().settled() {
            return settled;
        }
        let verified = self.ask_authenticator(true).await;
        self.reply().found(verified)
    }

    /// Notes that a login begins, before you load the user: see
    /// [`Authenticator::begin`](crate::Authenticator::begin) and [`Login::begun`].
    ///
    /// ```
    /// use statewise::Login;
    /// use statewise::web::{Denial, SignIn};
    ///
    /// # async fn roles_of(_: &str) -> Option<Vec<String>> { None }
    /// async fn log_in(sign_in: SignIn, user: &str, password: &str) -> Result<(), Denial> {
    ///     let begun = sign_in.begin().await?;
    ///     // .. check the password, and load the user:
    ///     let roles = roles_of(user).await.ok_or(Denial::Unproven)?;
    ///     sign_in.issue(Login::new(user).roles(roles).begun(begun)).await?;
    ///     Ok(())
    /// }
    /// # let _ = log_in;
    /// ```
    ///
    /// # Errors
    ///
    /// As for [`Authenticator::begin`](crate::Authenticator::begin).
    ///
    /// # Cancel safety
    ///
    /// Changes nothing.
    pub async fn begin(&self) -> Result<Begun, Denial> {
        Ok(self.authenticator().begin().await?)
    }

    /// Creates the denial of a failed login, [`Denial::Unproven`], and notes the user for the audit
    /// log: the event [`Denied::FailedLogin`](crate::observer::Denied::FailedLogin) has it as `tried`.
    ///
    /// ```
    /// use statewise::Login;
    /// use statewise::web::{Denial, SignIn};
    ///
    /// # struct User { id: String }
    /// # impl User { fn has_password(&self, _: &str) -> bool { true } }
    /// # async fn user_of(_: &str) -> Option<User> { None }
    /// async fn log_in(sign_in: SignIn, name: &str, password: &str) -> Result<(), Denial> {
    ///     // No user has this name: it is not logged.
    ///     let user = user_of(name).await.ok_or(Denial::Unproven)?;
    ///     if !user.has_password(password) {
    ///         return Err(sign_in.failed(&user.id));
    ///     }
    ///     sign_in.issue(Login::new(&user.id)).await.map(drop)
    /// }
    /// # let _ = log_in;
    /// ```
    ///
    /// # Security
    ///
    /// Pass the subject of a user of yours, and never the text that the client has sent: users type
    /// passwords into the field of the name. The response does not depend on this call, but its time
    /// may: for an unknown name, check the password against a fixed hash (OWASP ASVS 6.3.8).
    #[must_use]
    pub fn failed(&self, subject: &str) -> Denial {
        self.failed_at(Factor::First, subject)
    }

    /// Creates the denial of a wrong second factor, at a login or a [step-up](Self::step_up). The client gets
    /// the response of a failed login, [`Denial::Unproven`]. The audit log gets the event
    /// [`Denied::FailedSecondFactor`](crate::observer::Denied::FailedSecondFactor) with the user as `tried`,
    /// so that it tells a guessed code from a guessed password.
    ///
    /// ```
    /// use std::time::Duration;
    /// use statewise::web::{Auth, Denial, SignIn};
    ///
    /// # fn is_right(_: &str, _: &str) -> bool { true }
    /// async fn second_factor(caller: Auth, sign_in: SignIn, code: &str) -> Result<(), Denial> {
    ///     if !is_right(caller.subject(), code) {
    ///         return Err(sign_in.failed_second_factor(caller.subject()));
    ///     }
    ///     sign_in.step_up("confirmed", Duration::from_secs(10 * 60)).await.map(drop)
    /// }
    /// # let _ = second_factor;
    /// ```
    ///
    /// # Security
    ///
    /// As for [`failed`](Self::failed). Call it only after the first factor was right: a cause of its own
    /// tells the reader of the log that someone knows the password.
    #[must_use]
    pub fn failed_second_factor(&self, subject: &str) -> Denial {
        self.failed_at(Factor::Second, subject)
    }

    fn failed_at(&self, factor: Factor, subject: &str) -> Denial {
        let subject = subject.into();
        self.reply().tried = Some(Tried { subject, factor });
        Denial::Unproven
    }

    /// Logs in a user after the password check, or another authentication: revokes the credentials
    /// that the request carries, and sets the cookie.
    ///
    /// # Errors
    ///
    /// As for [`Authenticator::issue`](crate::Authenticator::issue); *misuse* if the
    /// [`Transport`] has no cookie, or if the handler has returned already;
    /// *refused* if the credential is too large for a cookie. After an error no client has a new
    /// credential, and those of the request may have been revoked. After an outage, a row that no
    /// client knows may remain until it expires.
    ///
    /// # Cancel safety
    ///
    /// The credentials of the request may have been revoked. A login may exist, but no client has
    /// its credential.
    pub async fn issue(&self, login: Login<D>) -> Result<Auth<D>, Denial> {
        drop(self.open_reply(Act::Issue)?);
        let issued = self.replace_carried(login.place(Place::Cookie)).await?;
        let credential = issued.refreshable().clone();
        let cookies = self.cookies_of(Act::Issue, &issued);
        let caller = self.caller(issued);
        let settled = cookies.and_then(|cookies| {
            let login = Caller::LoggedIn(caller.clone(), credential.clone());
            Ok(self.open_reply(Act::Issue)?.settle(login, cookies))
        });
        // The credential of a concurrent login, or of this one if its cookie cannot be set.
        let (discarded, outcome) = match settled {
            Ok(replaced) => (replaced, Ok(caller)),
            Err(error) => (Some(credential), Err(error.into())),
        };
        self.discard(discarded).await;
        outcome
    }

    /// Logs in a user and returns the credential for the body of the response (RFC 6749, section
    /// 5.1). Use it for programs, which present the credential as a bearer token.
    ///
    /// Revokes the credentials that the request carries and removes their cookies.
    ///
    /// # Errors
    ///
    /// As for [`Authenticator::issue`](crate::Authenticator::issue).
    ///
    /// # Cancel safety
    ///
    /// The credentials of the request may have been revoked. A login may exist, but no client has
    /// its credential.
    pub async fn issue_token(&self, login: Login<D>) -> Result<TokenResponse<D>, Denial> {
        let now = self.now()?;
        let issued = self.replace_carried(login.place(Place::Bearer)).await?;
        let credential = issued.refreshable().clone();
        let response = TokenResponse::new(issued, now, self.clock());
        let mut removals = self.transport().remove(true);
        if !self.request().carries_cookie() {
            removals.clear();
        }
        let login = Caller::LoggedIn(response.caller().clone(), credential);
        self.settle(login, removals).await;
        Ok(response)
    }

    /// Refreshes the credential in the cookies of the request, and sets the cookies again. After a
    /// login or a logout in the same request it changes nothing and returns the caller of that act.
    ///
    /// # Errors
    ///
    /// [`Denial::Absent`] if no cookie holds a credential to refresh; *misuse* if the handler has
    /// returned already; otherwise as for
    /// [`Authenticator::refresh`](crate::Authenticator::refresh). A rejected cookie is removed,
    /// unless a script sent the request: another tab may have logged in in the meantime.
    ///
    /// # Cancel safety
    ///
    /// Refresh again.
    pub async fn refresh(&self) -> Result<Auth<D>, Denial> {
        self.reply().ask();
        if let Some(settled) = self.open_reply(Act::Refresh)?.settled() {
            return settled;
        }
        let refresh = self.request().refreshable()?;
        let credential = match refresh {
            Some(refresh) => refresh,
            None => match self.decided().await? {
                carried if carried.is_bearer() => return Err(Denial::Absent),
                carried => carried.credential(),
            },
        };
        let presented = Presented::new(credential).with_place(Place::Cookie);
        let error = match self.authenticator().refresh_with(presented).await {
            Ok(issued) => {
                let cookies = self.cookies_of(Act::Refresh, &issued)?;
                let caller = self.caller(issued);
                return self.open_reply(Act::Refresh)?.refreshed(caller, cookies);
            }
            Err(error) => error,
        };
        let lacks_refresh_cookie = refresh.is_none() && self.transport().refresh().is_some();
        if lacks_refresh_cookie && error.rejection() == Some(Rejection::Malformed) {
            // The value is an access token, which cannot be refreshed.
            return Err(Denial::Absent);
        }
        if error.is_rejected() {
            self.forget(refresh.is_some(), |reply| reply.settled().is_none());
        }
        Err(error.into())
    }

    /// Refreshes the credential that a program sent in the body (RFC 6749, section 6), and returns
    /// the new one for the body of the response.
    ///
    /// # Errors
    ///
    /// As for [`Authenticator::refresh`](crate::Authenticator::refresh), in the form of RFC 6749,
    /// section 5.2.
    ///
    /// # Cancel safety
    ///
    /// Refresh again with the same credential.
    pub async fn refresh_token(&self, refresh_token: &str) -> Result<TokenResponse<D>, TokenError> {
        self.reply().ask();
        let now = self.now()?;
        let presented = Presented::new(refresh_token).with_place(Place::Bearer);
        let issued = self.authenticator().refresh_with(presented).await?;
        let response = TokenResponse::new(issued, now, self.clock());
        // After a login or a logout in the meantime, the caller of that act stays.
        let caller = response.caller().clone();
        let _ = self.reply().refreshed(caller, Vec::new());
        Ok(response)
    }

    /// Updates the roles, the device or the data of the caller's login: see
    /// [`Authenticator::update`](crate::Authenticator::update). Returns the caller as updated.
    ///
    /// Sets the cookie if the credential in it changes, as with tokens. With changed roles, the layer
    /// also rotates the credential of a session; after a [passive](crate::web::AuthLayer::passive)
    /// request, at the next use. A program that presents a bearer token
    /// sees the change of a session at once, and that of a hybrid when it refreshes. **With plain tokens
    /// as bearer tokens the change is lost**, because the new token is not returned: call
    /// [`Authenticator::update`](crate::Authenticator::update), and send its credential in the body.
    ///
    /// ```
    /// use statewise::web::{Denial, SignIn};
    ///
    /// async fn choose_language(sign_in: SignIn<String>, language: String) -> Result<(), Denial> {
    ///     let edit = sign_in.update(|login| {
    ///         login.data.clone_from(&language);
    ///         Ok(())
    ///     });
    ///     edit.await.map(drop)
    /// }
    /// # let _ = choose_language;
    /// ```
    ///
    /// # Errors
    ///
    /// As for [`verify`](Self::verify) and
    /// [`Authenticator::update`](crate::Authenticator::update); *misuse* after a login or a refresh in
    /// the same request, or if the handler has returned already. Several updates in one request
    /// are fine, one after the other.
    ///
    /// # Cancel safety
    ///
    /// The login may have been updated.
    pub async fn update<F>(&self, edit: F) -> Result<Auth<D>, Denial>
    where
        F: FnMut(&mut Edit<D>) -> Result<()> + Send,
    {
        let (carried, issued) = self.update_carried(edit, false).await?;
        let credential = issued.credential().clone();
        let stays = carried.is_bearer() || credential.reveal() == carried.credential();
        let cookies = match stays {
            true => Vec::new(),
            false => {
                let cookies = self.request().config.access_cookie_of(&issued);
                self.reported(Act::Update, cookies)?
            }
        };
        let caller = self.caller(issued);
        let mut reply = self.open_reply(Act::Update)?;
        match stays && !matches!(reply.caller, Caller::Updated(..)) {
            true => reply.found(Ok(caller)),
            false => reply.updated(caller, credential, cookies),
        }
    }

    /// Notes that the caller has just proven more than at login, for example by a second factor: the
    /// login has this authentication context class for a time, in whole seconds. See
    /// [`Edit::step_up`]. Returns the caller with the class, and sets the cookie: the former
    /// credential never has it.
    ///
    /// Ask for the class with [`Require::acr`](crate::web::Require::acr) or [`Auth::require_acr`].
    /// Choose one that no login has, such as `confirmed`: otherwise a guard never asks. While it lasts it
    /// replaces the class of the login, so a route for that class must accept both.
    ///
    /// With a hybrid, the access token has the class and expires with it, or at the client's next refresh. A
    /// response with a 5xx keeps the login, and sets the cookie.
    ///
    /// To change roles or data too, call [`Edit::step_up`] in an [`update`](Self::update).
    ///
    /// ```
    /// use std::time::Duration;
    /// use statewise::web::{Auth, Denial, SignIn};
    ///
    /// # fn is_right(_: &str, _: &str) -> bool { true }
    /// async fn second_factor(caller: Auth, sign_in: SignIn, code: &str) -> Result<(), Denial> {
    ///     if !is_right(caller.subject(), code) {
    ///         return Err(sign_in.failed_second_factor(caller.subject()));
    ///     }
    ///     sign_in.step_up("confirmed", Duration::from_secs(10 * 60)).await.map(drop)
    /// }
    ///
    /// async fn delete_account(caller: Auth) -> Result<(), Denial> {
    ///     // 401 with `error="insufficient_user_authentication"` (RFC 9470) asks for the second factor.
    ///     caller.require_acr("confirmed")
    /// }
    /// # let _ = (second_factor, delete_account);
    /// ```
    ///
    /// # Errors
    ///
    /// As for [`update`](Self::update); *misuse* for an empty class, for less than a second, and for a
    /// bearer token, which [`step_up_token`](Self::step_up_token) replaces.
    ///
    /// # Cancel safety
    ///
    /// The client may keep a valid credential without the class: step up again.
    pub async fn step_up(&self, acr: &str, lasts: Duration) -> Result<Auth<D>, Denial> {
        self.update(|login| login.step_up(acr, lasts)).await
    }

    /// Does as [`step_up`](Self::step_up) for a program that presents a bearer token, and returns its
    /// next one for the body of the response. A refresh credential that the program has stays.
    ///
    /// # Errors
    ///
    /// As for [`step_up`](Self::step_up); *misuse* for a cookie.
    ///
    /// # Cancel safety
    ///
    /// The client may keep a valid credential without the class: step up again.
    pub async fn step_up_token(
        &self,
        acr: &str,
        lasts: Duration,
    ) -> Result<TokenResponse<D>, Denial> {
        let now = self.now()?;
        let edit = |login: &mut Edit<D>| login.step_up(acr, lasts);
        let (_, issued) = self.update_carried(edit, true).await?;
        let credential = issued.credential().clone();
        let response = TokenResponse::new(issued, now, self.clock());
        let caller = response.caller().clone();
        self.open_reply(Act::Update)?
            .updated(caller, credential, Vec::new())?;
        Ok(response)
    }

    /// Updates the login of the credential that the request carries, or of the one that an update of
    /// this request has made of it. A step-up of a bearer token is allowed if the client gets the next
    /// one in the body.
    async fn update_carried<F>(
        &self,
        mut edit: F,
        is_for_body: bool,
    ) -> Result<(Carried<'_>, Issued<D>), Denial>
    where
        F: FnMut(&mut Edit<D>) -> Result<()> + Send,
    {
        self.verify().await?;
        let updated = match &self.open_reply(Act::Update)?.caller {
            Caller::Updated(_, credential) => Ok(Some(credential.clone())),
            Caller::Settled(_) | Caller::LoggedIn(..) => Err(Error::misuse(
                "an update after a login or a refresh in the same request: update first, or issue \
                 the login with the new values",
            )),
            Caller::Unasked | Caller::Asked | Caller::Found(_) => Ok(None),
        };
        let updated = self.reported(Act::Update, updated)?;
        let carried = self.request().carried()?;
        let is_lost = carried.is_bearer() != is_for_body;
        let edit = &mut |login: &mut Edit<D>| {
            edit(login)?;
            if is_lost && login.steps_up() {
                return Err(Error::misuse(
                    "a step-up whose credential does not reach the client: use `step_up` for a \
                     cookie, and `step_up_token` for a bearer token",
                ));
            }
            Ok(())
        };
        let credential = updated
            .as_ref()
            .map_or(carried.credential(), Credential::reveal);
        let issued = self.authenticator().update(credential, edit).await?;
        Ok((carried, issued))
    }

    /// Updates all logins of a user, usually another one: see
    /// [`Authenticator::update_all`](crate::Authenticator::update_all). Call it after you have changed
    /// the user in your database.
    ///
    /// # Errors
    ///
    /// As for [`Authenticator::update_all`](crate::Authenticator::update_all).
    ///
    /// # Cancel safety
    ///
    /// Some logins may have been updated: call again.
    pub async fn update_all<F>(&self, subject: &str, mut edit: F) -> Result<Affected, Denial>
    where
        F: FnMut(&mut Edit<D>) -> Result<()> + Send,
    {
        Ok(self.authenticator().update_all(subject, &mut edit).await?)
    }

    /// Logs the caller out: revokes the credentials that the request carries, and removes the cookies. Returns
    /// `Ok` also for a credential that has expired, was revoked or is invalid, and for a request without one,
    /// such as a second click: nothing ends then. Both credentials of a hybrid are one login, and end by one
    /// call of the authenticator; if that ends nothing, each one is tried.
    ///
    /// Put the route below the path of the [refresh cookie](crate::web::Transport::refresh_cookie), or of the
    /// cookie if there is one alone. At another path, the browser sends at most the access token of a hybrid,
    /// also an expired one, and that ends the login too: the first such logout is reported as a *misuse*, once
    /// in a process. But if the layer has [removed](crate::web::AuthLayer#rejected-cookies) the expired access
    /// cookie before, the request carries nothing, and the login goes on in the store.
    ///
    /// # Errors
    ///
    /// *Unavailable*, also if the row of the login does not decode: the login may still be valid and
    /// the cookies stay. Log out again. *Misuse*, although the cookies are removed, if the request carries no
    /// credential, and its path is not below that of the cookie: a login may go on until it expires, also for a
    /// thief with a copy.
    ///
    /// # Cancel safety
    ///
    /// Log out again.
    pub async fn revoke(&self) -> Result<Revocation, Denial> {
        self.reply().ask();
        let (auth, credentials) = (self.authenticator(), self.revocable()?);
        let request = self.request();
        let (is_empty, line) = (credentials.is_empty(), &request.head.line);
        let reached = request.config.check_logout_path(line);
        if let Err(error) = &reached
            && !is_empty
            && request.carried().is_ok_and(|carried| !carried.is_bearer())
        {
            request.config.report_misplaced(error);
        }
        // A refresh credential ends its login with all access tokens, which are not ended again: one act of
        // the user is one entry of the log, and one event. It is the first one of all.
        let refresh = self.request().refreshable().ok().flatten();
        let mut by_refresh: Option<Logout> = None;
        let mut effective = Revocation::Immediate;
        for credential in credentials {
            if let Some(ended) = &by_refresh
                && ended.includes(&auth.find_login(&credential).await)
            {
                continue;
            }
            match auth.revoke(&credential).await {
                Ok(ended) => {
                    effective = effective.or_later(ended.effective);
                    if refresh == Some(&*credential) {
                        by_refresh = Some(ended);
                    }
                }
                Err(error) if error.is_rejected() => {}
                Err(error) => return Err(error.into()),
            }
        }
        self.log_out(self.transport().remove(true)).await;
        if is_empty {
            self.reported(Act::Revoke, reached)?;
        }
        Ok(effective)
    }

    /// Logs the caller out everywhere: ends all logins of the user (OWASP ASVS 7.4.3), and removes
    /// the cookies. Returns how many ended, where that is known, and when that takes effect.
    ///
    /// To keep the caller logged in after a change of password, [`issue`](Self::issue) a new login
    /// afterwards.
    ///
    /// ```
    /// use statewise::Login;
    /// use statewise::web::{Auth, Denial, SignIn};
    ///
    /// async fn change_password(caller: Auth, sign_in: SignIn) -> Result<(), Denial> {
    ///     // .. check the old password, store the new one, and then:
    ///     let _ = sign_in.revoke_all().await?;
    ///     // With roles and data as at a login: the new one takes nothing from the old one.
    ///     sign_in.issue(Login::new(caller.subject())).await?;
    ///     Ok(())
    /// }
    /// # let _ = change_password;
    /// ```
    ///
    /// # Errors
    ///
    /// As for [`verify`](Self::verify), because the caller must be known; *unavailable*: some
    /// logins may still be valid. Log out again.
    ///
    /// # Cancel safety
    ///
    /// Log out again.
    pub async fn revoke_all(&self) -> Result<Affected, Denial> {
        let caller = self.verify().await?;
        let auth = self.authenticator();
        let affected = auth.revoke_all(caller.subject()).await?;
        let mut cookies = self.transport().remove(true);
        let carried = self.request().carried();
        if carried.is_ok_and(|carried| carried.is_bearer()) && self.reply().cookies.is_empty() {
            // A cookie beside a preferred bearer token may belong to another user.
            cookies.clear();
        }
        self.log_out(cookies).await;
        Ok(affected)
    }

    /// Logs the caller out on all other devices: ends all logins of the user except this one (OWASP ASVS
    /// 7.4.3). Returns how many ended, and when that takes effect. After a login in the same request, the
    /// new login is the one that goes on.
    ///
    /// ```
    /// use statewise::web::{Denial, SignIn};
    ///
    /// async fn log_out_other_devices(sign_in: SignIn) -> Result<String, Denial> {
    ///     let ended = sign_in.revoke_others().await?.count.unwrap_or_default();
    ///     Ok(format!("{ended} other devices were logged out"))
    /// }
    /// # let _ = log_out_other_devices;
    /// ```
    ///
    /// # Errors
    ///
    /// As for [`verify`](Self::verify); [`Denial::NotALogin`] for an API key; *misuse* for logins of
    /// which the server keeps no row, such as plain tokens: call [`revoke_all`](Self::revoke_all), and
    /// [`issue`](Self::issue) a new login; *unavailable*: some logins may still be valid. Call again.
    ///
    /// # Cancel safety
    ///
    /// Some logins may have ended: call again.
    pub async fn revoke_others(&self) -> Result<Affected, Denial> {
        let caller = self.verify().await?;
        caller.require_login()?;
        let auth = self.authenticator();
        Ok(auth.revoke_all_except(caller.identity()).await?)
    }

    /// Revokes the login of this request, if there is one, and removes the cookies: the login that
    /// it replaced was revoked before.
    pub(crate) async fn undo(&self) {
        let has_login = matches!(self.reply().caller, Caller::LoggedIn(..));
        if has_login {
            self.log_out(self.transport().remove(true)).await;
        }
    }

    /// Rotates the credential in the cookie of the request.
    pub(crate) async fn rotate(&self) {
        let carried = match self.request().carried() {
            Ok(carried) if !carried.is_bearer() => carried,
            // A client that keeps a bearer token refreshes it with a call of its own.
            _ => return,
        };
        // After an outage or a concurrent logout, the response stays as it is: the next request
        // rotates, or is rejected.
        if let Ok(issued) = self.authenticator().refresh_with(carried.into()).await
            && let Ok(cookies) = self.cookies_of(Act::Refresh, &issued)
        {
            let mut reply = self.reply();
            if reply.cookies.is_empty() {
                reply.cookies = cookies;
            }
        }
    }

    /// Removes the access cookie if its credential was rejected.
    pub(crate) fn forget_rejected(&self) {
        if !self.reply().is_rejected() {
            return;
        }
        // If a bearer token was rejected, the cookie beside it may still be valid.
        let carried = self.request().carried();
        if !carried.is_ok_and(|carried| carried.is_bearer()) {
            self.forget(false, Reply::is_rejected);
        }
    }

    /// Removes all cookies.
    pub(crate) fn forget_all(&self) {
        self.reply().cookies = self.transport().remove(true);
    }

    /// Removes the cookies on a condition; the refresh cookie only if `with_refresh`. A request of
    /// a script may have been sent before another tab logged in, so it removes none.
    fn forget(&self, with_refresh: bool, condition: impl FnOnce(&Reply<D>) -> bool) {
        if self.request().client.is_script {
            return;
        }
        let mut reply = self.reply();
        if condition(&reply) {
            reply.cookies = self.transport().remove(with_refresh);
        }
    }

    async fn ask_authenticator(&self, authoritative: bool) -> Verified<D> {
        let verified = match self.request().carried() {
            Ok(carried) => self.ask_about(carried, authoritative).await,
            Err(denial) => Err(denial),
        };
        let rivals = verified.as_ref().err();
        match rivals.and_then(|denial| self.request().rivals(denial)) {
            // Boxed because it is rare: the future of the usual case stays small.
            Some(groups) => Box::pin(self.choose(groups?, authoritative)).await,
            None => verified,
        }
    }

    /// Returns the credential that the request carries. Verifies it if there are several.
    async fn decided(&self) -> Result<Carried<'_>, Denial> {
        if matches!(self.request().carried(), Err(Denial::Ambiguous)) {
            self.verify().await?;
        }
        self.request().carried()
    }

    async fn ask_about(&self, carried: Carried<'_>, authoritative: bool) -> Verified<D> {
        let mut presented = Presented::from(carried);
        if authoritative {
            presented = presented.authoritative();
        }
        if self.request().client.is_passive {
            presented = presented.passive();
        }
        let identity = self.authenticator().verify_with(presented).await?;
        Ok(Auth::new(identity, self.clock()))
    }

    /// Verifies all values of the access cookie. The present cookie counts before the former ones. In
    /// each group the credential counts whose login is the only valid one.
    async fn choose(&self, groups: Vec<Vec<&str>>, authoritative: bool) -> Verified<D> {
        let mut denial = Denial::Absent;
        for group in groups {
            let mut valid: Option<(&str, Auth<D>)> = None;
            for credential in group {
                match self
                    .ask_about(Carried::in_cookie(credential), authoritative)
                    .await
                {
                    Ok(caller) => match &valid {
                        None => valid = Some((credential, caller)),
                        // The same login, before and after a rotation.
                        Some((_, other)) if other.id() == caller.id() => {}
                        Some(_) => return Err(Denial::Ambiguous),
                    },
                    Err(rejected) if rejected.is_rejected() => denial = rejected,
                    Err(unknown) => return Err(unknown),
                }
            }
            if let Some((credential, caller)) = valid {
                self.request().choose(credential);
                return Ok(caller);
            }
        }
        Err(denial)
    }

    /// Issues a login that replaces all credentials of the request. If that fails, an earlier
    /// login of the same request is undone: it may have been revoked already.
    async fn replace_carried(&self, login: Login<D>) -> Result<Issued<D>, Denial> {
        self.reply().ask();
        let issued = self.try_replace_carried(login).await;
        if issued.is_err() {
            self.undo().await;
        }
        issued
    }

    async fn try_replace_carried(&self, mut login: Login<D>) -> Result<Issued<D>, Denial> {
        for credential in self.revocable()? {
            login = login.replaces(credential);
        }
        Ok(self.authenticator().issue(login).await?)
    }

    /// Returns every possible credential of the request, and that of its login if there is one.
    fn revocable(&self) -> Result<Vec<String>, Denial> {
        let carried = self.request().all_carried()?;
        let mut all: Vec<String> = carried.into_iter().map(str::to_owned).collect();
        if let Caller::LoggedIn(_, credential) = &self.reply().caller {
            all.push(credential.reveal().to_owned());
        }
        Ok(all)
    }

    async fn log_out(&self, removals: Vec<String>) {
        let logout = Caller::Settled(Err(Denial::Absent));
        self.settle(logout, removals).await;
    }

    /// Settles the caller. Revokes the login that a concurrent task of this request has settled.
    async fn settle(&self, caller: Caller<D>, cookies: Vec<String>) {
        let replaced = self.reply().settle(caller, cookies);
        self.discard(replaced).await;
    }

    /// Revokes a login that is not handed out.
    async fn discard(&self, credential: Option<Credential>) {
        if let Some(credential) = credential {
            // After an outage a row remains until it expires, but no client can use it.
            let _ = self.authenticator().revoke(credential.reveal()).await;
        }
    }

    /// Returns the reply if its cookies still reach the client. Reports a failure: the response may be
    /// gone.
    fn open_reply(&self, act: Act) -> Result<MutexGuard<'_, Reply<D>>> {
        let reply = self.reply();
        if !reply.closed {
            return Ok(reply);
        }
        drop(reply);
        self.reported(
            act,
            Err(Error::misuse(
                "a login in a cookie after the handler has returned: log in before the response \
                 is returned, and not from a task that outlives the handler",
            )),
        )
    }

    /// Returns the lines of `Set-Cookie` that hand out a login. Reports a failure.
    fn cookies_of(&self, act: Act, issued: &Issued<D>) -> Result<Vec<String>> {
        self.reported(act, self.request().config.cookies_of(issued))
    }

    /// Reports a failure that the authenticator has not seen.
    fn reported<T>(&self, act: Act, result: Result<T>) -> Result<T> {
        result.inspect_err(|error| self.request().config.report_error(act, error))
    }

    /// Returns the caller of an act of this request. Nothing is due for a refresh on account of a
    /// passive request.
    fn caller(&self, issued: Issued<D>) -> Auth<D> {
        let identity = issued.into_identity();
        let refresh_due = identity.refresh_due() && !self.request().client.is_passive;
        Auth::new(identity.with_refresh_due(refresh_due), self.clock())
    }

    fn clock(&self) -> Arc<dyn Clock> {
        Arc::clone(&self.request().config.clock)
    }

    fn now(&self) -> Result<Timestamp> {
        clock::read(&*self.request().config.clock)
    }
}

clone_fields!(SignIn<D> { 0 });

impl<D> fmt::Debug for SignIn<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SignIn")
            .field("auth", &self.request().config.auth)
            .finish_non_exhaustive()
    }
}
