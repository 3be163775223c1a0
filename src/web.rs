//! The web: credentials in requests and responses. Cookies, bearer tokens, denials and cross-origin
//! protection.
//!
//! [`AuthLayer`] authenticates the requests of a service, and adds cookies and header fields to its
//! responses. Its handlers do not depend on the authenticator. With the feature `tower` it is a
//! layer of tower; with `actix`, a middleware of actix-web. With `axum` and `actix`, handlers take
//! the caller as an argument.
//!
//! # With tower and axum
//!
//! ```
//! # #[cfg(feature = "axum")] {
//! use std::sync::Arc;
//! use statewise::web::{Auth, AuthLayer, Cookie, Denial, SignIn, Transport, Visitor};
//! use statewise::{DynAuthenticator, Login, Result};
//!
//! // A request without a valid credential gets 401.
//! async fn greet(caller: Auth) -> String {
//!     format!("hello {}", caller.subject())
//! }
//!
//! // A public page: without a valid credential the visitor is anonymous.
//! async fn home(visitor: Visitor) -> String {
//!     match visitor.caller() {
//!         Some(caller) => format!("hello {}", caller.subject()),
//!         None => "hello".to_owned(),
//!     }
//! }
//!
//! // After the password check: revokes the credentials of the request and sets a new cookie.
//! async fn log_in(sign_in: SignIn) -> Result<String, Denial> {
//!     let caller = sign_in.issue(Login::new("alice")).await?;
//!     Ok(format!("welcome {}", caller.subject()))
//! }
//!
//! fn layer(auth: Arc<dyn DynAuthenticator<()>>) -> Result<AuthLayer> {
//!     // Router::new().route("/", get(home)) .. .layer(layer(auth)?)
//!     AuthLayer::new(auth, Transport::cookie(Cookie::default()))?.login_page("/login")
//! }
//! # let _ = (greet, home, log_in, layer);
//! # }
//! ```
//!
//! # With actix-web
//!
//! The same handlers, and the same layer as a middleware:
//!
//! ```
//! # #[cfg(feature = "actix")] {
//! use actix_web::{App, HttpServer, web};
//! use statewise::web::{Auth, AuthLayer, Denial, Require, SignIn, Visitor};
//!
//! async fn greet(caller: Auth) -> String {
//!     format!("hello {}", caller.subject())
//! }
//!
//! // Take `Visitor` on public pages, and not `Option<Auth>`: see `AuthError`.
//! async fn home(visitor: Visitor) -> String {
//!     match visitor.caller() {
//!         Some(caller) => format!("hello {}", caller.subject()),
//!         None => "hello".to_owned(),
//!     }
//! }
//!
//! async fn log_out(sign_in: SignIn) -> Result<&'static str, Denial> {
//!     let _ = sign_in.revoke().await?;
//!     Ok("goodbye")
//! }
//!
//! async fn serve(layer: AuthLayer) -> std::io::Result<()> {
//!     let server = HttpServer::new(move || {
//!         let admin = web::scope("/admin")
//!             .wrap(Require::authenticated().role("admin"))
//!             .route("/greet", web::get().to(greet));
//!         App::new()
//!             .route("/", web::get().to(home))
//!             .route("/logout", web::post().to(log_out))
//!             .service(admin)
//!             // The last middleware is the outermost one.
//!             .wrap(layer.clone())
//!     });
//!     server.bind("127.0.0.1:3000")?.run().await
//! }
//! # let _ = serve;
//! # }
//! ```
//!
//! The error of another middleware inside of the layer is a response as any other: the layer adds
//! its cookies and fields when the server makes a response of the error. A middleware outside of the
//! layer that makes a response of its own from the error loses them, as in every framework.
//!
//! # Next steps
//!
//! | you want to | use |
//! |---|---|
//! | begin from nothing, step by step | the manual on [axum](crate::manual::axum), [actix-web](crate::manual::actix) and [gRPC](crate::manual::grpc) |
//! | understand a 401, a 403 or a 500 | [troubleshooting](crate::manual::troubleshooting) |
//! | show a page to users and to anonymous visitors | [`Visitor`] |
//! | send anonymous visitors to a login form, and back after the login | [`AuthLayer::login_page`], [`with_next`], [`local_path`] |
//! | show the form again after a wrong password | [`Denial::Unproven`], see [the section](Denial#login-forms) |
//! | answer denials with JSON or with pages of your own | [`AuthLayer::on_denial`] |
//! | keep the users of a [hybrid](crate::hybrid) logged in while they browse | [`AuthLayer::refresh_page`] |
//! | serve browsers with sessions and programs with tokens | [`Either`](crate::either::Either) |
//! | require a role, or a recent login, for a whole router | [`Require`] |
//! | see logins, failed logins and outages in the log | [`Observed`](crate::Observed), [`AuthLayer::observer`] |
//! | develop over plain HTTP | [`CookieBuilder::insecure`], and a [table of addresses](crate::manual::troubleshooting#the-login-succeeds-and-the-next-request-is-anonymous) |
//! | accept forms and scripts of other origins | [`OriginPolicy`] |
//! | change the name, domain or path of the cookie | [`Transport::formerly`] |
//!
//! # In other frameworks
//!
//! Call [`AuthLayer::begin`] before your handlers, pass them [`Serving::sign_in`], and call
//! [`Serving::finish`] for the response. Header fields are read and written through [`Headers`] and
//! [`HeadersMut`], which take a few lines for any framework. The manual has a page on
//! [other frameworks](crate::manual::frameworks), with a middleware for poem.
//!
//! ```
//! use statewise::web::{Answer, AuthLayer, Denial, SignIn};
//!
//! /// Request and response of a framework.
//! struct Request { method: String, target: String, fields: Vec<(String, String)> }
//! struct Response { status: u16, fields: Vec<(String, String)>, body: Vec<u8> }
//!
//! async fn handler(sign_in: SignIn) -> Result<String, Denial> {
//!     Ok(format!("hello {}", sign_in.verify().await?.subject()))
//! }
//!
//! async fn serve(layer: &AuthLayer, request: Request) -> Result<Response, Answer> {
//!     let Request { method, target, fields } = request;
//!     let serving = layer.begin(&method, &target, None, &fields).await?;
//!     let (status, body, denial) = match handler(serving.sign_in().clone()).await {
//!         Ok(text) => (200, text.into_bytes(), None),
//!         Err(denial) => (denial.status(), Vec::new(), Some(denial)),
//!     };
//!     let mut fields = Vec::new();
//!     let finished = serving.finish(status, denial.as_ref(), &mut fields).await;
//!     let body = finished.body.unwrap_or(body);
//!     Ok(Response { status: finished.status, fields, body })
//! }
//! # let _ = serve;
//! ```
//!
//! # Rules
//!
//! | item | rule | source |
//! |---|---|---|
//! | [`Cookie::set`] | `__Host-`, `Secure`, `HttpOnly`, `SameSite`, at most 3584 bytes by default | OWASP ASVS 3.3.1 to 3.3.5; RFC 6265bis, sections 4.1 and 5.7 |
//! | [`Cookie::remove`] | same name, domain and path | RFC 6265bis, section 5.7 |
//! | [`CookieBuilder::build`] | refuses what browsers would refuse | RFC 6265bis, sections 4.1.3, 5.6 and 5.7 |
//! | [`Cookie::find`] | exact names, no unquoting, and no order among cookies of one name | RFC 6265bis, sections 4.2 and 5.4; RFC 9113, section 8.2.3 |
//! | [`bearer()`] | one `Authorization` field with one `b64token` | RFC 6750, section 2.1; RFC 9110, sections 5.3 and 11 |
//! | [`OriginPolicy`] | no unsafe requests of other origins with the cookies of a visitor | OWASP ASVS 3.5.1 to 3.5.3 |
//! | [`Transport::read`] | one credential per request, none from query strings or bodies | RFC 6750, section 2; RFC 9700, section 4.3.2; OWASP ASVS 14.2.1 |
//! | [`ticket_in_query`], [`ticket_in_protocols`] | no credential but a ticket, which works once | RFC 6455, section 4.1 |
//! | [`Denial`] | status and challenge, and bodies without details | RFC 6750, section 3; RFC 9470; OWASP ASVS 16.5.1 |
//!
//! RFC 6265bis is draft-ietf-httpbis-rfc6265bis-22.

