//! Guard as a middleware of actix-web.

use std::fmt;
use std::future::{Ready, ready};
use std::rc::Rc;

use actix_web::body::EitherBody;
use actix_web::dev::{Service, ServiceRequest, ServiceResponse, Transform, forward_ready};
use actix_web::{Error, HttpMessage};

use crate::error::Result;
use crate::web::actix::LocalFuture;
use crate::web::require::Require;
use crate::web::sign_in::SignIn;

impl<S, B, D> Transform<S, ServiceRequest> for Require<D>
where
    S: Service<ServiceRequest, Response = ServiceResponse<B>, Error = Error> + 'static,
    B: 'static,
    D: Send + Sync + 'static,
{
    type Response = ServiceResponse<EitherBody<B>>;
    type Error = Error;
    type Transform = RequireMiddleware<S, D>;
    type InitError = ();
    type Future = Ready<Result<Self::Transform, ()>>;

    fn new_transform(&self, service: S) -> Self::Future {
        ready(Ok(RequireMiddleware {
            service: Rc::new(service),
            require: self.clone(),
        }))
    }
}

/// Middleware of actix-web that a [`Require`] creates.
pub struct RequireMiddleware<S, D = ()> {
    service: Rc<S>,
    require: Require<D>,
}

impl<S, D> fmt::Debug for RequireMiddleware<S, D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RequireMiddleware")
            .field("require", &self.require)
            .finish_non_exhaustive()
    }
}

impl<S, B, D> Service<ServiceRequest> for RequireMiddleware<S, D>
where
    S: Service<ServiceRequest, Response = ServiceResponse<B>, Error = Error> + 'static,
    B: 'static,
    D: Send + Sync + 'static,
{
    type Response = ServiceResponse<EitherBody<B>>;
    type Error = Error;
    type Future = LocalFuture<Result<Self::Response, Error>>;

    forward_ready!(service);

    fn call(&self, request: ServiceRequest) -> Self::Future {
        let (service, require) = (Rc::clone(&self.service), self.require.clone());
        Box::pin(async move {
            let sign_in = SignIn::of_request(request.request());
            let checked = async { require.check(&sign_in?).await };
            match checked.await {
                Ok(caller) => {
                    request.extensions_mut().insert(caller);
                    Ok(service.call(request).await?.map_into_left_body())
                }
                Err(denial) => Ok(request.error_response(denial).map_into_right_body()),
            }
        })
    }
}
