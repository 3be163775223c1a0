//! The layers of tower-http in one `ServiceBuilder` with ours, in both orders.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, COOKIE, SET_COOKIE};
use axum::http::{HeaderMap, Request, Response, StatusCode};
use axum::routing::{get, post};
use axum::{Router, response::IntoResponse};
use statewise::Login;
use statewise::session::SessionAuthenticator;
use statewise::store::MemoryStore;
use statewise::web::{Answer, Auth, AuthLayer, Cookie, Denial, Require, SignIn, Transport};
use tower::{Service, ServiceBuilder, ServiceExt};
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::compression::{CompressionLayer, predicate::SizeAbove};
use tower_http::cors::CorsLayer;
use tower_http::limit::RequestBodyLimitLayer;
use tower_http::timeout::TimeoutLayer;
use tower_http::trace::TraceLayer;

const LIMIT: usize = 1000;
/// The application's answer to a denial.
const ANSWER: &str = "an answer of the application";

fn timeout() -> TimeoutLayer {
    TimeoutLayer::with_status_code(StatusCode::GATEWAY_TIMEOUT, Duration::from_secs(60))
}

fn compression() -> CompressionLayer<SizeAbove> {
    CompressionLayer::new().compress_when(SizeAbove::new(0))
}

fn auth() -> AuthLayer {
    let sessions = SessionAuthenticator::builder(MemoryStore::with_capacity(100).unwrap())
        .idle(Duration::from_secs(1800))
        .absolute(Duration::from_secs(43_200))
        .build()
        .unwrap();
    let layer = AuthLayer::new(Arc::new(sessions), Transport::cookie(Cookie::default()));
    layer
        .unwrap()
        .on_denial(|denial, _| Some(Answer::text(denial.status(), ANSWER)))
}

fn handlers() -> Router {
    async fn log_in(sign_in: SignIn) -> Result<String, Denial> {
        let caller = sign_in.issue(Login::new("alice")).await?;
        Ok(caller.subject().to_owned())
    }
    async fn me(caller: Auth) -> String {
        caller.subject().to_owned()
    }
    async fn log_in_and_panic(sign_in: SignIn) -> &'static str {
        sign_in.issue(Login::new("alice")).await.unwrap();
        panic!("requested panic")
    }
    Router::new()
        .route("/login", post(log_in))
        .route("/panic", post(log_in_and_panic))
        .route("/me", get(me))
}

async fn call<S, B>(
    service: &mut S,
    method: &str,
    path: &str,
    fields: &[(&str, &str)],
) -> (StatusCode, HeaderMap, Vec<u8>)
where
    S: Service<Request<Body>, Response = Response<B>, Error = Infallible>,
    B: axum::body::HttpBody<Data = bytes::Bytes> + Send + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let mut request = Request::builder().method(method).uri(path);
    for (name, value) in fields {
        request = request.header(*name, *value);
    }
    let request = request.body(Body::empty()).unwrap();
    let service = service.ready().await.unwrap();
    let response = service.call(request).await.unwrap();
    let (parts, body) = response.into_parts();
    let body = to_bytes(Body::new(body), usize::MAX).await.unwrap();
    (parts.status, parts.headers, body.to_vec())
}

/// Checks a stack, whatever its order.
async fn check<S, B>(mut service: S)
where
    S: Service<Request<Body>, Response = Response<B>, Error = Infallible>,
    B: axum::body::HttpBody<Data = bytes::Bytes> + Send + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let gzip = [("accept-encoding", "gzip")];
    let (status, fields, body) = call(&mut service, "GET", "/me", &gzip).await;
    assert_eq!(status, StatusCode::UNAUTHORIZED);
    assert!(fields.contains_key("www-authenticate"));
    assert_eq!(fields.get_all(CONTENT_TYPE).iter().count(), 1);
    if let Some(length) = fields.get(CONTENT_LENGTH) {
        assert_eq!(length.to_str().unwrap(), body.len().to_string());
    }
    // It is compressed, and marked as such, if that layer is outside.
    let is_gzip = body.starts_with(&[0x1f, 0x8b]);
    assert_eq!(fields.contains_key(CONTENT_ENCODING), is_gzip);
    assert!(is_gzip || body == ANSWER.as_bytes());
    let (status, fields, _) = call(&mut service, "POST", "/login", &[]).await;
    assert_eq!(status, StatusCode::OK);
    let cookie = fields[SET_COOKIE]
        .to_str()
        .unwrap()
        .split(';')
        .next()
        .unwrap();
    let cookie = [(COOKIE.as_str(), cookie)];
    let (status, _, body) = call(&mut service, "GET", "/me", &cookie).await;
    assert_eq!((status, &*body), (StatusCode::OK, &b"alice"[..]));
    let (status, fields, _) = call(&mut service, "POST", "/panic", &[]).await;
    assert_eq!(status, StatusCode::INTERNAL_SERVER_ERROR);
    assert!(fields.get(SET_COOKIE).is_none());
}

#[tokio::test]
async fn layers_of_tower_http_stand_outside() {
    let stack = ServiceBuilder::new()
        .layer(TraceLayer::new_for_http())
        .layer(CatchPanicLayer::new())
        .layer(RequestBodyLimitLayer::new(LIMIT))
        .layer(timeout())
        .layer(CorsLayer::permissive())
        .layer(compression())
        .layer(auth())
        .service(handlers());
    check(stack).await;
}

#[tokio::test]
async fn layers_of_tower_http_stand_inside() {
    let stack = ServiceBuilder::new()
        .layer(CatchPanicLayer::new())
        .layer(auth())
        .layer(TraceLayer::new_for_http())
        .layer(RequestBodyLimitLayer::new(LIMIT))
        .layer(timeout())
        .layer(CorsLayer::permissive())
        .layer(compression())
        .service(handlers());
    check(stack).await;
}

/// Each order of one layer and ours, without boxed bodies between them.
#[tokio::test]
async fn each_layer_stands_on_both_sides_of_a_guard() {
    macro_rules! around {
        ($($layer:expr),+ $(,)?) => {$({
            let guard = Require::authenticated;
            let inner = tower::service_fn(|_: Request<Body>| async {
                Ok::<_, Infallible>("served".into_response())
            });
            let mut stack = ServiceBuilder::new()
                .layer($layer)
                .layer(auth())
                .layer($layer)
                .layer(guard())
                .layer($layer)
                .service(inner);
            let request = Request::get("/").body(Body::empty()).unwrap();
            let response = stack.ready().await.unwrap().call(request).await.unwrap();
            assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
        })+};
    }
    around!(
        TraceLayer::new_for_http(),
        CatchPanicLayer::new(),
        timeout(),
        CorsLayer::permissive(),
        compression(),
    );
}
