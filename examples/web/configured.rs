//! A web site that reads strategy, store and lifetimes from a file. One line of the file chooses sessions,
//! tokens or a hybrid.
//!
//! ```text
//! cargo run --example configured                              # sessions, of examples/web/configured.toml
//! CONFIG=my.toml TOKEN_KEY=.. cargo run --example configured   # a file of your own
//! ```
//!
//! The user is `alice`, the password `correct horse battery staple`. Each answer is the same for all
//! three strategies:
//!
//! ```text
//! curl -si -c jar -b jar http://127.0.0.1:3000/me                       # 401
//! curl -si -H 'Sec-Fetch-Mode: navigate' -H 'Sec-Fetch-Dest: document' http://127.0.0.1:3000/me   # 303
//! curl -si -c jar -b jar http://127.0.0.1:3000/auth/login               # 200
//! curl -si -c jar -b jar -d user=alice -d password=guess http://127.0.0.1:3000/auth/login   # 401
//! curl -si -c jar -b jar -d user=alice --data-urlencode 'password=correct horse battery staple' http://127.0.0.1:3000/auth/login   # 303
//! curl -si -c jar -b jar http://127.0.0.1:3000/me                       # 200
//! curl -si -c jar -b jar -X POST -H 'Sec-Fetch-Site: cross-site' http://127.0.0.1:3000/auth/logout   # 403
//! curl -si -c jar -b jar -X POST http://127.0.0.1:3000/auth/logout      # 303
//! curl -si -c jar -b jar http://127.0.0.1:3000/me                       # 401
//! ```

mod pages;
pub(crate) mod passwords;
mod serve;

use std::sync::Arc;

use axum::Router;
use axum::extract::{Extension, Form, State};
use axum::http::StatusCode;
use axum::response::{Html, IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use statewise::config::Config;
use statewise::web::{Auth, AuthLayer, Denial, SignIn};
use statewise::{Authenticator, Login};

use pages::{escaped, page};
use passwords::{Credentials, Passwords};

type Failure = Box<dyn std::error::Error + Send + Sync>;

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let text = match std::env::var_os("CONFIG") {
        Some(path) => std::fs::read_to_string(path)?,
        None => include_str!("configured.toml").to_owned(),
    };
    let config: Config = toml::from_str(&text)?;
    let auth = config.build::<()>().await?;
    let upkeep = tokio::spawn(auth.upkeep().run(tokio::time::sleep));
    let layer = config.layer(Arc::clone(&auth))?;
    let passwords = Passwords::of(&[("alice", "correct horse battery staple")])?;
    serve::serve(router(layer, passwords)?).await?;
    upkeep.abort();
    let _ = upkeep.await;
    auth.upkeep().finish().await?;
    println!("stopped");
    Ok(())
}

/// Login and logout are below the path of the refresh cookie, so that a hybrid ends its login there.
pub(crate) fn router(layer: AuthLayer, passwords: Passwords) -> statewise::Result<Router> {
    Ok(Router::new()
        .route("/me", get(me))
        .route("/auth/login", get(login_page).post(log_in))
        .route("/auth/logout", post(log_out))
        .layer(layer.login_page("/auth/login")?)
        .with_state(Arc::new(passwords)))
}

async fn me(caller: Auth) -> Html<String> {
    let user = escaped(caller.subject());
    page(&format!(
        "<p>You are {user}.<form method=post action=/auth/logout><button>Log out</button></form>"
    ))
}

async fn login_page() -> Html<String> {
    page(
        "<form method=post><p><label>User <input name=user required></label>\
         <p><label>Password <input name=password type=password required></label>\
         <p><button>Log in</button></form>",
    )
}

async fn log_in(
    State(passwords): State<Arc<Passwords>>,
    sign_in: SignIn,
    Form(given): Form<Credentials>,
) -> Result<Response, Denial> {
    if !passwords.check(&given).await? {
        let form = login_page().await;
        return Ok((StatusCode::UNAUTHORIZED, Extension(Denial::Unproven), form).into_response());
    }
    sign_in.issue(Login::new(&given.user)).await?;
    Ok(Redirect::to("/me").into_response())
}

async fn log_out(sign_in: SignIn) -> Result<Redirect, Denial> {
    let _ = sign_in.revoke().await?;
    Ok(Redirect::to("/auth/login"))
}
