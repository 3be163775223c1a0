use poem::http::StatusCode;
use poem::{Endpoint, Error, FromRequest, Middleware, Request, RequestBody, Response, Result};
use statewise::web::{Answer, AuthLayer, Denial, SignIn};

/// Middleware: `Route::new()...with(Authenticating(layer))`.
pub struct Authenticating(pub AuthLayer);

pub struct Authenticated<E>(E, AuthLayer);

impl<E: Endpoint> Middleware<E> for Authenticating {
    type Output = Authenticated<E>;

    fn transform(&self, inner: E) -> Authenticated<E> {
        Authenticated(inner, self.0.clone())
    }
}

impl<E: Endpoint> Endpoint for Authenticated<E> {
    type Output = Response;

    async fn call(&self, mut request: Request) -> Result<Response> {
        let (uri, method) = (request.uri(), request.method().as_str());
        let target = uri.path_and_query().map_or("/", |target| target.as_str());
        let authority = uri.authority().map(|authority| authority.as_str());
        let Authenticated(inner, layer) = self;
        let begun = layer.begin(method, target, authority, request.headers());
        let serving = match begun.await {
            Ok(serving) => serving,
            Err(answer) => return Ok(response_of(&answer)),
        };
        request.extensions_mut().insert(serving.sign_in().clone());
        let mut response = inner.get_response(request).await;
        let denial = response.extensions().get::<Denial>().cloned();
        let status = response.status().as_u16();
        let headers = response.headers_mut();
        let finished = serving.finish(status, denial.as_ref(), headers).await;
        response.set_status(status_of(finished.status));
        if let Some(body) = finished.body {
            response.set_body(body);
        }
        Ok(response)
    }
}

fn status_of(status: u16) -> StatusCode {
    StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}

fn response_of(answer: &Answer) -> Response {
    let response = Response::builder().status(status_of(answer.status()));
    let response = answer.fields().fold(response, |response, (name, value)| {
        response.header(name, value)
    });
    response.body(answer.body().to_vec())
}

/// Argument of handlers.
pub struct Caller(pub SignIn);

impl<'a> FromRequest<'a> for Caller {
    async fn from_request(request: &'a Request, _: &mut RequestBody) -> Result<Self> {
        let sign_in = SignIn::of(request.extensions()).map_err(|error| denied(error.into()))?;
        Ok(Self(sign_in))
    }
}

/// Converts a denial to the error that a handler returns.
pub fn denied(denial: Denial) -> Error {
    let (head, body) = denial.clone().into_http::<Vec<u8>>().into_parts();
    let mut response = Response::from(body);
    response.set_status(head.status);
    *response.headers_mut() = head.headers;
    let mut error = Error::from_response(response);
    error.set_data(denial);
    error
}
