//! App of actix-web behind the layer, which is called like a service of tower.

use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use actix_web::body::{BoxBody, MessageBody, to_bytes};
use actix_web::dev::{Payload, ServiceRequest, ServiceResponse};
use actix_web::http::StatusCode;
use actix_web::http::header::{HeaderName, HeaderValue};
use actix_web::middleware::Next;
use actix_web::test::TestRequest;
use actix_web::{Error, FromRequest, HttpMessage, HttpRequest, HttpResponse, Responder};
use axum_core::body::Body;
use http::Request;
use statewise::web::{Auth, AuthLayer, Denial, Require, SignIn, Visitor};
use tower_service::Service;

use crate::acts::{Asked, Reply, act};
pub(crate) use crate::browser::{Answer, Browser, text};
pub(crate) use crate::world::*;

type LocalFuture<T> = Pin<Box<dyn Future<Output = T>>>;
type Response = http::Response<Body>;
type Call = dyn Fn(Request<Body>) -> LocalFuture<Result<Response, String>>;

/// App that a browser calls.
#[derive(Clone)]
pub(crate) struct Site(pub(crate) Rc<Call>);

/// Starts an app in this process.
macro_rules! started {
    ($app:expr) => {{
        use actix_web::dev::Service as _;
        let app = statewise::testkit::block_on(actix_web::test::init_service($app));
        let app = std::rc::Rc::new(app);
        $crate::site::Site(std::rc::Rc::new(move |request| {
            let app = std::rc::Rc::clone(&app);
            Box::pin(async move {
                let (asked, kept) = $crate::site::asked(request);
                let request = asked.to_request();
                if let Some(kept) = kept {
                    actix_web::HttpMessage::extensions_mut(&request).insert(kept);
                }
                match app.call(request).await {
                    Ok(response) => Ok($crate::site::answered(response.into_parts().1).await),
                    Err(error) => Err(error.to_string()),
                }
            })
        }))
    }};
}
pub(crate) use started;

/// Returns an app with one act per path, which the browser calls by default.
macro_rules! acting {
    ($($wrap:expr),*) => {
        $crate::site::started!(
            actix_web::App::new()
                .default_service(actix_web::web::to($crate::site::handle))
                .wrap(actix_web::middleware::from_fn($crate::site::failing))
                $(.wrap($wrap))*
        )
    };
}
pub(crate) use acting;

impl Browser {
    pub(crate) fn of(layer: &AuthLayer) -> Self {
        Self::before(acting!(layer.clone()))
    }
}

/// Returns a browser of an app without the layer.
pub(crate) fn bare() -> Browser {
    Browser::before(acting!())
}

/// Returns a browser of an app behind a guard and the layer.
pub(crate) fn guarded(layer: &AuthLayer, guard: &Require) -> Browser {
    Browser::before(acting!(guard.clone(), layer.clone()))
}

/// Returns a browser of an app behind two guards and the layer.
pub(crate) fn guarded_twice(layer: &AuthLayer, outer: &Require, inner: &Require) -> Browser {
    Browser::before(acting!(inner.clone(), outer.clone(), layer.clone()))
}

impl Service<Request<Body>> for Site {
    type Response = Response;
    type Error = String;
    type Future = LocalFuture<Result<Response, String>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), String>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        (self.0)(request)
    }
}

/// Converts a request, and returns the place in its extensions.
pub(crate) fn asked(request: Request<Body>) -> (TestRequest, Option<Kept>) {
    let (parts, _) = request.into_parts();
    let mut asked = TestRequest::default()
        .method(parts.method.as_str().parse().unwrap())
        .uri(&parts.uri.to_string());
    for (name, value) in &parts.headers {
        asked = asked.append_header((name.as_str(), value.as_bytes()));
    }
    (asked, parts.extensions.get().cloned())
}

/// Converts a response, with the denial in its extensions.
pub(crate) async fn answered(response: HttpResponse<impl MessageBody>) -> Response {
    let mut answer = http::Response::builder().status(response.status().as_u16());
    for (name, value) in response.headers() {
        let mut copy = http::HeaderValue::from_bytes(value.as_bytes()).unwrap();
        copy.set_sensitive(value.is_sensitive());
        answer = answer.header(name.as_str(), copy);
    }
    if let Some(denial) = response.extensions().get::<Denial>() {
        answer = answer.extension(denial.clone());
    }
    let Ok(body) = to_bytes(response.into_body()).await else {
        panic!("a body fails")
    };
    answer.body(Body::from(body)).unwrap()
}

impl Asked for HttpRequest {
    fn path(&self) -> String {
        self.path().to_owned()
    }

    fn header(&self, name: &str) -> Option<String> {
        Some(self.headers().get(name)?.to_str().ok()?.to_owned())
    }

    fn printed_fields(&self) -> String {
        format!("{:?}", self.headers())
    }

    fn sign_in(&self) -> Result<SignIn, Denial> {
        SignIn::of_request(self)
    }

    async fn caller<D: Send + Sync + 'static>(&mut self) -> Result<Auth<D>, Denial> {
        let caller: Result<Auth<D>, Denial> = extracted(self).await;
        caller
    }

    async fn maybe(&mut self) -> Result<Option<Auth>, Denial> {
        Ok(extracted(self).await)
    }

    async fn visitor(&mut self) -> Result<Visitor, Denial> {
        let visitor: Result<Visitor, Denial> = extracted(self).await;
        visitor
    }

    fn admitted(&self) -> Option<Auth> {
        self.extensions().get().cloned()
    }

    fn kept(&self) -> Kept {
        self.extensions().get::<Kept>().unwrap().clone()
    }
}

/// Extracts an argument of a handler that cannot fail.
async fn extracted<T: FromRequest<Error = std::convert::Infallible>>(request: &HttpRequest) -> T {
    let Ok(extracted) = T::from_request(request, &mut Payload::None).await;
    extracted
}

/// Error of a handler, for the middleware that fails.
struct Failure(String);

pub(crate) async fn handle(request: HttpRequest) -> HttpResponse {
    match act(request.clone()).await {
        Ok(reply) => reply.respond_to(&request),
        Err(failure) => {
            let mut response = HttpResponse::Ok().finish();
            response.extensions_mut().insert(Failure(failure));
            response
        }
    }
}

/// Middleware that fails after the handler.
pub(crate) async fn failing(
    request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    let response = next.call(request).await?;
    let failure = response
        .response()
        .extensions()
        .get()
        .map(|Failure(text)| text.clone());
    match failure {
        Some(text) => Err(actix_web::error::ErrorInternalServerError(text)),
        None => Ok(response),
    }
}

impl Responder for Reply {
    type Body = BoxBody;

    fn respond_to(self, request: &HttpRequest) -> HttpResponse {
        match self {
            Self::Page {
                status,
                fields,
                body,
            } => {
                let mut response = HttpResponse::Ok().body(body);
                *response.status_mut() = StatusCode::from_u16(status).unwrap();
                for (name, value) in fields {
                    let name = HeaderName::from_static(name);
                    let value = HeaderValue::try_from(value).unwrap();
                    response.headers_mut().append(name, value);
                }
                response
            }
            Self::Token(token) => token.respond_to(request),
            Self::Unrefreshed(error) => HttpResponse::from_error(error),
            Self::Denied(denial) => HttpResponse::from_error(denial),
            Self::Redirected(denial) => {
                let mut response = HttpResponse::from_error(denial);
                *response.status_mut() = StatusCode::SEE_OTHER;
                response
            }
        }
    }
}
