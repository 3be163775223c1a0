//! State of the response to one request, as far as credentials are concerned.

use std::mem;

use crate::login::issued::Credential;
use crate::web::auth::Auth;
use crate::web::denial::Denial;

/// The caller, or the reason why the request is not served.
pub(crate) type Verified<D> = Result<Auth<D>, Denial>;

/// The caller of one request, from the first question to the response.
pub(crate) enum Caller<D> {
    /// The response does not depend on a credential.
    Unasked,
    /// The response depends on a credential that is not verified yet.
    Asked,
    /// The authenticator verified or rejected the credential of the request.
    Found(Verified<D>),
    /// A refresh or a logout of this request determined the caller.
    Settled(Verified<D>),
    /// An update of this request replaced the credential of the caller by this one.
    Updated(Auth<D>, Credential),
    /// A login of this request determined the caller. Its credential is revoked if the response
    /// fails.
    LoggedIn(Auth<D>, Credential),
}

/// User of a failed login.
pub(crate) struct Tried {
    pub(crate) subject: Box<str>,
    pub(crate) factor: Factor,
}

/// The factor that was wrong.
#[derive(Clone, Copy)]
pub(crate) enum Factor {
    First,
    Second,
}

/// Work that remains after the service has responded.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum PendingReply {
    /// None: the response does not depend on a credential.
    Independent,
    /// Header fields must be added.
    Dependent,
    /// As `Dependent`. If the response failed, the new login must be undone first.
    LoggedIn,
    /// As `Dependent`, and the credential of the request is due for rotation.
    RefreshDue,
}

impl PendingReply {
    /// Returns whether the authenticator must be called before the response is sent.
    pub(crate) fn calls_store(self, has_failed: impl FnOnce() -> bool) -> bool {
        match self {
            Self::LoggedIn => has_failed(),
            Self::RefreshDue => true,
            Self::Independent | Self::Dependent => false,
        }
    }
}

/// Content of the response that depends on credentials.
pub(crate) struct Reply<D> {
    pub(crate) caller: Caller<D>,
    /// Values of `Set-Cookie`.
    pub(crate) cookies: Vec<String>,
    /// The handler has responded, or its future was dropped: a cookie set from now on would not
    /// reach the client.
    pub(crate) closed: bool,
    /// The page is shown to anonymous visitors too.
    pub(crate) is_public: bool,
    /// User of a failed login, as the application has noted it.
    pub(crate) tried: Option<Tried>,
}

impl<D> Reply<D> {
    /// Notes that the response depends on a credential. Returns the caller if it is known.
    pub(crate) fn ask(&mut self) -> Option<Verified<D>> {
        match &self.caller {
            Caller::Unasked => self.caller = Caller::Asked,
            Caller::Found(verified) => return Some(verified.clone()),
            Caller::Asked | Caller::Settled(_) | Caller::Updated(..) | Caller::LoggedIn(..) => {}
        }
        self.settled()
    }

    /// The verified caller, if there is one.
    pub(crate) fn caller(&self) -> Option<&Auth<D>> {
        match &self.caller {
            Caller::Found(Ok(caller)) | Caller::Settled(Ok(caller)) => Some(caller),
            Caller::Updated(caller, _) | Caller::LoggedIn(caller, _) => Some(caller),
            _ => None,
        }
    }

    /// Returns the caller if a login, a refresh, an update or a logout of this request determined it.
    pub(crate) fn settled(&self) -> Option<Verified<D>> {
        match &self.caller {
            Caller::Settled(verified) => Some(verified.clone()),
            Caller::Updated(caller, _) | Caller::LoggedIn(caller, _) => Some(Ok(caller.clone())),
            Caller::Unasked | Caller::Asked | Caller::Found(_) => None,
        }
    }

    /// Notes the answer of the authenticator, unless an act of this request has settled the caller.
    /// Returns the caller.
    pub(crate) fn found(&mut self, verified: Verified<D>) -> Verified<D> {
        self.settled().unwrap_or_else(|| {
            self.caller = Caller::Found(verified.clone());
            verified
        })
    }

    /// Sets the caller and the cookies. Returns the credential of a login of this request that
    /// this act replaces; revoke it.
    pub(crate) fn settle(&mut self, caller: Caller<D>, cookies: Vec<String>) -> Option<Credential> {
        self.cookies = cookies;
        match mem::replace(&mut self.caller, caller) {
            Caller::LoggedIn(_, credential) => Some(credential),
            _ => None,
        }
    }

    /// Sets the refreshed caller and its cookies, unless another act of this request has settled
    /// the caller in the meantime. Returns the settled caller.
    pub(crate) fn refreshed(&mut self, caller: Auth<D>, cookies: Vec<String>) -> Verified<D> {
        self.settled().unwrap_or_else(|| {
            self.settle(Caller::Settled(Ok(caller.clone())), cookies);
            Ok(caller)
        })
    }

    /// Sets the updated caller, its credential and its cookies, unless another act of this request has
    /// settled the caller in the meantime. Returns the settled caller.
    pub(crate) fn updated(
        &mut self,
        caller: Auth<D>,
        credential: Credential,
        cookies: Vec<String>,
    ) -> Verified<D> {
        let is_updated = matches!(self.caller, Caller::Updated(..));
        if let Some(settled) = self.settled().filter(|_| !is_updated) {
            return settled;
        }
        self.settle(Caller::Updated(caller.clone(), credential), cookies);
        Ok(caller)
    }

    /// Returns whether the credential of the request was rejected, and no cookie is set instead.
    pub(crate) fn is_rejected(&self) -> bool {
        let rejected = matches!(&self.caller, Caller::Found(Err(denial)) if denial.is_rejected());
        rejected && self.cookies.is_empty()
    }

    /// Ends the time in which handlers can set cookies.
    pub(crate) fn close(&mut self) -> PendingReply {
        self.closed = true;
        match &self.caller {
            Caller::Unasked => PendingReply::Independent,
            Caller::LoggedIn(..) => PendingReply::LoggedIn,
            Caller::Found(Ok(caller)) if self.cookies.is_empty() && caller.refresh_due() => {
                PendingReply::RefreshDue
            }
            Caller::Asked | Caller::Found(_) | Caller::Settled(_) | Caller::Updated(..) => {
                PendingReply::Dependent
            }
        }
    }
}
