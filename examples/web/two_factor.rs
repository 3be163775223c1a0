//! A second factor: the password first, then a code of an authenticator app (TOTP). Between them the
//! browser holds a single-use ticket, which is no login. A dangerous act asks for a code of the last five
//! minutes: a step-up of the login.
//!
//! ```text
//! cargo run --example two_factor
//! ```
//!
//! The user is `alice`, the password `correct horse battery staple`, the secret of the app
//! `GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ`. Open <http://127.0.0.1:3000/me>, or try it with curl 7.79 or
//! newer, which accepts `Secure` cookies over plain HTTP from this machine. CODE is the code that the
//! app shows, or that `oathtool --totp -b GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ` prints, and LATER the next one,
//! half a minute later:
//!
//! ```text
//! curl -si -c jar -b jar http://127.0.0.1:3000/me                        # 401
//! curl -si -c jar -b jar -d user=alice -d password=guess http://127.0.0.1:3000/login   # 401
//! curl -si -c jar -b jar -d user=alice --data-urlencode 'password=correct horse battery staple' http://127.0.0.1:3000/login   # 303
//! curl -si -c jar -b jar http://127.0.0.1:3000/me                        # 401
//! curl -si -c jar -b jar -d code=12345 http://127.0.0.1:3000/login/code  # 401
//! curl -si -c jar -b jar -d code=$CODE http://127.0.0.1:3000/login/code  # 303
//! curl -si -c jar -b jar http://127.0.0.1:3000/me                        # 200
//! curl -si -c jar -b jar -X POST http://127.0.0.1:3000/transfer          # 401
//! curl -si -c jar -b jar -d code=$CODE http://127.0.0.1:3000/confirm     # 401
//! curl -si -c jar -b jar -d code=$LATER http://127.0.0.1:3000/confirm    # 303
//! curl -si -c jar -b jar -X POST http://127.0.0.1:3000/transfer          # 200
//! ```

