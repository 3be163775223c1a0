//! A request that the service behind the layer is answering.

use std::any::Any;
use std::fmt;
use std::future::{Ready, ready};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::{Response, StatusCode};
use pin_project_lite::pin_project;

use crate::base::boxed::BoxFuture;
use crate::web::denial::Denial;
use crate::web::exchange::Exchange;
use crate::web::respond::{Style, complete, finish, has_failed};

/// Closes an exchange, unless its service has answered: the client went away, or the service
/// panicked before there was a future.
pub(crate) struct Open<D: Send + Sync + 'static>(Option<Arc<Exchange<D>>>);

impl<D: Send + Sync + 'static> Open<D> {
    pub(crate) fn new(exchange: Arc<Exchange<D>>) -> Self {
        Self(Some(exchange))
    }
}

impl<D: Send + Sync + 'static> Drop for Open<D> {
    fn drop(&mut self) {
        if let Some(exchange) = self.0.take() {
            exchange.close();
        }
    }
}

pin_project! {
    /// The future of an [`AuthService`](crate::web::AuthService).
    ///
    /// # Cancel safety
    ///
    /// As that of the service behind it: see [`SignIn`](crate::web::SignIn).
    #[must_use = "futures do nothing unless polled"]
    pub struct AuthFuture<F, D = ()>
    where
        F: Future,
        D: Send,
        D: Sync,
        D: 'static,
    {
        #[pin]
        step: Step<F>,
        open: Open<D>,
        style: Style,
    }
}

pin_project! {
    #[project = Stepping]
    enum Step<F>
    where
        F: Future,
    {
        Denied { answer: Ready<F::Output> },
        Serving { #[pin] inner: F },
        // What asks the store is rare, and boxed so that all others need no room for it.
        Concluding { rest: BoxFuture<'static, F::Output> },
    }
}

/// What a service has come to: an answer, its error, or a panic.
type Outcome<ResBody, E> = Result<Result<Response<ResBody>, E>, Box<dyn Any + Send>>;

impl<F: Future, D: Send + Sync + 'static> AuthFuture<F, D> {
    /// The answer to a request that the service does not see.
    pub(crate) fn denied(answer: F::Output, style: Style) -> Self {
        let answer = ready(answer);
        Self {
            step: Step::Denied { answer },
            open: Open(None),
            style,
        }
    }

    pub(crate) fn serving(inner: F, open: Open<D>, style: Style) -> Self {
        Self {
            step: Step::Serving { inner },
            open,
            style,
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

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        let mut this = self.project();
        let inner = match this.step.as_mut().project() {
            Stepping::Denied { answer } => return Pin::new(answer).poll(context),
            Stepping::Concluding { rest } => return rest.as_mut().poll(context),
            Stepping::Serving { inner } => inner,
        };
        // What it was doing is dropped after a panic, and never looked at.
        let outcome = match catch_unwind(AssertUnwindSafe(|| inner.poll(context))) {
            Ok(Poll::Pending) => return Poll::Pending,
            Ok(Poll::Ready(outcome)) => Ok(outcome),
            Err(panic) => Err(panic),
        };
        let Some(exchange) = this.open.0.take() else {
            // Polled again after its end: what that means is for the service to say.
            return Poll::Ready(outcome.unwrap_or_else(|panic| resume_unwind(panic)));
        };
        let rest = exchange.close();
        if rest.refresh_due || rest.issued && failed(&outcome, *this.style) {
            let rest = Box::pin(conclude(outcome, exchange, *this.style));
            this.step.set(Step::Concluding { rest });
            return match this.step.project() {
                Stepping::Concluding { rest } => rest.as_mut().poll(context),
                _ => Poll::Pending,
            };
        }
        Poll::Ready(match outcome {
            Ok(Ok(response)) if rest.touched || response.extensions().get::<Denial>().is_some() => {
                Ok(seal(response, &exchange, *this.style))
            }
            Ok(answered) => answered,
            Err(panic) => resume_unwind(panic),
        })
    }
}

fn failed<ResBody, E>(outcome: &Outcome<ResBody, E>, style: Style) -> bool {
    !matches!(outcome, Ok(Ok(response)) if !has_failed(response, style))
}

/// What is left to do when the service has come to an end.
async fn conclude<D, ResBody, E>(
    outcome: Outcome<ResBody, E>,
    exchange: Arc<Exchange<D>>,
    style: Style,
) -> Result<Response<ResBody>, E>
where
    D: Send + Sync + 'static,
    ResBody: Default,
{
    if failed(&outcome, style) {
        exchange.undo().await;
    }
    let response = match outcome {
        Ok(answered) => answered?,
        Err(panic) => resume_unwind(panic),
    };
    exchange.rotate().await;
    Ok(seal(response, &exchange, style))
}

/// Writes what is to be said about credentials.
fn seal<D, ResBody>(
    mut response: Response<ResBody>,
    exchange: &Exchange<D>,
    style: Style,
) -> Response<ResBody>
where
    D: Send + Sync + 'static,
    ResBody: Default,
{
    if response.extensions().get::<Denial>().is_some() {
        exchange.touch();
    }
    if response.status() == StatusCode::UNAUTHORIZED {
        exchange.forget_rejected();
    }
    complete(&mut response, &exchange.site.transport, style);
    if let Some(cookies) = exchange.finish() {
        finish(&mut response, cookies, &exchange.site.transport);
    }
    response
}

impl<F: Future, D: Send + Sync + 'static> fmt::Debug for AuthFuture<F, D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuthFuture").finish_non_exhaustive()
    }
}
