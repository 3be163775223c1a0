//! Login with a provider of OpenID Connect: authorization code, PKCE and nonce, by the crate
//! openidconnect. State, nonce and PKCE verifier wait in a single-use ticket that is bound to the
//! browser. The login leads back to the page that the visitor wanted.
//!
//! ```text
//! cargo run --example oidc_login
//! ```
//!
//! Without settings, a small provider in this program logs in `alice`. For a real one, register
//! `http://127.0.0.1:3000/callback` there, and set OIDC_ISSUER, OIDC_CLIENT_ID and
//! OIDC_CLIENT_SECRET. Open <http://127.0.0.1:3000>, or try it with curl 7.79 or newer, which accepts
//! `Secure` cookies over plain HTTP from this machine:
//!
//! ```text
//! curl -si -c jar -b jar http://127.0.0.1:3000/account                   # 401
//! curl -si -c jar -b jar 'http://127.0.0.1:3000/login?next=/account' | tee asked   # 303
//! curl -si "$(sed -n 's/^location: //p' asked | tr -d '\r')" | tee led-back   # 303
//! curl -si "$(sed -n 's/^location: //p' led-back | tr -d '\r')"            # 401
//! curl -si -c jar -b jar "$(sed -n 's/^location: //p' led-back | tr -d '\r')"   # 303
//! curl -si -c jar -b jar http://127.0.0.1:3000/account                   # 200
//! curl -si -c jar -b jar "$(sed -n 's/^location: //p' led-back | tr -d '\r')"   # 401
//! curl -si -c jar -b jar -X POST http://127.0.0.1:3000/logout            # 303
//! curl -si -c jar -b jar http://127.0.0.1:3000/account                   # 401
//! ```

#[path = "../web/pages.rs"]
mod pages;
pub(crate) mod provider;
#[path = "../web/serve.rs"]
mod serve;

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use axum::Router;
use axum::extract::{Extension, Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{AppendHeaders, Html, IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use openidconnect::core::{CoreAuthenticationFlow, CoreClient, CoreProviderMetadata};
use openidconnect::{
    AuthorizationCode, ClientId, ClientSecret, CsrfToken, EndpointMaybeSet, EndpointNotSet,
    EndpointSet, IssuerUrl, Nonce, PkceCodeChallenge, PkceCodeVerifier, RedirectUrl,
    RequestTokenError, Scope, TokenResponse as _, reqwest,
};
use serde::{Deserialize, Serialize};
use statewise::session::SessionAuthenticator;
use statewise::store::MemoryStore;
use statewise::tickets::Tickets;
use statewise::web::{
    Auth, AuthLayer, Cookie, Denial, Found, SignIn, Transport, Visitor, local_path,
};
use statewise::{Authenticator as _, Error, Login};
use tokio::net::TcpListener;

use pages::{escaped, page};

const MINUTE: Duration = Duration::from_secs(60);

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// The service as a client of its provider.
type Client = CoreClient<
    EndpointSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointMaybeSet,
    EndpointMaybeSet,
>;

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let listener = serve::listen().await?;
    let origin = format!("http://{}", listener.local_addr()?);
    let settings = Settings::from_env(&origin).await?;
    // Following redirects would let the provider choose addresses in this network.
    let http = reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .timeout(Duration::from_secs(10))
        .build()?;
    let app = Arc::new(App {
        client: RwLock::new(settings.discover(&http).await?),
        http,
        // A store of its own: abandoned attempts take no place of a login.
        started: Tickets::builder(MemoryStore::with_capacity(10_000)?)
            .purpose("oidc-login")
            .lifetime(10 * MINUTE)
            .with_payload()
            .bound()
            .build()?,
        browser: Cookie::builder().name("__Host-login").build()?,
    });
    tokio::spawn(follow_keys(settings, app.clone()));
    tokio::spawn(app.started.upkeep().run(tokio::time::sleep));

    let auth = SessionAuthenticator::builder(MemoryStore::with_capacity(100_000)?)
        .idle(30 * MINUTE)
        .absolute(12 * 60 * MINUTE)
        // The name of the user.
        .with_data::<String>()
        .build()?;
    tokio::spawn(auth.upkeep().run(tokio::time::sleep));
    let layer = AuthLayer::new(Arc::new(auth), Transport::cookie(Cookie::default()))?;
    let router = Router::new()
        .route("/", get(home))
        .route("/account", get(account))
        .route("/login", get(log_in))
        .route("/callback", get(callback))
        .route("/logout", post(log_out))
        .layer(layer.login_page("/login")?)
        .with_state(app);
    Ok(serve::serve_on(listener, router).await?)
}

struct Settings {
    issuer: IssuerUrl,
    client_id: ClientId,
    client_secret: ClientSecret,
    redirect_uri: RedirectUrl,
}

impl Settings {
    async fn from_env(origin: &str) -> Result<Self, Failure> {
        let (issuer, id, secret) = match std::env::var("OIDC_ISSUER") {
            Ok(issuer) => (
                issuer,
                std::env::var("OIDC_CLIENT_ID")?,
                std::env::var("OIDC_CLIENT_SECRET")?,
            ),
            Err(_) => (
                run_a_provider().await?,
                provider::CLIENT_ID.to_owned(),
                provider::CLIENT_SECRET.to_owned(),
            ),
        };
        Ok(Self {
            issuer: IssuerUrl::new(issuer)?,
            client_id: ClientId::new(id),
            client_secret: ClientSecret::new(secret),
            redirect_uri: RedirectUrl::new(format!("{origin}/callback"))?,
        })
    }

    /// Fetches the addresses and keys of the provider.
    async fn discover(&self, http: &reqwest::Client) -> Result<Client, Failure> {
        let metadata = CoreProviderMetadata::discover_async(self.issuer.clone(), http).await?;
        let (id, secret) = (self.client_id.clone(), self.client_secret.clone());
        let client = CoreClient::from_provider_metadata(metadata, id, Some(secret));
        Ok(client.set_redirect_uri(self.redirect_uri.clone()))
    }
}

async fn run_a_provider() -> Result<String, Failure> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
    let issuer = format!("http://{}", listener.local_addr()?);
    let router = provider::provider(&issuer, provider::Keys::one().shared(), |_| {});
    tokio::spawn(async move { axum::serve(listener, router).await });
    Ok(issuer)
}

