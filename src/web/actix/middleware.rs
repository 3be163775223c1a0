//! Layer as a middleware of actix-web.

use std::fmt;
use std::future::{Ready, poll_fn, ready};
use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use actix_web::body::{BoxBody, EitherBody};
use actix_web::dev::{Service, ServiceRequest, ServiceResponse, Transform, forward_ready};
use actix_web::{Error, HttpMessage, HttpResponse, ResponseError};

use crate::error::Result;
use crate::web::actix::LocalFuture;
use crate::web::actix::extract::AuthError;
use crate::web::actix::headers::{denied, status_of};
use crate::web::config::LayerConfig;
use crate::web::denial::Denial;
use crate::web::layer::AuthLayer;
use crate::web::request::Lines;
use crate::web::request_line::RequestLine;
use crate::web::serving::{Begun, Serving};

impl<S, B, D> Transform<S, ServiceRequest> for AuthLayer<D>
where
    S: Service<ServiceRequest, Response = ServiceResponse<B>, Error = Error>,
    S::Future: 'static,
    B: 'static,
    D: Send + Sync + 'static,
{
    type Response = ServiceResponse<EitherBody<B>>;
    type Error = Error;
    type Transform = AuthMiddleware<S, D>;
    type InitError = ();
    type Future = Ready<Result<Self::Transform, ()>>;

    fn new_transform(&self, service: S) -> Self::Future {
        let config = Arc::clone(&self.config);
        ready(Ok(AuthMiddleware { service, config }))
    }
}

/// Middleware of actix-web that an [`AuthLayer`] creates.
pub struct AuthMiddleware<S, D = ()> {
    service: S,
    config: Arc<LayerConfig<D>>,
}

impl<S, D> fmt::Debug for AuthMiddleware<S, D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuthMiddleware").finish_non_exhaustive()
    }
}

type Served<B> = Result<ServiceResponse<EitherBody<B>>, Error>;

impl<S, B, D> Service<ServiceRequest> for AuthMiddleware<S, D>
where
    S: Service<ServiceRequest, Response = ServiceResponse<B>, Error = Error>,
    S::Future: 'static,
    B: 'static,
    D: Send + Sync + 'static,
{
    type Response = ServiceResponse<EitherBody<B>>;
    type Error = Error;
    type Future = LocalFuture<Served<B>>;

    forward_ready!(service);

    fn call(&self, mut request: ServiceRequest) -> Self::Future {
        let head = request.head();
        let authority = head.uri.authority().map(|authority| authority.as_str());
        let line = RequestLine::Actix(head.method.clone(), head.uri.path_and_query().cloned());
        let admitted = self.config.admit(line, authority, &head.headers);
        let (client, head) = match admitted {
            Ok(admitted) => admitted,
            Err((denial, answer)) => {
                let response = request.into_response(denied(answer, denial));
                return Box::pin(ready(Ok(response.map_into_right_body())));
            }
        };
        let headers = request.headers_mut();
        let shared = |name| Lines::shared_by_actix(headers, name);
        match self.config.open(client, head, shared) {
            Begun::Serve(serving) => {
                request.extensions_mut().insert(serving.sign_in().clone());
                Box::pin(serve(self.service.call(request), serving))
            }
            Begun::Refresh(answer) => Box::pin(async move {
                let response = request.into_response(answer.await.into_actix());
                Ok(response.map_into_right_body())
            }),
        }
    }
}

/// Calls the service, and completes its response.
async fn serve<B, D: Send + Sync + 'static>(
    inner: impl Future<Output = Result<ServiceResponse<B>, Error>>,
    serving: Serving<D>,
) -> Served<B> {
    let outcome = {
        let mut inner = pin!(inner);
        // Unwind safe: after a panic the future of the service is dropped and not polled again.
        let poll = poll_fn(|context| {
            match catch_unwind(AssertUnwindSafe(|| inner.as_mut().poll(context))) {
                Ok(outcome) => outcome.map(Ok),
                Err(panic) => Poll::Ready(Err(panic)),
            }
        });
        poll.await
    };
    let mut response = match outcome {
        Ok(Ok(response)) => response.map_into_left_body(),
        Ok(Err(error)) => return Err(complete_error(serving, error).await),
        Err(panic) => {
            serving.fail().await;
            resume_unwind(panic)
        }
    };
    if let Some(denial) = AuthError::ignored(response.request())
        && denial_of(response.response()).is_none()
        && serving.sign_in().reply().settled().is_none()
    {
        let denied = denial.error_response().map_into_right_body();
        response = response.into_response(denied);
    }
    Ok(match complete(serving, response.response_mut()).await {
        Some(body) => response.map_body(|_, _| EitherBody::right(BoxBody::new(body))),
        None => response,
    })
}

fn denial_of<B>(response: &HttpResponse<B>) -> Option<Denial> {
    response.extensions().get().cloned()
}

/// Completes the head of a response. Returns the body to send instead, if there is one.
async fn complete<B, D: Send + Sync + 'static>(
    serving: Serving<D>,
    response: &mut HttpResponse<B>,
) -> Option<Vec<u8>> {
    let (status, denial) = (response.status().as_u16(), denial_of(response));
    let headers = response.headers_mut();
    let finished = serving.finish(status, denial.as_ref(), headers).await;
    *response.status_mut() = status_of(finished.status);
    finished.body
}

/// Completes the response that actix-web makes of the error of another middleware.
async fn complete_error<D: Send + Sync + 'static>(serving: Serving<D>, mut error: Error) -> Error {
    let mut completed = error.error_response();
    let body = complete(serving, &mut completed).await;
    let (status, headers) = (completed.status(), mem::take(completed.headers_mut()));
    error.add_response_mapper(move |mut response| {
        *response.status_mut() = status;
        *response.headers_mut() = headers.clone();
        match &body {
            Some(body) => response.set_body(BoxBody::new(body.clone())),
            None => response,
        }
    });
    error
}
