//! Passkeys instead of passwords, by the crate webauthn-rs: sign up, log in, and add the passkey of
//! another device. Each challenge waits in a single-use ticket, with its text in a cookie: it works
//! once, and in one browser.
//!
//! ```text
//! cargo run --manifest-path examples/passkeys/manifest/Cargo.toml --example passkeys
//! ```
//!
//! Open <http://localhost:3000>; browsers keep passkeys for names, not for `127.0.0.1`. curl has no
//! passkey, but shows the public pages and the refusals:
//!
//! ```text
//! curl -si http://127.0.0.1:3000/                                        # 200
//! curl -si http://127.0.0.1:3000/me                                      # 401
//! curl -si -c jar --json '{"name":"alice"}' http://127.0.0.1:3000/register/start   # 200
//! curl -si -b jar --json '{}' http://127.0.0.1:3000/register/finish      # 422
//! curl -si --json '{"name":"alice"}' http://127.0.0.1:3000/login/start   # 401
//! curl -si -X POST -H 'Origin: https://evil.example' --json '{"name":"alice"}' http://127.0.0.1:3000/register/start   # 403
//! ```

#[path = "../web/pages.rs"]
mod pages;
#[path = "../web/serve.rs"]
mod serve;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{AppendHeaders, Html, IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::{Deserialize, Serialize};
use statewise::session::SessionAuthenticator;
use statewise::store::MemoryStore;
use statewise::tickets::Tickets;
use statewise::web::{Auth, AuthLayer, Cookie, Denial, Found, SignIn, Transport, Visitor};
use statewise::{Authenticator as _, Credential, Error, Login};
use webauthn_rs::prelude::{
    CredentialID, Passkey, PasskeyAuthentication, PasskeyRegistration, PublicKeyCredential,
    RegisterPublicKeyCredential, Url, Uuid, WebauthnError,
};
use webauthn_rs::{Webauthn, WebauthnBuilder};

use pages::{escaped, page};

const MINUTE: Duration = Duration::from_secs(60);
/// Class of a login that no site in between can have phished (OpenID Connect EAP).
const CLASS: &str = "phr";

type Failure = Box<dyn std::error::Error + Send + Sync>;

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let listener = serve::listen().await?;
    // The domain of a real service, and its origin with https.
    let domain = "localhost";
    let origin = Url::parse(&format!(
        "http://{domain}:{}",
        listener.local_addr()?.port()
    ))?;
    // A store of its own: abandoned attempts take no place of a login.
    let waiting = Arc::new(MemoryStore::with_capacity(10_000)?);
    let app = Arc::new(App {
        webauthn: WebauthnBuilder::new(domain, &origin)?.build()?,
        registrations: Tickets::builder(waiting.clone())
            .purpose("passkey-registration")
            .lifetime(5 * MINUTE)
            .with_payload()
            .build()?,
        logins: Tickets::builder(waiting)
            .purpose("passkey-login")
            .lifetime(5 * MINUTE)
            .with_payload()
            .build()?,
        challenge: Cookie::builder().name("__Host-challenge").build()?,
        accounts: Mutex::default(),
    });
    tokio::spawn(app.logins.upkeep().run(tokio::time::sleep));
    let auth = SessionAuthenticator::builder(MemoryStore::with_capacity(100_000)?)
        .idle(30 * MINUTE)
        .absolute(12 * 60 * MINUTE)
        .build()?;
    tokio::spawn(auth.upkeep().run(tokio::time::sleep));
    let layer = AuthLayer::new(Arc::new(auth), Transport::cookie(Cookie::default()))?;
    let router = Router::new()
        .route("/", get(home))
        .route("/me", get(me))
        .route("/register/start", post(start_registration))
        .route("/register/finish", post(finish_registration))
        .route("/login/start", post(start_login))
        .route("/login/finish", post(finish_login))
        .route("/logout", post(log_out))
        .layer(layer)
        .with_state(app);
    Ok(serve::serve_on(listener, router).await?)
}

type Waiting<P> = Tickets<Arc<MemoryStore>, P>;

struct App {
    webauthn: Webauthn,
    registrations: Waiting<Registration>,
    logins: Waiting<LoginAttempt>,
    /// Holds the ticket of the challenge that this browser is answering.
    challenge: Cookie,
    /// A real service keeps them in its database.
    accounts: Mutex<HashMap<String, Account>>,
}

struct Account {
    id: Uuid,
    passkeys: Vec<Passkey>,
}

impl Account {
    fn ids(&self) -> Vec<CredentialID> {
        let passkeys = self.passkeys.iter();
        passkeys.map(|passkey| passkey.cred_id().clone()).collect()
    }
}

/// A registration that waits for the authenticator.
#[derive(Serialize, Deserialize)]
struct Registration {
    name: String,
    id: Uuid,
    state: PasskeyRegistration,
}

/// A login that waits for the authenticator.
#[derive(Serialize, Deserialize)]
struct LoginAttempt {
    name: String,
    state: PasskeyAuthentication,
}

impl App {
    fn accounts(&self) -> MutexGuard<'_, HashMap<String, Account>> {
        self.accounts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends a challenge, and its ticket in the cookie.
    fn ask(&self, ticket: &Credential, options: impl Serialize) -> Result<Response, Denial> {
        let fields = AppendHeaders([
            (header::SET_COOKIE, self.challenge.set(ticket)?),
            (header::CACHE_CONTROL, "no-store".to_owned()),
        ]);
        Ok((fields, Json(options)).into_response())
    }

    /// Removes the cookie of the challenge.
    fn done(&self) -> Response {
        let removed = self.challenge.remove().to_owned();
        let removed = AppendHeaders([(header::SET_COOKIE, removed)]);
        (removed, StatusCode::NO_CONTENT).into_response()
    }