/// Fetches the keys again each hour: providers change them.
async fn follow_keys(settings: Settings, app: Arc<App>) {
    loop {
        tokio::time::sleep(60 * MINUTE).await;
        match settings.discover(&app.http).await {
            Ok(client) => *app.client.write().unwrap_or_else(PoisonError::into_inner) = client,
            Err(error) => eprintln!("the provider of logins is away: {error}"),
        }
    }
}

struct App {
    client: RwLock<Client>,
    http: reqwest::Client,
    started: Tickets<MemoryStore, Started>,
    /// Holds the secret that binds a started login to its browser.
    browser: Cookie,
}

impl App {
    fn client(&self) -> Client {
        let client = self.client.read().unwrap_or_else(PoisonError::into_inner);
        client.clone()
    }
}

/// A login that waits for the provider.
#[derive(Serialize, Deserialize)]
struct Started {
    nonce: Nonce,
    verifier: PkceCodeVerifier,
    next: String,
}

async fn home(visitor: Visitor<String>) -> Html<String> {
    page(&match visitor.caller() {
        None => "<p><a href=/login>Log in</a>".to_owned(),
        Some(caller) => format!(
            "<p>Hello, {}. <a href=/account>Your account</a>\
             <form method=post action=/logout><button>Log out</button></form>",
            escaped(caller.data()),
        ),
    })
}

async fn account(caller: Auth<String>) -> Html<String> {
    let (name, subject) = (escaped(caller.data()), escaped(caller.subject()));
    page(&format!("<p>You are {name}, {subject} of the provider."))
}

#[derive(Deserialize)]
struct Wanted {
    next: Option<String>,
}

