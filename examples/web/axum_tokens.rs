//! An API for programs: a token for a password, refreshing, roles, and a logout that works, because
//! every node follows a log of what was revoked. Also of a stream of events, which ends with the
//! login that it was opened by: `/events`, here watched for a second.
//!
//! ```text
//! cargo run --example axum_tokens
//! ```
//!
//! There are `alice`, whose password is `correct horse battery staple`, and the administrator `root`
//! with `open sesame`.
//!
//! ```text
//! curl -si http://127.0.0.1:3000/me                                     # 401
//! curl -si --json '{"user":"alice","password":"guess"}' http://127.0.0.1:3000/token   # 401
//! curl -si --json '{"user":"alice","password":"correct horse battery staple"}' http://127.0.0.1:3000/token | tee answer   # 200
//! sed -n 's/.*"access_token":"\([^"]*\)".*/Authorization: Bearer \1/p' answer > bearer
//! curl -si -H @bearer http://127.0.0.1:3000/me                          # 200
//! curl -si -H @bearer http://127.0.0.1:3000/admin                       # 403
//! curl -si --json "{\"refresh_token\":\"$(cut -d' ' -f3 bearer)\"}" http://127.0.0.1:3000/refresh   # 200
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
use axum::{Json, Router};
use futures_util::stream::{Stream, unfold};
use serde::{Deserialize, Serialize};
use statewise::Login;
use statewise::revocation::{MemoryLog, RevocationView};
use statewise::token::{Key, TokenAuthenticator};
use statewise::web::{Auth, AuthLayer, Denial, Require, SignIn, TokenResponse, Transport};

use passwords::{Credentials, Passwords};

const MINUTE: Duration = Duration::from_secs(60);
const ADMINISTRATOR: &str = "root";

type Failure = Box<dyn std::error::Error + Send + Sync>;

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let longest = 12 * 60 * MINUTE;
    // One node remembers by itself; several share a log in Redis or a database.
    let view = RevocationView::builder(MemoryLog::new()?)
        .max_lifetime(longest)
        .build()?;
    // A service takes its key from where it keeps its secrets.
    let auth = TokenAuthenticator::builder(Key::generate_hs256()?)
        .issuer("https://auth.example")
        .audience("api")
        .lifetime(15 * MINUTE)
        .max_lifetime(longest)
        .revocations(&view)
        .build()?;
    // A node answers once it has read the log, and follows it from then on.
    view.follow().await?;
    tokio::spawn(view.upkeep().run(tokio::time::sleep));
    let layer = AuthLayer::new(Arc::new(auth), Transport::bearer());
    Ok(serve::serve(router(layer, view)?).await?)
}

struct Site {
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
        .with_state(Arc::new(Site { passwords, view })))
}

async fn token(
    State(site): State<Arc<Site>>,
    sign_in: SignIn,
    Json(given): Json<Credentials>,
) -> Result<TokenResponse, Denial> {
    if !site.passwords.check(&given).await? {
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

/// For tokens alone, what is refreshed is the token; the hybrid has a credential for it.
async fn refresh(sign_in: SignIn, Json(given): Json<Refresh>) -> Result<TokenResponse, Denial> {
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

/// An event a second, until the login ends, on whichever node that is said.
async fn events(
    State(site): State<Arc<Site>>,
    caller: Auth,
) -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    let seconds = tokio::time::interval(Duration::from_secs(1));
    let live = Box::pin(site.view.revoked(caller.identity()));
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
