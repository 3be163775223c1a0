//! Future of a request that passes the layer.

use std::any::Any;
use std::fmt;
use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::Pin;
use std::task::{Context, Poll};

use http::{Response, StatusCode};
use pin_project_lite::pin_project;

use crate::base::boxed::BoxFuture;
use crate::web::denial::Denial;
use crate::web::layer::reply::PendingReply;
use crate::web::layer::response::{complete, finish, has_failed};
use crate::web::layer::sign_in::SignIn;

/// Closes the reply when it is dropped before the service has responded: the client disconnected,
/// or the service panicked before it returned a future.
pub(crate) struct CloseOnDrop<D>(pub(crate) Option<SignIn<D>>);

impl<D> Drop for CloseOnDrop<D> {
    fn drop(&mut self) {
        if let Some(sign_in) = self.0.take() {
            sign_in.reply().close();
        }
    }
}

pin_project! {
    /// The future of an [`AuthService`](crate::web::AuthService).
    ///
    /// # Cancel safety
    ///
    /// As for the service behind the layer. See [`SignIn`](crate::web::SignIn) for a handler that
    /// is dropped during a login.
    #[must_use = "futures do nothing unless polled"]
    pub struct AuthFuture<F: Future, D = ()> {
        #[pin]
        step: Step<F>,
        sign_in: CloseOnDrop<D>,
    }
}

pin_project! {
    #[project = StepProjection]
    enum Step<F: Future> {
        Serving { #[pin] inner: F },
        // Boxed because calls of the store are rare here: other requests need no room for them.
        Concluding { rest: BoxFuture<'static, F::Output> },
    }
}

/// End of a service: its response, its error, or a panic.
type Outcome<ResBody, E> = Result<Result<Response<ResBody>, E>, Box<dyn Any + Send>>;

impl<F: Future, D> AuthFuture<F, D> {
    /// The future of a request that is denied before the service sees it.
    pub(crate) fn denied(answer: F::Output) -> Self
    where
        F::Output: Send + 'static,
    {
        let rest = Box::pin(std::future::ready(answer));
        Self {
            step: Step::Concluding { rest },
            sign_in: CloseOnDrop(None),
        }
    }

    pub(crate) fn serving(inner: F, sign_in: CloseOnDrop<D>) -> Self {
        Self {
            step: Step::Serving { inner },
            sign_in,
        }
    }
}

impl<F, D, ResBody, E> Future for AuthFuture<F, D>
where
    F: Future<Output = Result<Response<ResBody>, E>>,
    D: Send + Sync + 'static,
    ResBody: Default + Send + 'static,
    E: Send + 'static,
{
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        let mut this = self.as_mut().project();
        let inner = match this.step.as_mut().project() {
            StepProjection::Concluding { rest } => return rest.as_mut().poll(context),
            StepProjection::Serving { inner } => inner,
        };
        // Unwind safe: after a panic the future of the service is dropped and not polled again.
        let outcome = match catch_unwind(AssertUnwindSafe(|| inner.poll(context))) {
            Ok(Poll::Pending) => return Poll::Pending,
            Ok(Poll::Ready(outcome)) => Ok(outcome),
            Err(panic) => Err(panic),
        };
        let Some(sign_in) = this.sign_in.0.take() else {
            // Polled after completion: the future of the service decides what that means.
            return Poll::Ready(outcome.unwrap_or_else(|panic| resume_unwind(panic)));
        };
        let pending = sign_in.reply().close();
        let calls_store = match pending {
            PendingReply::LoggedIn => failed(&outcome, &sign_in),
            PendingReply::RefreshDue => matches!(outcome, Ok(Ok(_))),
            PendingReply::Independent | PendingReply::Dependent => false,
        };
        if calls_store {
            let rest = Box::pin(conclude(outcome, sign_in, pending));
            this.step.set(Step::Concluding { rest });
            return self.poll(context);
        }
        let is_dependent = |response: &Response<ResBody>| {
            pending != PendingReply::Independent || response.extensions().get::<Denial>().is_some()
        };
        Poll::Ready(match outcome {
            Ok(Ok(response)) if is_dependent(&response) => Ok(seal(response, &sign_in)),
            Ok(outcome) => outcome,
            Err(panic) => resume_unwind(panic),
        })
    }
}

fn failed<D, ResBody, E>(outcome: &Outcome<ResBody, E>, sign_in: &SignIn<D>) -> bool {
    let client = sign_in.request().client;
    !matches!(outcome, Ok(Ok(response)) if !has_failed(response, client))
}

/// Undoes the login of a failed response, or rotates the credential of a successful one.
async fn conclude<D, ResBody, E>(
    outcome: Outcome<ResBody, E>,
    sign_in: SignIn<D>,
    pending: PendingReply,
) -> Result<Response<ResBody>, E>
where
    D: Send + Sync + 'static,
    ResBody: Default,
{
    if pending == PendingReply::RefreshDue {
        sign_in.rotate().await;
    } else {
        sign_in.undo().await;
    }
    match outcome {
        Ok(outcome) => Ok(seal(outcome?, &sign_in)),
        Err(panic) => resume_unwind(panic),
    }
}

/// Adds the header fields of a response that depends on a credential.
fn seal<D, ResBody>(mut response: Response<ResBody>, sign_in: &SignIn<D>) -> Response<ResBody>
where
    D: Send + Sync + 'static,
    ResBody: Default,
{
    if response.status() == StatusCode::UNAUTHORIZED {
        sign_in.forget_rejected();
    }
    let request = sign_in.request();
    complete(&mut response, &request.config.transport, request.client);
    let cookies = mem::take(&mut sign_in.reply().cookies);
    finish(&mut response, cookies, &request.config.transport);
    response
}

impl<F: Future, D> fmt::Debug for AuthFuture<F, D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuthFuture").finish_non_exhaustive()
    }
}