/// Starts a login, and leads to the provider.
async fn log_in(
    State(app): State<Arc<App>>,
    Query(wanted): Query<Wanted>,
) -> Result<Response, Denial> {
    let (challenge, verifier) = PkceCodeChallenge::new_random_sha256();
    let nonce = Nonce::new_random();
    let next = wanted.next.as_deref().and_then(local_path).unwrap_or("/");
    let started = Started {
        nonce: nonce.clone(),
        verifier,
        next: next.to_owned(),
    };
    // The visitor is still unknown.
    let visitor = CsrfToken::new_random().into_secret();
    let ticket = app.started.issue(&visitor, started).await?;
    let state = CsrfToken::new(ticket.credential().reveal().to_owned());
    let client = app.client();
    let asked = client
        .authorize_url(
            CoreAuthenticationFlow::AuthorizationCode,
            || state,
            || nonce,
        )
        .add_scope(Scope::new("profile".to_owned()))
        .set_pkce_challenge(challenge);
    let (address, _, _) = asked.url();
    let secret = ticket
        .browser_secret()
        .map(|secret| app.browser.set(secret));
    let set = AppendHeaders(secret.transpose()?.map(|set| (header::SET_COOKIE, set)));
    let private = [(header::CACHE_CONTROL, "no-store")];
    Ok((set, private, Redirect::to(address.as_str())).into_response())
}

/// Answer of the provider, in the address to which it leads back.
#[derive(Deserialize)]
struct Answer {
    state: String,
    /// Missing if the user has refused.
    code: Option<String>,
}

/// Ends a login that this browser has started. The ticket is spent by the first answer, whatever it
/// says.
async fn callback(
    State(app): State<Arc<App>>,
    sign_in: SignIn<String>,
    headers: HeaderMap,
    Query(answer): Query<Answer>,
) -> Result<Response, Denial> {
    let browser = match app.browser.find(&headers, |_| true) {
        Found::One(secret) => secret,
        _ => return Ok(failed("this browser has started no login")),
    };
    let started = match app.started.redeem(&answer.state, Some(browser)).await {
        Ok(redeemed) => redeemed.payload,
        Err(error) if error.is_rejected() => return Ok(failed(error)),
        Err(error) => return Err(error.into()),
    };
    let Some(code) = answer.code else {
        return Ok(failed("the user has refused"));
    };
    let begun = sign_in.begin().await?;
    let client = app.client();
    let tokens = client
        .exchange_code(AuthorizationCode::new(code))
        .map_err(Error::unavailable)?
        .set_pkce_verifier(started.verifier)
        .request_async(&app.http)
        .await;
    let tokens = match tokens {
        Ok(tokens) => tokens,
        Err(RequestTokenError::ServerResponse(error)) => return Ok(failed(error)),
        Err(error) => return Err(Error::unavailable(error).into()),
    };
    let Some(id_token) = tokens.id_token() else {
        return Ok(failed("the provider sends no ID token"));
    };
    // Checks signature, issuer, audience, time and nonce.
    let claims = match id_token.claims(&client.id_token_verifier(), &started.nonce) {
        Ok(claims) => claims,
        Err(error) => return Ok(failed(error)),
    };
    let subject = claims.subject().as_str();
    let name = claims.preferred_username();
    let name = name.map_or(subject, |name| name.as_str()).to_owned();
    // Only the subject is stable (OpenID Connect Core, section 5.7). With several providers, put the
    // issuer before it.
    sign_in
        .issue(Login::new(subject).data(name).begun(begun))
        .await?;
    let removed = AppendHeaders([(header::SET_COOKIE, app.browser.remove().to_owned())]);
    Ok((removed, Redirect::to(&started.next)).into_response())
}

/// Answers all failures alike, and prints the cause.
fn failed(cause: impl std::fmt::Display) -> Response {
    eprintln!("a login has failed: {cause}");
    let page = page("<p>The login has failed. <a href=/login>Try again</a>");
    (StatusCode::UNAUTHORIZED, Extension(Denial::Unproven), page).into_response()
}

async fn log_out(sign_in: SignIn<String>) -> Result<Redirect, Denial> {
    let _ = sign_in.revoke().await?;
    Ok(Redirect::to("/"))
}
