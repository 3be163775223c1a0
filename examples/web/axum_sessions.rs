//! Sessions on a web site: a login page that leads back, a list of the devices that are logged in, and logout, here
//! or everywhere. The cookie is `__Host-id`, `Secure` and `HttpOnly`.
//!
//! ```text
//! cargo run --example axum_sessions
//! ```
//!
//! The user is `alice`, the password `correct horse battery staple`. Open <http://127.0.0.1:3000>,
//! or try it with curl 7.79 or newer, which accepts `Secure` cookies over plain HTTP from this
//! machine (Python's `requests` stores them and never sends them):
//!
//! ```text
//! curl -si -c jar -b jar http://127.0.0.1:3000/me                       # 401
//! curl -si -H 'Sec-Fetch-Mode: navigate' -H 'Sec-Fetch-Dest: document' http://127.0.0.1:3000/me   # 303
//! curl -si http://127.0.0.1:3000/login?next=/me                         # 200
//! curl -si -c jar -b jar -d user=alice -d password=guess http://127.0.0.1:3000/login   # 401
//! curl -si -c jar -b jar -d user=alice --data-urlencode 'password=correct horse battery staple' http://127.0.0.1:3000/login   # 303
//! curl -si -c jar -b jar http://127.0.0.1:3000/me                       # 200
//! curl -si -c jar -b jar http://127.0.0.1:3000/devices                  # 200
//! curl -si -c jar -b jar -X POST -H 'Sec-Fetch-Site: cross-site' http://127.0.0.1:3000/logout   # 403
//! curl -si -c jar -b jar --data-urlencode 'password=correct horse battery staple' http://127.0.0.1:3000/password   # 303
//! curl -si -c jar -b jar -X POST http://127.0.0.1:3000/logout-others    # 303
//! curl -si -c jar -b jar -X POST http://127.0.0.1:3000/$(curl -s -b jar http://127.0.0.1:3000/devices | grep -om1 'devices/.*/end')   # 303
//! curl -si -c jar -b jar http://127.0.0.1:3000/me                       # 401
//! curl -si -c jar -b jar -X POST http://127.0.0.1:3000/logout           # 303
//! curl -si -c jar -b jar -X POST http://127.0.0.1:3000/logout-everywhere   # 401
//! ```

mod pages;
pub(crate) mod passwords;
mod serve;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{Extension, Form, Path, Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{Html, IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use serde::Deserialize;
use statewise::observer::TracingObserver;
use statewise::session::{Limit, SessionAuthenticator};
use statewise::store::MemoryStore;
use statewise::store::contract::SessionStore;
use statewise::web::{Auth, AuthLayer, Cookie, Denial, SignIn, Transport, Visitor, local_path};
use statewise::{Authenticator, Login, Observed};

use pages::{escaped, form, page};
use passwords::{Credentials, Passwords};

const MINUTE: Duration = Duration::from_secs(60);

type Failure = Box<dyn std::error::Error + Send + Sync>;

#[tokio::main]
async fn main() -> Result<(), Failure> {
    tracing_subscriber::fmt()
        .with_max_level(tracing::Level::INFO)
        .with_writer(std::io::stderr)
        // Colors only for a terminal.
        .with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr()))
        .init();
    // To use another store, change this line only.
    let store = MemoryStore::with_capacity(100_000)?;
    let auth = SessionAuthenticator::builder(store)
        .idle(30 * MINUTE)
        .absolute(12 * 60 * MINUTE)
        .limit(Limit::EvictOldest(20))
        .build()?;
    // Writes logins, logouts, refusals and outages to the log.
    let auth = Observed::new(auth, Arc::new(TracingObserver::new()));
    // Removes expired sessions from the store.
    let upkeep = tokio::spawn(auth.upkeep().run(tokio::time::sleep));
    let auth = Arc::new(auth);
    let transport = Transport::cookie(Cookie::default());
    let layer = AuthLayer::new(auth.clone(), transport)?.login_page("/login")?;
    let passwords = Passwords::of(&[("alice", "correct horse battery staple")])?;
    serve::serve(router(auth.clone(), layer, passwords)).await?;
    // After the last request: a store that writes uses in batches writes the rest.
    upkeep.abort();
    let _ = upkeep.await;
    auth.upkeep().finish().await?;
    println!("stopped");
    Ok(())
}

/// Sessions with a log.
type Sessions<S> = Observed<SessionAuthenticator<S>>;

/// State that handlers share.
struct App<S> {
    auth: Arc<Sessions<S>>,
    passwords: Passwords,
}

pub(crate) fn router<S: SessionStore>(
    auth: Arc<Sessions<S>>,
    layer: AuthLayer,
    passwords: Passwords,
) -> Router {
    Router::new()
        .route("/", get(home))
        .route("/me", get(me))
        .route("/login", get(login_page).post(log_in))
        .route("/logout", post(log_out))
        .route("/logout-others", post(log_out_others))
        .route("/logout-everywhere", post(log_out_everywhere))
        .route("/devices", get(devices))
        .route("/devices/{id}/end", post(end_device))
        .route("/password", post(change_password))
        .layer(layer)
        .with_state(Arc::new(App { auth, passwords }))
}

