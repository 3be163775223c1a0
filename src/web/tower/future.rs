//! Future of a request that passes the layer.

use std::any::Any;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::Pin;
use std::task::{Context, Poll};

use http::Response;
use pin_project_lite::pin_project;

use crate::base::boxed::BoxFuture;
use crate::web::denial::Denial;
use crate::web::reply::PendingReply;
use crate::web::response::{has_failed, seal};
use crate::web::serving::{Serving, conclude};
use crate::web::sign_in::SignIn;
use crate::web::tower::body::AuthBody;
use crate::web::tower::headers::status_of;

pin_project! {
    /// The future of an [`AuthService`](crate::web::AuthService).
    ///
    /// # Cancel safety
    ///
    /// As for the service behind the layer. See [`SignIn`](crate::web::SignIn) for a handler that
    /// is dropped during a login.
    #[must_use = "futures do nothing unless polled"]
    pub struct AuthFuture<F, B, E, D = ()> {
        #[pin]
        step: Step<F, B, E>,
        serving: Option<Serving<D>>,
    }
}

type Answered<B, E> = Result<Response<AuthBody<B>>, E>;

pin_project! {
    #[project = StepProjection]
    enum Step<F, B, E> {
        Serving { #[pin] inner: F },
        // Boxed because calls of the store are rare here: other requests need no room for them.
        Concluding { rest: BoxFuture<'static, Answered<B, E>> },
    }
}

/// End of a service: its response, its error, or a panic.
type Outcome<B, E> = Result<Result<Response<B>, E>, Box<dyn Any + Send>>;

impl<F, B, E, D> AuthFuture<F, B, E, D> {
    /// The future of a request that the layer answers, so that the service does not see it.
    pub(crate) fn answered<A>(answer: A) -> Self
    where
        A: Future<Output = Response<AuthBody<B>>> + Send + 'static,
    {
        let rest = Box::pin(async move { Ok(answer.await) });
        Self {
            step: Step::Concluding { rest },
            serving: None,
        }
    }

    pub(crate) fn serving(inner: F, serving: Serving<D>) -> Self {
        Self {
            step: Step::Serving { inner },
            serving: Some(serving),
        }
    }
}

impl<F, B, E, D> Future for AuthFuture<F, B, E, D>
where
    F: Future<Output = Result<Response<B>, E>>,
    D: Send + Sync + 'static,
    B: Send + 'static,
    E: Send + 'static,
{
    type Output = Answered<B, E>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Answered<B, E>> {
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
        let Some(mut serving) = this.serving.take() else {
            // Polled after completion: the future of the service decides what that means.
            let outcome = outcome.unwrap_or_else(|panic| resume_unwind(panic));
            return Poll::Ready(outcome.map(|response| response.map(AuthBody::inner)));
        };
        let pending = serving.close().unwrap_or(PendingReply::Independent);
        let sign_in = serving.sign_in();
        let calls_store = match &outcome {
            Ok(Ok(response)) => pending.calls_store(|| {
                let client = sign_in.request().client;
                has_failed(response.status().as_u16(), response.headers(), client)
            }),
            Ok(Err(_)) | Err(_) => pending == PendingReply::LoggedIn,
        };
        if calls_store {
            let sign_in = sign_in.clone();
            let rest = Box::pin(async move {
                conclude(&sign_in, pending).await;
                answered(outcome, &sign_in, pending)
            });
            this.step.set(Step::Concluding { rest });
            return self.poll(context);
        }
        Poll::Ready(answered(outcome, sign_in, pending))
    }
}

/// Adds the header fields of a response that depends on a credential.
fn answered<B, E, D: Send + Sync + 'static>(
    outcome: Outcome<B, E>,
    sign_in: &SignIn<D>,
    pending: PendingReply,
) -> Answered<B, E> {
    let mut response = outcome.unwrap_or_else(|panic| resume_unwind(panic))?;
    let denial = response.extensions().get::<Denial>().cloned();
    if pending == PendingReply::Independent && denial.is_none() {
        return Ok(response.map(AuthBody::inner));
    }
    let status = response.status().as_u16();
    let finished = seal(sign_in, status, denial.as_ref(), response.headers_mut());
    *response.status_mut() = status_of(finished.status);
    Ok(match finished.body {
        Some(bytes) => response.map(|_| AuthBody::from(bytes)),
        None => response.map(AuthBody::inner),
    })
}

impl<F, B, E, D> fmt::Debug for AuthFuture<F, B, E, D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuthFuture").finish_non_exhaustive()
    }
}