    /// Returns the ticket of what waits for the answer of this browser.
    fn ticket<'h>(&self, headers: &'h HeaderMap) -> Result<&'h str, Denial> {
        match self.challenge.find(headers, |_| true) {
            Found::One(ticket) => Ok(ticket),
            _ => Err(Denial::Unproven),
        }
    }
}

async fn home(visitor: Visitor) -> Html<String> {
    let greeting = visitor.caller().map_or(String::new(), |caller| {
        format!(
            "<p>Hello, {}.<form method=post action=/logout><button>Log out</button></form>",
            escaped(caller.subject()),
        )
    });
    page(&(greeting + include_str!("passkeys.html")))
}

async fn me(caller: Auth) -> Html<String> {
    let (user, since) = (escaped(caller.subject()), caller.authenticated_at());
    page(&format!("<p>You are {user}, since {since}."))
}

#[derive(Deserialize)]
struct Named {
    name: String,
}

/// Starts the registration of a passkey: the first one of a new account, or another one of the
/// caller. Names are public here, so it may tell that one is taken.
async fn start_registration(
    State(app): State<Arc<App>>,
    visitor: Visitor,
    Json(given): Json<Named>,
) -> Result<Response, Denial> {
    if let Some(caller) = visitor.caller() {
        // A passkey of a thief would outlive the login.
        caller.require_fresh(5 * MINUTE)?;
    }
    let name = visitor.caller().map_or(&*given.name, |c| c.subject());
    let (id, known) = match app.accounts().get(name) {
        Some(_) if visitor.caller().is_none() => return Ok(StatusCode::CONFLICT.into_response()),
        Some(account) => (account.id, account.ids()),
        None => (Uuid::new_v4(), Vec::new()),
    };
    let (options, state) = app
        .webauthn
        .start_passkey_registration(id, name, name, Some(known))
        .map_err(Error::unavailable)?;
    let name = name.to_owned();
    let waiting = Registration { name, id, state };
    let ticket = app.registrations.issue(&id.to_string(), waiting).await?;
    app.ask(ticket.credential(), options)
}

async fn finish_registration(
    State(app): State<Arc<App>>,
    sign_in: SignIn,
    headers: HeaderMap,
    Json(answer): Json<RegisterPublicKeyCredential>,
) -> Result<Response, Denial> {
    let ticket = app.ticket(&headers)?;
    let waiting = app.registrations.redeem(ticket, None).await;
    let Registration { name, id, state } = waiting.map_err(Denial::of_ticket)?.payload;
    let caller = sign_in.visitor().await?.into_caller();
    let passkey = app
        .webauthn
        .finish_passkey_registration(&answer, &state)
        .map_err(unproven)?;
    {
        let mut accounts = app.accounts();
        let account = accounts.entry(name.clone()).or_insert(Account {
            id,
            passkeys: Vec::new(),
        });
        let is_owner = caller.as_ref().is_some_and(|c| c.subject() == name);
        // Another visitor may have taken the name, or the caller may have logged out.
        if !is_owner && !account.passkeys.is_empty() {
            return Ok(StatusCode::CONFLICT.into_response());
        }
        account.passkeys.push(passkey);
    }
    if caller.is_none() {
        sign_in.issue(Login::new(&name).acr(CLASS)).await?;
    }
    Ok(app.done())
}

/// Starts a login. A service with private names sends a challenge for unknown names too
/// (Web Authentication, section 14.6.2). Limit the requests of each network, in front of the service.
async fn start_login(
    State(app): State<Arc<App>>,
    Json(given): Json<Named>,
) -> Result<Response, Denial> {
    let account = |account: &Account| account.passkeys.clone();
    let passkeys = app.accounts().get(&given.name).map(account);
    let passkeys = passkeys.ok_or(Denial::Unproven)?;
    let (options, state) = app
        .webauthn
        .start_passkey_authentication(&passkeys)
        .map_err(Error::unavailable)?;
    // A random subject: anyone may give this name, and a further ticket of one subject ends an older
    // one.
    let attempt = Uuid::new_v4().to_string();
    let waiting = LoginAttempt {
        name: given.name,
        state,
    };
    let ticket = app.logins.issue(&attempt, waiting).await?;
    app.ask(ticket.credential(), options)
}

async fn finish_login(
    State(app): State<Arc<App>>,
    sign_in: SignIn,
    headers: HeaderMap,
    Json(answer): Json<PublicKeyCredential>,
) -> Result<Response, Denial> {
    let (begun, ticket) = (sign_in.begin().await?, app.ticket(&headers)?);
    let waiting = app.logins.redeem(ticket, None).await;
    let LoginAttempt { name, state } = waiting.map_err(Denial::of_ticket)?.payload;
    let proven = app
        .webauthn
        .finish_passkey_authentication(&answer, &state)
        .map_err(unproven)?;
    {
        // The counter of the passkey, which betrays a copy of it.
        let mut accounts = app.accounts();
        let account = accounts.get_mut(&name).ok_or(Denial::Unproven)?;
        for passkey in &mut account.passkeys {
            passkey.update_credential(&proven);
        }
    }
    let login = Login::new(&name).acr(CLASS).begun(begun);
    sign_in.issue(login).await?;
    Ok(app.done())
}

async fn log_out(sign_in: SignIn) -> Result<Redirect, Denial> {
    let _ = sign_in.revoke().await?;
    Ok(Redirect::to("/"))
}

fn unproven(cause: WebauthnError) -> Denial {
    eprintln!("a passkey was refused: {cause}");
    Denial::Unproven
}
