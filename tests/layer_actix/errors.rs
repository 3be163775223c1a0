//! Errors of extractors and of other middlewares.

use std::cell::RefCell;
use std::rc::Rc;

use actix_web::body::MessageBody;
use actix_web::dev::{Service, ServiceRequest, ServiceResponse};
use actix_web::middleware::{Next, from_fn};
use actix_web::test::{TestRequest, init_service};
use actix_web::{App, Error, web};
use statewise::Login;
use statewise::testkit::{Fault, ManualClock, Method, block_on};
use statewise::web::{Answer, Auth, Denial, SignIn, Visitor};

use crate::site::{
    Browser, IDLE, answered, layer, live, seconds, sessions, started, store, text, transport,
};

/// Users that the handlers have seen.
type Seen = Rc<RefCell<Vec<String>>>;

async fn optional(caller: Option<Auth>, seen: web::ThinData<Seen>) -> &'static str {
    let caller = caller.map_or("nobody".to_owned(), |caller| caller.subject().to_owned());
    seen.0.borrow_mut().push(caller);
    "products"
}

async fn own_answer(caller: Result<Auth, Denial>) -> String {
    caller.map_or_else(
        |denial| format!("own {denial}"),
        |caller| caller.subject().to_owned(),
    )
}

async fn visitor(visitor: Option<Visitor>) -> &'static str {
    match visitor {
        Some(_) => "known",
        None => "unknown",
    }
}

/// The login determines the caller, whatever the request carried.
async fn log_in(caller: Option<Auth>, sign_in: SignIn) -> Result<String, Denial> {
    assert!(caller.is_none());
    let caller = sign_in.issue(Login::new("bob")).await?;
    Ok(caller.subject().to_owned())
}

/// actix-web makes `None` of every error of an extractor. The layer answers the denial instead.
#[test]
fn an_outage_is_never_an_anonymous_user_of_an_optional_caller() {
    let (clock, store, seen) = (ManualClock::default(), store(), Seen::default());
    let site = layer(sessions(&store, &clock), transport());
    let mut visitors = Browser::of(&site);
    visitors.log_in("alice");
    visitors.service = started!(
        App::new()
            .app_data(web::ThinData(seen.clone()))
            .route("/optional", web::get().to(optional))
            .route("/own", web::get().to(own_answer))
            .route("/visitor", web::get().to(visitor))
            .route("/login", web::post().to(log_in))
            .wrap(site)
    );
    let fails = || {
        store.reset();
        store.fail_nth_of(Method::Load, 1, Fault::Fails);
    };
    assert_eq!(visitors.get("/optional").body, "products");
    for path in ["/optional", "/visitor"] {
        fails();
        let answer = visitors.get(path);
        assert_eq!(
            (answer.status, &*answer.body),
            (503, "503 Service Unavailable\n"),
            "{path}"
        );
        assert_eq!(answer.one("retry-after"), Some("1"));
        assert_eq!(answer.one("cache-control"), Some("no-store"));
    }
    // A handler that takes the denial answers it.
    fails();
    let answer = visitors.get("/own");
    assert_eq!(
        (answer.status, answer.body.starts_with("own ")),
        (200, true)
    );

    clock.advance(seconds(IDLE + 1));
    let (mut again, mut other) = (visitors.clone(), visitors.clone());
    let answer = visitors.get("/optional");
    assert_eq!((answer.status, &*answer.body), (401, "401 Unauthorized\n"));
    assert!(
        answer
            .one("www-authenticate")
            .unwrap()
            .contains("invalid_token")
    );
    assert!(visitors.jar.is_empty());
    assert_eq!(visitors.get("/optional").body, "products");
    assert!(again.get("/own").body.starts_with("own "));
    assert!(again.jar.is_empty());
    let answer = other.post("/login", &[]);
    assert_eq!((answer.status, &*answer.body), (200, "bob"));
    assert_eq!(other.get("/optional").body, "products");
    // The handler itself runs without a caller.
    assert_eq!(
        *seen.borrow(),
        ["alice", "nobody", "nobody", "nobody", "bob"]
    );
}

/// Requires a caller, in the way of an application.
async fn only_users(
    request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    let sign_in = SignIn::<()>::of_request(request.request())?;
    sign_in.verify().await?;
    next.call(request).await
}

/// Returns the response that a server sends for an error of `app`.
macro_rules! error_of {
    ($app:expr, $cookie:expr) => {{
        let app = block_on(init_service($app));
        let request = TestRequest::get().append_header(("cookie", $cookie));
        let error = block_on(app.call(request.to_request())).err().unwrap();
        // A server may ask more than once.
        let _ = error.error_response();
        block_on(answered(error.error_response()))
    }};
}

/// The error of a middleware is a response, which the layer completes.
#[test]
fn a_denial_that_a_middleware_returns_as_an_error_is_completed() {
    let clock = ManualClock::default();
    let site = layer(sessions(&store(), &clock), transport());
    let mut browser = Browser::of(&site);
    browser.log_in("alice");
    clock.advance(seconds(IDLE + 1));
    let cookie = format!("__Host-id={}", browser.id());
    let plain = site.clone();
    let own = site.on_denial(|denial, _| Some(Answer::json(denial.status(), "{}")));
    for (layer, body) in [(plain, "401 Unauthorized\n"), (own, "{}")] {
        let app = App::new().wrap(from_fn(only_users)).wrap(layer);
        let response = error_of!(app, &*cookie);
        assert_eq!(response.status(), 401);
        let field = |name: &str| response.headers()[name].to_str().unwrap().to_owned();
        assert!(field("www-authenticate").contains("invalid_token"));
        assert_eq!(field("cache-control"), "no-store");
        assert_eq!(field("vary"), "Cookie");
        assert!(field("set-cookie").contains("Max-Age=0"));
        assert_eq!(response.headers().get_all("set-cookie").iter().count(), 1);
        assert_eq!(text(response.into_body()), body);
    }
}

async fn log_in_and_fail(
    request: ServiceRequest,
    _: Next<impl MessageBody>,
) -> Result<ServiceResponse, Error> {
    let sign_in = SignIn::<()>::of_request(request.request())?;
    sign_in.issue(Login::new("bob")).await?;
    Err(actix_web::error::ErrorInternalServerError("requested"))
}

#[test]
fn a_login_is_undone_if_a_middleware_fails() {
    let auth = sessions(&store(), &ManualClock::default());
    let site = layer(auth.clone(), transport());
    let app = App::new().wrap(from_fn(log_in_and_fail)).wrap(site);
    let response = error_of!(app, "__Host-id=none");
    assert_eq!((response.status().as_u16(), live(&auth, "bob")), (500, 0));
    let line = response.headers()["set-cookie"].to_str().unwrap();
    assert!(line.contains("Max-Age=0"), "{line}");
}
