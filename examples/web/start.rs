//! The first program: a site with a login form, a page for users, and logout. It is the one in README.
//!
//! ```text
//! cargo run --example start
//! ```
//!
//! The user is `alice`, the password `open sesame`. Open <http://localhost:3000/account> in a browser,
//! or try it with curl:
//!
//! ```text
//! curl -si http://127.0.0.1:3000/                                       # 200
//! curl -si http://127.0.0.1:3000/account                                # 401
//! curl -si -H 'Sec-Fetch-Mode: navigate' -H 'Sec-Fetch-Dest: document' http://127.0.0.1:3000/account   # 303
//! curl -si http://127.0.0.1:3000/login                                  # 200
//! curl -si -c jar -d user=alice -d password=guess http://127.0.0.1:3000/login   # 401
//! curl -si -c jar -d user=alice -d 'password=open sesame' http://127.0.0.1:3000/login   # 303
//! curl -si -b jar http://127.0.0.1:3000/account                         # 200
//! curl -si -b jar -X POST -H 'Sec-Fetch-Site: cross-site' http://127.0.0.1:3000/logout   # 403
//! curl -si -b jar -X POST http://127.0.0.1:3000/logout                  # 303
//! curl -si -b jar http://127.0.0.1:3000/account                         # 401
//! ```

use axum::response::{Html, Redirect};
use axum::{Form, Router, routing::get, routing::post};
use statewise::web::{Answer, Auth, AuthLayer, Cookie, Denial, SignIn, Transport, Visitor};
use statewise::{Authenticator, Login, session::SessionAuthenticator, store::MemoryStore};
use std::{sync::Arc, time::Duration};

const FORM: &str = "<form method=post><input name=user><input name=password type=password>
<button>Log in</button></form>";
const LOG_OUT: &str = "<form method=post action=/logout><button>Log out</button></form>";

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let auth = SessionAuthenticator::builder(MemoryStore::with_capacity(100_000)?)
        .idle(Duration::from_secs(30 * 60))
        .absolute(Duration::from_secs(12 * 3600))
        .build()?;
    tokio::spawn(auth.upkeep().run(tokio::time::sleep)); // Removes expired sessions.
    let layer = AuthLayer::new(Arc::new(auth), Transport::cookie(Cookie::default()))?
        .login_page("/login")?
        .on_denial(|denial, _| matches!(denial, Denial::Unproven).then(|| Answer::html(401, FORM)));
    let app = Router::new()
        .route("/", get(home))
        .route("/account", get(account))
        .route("/login", get(Html(FORM)).post(log_in))
        .route("/logout", post(log_out))
        .layer(layer);
    let port = std::env::args().nth(1).unwrap_or("3000".into());
    let listener = tokio::net::TcpListener::bind(format!("127.0.0.1:{port}")).await?;
    println!("listening on http://{}", listener.local_addr()?);
    Ok(axum::serve(listener, app).await?)
}

async fn home(visitor: Visitor) -> String {
    let name = visitor.caller().map(|caller| caller.subject());
    format!("hello {}", name.unwrap_or("stranger"))
}

async fn account(caller: Auth) -> Html<String> {
    Html(format!("You are {}. {LOG_OUT}", caller.subject()))
}

#[derive(serde::Deserialize)]
struct Given {
    user: String,
    password: String,
}

async fn log_in(sign_in: SignIn, Form(given): Form<Given>) -> Result<Redirect, Denial> {
    // Your service compares with the hash of the password in its database.
    if given.user != "alice" || given.password != "open sesame" {
        return Err(Denial::Unproven);
    }
    sign_in.issue(Login::new(given.user)).await?;
    Ok(Redirect::to("/account"))
}

async fn log_out(sign_in: SignIn) -> Result<Redirect, Denial> {
    let _when = sign_in.revoke().await?;
    Ok(Redirect::to("/"))
}
