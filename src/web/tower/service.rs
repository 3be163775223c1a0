//! Layer of tower.

use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::uri::Authority;
use http::{Request, Response};
use tower_layer::Layer;
use tower_service::Service;

#[cfg(any(test, feature = "testkit"))]
use crate::web::auth::Auth;
use crate::web::clone::clone_fields;
use crate::web::config::LayerConfig;
use crate::web::layer::AuthLayer;
use crate::web::request::Lines;
use crate::web::request_line::RequestLine;
use crate::web::serving::Begun;
use crate::web::tower::body::AuthBody;
use crate::web::tower::future::AuthFuture;
use crate::web::tower::headers::address;

impl<S, D> Layer<S> for AuthLayer<D> {
    type Service = AuthService<S, D>;

    fn layer(&self, inner: S) -> AuthService<S, D> {
        AuthService {
            inner,
            config: Arc::clone(&self.config),
        }
    }
}

/// Caller of a test, in the extensions of its requests. The layer takes it without a credential.
#[cfg(any(test, feature = "testkit"))]
struct AssumedCaller<D>(Auth<D>);

#[cfg(any(test, feature = "testkit"))]
clone_fields!(AssumedCaller<D> { 0 });

/// Service that an [`AuthLayer`] creates.
pub struct AuthService<S, D = ()> {
    inner: S,
    config: Arc<LayerConfig<D>>,
}

clone_fields!(AuthService<S: Clone, D> { inner, config });

impl<S: fmt::Debug, D> fmt::Debug for AuthService<S, D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuthService")
            .field("inner", &self.inner)
            .finish_non_exhaustive()
    }
}

impl<S, D, ReqBody, ResBody> Service<Request<ReqBody>> for AuthService<S, D>
where
    S: Service<Request<ReqBody>, Response = Response<ResBody>>,
    S::Error: Send + 'static,
    D: Send + Sync + 'static,
    ResBody: Send + 'static,
{
    type Response = Response<AuthBody<ResBody>>;
    type Error = S::Error;
    type Future = AuthFuture<S::Future, ResBody, S::Error, D>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: Request<ReqBody>) -> Self::Future {
        let uri = address(request.uri(), request.extensions());
        let authority = uri.authority().map(Authority::as_str);
        let line = RequestLine::Http(request.method().clone(), uri.path_and_query().cloned());
        let admitted = self.config.admit(line, authority, request.headers());
        let (client, head) = match admitted {
            Ok(admitted) => admitted,
            Err((denial, answer)) => {
                let mut response = answer.into_http();
                response.extensions_mut().insert(denial);
                return AuthFuture::answered(std::future::ready(response));
            }
        };
        let headers = request.headers_mut();
        let shared = |name| Lines::shared(headers, name);
        match self.config.open(client, head, shared) {
            Begun::Serve(serving) => {
                #[cfg(any(test, feature = "testkit"))]
                if let Some(caller) = &self.config.assumed {
                    let assumed = AssumedCaller(caller.clone());
                    request.extensions_mut().insert(assumed);
                }
                #[cfg(any(test, feature = "testkit"))]
                if let Some(AssumedCaller(caller)) = request.extensions().get() {
                    serving.sign_in().assume(Auth::clone(caller));
                }
                request.extensions_mut().insert(serving.sign_in().clone());
                AuthFuture::serving(self.inner.call(request), serving)
            }
            Begun::Refresh(answer) => AuthFuture::answered(async move { answer.await.into_http() }),
        }
    }
}