async fn home(visitor: Visitor) -> Html<String> {
    page(&match visitor.caller() {
        None => form("/"),
        Some(caller) => format!(
            "<p>Hello, {}. <a href='/devices'>Where am I logged in?</a>\
             <form method=post action=/logout-others><button>Log out other devices</button></form>\
             <form method=post action=/logout><button>Log out</button></form>\
             <form method=post action=/logout-everywhere><button>Log out everywhere</button></form>\
             <form method=post action=/password><input name=password type=password required>\
             <button>Change the password</button></form>",
            escaped(caller.subject()),
        ),
    })
}

async fn me(caller: Auth) -> Html<String> {
    let (user, since) = (escaped(caller.subject()), caller.authenticated_at());
    page(&format!("<p>You are {user}, since {since}."))
}

/// Page that the user wanted to see before the login.
#[derive(Deserialize)]
struct Wanted {
    next: Option<String>,
    /// The user is logged in, but the last authentication is too old for that page.
    max_age: Option<String>,
}

impl Wanted {
    /// Returns its path. An address elsewhere is ignored.
    fn path(&self) -> &str {
        self.next.as_deref().and_then(local_path).unwrap_or("/")
    }
}

async fn login_page(Query(wanted): Query<Wanted>) -> Html<String> {
    let form = form(wanted.path());
    page(&match wanted.max_age {
        Some(_) => format!("<p>Please enter your password again.{form}"),
        None => form,
    })
}

/// Answers a wrong password with the login form. The layer adds the challenge.
fn ask_again(denial: Denial, next: &str) -> Response {
    let form = page(&form(next));
    (StatusCode::UNAUTHORIZED, Extension(denial), form).into_response()
}

#[derive(Deserialize)]
struct LoginForm {
    #[serde(flatten)]
    given: Credentials,
    #[serde(flatten)]
    wanted: Wanted,
}

/// Starts a new session and ends the one that the request carries, so that an attacker cannot plant
/// a session.
async fn log_in<S: SessionStore>(
    State(app): State<Arc<App<S>>>,
    sign_in: SignIn,
    headers: HeaderMap,
    Form(LoginForm { given, wanted }): Form<LoginForm>,
) -> Result<Response, Denial> {
    if !app.passwords.check(&given).await? {
        return Ok(ask_again(Denial::Unproven, wanted.path()));
    }
    sign_in.issue(login(&given.user, &headers)).await?;
    Ok(Redirect::to(wanted.path()).into_response())
}

async fn log_out(sign_in: SignIn) -> Result<Redirect, Denial> {
    let _ = sign_in.revoke().await?;
    Ok(Redirect::to("/"))
}

async fn log_out_others(sign_in: SignIn) -> Result<Redirect, Denial> {
    let _ = sign_in.revoke_others().await?;
    Ok(Redirect::to("/devices"))
}

async fn log_out_everywhere(sign_in: SignIn) -> Result<Redirect, Denial> {
    let _ = sign_in.revoke_all().await?;
    Ok(Redirect::to("/"))
}

async fn devices<S: SessionStore>(
    State(app): State<Arc<App<S>>>,
    caller: Auth,
) -> Result<Html<String>, Denial> {
    // One page is enough: it holds up to 100 sessions, and a user has at most 20.
    let listed = app.auth.sessions(caller.subject(), None).await?;
    let rows = listed.sessions.iter().map(|session| {
        let (id, device) = (session.id(), session.device().unwrap_or("unknown"));
        let this = if id == caller.id() { " (this one)" } else { "" };
        format!(
            "<li>{}{this}, last seen {}\n\
             <form method=post action=/devices/{id}/end><button>End</button></form>\n",
            escaped(device),
            session.last_seen_at(),
        )
    });
    Ok(page(&format!("<ul>{}</ul>", rows.collect::<String>())))
}

async fn end_device<S: SessionStore>(
    State(app): State<Arc<App<S>>>,
    caller: Auth,
    Path(id): Path<String>,
) -> Result<Response, Denial> {
    let Ok(id) = id.parse() else {
        return Ok(StatusCode::NOT_FOUND.into_response());
    };
    // Ends sessions of the caller only.
    let _ = app.auth.revoke_id(caller.subject(), id).await?;
    Ok(Redirect::to("/devices").into_response())
}

#[derive(Deserialize)]
struct NewPassword {
    password: String,
}

/// Sensitive: requires a recent login, and ends all other sessions of the user.
async fn change_password<S: SessionStore>(
    State(app): State<Arc<App<S>>>,
    caller: Auth,
    sign_in: SignIn,
    headers: HeaderMap,
    Form(new): Form<NewPassword>,
) -> Result<Redirect, Denial> {
    // A browser is led to the login page, and asked for the password again.
    caller.require_fresh(5 * MINUTE)?;
    let user = caller.subject();
    app.passwords.change(user, new.password).await?;
    let _ = sign_in.revoke_all().await?;
    sign_in.issue(login(user, &headers)).await?;
    Ok(Redirect::to("/"))
}

/// Names the device after the `User-Agent` of the browser, for the list of devices.
fn login(user: &str, headers: &HeaderMap) -> Login {
    let agent = headers.get(header::USER_AGENT);
    let agent = agent.and_then(|agent| agent.to_str().ok());
    let device: String = agent.unwrap_or("unknown").chars().take(100).collect();
    Login::new(user).device(device)
}
