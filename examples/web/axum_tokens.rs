//! Tokens for an API: issue, refresh, roles, and logout. Logout works because every node follows a
//! revocation log. `/events` is a stream of events that ends with the login that opened it; the
//! commands below watch it for one second.
//!
//! ```text
//! cargo run --example axum_tokens
//! ```
//!
//! The users are `alice`, with the password `correct horse battery staple`, and the administrator
//! `root`, with `open sesame`. Try it with curl:
//!
//! ```text
//! curl -si http://127.0.0.1:3000/me                                     # 401
//! curl -si --json '{"user":"alice","password":"guess"}' http://127.0.0.1:3000/token   # 401
//! curl -si --json '{"user":"alice","password":"correct horse battery staple"}' http://127.0.0.1:3000/token | tee answer   # 200
//! sed -n 's/.*"access_token":"\([^"]*\)".*/Authorization: Bearer \1/p' answer > bearer
//! curl -si -H @bearer http://127.0.0.1:3000/me                          # 200
//! curl -si -H @bearer http://127.0.0.1:3000/admin                       # 403
//! curl -si -d grant_type=refresh_token -d "refresh_token=$(cut -d' ' -f3 bearer)" http://127.0.0.1:3000/refresh   # 200
//! curl -si -d grant_type=refresh_token -d refresh_token=x http://127.0.0.1:3000/refresh   # 400
//! curl -siN -m 1 -H @bearer http://127.0.0.1:3000/events                # 200
//! curl -si -H @bearer -X POST http://127.0.0.1:3000/logout              # 204
//! curl -si -H @bearer http://127.0.0.1:3000/me                          # 401
//! curl -si --json '{"user":"root","password":"open sesame"}' http://127.0.0.1:3000/token | tee answer   # 200
//! sed -n 's/.*"access_token":"\([^"]*\)".*/Authorization: Bearer \1/p' answer > bearer
//! curl -si -H @bearer http://127.0.0.1:3000/admin                       # 200
//! ```

mod passwords;
mod serve;

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::sse::{Event, Sse};
use axum::routing::{get, post};
use axum::{Form, Json, Router};
use futures_util::stream::{Stream, unfold};
use serde::{Deserialize, Serialize};
use statewise::Login;
use statewise::revocation::{MemoryLog, RevocationView};
use statewise::token::{Key, TokenAuthenticator};
use statewise::web::{
    Auth, AuthLayer, Denial, Require, SignIn, TokenError, TokenResponse, Transport,
};

use passwords::{Credentials, Passwords};

const MINUTE: Duration = Duration::from_secs(60);
const ADMINISTRATOR: &str = "root";

type Failure = Box<dyn std::error::Error + Send + Sync>;

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let longest = 12 * 60 * MINUTE;
    // One node keeps its log in memory. Several nodes share a log in Redis or a database.
    let view = RevocationView::builder(MemoryLog::new()?)
        .max_lifetime(longest)
        .build()?;
    // A real service loads its key from its secret store.
    let auth = TokenAuthenticator::builder(Key::generate_hs256()?)
        .issuer("https://auth.example")
        .audience("api")
        .lifetime(15 * MINUTE)
        .max_lifetime(longest)
        .revocations(&view)
        .build()?;
    // The node must read the log before it can verify tokens. `upkeep` keeps following it.
    view.follow().await?;
    tokio::spawn(view.upkeep().run(tokio::time::sleep));
    let layer = AuthLayer::new(Arc::new(auth), Transport::bearer())?;
    Ok(serve::serve(router(layer, view)?).await?)
}

struct App {
    passwords: Passwords,
    view: RevocationView,
}

fn router(layer: AuthLayer, view: RevocationView) -> Result<Router, Failure> {
    let passwords = Passwords::of(&[
        ("alice", "correct horse battery staple"),
        (ADMINISTRATOR, "open sesame"),
    ])?;
    let administration = Router::new()
        .route("/admin", get(admin))
        .layer(Require::authenticated().role("admin"));
    Ok(Router::new()
        .route("/token", post(token))
        .route("/refresh", post(refresh))
        .route("/me", get(me))
        .route("/events", get(events))
        .route("/logout", post(log_out))
        .merge(administration)
        .layer(layer)
        .with_state(Arc::new(App { passwords, view })))
}

async fn token(
    State(app): State<Arc<App>>,
    sign_in: SignIn,
    Json(given): Json<Credentials>,
) -> Result<TokenResponse, Denial> {
    if !app.passwords.check(&given).await? {
        return Err(Denial::Unproven);
    }
    let mut login = Login::new(&given.user);
    if given.user == ADMINISTRATOR {
        login = login.role("admin");
    }
    sign_in.issue_token(login).await
}

#[derive(Deserialize)]
struct Refresh {
    refresh_token: String,
}

/// Refreshes the access token itself. With a hybrid, the client sends its refresh credential here.
/// The form is that of OAuth clients (RFC 6749, section 6).
async fn refresh(sign_in: SignIn, Form(given): Form<Refresh>) -> Result<TokenResponse, TokenError> {
    sign_in.refresh_token(&given.refresh_token).await
}

#[derive(Serialize)]
struct Me {
    user: String,
    roles: Vec<String>,
    login: String,
}

async fn me(caller: Auth) -> Json<Me> {
    Json(Me {
        user: caller.subject().to_owned(),
        roles: caller.roles().map(str::to_owned).collect(),
        login: caller.id().to_string(),
    })
}

/// Sends an event per second until the login ends. The logout may reach any node.
async fn events(
    State(app): State<Arc<App>>,
    caller: Auth,
) -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    let seconds = tokio::time::interval(Duration::from_secs(1));
    let live = Box::pin(app.view.revoked(caller.identity()));
    Sse::new(unfold(Some((seconds, live)), |stream| async {
        let (mut seconds, mut live) = stream?;
        tokio::select! {
            biased;
            ended = &mut live => {
                let last = Event::default().event("ended").data(ended.to_string());
                Some((Ok(last), None))
            }
            _ = seconds.tick() => Some((Ok(Event::default().data("tick")), Some((seconds, live)))),
        }
    }))
}

async fn admin() -> &'static str {
    "for administrators only\n"
}

async fn log_out(sign_in: SignIn) -> Result<StatusCode, Denial> {
    let _ = sign_in.revoke().await?;
    Ok(StatusCode::NO_CONTENT)
}
