//! Guard as a layer of tower.

use std::fmt;
use std::mem;
use std::task::{Context, Poll};

use http::{Request, Response};
use tower_layer::Layer;
use tower_service::Service;

use crate::base::boxed::BoxFuture;
use crate::web::clone::clone_fields;
use crate::web::require::Require;
use crate::web::sign_in::SignIn;
use crate::web::tower::body::AuthBody;

impl<S, D> Layer<S> for Require<D> {
    type Service = RequireService<S, D>;

    fn layer(&self, inner: S) -> RequireService<S, D> {
        RequireService {
            inner,
            require: self.clone(),
        }
    }
}

/// Service that a [`Require`] creates.
pub struct RequireService<S, D = ()> {
    inner: S,
    require: Require<D>,
}

clone_fields!(RequireService<S: Clone, D> { inner, require });

impl<S: fmt::Debug, D> fmt::Debug for RequireService<S, D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RequireService")
            .field("inner", &self.inner)
            .field("require", &self.require)
            .finish()
    }
}

impl<S, D, ReqBody, ResBody> Service<Request<ReqBody>> for RequireService<S, D>
where
    S: Service<Request<ReqBody>, Response = Response<ResBody>> + Clone + Send + 'static,
    S::Future: Send,
    D: Send + Sync + 'static,
    ReqBody: Send + 'static,
{
    type Response = Response<AuthBody<ResBody>>;
    type Error = S::Error;
    type Future = BoxFuture<'static, Result<Self::Response, Self::Error>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: Request<ReqBody>) -> Self::Future {
        // `poll_ready` was called on this service, not on a clone.
        let clone = self.inner.clone();
        let mut inner = mem::replace(&mut self.inner, clone);
        let require = self.require.clone();
        let (method, uri) = (request.method(), request.uri());
        let sign_in = SignIn::<D>::of_request_line(method, uri, request.extensions());
        Box::pin(async move {
            let checked = async { require.check(&sign_in?).await };
            match checked.await {
                Ok(caller) => {
                    request.extensions_mut().insert(caller);
                    Ok(inner.call(request).await?.map(AuthBody::inner))
                }
                Err(denial) => Ok(denial.into_http()),
            }
        })
    }
}
