//! Request that is being served, from any framework.

use std::fmt;

use crate::base::boxed::BoxFuture;
use crate::web::answer::Answer;
use crate::web::denial::Denial;
use crate::web::headers::HeadersMut;
use crate::web::reply::PendingReply;
use crate::web::response::{Finished, has_failed, seal};
use crate::web::sign_in::SignIn;

/// Request that is being served, between [`AuthLayer::begin`] and [`finish`](Self::finish).
///
/// You need it only in a framework for which this crate has no layer. Drop it if the client
/// disconnects: then handlers that still run can no longer set cookies.
///
/// [`AuthLayer::begin`]: crate::web::AuthLayer::begin
#[must_use = "without `finish`, the response lacks the cookies"]
pub struct Serving<D = ()> {
    sign_in: SignIn<D>,
    is_open: bool,
}

impl<D> Serving<D> {
    pub(crate) fn new(sign_in: SignIn<D>) -> Self {
        Self {
            sign_in,
            is_open: true,
        }
    }

    /// The `SignIn` of the request. Pass a clone to the handlers.
    #[must_use]
    pub fn sign_in(&self) -> &SignIn<D> {
        &self.sign_in
    }

    /// Closes the reply. `None` if that has happened before.
    pub(crate) fn close(&mut self) -> Option<PendingReply> {
        let pending = self.is_open.then(|| self.sign_in.reply().close());
        self.is_open = false;
        pending
    }
}

impl<D: Send + Sync + 'static> Serving<D> {
    /// Completes the response of the service: revokes the login of a failed response, rotates a
    /// credential that is due, answers a denial, and adds cookies and header fields. Call it with
    /// the status and header fields of the response, and with the denial from which it was made, if
    /// there was one. Send the status and the body that it returns.
    ///
    /// # Cancel safety
    ///
    /// A dropped call may have rotated the credential, or may have left the login of a failed
    /// response. Its credential was not sent.
    pub async fn finish<H: HeadersMut>(
        mut self,
        status: u16,
        denial: Option<&Denial>,
        headers: &mut H,
    ) -> Finished {
        let finished = Finished { status, body: None };
        let pending = self.close().unwrap_or(PendingReply::Independent);
        let client = self.sign_in.request().client;
        if pending.calls_store(|| has_failed(status, headers, client)) {
            conclude(&self.sign_in, pending).await;
        }
        if pending == PendingReply::Independent && denial.is_none() {
            return finished;
        }
        seal(&self.sign_in, status, denial, headers)
    }

    /// Ends a request that the service has answered with an error or a panic instead of a response:
    /// revokes its login.
    ///
    /// # Cancel safety
    ///
    /// A dropped call may have left the login. Its credential was not sent.
    pub async fn fail(mut self) {
        if self.close() == Some(PendingReply::LoggedIn) {
            self.sign_in.undo().await;
        }
    }
}

impl<D> Drop for Serving<D> {
    fn drop(&mut self) {
        self.close();
    }
}

impl<D> fmt::Debug for Serving<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Serving").finish_non_exhaustive()
    }
}

/// Undoes the login of a failed response, or rotates the credential of a successful one.
pub(crate) async fn conclude<D: Send + Sync + 'static>(sign_in: &SignIn<D>, pending: PendingReply) {
    if pending == PendingReply::RefreshDue {
        sign_in.rotate().await;
    } else {
        sign_in.undo().await;
    }
}

/// First step of a request in the layer.
pub(crate) enum Begun<D> {
    /// The service answers.
    Serve(Serving<D>),
    /// The layer answers, and must call the authenticator for that.
    Refresh(BoxFuture<'static, Answer>),
}

/// Serves the refresh page: refreshes the credentials of a browser, and sends it back to the page
/// that it came from.
pub(crate) async fn refresh_page<D: Send + Sync + 'static>(sign_in: SignIn<D>) -> Answer {
    let denial = sign_in.refresh().await.err();
    let leads_on = match &denial {
        // A browser does not send a `SameSite=Strict` cookie after a link from another site, so a
        // missing one may be alive.
        None | Some(Denial::Absent) => true,
        Some(denial) if denial.status() == 401 => {
            sign_in.forget_all();
            true
        }
        // An outage.
        Some(_) => false,
    };
    sign_in.reply().close();
    let request = sign_in.request();
    let pages = &request.config.pages;
    let redirect = match leads_on {
        true => pages.after_refresh(denial.is_none(), &request.head),
        false => None,
    };
    let denial = denial.filter(|_| redirect.is_none());
    let answer =
        redirect.unwrap_or_else(|| denial.as_ref().unwrap_or(&Denial::Absent).plain_answer());
    let mut headers = Vec::new();
    let status = answer.status();
    let body = answer.write(&mut headers);
    let finished = seal(&sign_in, status, denial.as_ref(), &mut headers);
    Answer::from_parts(finished.status, headers, finished.body.unwrap_or(body))
}
