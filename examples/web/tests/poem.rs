//! The middleware for poem on the page of the manual on other frameworks.

#[path = "../../../src/manual/frameworks/poem.rs"]
mod adapter;

use std::sync::Arc;
use std::time::Duration;

use poem::http::{Method, StatusCode};
use poem::{Endpoint, EndpointExt, Request, Response, Result, Route, get, handler, post};
use statewise::Login;
use statewise::session::SessionAuthenticator;
use statewise::store::MemoryStore;
use statewise::web::{AuthLayer, Cookie, Transport};

use adapter::{Authenticating, Caller, denied};

#[handler]
async fn me(caller: Caller) -> Result<String> {
    let auth = caller.0.verify().await.map_err(denied)?;
    Ok(auth.subject().to_owned())
}

#[handler]
async fn log_in(caller: Caller) -> Result<String> {
    let auth = caller.0.issue(Login::new("alice")).await.map_err(denied)?;
    Ok(auth.subject().to_owned())
}

#[handler]
async fn failing_login(caller: Caller) -> Result<StatusCode> {
    caller.0.issue(Login::new("alice")).await.map_err(denied)?;
    Ok(StatusCode::INTERNAL_SERVER_ERROR)
}

#[handler]
async fn log_out(caller: Caller) -> Result<()> {
    let _ = caller.0.revoke().await.map_err(denied)?;
    Ok(())
}

async fn send(
    app: &impl Endpoint,
    method: Method,
    path: &str,
    fields: &[(&str, &str)],
) -> Response {
    let request = Request::builder().method(method).uri_str(path);
    let request = fields.iter().fold(request, |request, (name, value)| {
        request.header(*name, *value)
    });
    app.get_response(request.finish()).await
}

fn field<'a>(response: &'a Response, name: &str) -> &'a str {
    response.header(name).unwrap_or_default()
}

#[tokio::test]
async fn the_middleware_for_poem_keeps_what_the_layer_promises() {
    let auth = SessionAuthenticator::builder(MemoryStore::with_capacity(100).unwrap())
        .idle(Duration::from_secs(1800))
        .absolute(Duration::from_secs(43_200))
        .build()
        .unwrap();
    let auth = Arc::new(auth);
    let layer = AuthLayer::new(auth.clone(), Transport::cookie(Cookie::default())).unwrap();
    let app = Route::new()
        .at("/me", get(me))
        .at("/login", post(log_in))
        .at("/failing", post(failing_login))
        .at("/logout", post(log_out))
        .with(Authenticating(layer));

    let denied = send(&app, Method::GET, "/me", &[]).await;
    assert_eq!(denied.status(), 401);
    assert_eq!(field(&denied, "www-authenticate"), "Cookie realm=\"api\"");
    assert_eq!(field(&denied, "cache-control"), "no-store");
    assert_eq!(
        denied.into_body().into_string().await.unwrap(),
        "401 Unauthorized\n"
    );

    let login = send(&app, Method::POST, "/login", &[]).await;
    assert_eq!(login.status(), 200);
    let cookie = field(&login, "set-cookie")
        .split(';')
        .next()
        .unwrap()
        .to_owned();
    let cookie = [("cookie", &*cookie)];
    let page = send(&app, Method::GET, "/me", &cookie).await;
    assert_eq!(page.into_body().into_string().await.unwrap(), "alice");

    let foreign = [cookie[0], ("sec-fetch-site", "cross-site")];
    let refused = send(&app, Method::POST, "/logout", &foreign).await;
    assert_eq!(refused.status(), 403);

    let failed = send(&app, Method::POST, "/failing", &[]).await;
    assert_eq!(failed.status(), 500);
    assert_eq!(
        auth.sessions("alice", None).await.unwrap().sessions.len(),
        1
    );

    let logout = send(&app, Method::POST, "/logout", &cookie).await;
    assert!(field(&logout, "set-cookie").contains("Max-Age=0"));
    assert_eq!(send(&app, Method::GET, "/me", &cookie).await.status(), 401);
}