pub(crate) mod codes;
mod pages;
pub(crate) mod passwords;
mod serve;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{Extension, Form, Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{AppendHeaders, Html, IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use serde::Deserialize;
use statewise::clock::{Clock, SystemClock};
use statewise::session::SessionAuthenticator;
use statewise::store::MemoryStore;
use statewise::tickets::Tickets;
use statewise::web::{
    Answer, Auth, AuthLayer, Cookie, Denial, Found, Require, SignIn, Transport, local_path,
};
use statewise::{Authenticator as _, Upkeep};

use codes::{Checked, Codes};
use pages::{escaped, form, page};
use passwords::{Credentials, Passwords};

const MINUTE: Duration = Duration::from_secs(60);
/// Class of a login by password and code.
const LOGGED_IN: &str = "aal2";
/// Class of a login that has entered another code for a dangerous act.
const CONFIRMED: &str = "confirmed";

pub(crate) type Failure = Box<dyn std::error::Error + Send + Sync>;
/// Logins that wait for their code, with the path to which they lead.
type Pending = Tickets<Arc<MemoryStore>, String>;

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let (router, upkeep) = service(SystemClock)?;
    tokio::spawn(upkeep.run(tokio::time::sleep));
    Ok(serve::serve(router).await?)
}

struct App {
    passwords: Passwords,
    codes: Codes,
    pending: Arc<Pending>,
    /// Holds the ticket of a pending login.
    cookie: Cookie,
}

/// Returns the service, and the background work of its store. Tests set the clock.
pub(crate) fn service(clock: impl Clock + Clone) -> Result<(Router, Upkeep), Failure> {
    let store = Arc::new(MemoryStore::with_capacity(100_000)?);
    let pending: Pending = Tickets::builder(store.clone())
        .purpose("second-factor")
        .lifetime(5 * MINUTE)
        .with_payload()
        .clock(clock.clone())
        .build()?;
    let pending = Arc::new(pending);
    let auth = SessionAuthenticator::builder(store)
        .idle(30 * MINUTE)
        .absolute(12 * 60 * MINUTE)
        // A logout everywhere ends pending logins too.
        .also_ends(pending.clone())
        .clock(clock.clone())
        .build()?;
    let upkeep = auth.upkeep();
    let layer = AuthLayer::new(Arc::new(auth), Transport::cookie(Cookie::default()))?
        .clock(clock.clone())
        .login_page("/login")?
        // Leads a browser to the form for the code: the login lacks the class, or the code is too old.
        .on_denial(|denial, request| match denial.required_acr() {
            Some(CONFIRMED) if request.is_navigation() => Some(Answer::redirect("/confirm")),
            _ => None,
        });
    let app = App {
        passwords: Passwords::of(&[("alice", "correct horse battery staple")])?,
        codes: Codes::of(&[("alice", "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ")], clock)?,
        pending,
        cookie: Cookie::builder().name("__Host-pending").build()?,
    };
    let dangerous = Router::new()
        .route("/transfer", post(transfer))
        .layer(Require::authenticated().acr(CONFIRMED).fresh(5 * MINUTE));
    let router = Router::new()
        .route("/me", get(me))
        .route("/login", get(login_page).post(check_password))
        .route("/login/code", get(code_page).post(check_code))
        .route("/confirm", get(confirm_page).post(confirm))
        .route("/logout-everywhere", post(log_out_everywhere))
        .merge(dangerous)
        .layer(layer)
        .with_state(Arc::new(app));
    Ok((router, upkeep))
}

async fn me(caller: Auth) -> Html<String> {
    let (user, class) = (caller.subject(), caller.acr().unwrap_or("none"));
    page(&format!(
        "<p>You are {}, class {}.\
         <form method=post action=/transfer><button>Transfer all my money</button></form>\
         <form method=post action=/logout-everywhere><button>Log out everywhere</button></form>",
        escaped(user),
        escaped(class),
    ))
}

async fn transfer() -> Html<String> {
    page("<p>The money is on its way.")
}

#[derive(Deserialize)]
struct Wanted {
    next: Option<String>,
}

impl Wanted {
    fn path(&self) -> &str {
        self.next.as_deref().and_then(local_path).unwrap_or("/me")
    }
}

async fn login_page(Query(wanted): Query<Wanted>) -> Html<String> {
    page(&form(wanted.path()))
}

#[derive(Deserialize)]
struct LoginForm {
    #[serde(flatten)]
    given: Credentials,
    #[serde(flatten)]
    wanted: Wanted,
}

/// Checks the first factor. The caller is not logged in yet: no guard knows a ticket.
async fn check_password(
    State(app): State<Arc<App>>,
    Form(LoginForm { given, wanted }): Form<LoginForm>,
) -> Result<Response, Denial> {
    if !app.passwords.check(&given).await? {
        return Ok(denied(Denial::Unproven, form(wanted.path())));
    }
    let next = wanted.path().to_owned();
    let ticket = app.pending.issue(&given.user, next).await?;
    let set = AppendHeaders([
        (header::SET_COOKIE, app.cookie.set(ticket.credential())?),
        (header::CACHE_CONTROL, "no-store".to_owned()),
    ]);
    Ok((set, Redirect::to("/login/code")).into_response())
}

async fn code_page() -> Html<String> {
    page(&code_form("/login/code"))
}

#[derive(Deserialize)]
struct CodeForm {
    code: String,
}

/// Checks the second factor, and logs in.
async fn check_code(
    State(app): State<Arc<App>>,
    sign_in: SignIn,
    headers: HeaderMap,
    Form(given): Form<CodeForm>,
) -> Result<Response, Denial> {
    let Found::One(ticket) = app.cookie.find(&headers, |_| true) else {
        return Ok(denied(Denial::Unproven, form("/me")));
    };
    // Changes nothing: the wrong codes of a user are counted, in whichever browser they come.
    let waiting = match app.pending.update(ticket, None, |_| Ok(())).await {
        Ok(waiting) => waiting,
        Err(error) if error.is_rejected() => return Ok(denied(Denial::Unproven, form("/me"))),
        Err(error) => return Err(error.into()),
    };
    match app.codes.check(&waiting.subject, &given.code)? {
        Checked::Right => {}
        Checked::Wrong => {
            let denial = sign_in.failed_second_factor(&waiting.subject);
            return Ok(denied(denial, code_form("/login/code")));
        }
        Checked::Refused => return Ok(too_many()),
    }
    // Fails if the user has logged out everywhere in the meantime.
    let begun = sign_in.begin().await?;
    let redeemed = app.pending.redeem_login(begun, ticket, None).await;
    let (_, login) = redeemed.map_err(Denial::of_ticket)?;
    sign_in.issue(login.acr(LOGGED_IN)).await?;
    let removed = app.cookie.remove().to_owned();
    let removed = AppendHeaders([(header::SET_COOKIE, removed)]);
    Ok((removed, Redirect::to(&waiting.payload)).into_response())
}

async fn confirm_page(_: Auth) -> Html<String> {
    page(&code_form("/confirm"))
}

/// Checks a new code of the caller. The class lasts longer than the age that the guard of dangerous acts
/// asks for.
async fn confirm(
    State(app): State<Arc<App>>,
    sign_in: SignIn,
    caller: Auth,
    Form(given): Form<CodeForm>,
) -> Result<Response, Denial> {
    match app.codes.check(caller.subject(), &given.code)? {
        Checked::Right => {
            sign_in.step_up(CONFIRMED, 10 * MINUTE).await?;
            Ok(Redirect::to("/me").into_response())
        }
        Checked::Wrong => {
            let denial = sign_in.failed_second_factor(caller.subject());
            Ok(denied(denial, code_form("/confirm")))
        }
        Checked::Refused => Ok(too_many()),
    }
}

async fn log_out_everywhere(sign_in: SignIn) -> Result<Redirect, Denial> {
    let _ = sign_in.revoke_all().await?;
    Ok(Redirect::to("/login"))
}

fn code_form(action: &str) -> String {
    format!(
        "<form method=post action={action}>\
         <p><label>Code <input name=code inputmode=numeric autocomplete=one-time-code required>\
         </label><p><button>Go on</button></form>"
    )
}

/// Shows the form again, and reports the denial.
fn denied(denial: Denial, form: String) -> Response {
    (StatusCode::UNAUTHORIZED, Extension(denial), page(&form)).into_response()
}

fn too_many() -> Response {
    let text = page("<p>Too many codes were wrong. Wait for a quarter of an hour.");
    (StatusCode::TOO_MANY_REQUESTS, text).into_response()
}
