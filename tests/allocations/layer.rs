//! Allocations of a request through the layer.
//!
//! Counted as behind a server and a router: the value of a field is part of a shared buffer, the
//! request has an extension and the response a field.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::sync::Arc;
use std::task::{Context, Poll};

use axum_core::extract::FromRequestParts;
use http::{HeaderValue, Request, Response};
use statewise::web::{Auth, AuthLayer, Cookie, Transport};
use statewise::{Authenticator, DynAuthenticator};
use tower_layer::Layer;
use tower_service::Service;

use crate::{counted, login, now, sessions, tokens};

/// Service that reads the caller if it is asked to. It allocates nothing: its response is made
/// before the call.
struct Handler {
    reads: bool,
    response: Option<Response<()>>,
}

impl Service<Request<()>> for Handler {
    type Response = Response<()>;
    type Error = Infallible;
    type Future = Ready<Result<Response<()>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<()>) -> Self::Future {
        let mut parts = request.into_parts().0;
        if self.reads {
            let caller = now(Auth::<()>::from_request_parts(&mut parts, &())).unwrap();
            assert_eq!(caller.subject(), "user_8f3a2c91");
        }
        ready(Ok(self.response.take().unwrap()))
    }
}

#[derive(Clone)]
struct OfTheRouter;

fn request(field: &str, value: &str) -> Request<()> {
    // A part of a buffer, which is shared from the first clone on.
    let buffer = HeaderValue::from_str(value).unwrap();
    let request = Request::get("/").header(field, buffer.clone());
    request.extension(OfTheRouter).body(()).unwrap()
}

/// Sends three requests, and returns the number of allocations of each.
fn allocations(layer: &AuthLayer, reads: bool, field: &str, value: &str) -> [usize; 3] {
    [(); 3].map(|()| {
        let response = Response::builder().header("content-length", "0").body(());
        let response = Some(response.unwrap());
        let mut service = layer.layer(Handler { reads, response });
        let request = request(field, value);
        let (response, allocations) = counted(|| now(service.call(request)));
        assert_eq!(response.unwrap().status(), 200);
        allocations
    })
}

fn logged_in(auth: Arc<dyn DynAuthenticator<()>>, transport: Transport) -> (AuthLayer, String) {
    let issued = now(auth.issue(login())).unwrap();
    let credential = issued.credential().reveal().to_owned();
    (AuthLayer::new(auth, transport).unwrap(), credential)
}

#[test]
fn a_caller_that_is_ignored_takes_two() {
    let (layer, session) = logged_in(Arc::new(sessions()), Transport::cookie(Cookie::default()));
    let cookie = format!("__Host-id={session}");
    assert_eq!(allocations(&layer, false, "cookie", &cookie), [2; 3]);
}

#[test]
fn a_caller_that_is_read_takes_three() {
    let (layer, session) = logged_in(Arc::new(sessions()), Transport::cookie(Cookie::default()));
    let cookie = format!("__Host-id={session}");
    assert_eq!(allocations(&layer, true, "cookie", &cookie), [3; 3]);
    let (layer, token) = logged_in(Arc::new(tokens()), Transport::bearer());
    let bearer = format!("Bearer {token}");
    assert_eq!(allocations(&layer, true, "authorization", &bearer), [3; 3]);
}
