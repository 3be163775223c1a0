//! One route for browsers and programs: browsers log in with a form and keep a session in a cookie,
//! programs get a token and send it in `Authorization`. Handlers do not notice the difference.
//!
//! ```text
//! cargo run --example two_schemes
//! ```
//!
//! The user is `alice`, the password `open sesame`. Try it with curl 7.82 or newer:
//!
//! ```text
//! curl -si http://127.0.0.1:3000/me                                     # 401
//! curl -si -c jar -d user=alice -d 'password=open sesame' http://127.0.0.1:3000/login   # 200
//! curl -si -b jar http://127.0.0.1:3000/me                              # 200
//! curl -si --json '{"user":"alice","password":"open sesame"}' http://127.0.0.1:3000/token | tee answer   # 200
//! sed -n 's/.*"access_token":"\([^"]*\)".*/Authorization: Bearer \1/p' answer > bearer
//! curl -si -H @bearer http://127.0.0.1:3000/me                          # 200
//! sed -n 's/.*__Host-id\t/Authorization: Bearer /p' jar > session
//! curl -si -H @session http://127.0.0.1:3000/me                         # 401
//! sed -n 's/.*Bearer /Cookie: __Host-id=/p' bearer > planted
//! curl -si -H @planted http://127.0.0.1:3000/me                         # 401
//! curl -si -c jar -b jar -X POST http://127.0.0.1:3000/logout           # 200
//! curl -si -b jar http://127.0.0.1:3000/me                              # 401
//! curl -si -H @bearer http://127.0.0.1:3000/me                          # 200
//! ```

mod passwords;
mod serve;

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Form, State};
use axum::routing::{get, post};
use axum::{Json, Router};
use statewise::either::Either;
use statewise::session::SessionAuthenticator;
use statewise::store::MemoryStore;
use statewise::token::{Key, TokenAuthenticator};
use statewise::web::{Auth, AuthLayer, Cookie, Denial, SignIn, TokenResponse, Transport};
use statewise::{Authenticator as _, Login};

use passwords::{Credentials, Passwords};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let sessions = SessionAuthenticator::builder(MemoryStore::with_capacity(100_000)?)
        .idle(Duration::from_secs(30 * 60))
        .absolute(Duration::from_secs(12 * 3600))
        .build()?;
    // A real service loads its key from its secret store.
    let tokens = TokenAuthenticator::builder(Key::generate_hs256()?)
        .issuer("https://auth.example")
        .audience("api")
        .lifetime(Duration::from_secs(15 * 60))
        .build()?;
    let auth = Arc::new(Either::builder(sessions, tokens).build()?);
    tokio::spawn(auth.upkeep().run(tokio::time::sleep));
    let router = Router::new()
        .route("/login", post(log_in))
        .route("/token", post(token))
        .route("/me", get(me))
        .route("/logout", post(log_out))
        .layer(AuthLayer::new(auth, Transport::both(Cookie::default()))?)
        .with_state(Arc::new(Passwords::of(&[("alice", "open sesame")])?));
    Ok(serve::serve(router).await?)
}

async fn checked(passwords: &Passwords, given: Credentials) -> Result<Login, Denial> {
    match passwords.check(&given).await? {
        true => Ok(Login::new(given.user)),
        false => Err(Denial::Unproven),
    }
}

type Known = State<Arc<Passwords>>;

/// A session, in a cookie.
async fn log_in(known: Known, sign_in: SignIn, form: Form<Credentials>) -> Result<String, Denial> {
    let caller = sign_in.issue(checked(&known, form.0).await?).await?;
    Ok(format!("welcome {}\n", caller.subject()))
}

/// A token, in the body.
async fn token(
    known: Known,
    sign_in: SignIn,
    given: Json<Credentials>,
) -> Result<TokenResponse, Denial> {
    sign_in.issue_token(checked(&known, given.0).await?).await
}

async fn me(caller: Auth) -> String {
    format!("{}\n", caller.subject())
}

async fn log_out(sign_in: SignIn) -> Result<String, Denial> {
    Ok(format!("{:?}\n", sign_in.revoke().await?))
}
