//! Testing your handlers: with a given user, a moved clock, and a store that fails.
//!
//! Turn the feature `testkit` on for tests. It adds no crate:
//!
//! ```toml
//! [dev-dependencies]
//! statewise = { version = "0.1", features = ["testkit"] }
//! ```
//!
//! | you test | use |
//! |---|---|
//! | one handler, without a router | [`caller`](crate::testkit::caller) |
//! | a router, as a given user | [`as_caller`](crate::testkit::as_caller) around it |
//! | a router with cookies or tokens, logins and logouts | [`TestClient`](crate::testkit::TestClient) |
//! | expiry | one [`ManualClock`](crate::testkit::ManualClock) for authenticator, layer and client |
//! | an outage | [`FaultyStore`](crate::testkit::FaultyStore) around a `MemoryStore` |
//!
//! # One handler
//!
//! A handler is a function, and its caller an argument:
//!
//! ```
//! use statewise::Login;
//! use statewise::testkit::{block_on, caller};
//! use statewise::web::{Auth, Denial};
//!
//! struct Profile { display_name: String }
//!
//! async fn account(caller: Auth<Profile>) -> Result<String, Denial> {
//!     caller.require_role("owner")?;
//!     Ok(format!("hello {}", caller.data().display_name))
//! }
//!
//! let profile = || Profile { display_name: "Alice".to_owned() };
//! let owner = caller(Login::new("alice").role("owner").data(profile()));
//! assert_eq!(block_on(account(owner)).unwrap(), "hello Alice");
//!
//! let guest = caller(Login::new("alice").data(profile()));
//! assert_eq!(block_on(account(guest)).unwrap_err().status(), 403);
//! ```
//!
//! For [`require_fresh`](crate::web::Auth::require_fresh), create the caller with
//! [`caller_at`](crate::testkit::caller_at) and move its clock.
//!
//! # A router
//!
//! The client calls any service of tower, such as a `Router` of axum, without a server. The logins are
//! real: they are in the store, and a logout ends them.
//!
//! ```
//! # #[cfg(feature = "tower")] {
//! use std::sync::Arc;
//! use std::time::Duration;
//!
//! use statewise::Login;
//! use statewise::session::SessionAuthenticator;
//! use statewise::store::MemoryStore;
//! use statewise::testkit::{Fault, FaultyStore, ManualClock, TestClient, as_caller, caller};
//! use statewise::web::{AuthLayer, Cookie, Transport};
//! use tower_layer::Layer;
//!
//! // The router under test. With axum: Router::new().route("/account", get(account))
//! # use std::{convert::Infallible, future::Future, pin::Pin, task::{Context, Poll}};
//! # use http::{Request, Response};
//! # use statewise::web::{Denial, SignIn};
//! # use tower_service::Service;
//! # #[derive(Clone)]
//! # struct Router;
//! # impl Service<Request<String>> for Router {
//! #     type Response = Response<String>;
//! #     type Error = Infallible;
//! #     type Future = Pin<Box<dyn Future<Output = Result<Response<String>, Infallible>> + Send>>;
//! #     fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
//! #         Poll::Ready(Ok(()))
//! #     }
//! #     fn call(&mut self, request: Request<String>) -> Self::Future {
//! #         Box::pin(async move {
//! #             let account = async {
//! #                 let caller = SignIn::<()>::of(request.extensions())?.verify().await?;
//! #                 caller.require_role("owner")?;
//! #                 Ok::<_, Denial>(Response::new(format!("hello {}", caller.subject())))
//! #             };
//! #             Ok(account.await.unwrap_or_else(|denial| {
//! #                 denial.into_http::<Vec<u8>>().map(|body| String::from_utf8(body).unwrap())
//! #             }))
//! #         })
//! #     }
//! # }
//! # let router = Router;
//! # statewise::testkit::block_on(async {
//!
//! // As in `main`, with another clock and a store that can fail.
//! let clock = ManualClock::default();
//! let store = Arc::new(FaultyStore::new(MemoryStore::with_capacity(100)?));
//! let auth = SessionAuthenticator::builder(Arc::clone(&store))
//!     .idle(Duration::from_secs(1800))
//!     .absolute(Duration::from_secs(12 * 3600))
//!     .clock(clock.clone())
//!     .build()?;
//! let layer = AuthLayer::new(Arc::new(auth), Transport::cookie(Cookie::default()))?
//!     .clock(clock.clone());
//! let app = layer.layer(router); // With axum: router.layer(layer.clone())
//!
//! // As a given user: issues a session, and keeps its cookie.
//! let mut client = TestClient::new(app.clone()).clock(&clock);
//! assert_eq!(client.get("/account").send().await.status(), 401);
//! client.log_in(&layer, Login::new("alice").role("owner")).await?;
//! assert_eq!(client.get("/account").send().await.body(), "hello alice");
//!
//! // An outage is a 503, and the user is still logged in afterwards.
//! store.fail_nth(1, Fault::Fails);
//! assert_eq!(client.get("/account").send().await.status(), 503);
//! assert_eq!(client.get("/account").send().await.status(), 200);
//!
//! // Half an hour later the session has expired, and its cookie is removed.
//! client.advance(Duration::from_secs(1800));
//! assert_eq!(client.get("/account").send().await.status(), 401);
//! assert_eq!(client.cookie("__Host-id"), None);
//!
//! // As a given user without a login. The router may have a layer or not.
//! let as_bob = as_caller(caller(Login::new("bob"))); // With axum: app.layer(as_bob)
//! let mut client = TestClient::new(as_bob.layer(app));
//! assert_eq!(client.get("/account").send().await.status(), 403);
//! # Ok::<(), statewise::Error>(())
//! # }).unwrap();
//! # }
//! ```
//!
//! To test the login itself, post its form with the client: it keeps the cookies of the response, by
//! the rules of browsers. A failed assertion on the status is easier to read with the cause, the
//! [`Denial`](crate::web::Denial) in the extensions of the response.