#[cfg(feature = "actix")]
mod actix;
mod answer;
mod auth;
#[cfg(feature = "axum")]
mod axum;
mod bearer;
mod client;
mod clone;
mod config;
mod cookie;
mod denial;
mod denied;
mod found;
mod headers;
mod layer;
#[cfg(any(feature = "actix", feature = "tower"))]
mod missing_layer;
mod next_path;
mod origin;
mod reply;
mod request;
mod request_line;
mod require;
mod response;
mod serving;
mod sign_in;
mod ticket;
mod token_error;
mod token_response;
#[cfg(feature = "tower")]
mod tower;
mod transport;
mod visitor;

#[cfg(feature = "actix")]
pub use actix::{AuthError, AuthMiddleware, RequireMiddleware};
pub use answer::Answer;
pub use auth::Auth;
pub use bearer::bearer;
pub use cookie::{Cookie, CookieBuilder, SameSite};
pub use denial::Denial;
pub use denied::DeniedRequest;
pub use found::Found;
pub use headers::{Headers, HeadersMut};
pub use layer::AuthLayer;
pub use next_path::{local_path, with_next};
pub use origin::{CrossOrigin, OriginPolicy};
pub use require::Require;
pub use response::Finished;
pub use serving::Serving;
pub use sign_in::SignIn;
pub use ticket::{ticket_in_protocols, ticket_in_query};
pub use token_error::TokenError;
pub use token_response::TokenResponse;
#[cfg(feature = "tower")]
pub use tower::{AuthBody, AuthFuture, AuthService, RequireService};
pub use transport::{Carried, Transport};
pub use visitor::Visitor;
