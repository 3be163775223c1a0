//! Login by mail: a link that works once, within a quarter of an hour. The mail is printed. Opening
//! the link spends nothing, because scanners of mail open links too; the button on its page does.
//!
//! ```text
//! cargo run --example magic_link
//! ```
//!
//! The only user is `alice@example.com`. Open <http://127.0.0.1:3000/me>, or try it with curl 7.79 or
//! newer, which accepts `Secure` cookies over plain HTTP from this machine. TICKET is the end of the
//! printed link, after `ticket=`:
//!
//! ```text
//! curl -si http://127.0.0.1:3000/me                                      # 401
//! curl -si 'http://127.0.0.1:3000/login?next=/me'                        # 200
//! curl -si -d address=mallory@example.com -d next=/me http://127.0.0.1:3000/login   # 200
//! curl -si -d address=alice@example.com -d next=/me http://127.0.0.1:3000/login   # 200
//! curl -si "http://127.0.0.1:3000/login/link?ticket=$TICKET"             # 200
//! curl -si -c jar -b jar -d ticket=$TICKET http://127.0.0.1:3000/login/link   # 303
//! curl -si -c jar -b jar http://127.0.0.1:3000/me                        # 200
//! curl -si -d ticket=$TICKET http://127.0.0.1:3000/login/link            # 401
//! curl -si -c jar -b jar -X POST http://127.0.0.1:3000/logout-everywhere # 303
//! curl -si -c jar -b jar http://127.0.0.1:3000/me                        # 401
//! ```

mod pages;
mod serve;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{Extension, Form, Query, State};
use axum::http::{StatusCode, header};
use axum::response::{AppendHeaders, Html, IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use serde::Deserialize;
use statewise::Authenticator as _;
use statewise::session::SessionAuthenticator;
use statewise::store::MemoryStore;
use statewise::tickets::Tickets;
use statewise::web::{Auth, AuthLayer, Cookie, Denial, SignIn, Transport, local_path};

use pages::{escaped, page};

const MINUTE: Duration = Duration::from_secs(60);
/// A real service asks its database.
const USERS: &[&str] = &["alice@example.com"];

type Failure = Box<dyn std::error::Error + Send + Sync>;
/// Links for a login, with the path to which it leads.
type Links = Tickets<Arc<MemoryStore>, String>;

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let store = Arc::new(MemoryStore::with_capacity(100_000)?);
    let links: Links = Tickets::builder(store.clone())
        .purpose("login-link")
        .lifetime(15 * MINUTE)
        .with_payload()
        // The user gets all of the links, also those that a stranger asked for: the latest ones work.
        .outstanding(3)
        .build()?;
    let links = Arc::new(links);
    let auth = SessionAuthenticator::builder(store)
        .idle(30 * MINUTE)
        .absolute(12 * 60 * MINUTE)
        // A logout everywhere ends links that are still in the mail.
        .also_ends(links.clone())
        .build()?;
    tokio::spawn(auth.upkeep().run(tokio::time::sleep));
    let layer = AuthLayer::new(Arc::new(auth), Transport::cookie(Cookie::default()))?;

    let listener = serve::listen().await?;
    let app = App {
        links,
        origin: format!("http://{}", listener.local_addr()?),
    };
    let router = Router::new()
        .route("/me", get(me))
        .route("/login", get(login_page).post(ask_for_link))
        .route("/login/link", get(link_page).post(redeem))
        .route("/logout-everywhere", post(log_out_everywhere))
        .layer(layer.login_page("/login")?)
        .with_state(Arc::new(app));
    Ok(serve::serve_on(listener, router).await?)
}

struct App {
    links: Arc<Links>,
    /// Origin of the links. It is a setting: the field `Host` of a request is chosen by its sender, and
    /// a link elsewhere would give the ticket away.
    origin: String,
}

impl App {
    async fn mail_link(&self, address: &str, next: String) -> statewise::Result<()> {
        let ticket = self.links.issue(address, next).await?;
        let (origin, ticket) = (&self.origin, ticket.credential().reveal());
        println!("mail to {address}: {origin}/login/link?ticket={ticket}");
        Ok(())
    }
}

async fn me(caller: Auth) -> Html<String> {
    page(&format!(
        "<p>You are {}.\
         <form method=post action=/logout-everywhere><button>Log out everywhere</button></form>",
        escaped(caller.subject()),
    ))
}

#[derive(Deserialize)]
struct Wanted {
    next: Option<String>,
}

async fn login_page(Query(wanted): Query<Wanted>) -> Html<String> {
    page(&form(wanted.next.as_deref().unwrap_or("/me")))
}

fn form(next: &str) -> String {
    format!(
        "<form method=post action=/login><input type=hidden name=next value='{}'>\
         <p><label>Mail <input name=address type=email autocomplete=email required></label>\
         <p><button>Send me a link</button></form>",
        escaped(next),
    )
}

#[derive(Deserialize)]
struct Asked {
    address: String,
    next: Option<String>,
}

/// Answers known and unknown addresses alike, and as fast: the mail is sent after the answer. A real
/// service also limits how often it mails an address.
async fn ask_for_link(State(app): State<Arc<App>>, Form(asked): Form<Asked>) -> Html<String> {
    let Asked { address, next } = asked;
    let next = next
        .as_deref()
        .and_then(local_path)
        .unwrap_or("/me")
        .to_owned();
    if USERS.contains(&&*address) {
        tokio::spawn(async move {
            if let Err(error) = app.mail_link(&address, next).await {
                eprintln!("no link for {address}: {error}");
            }
        });
    }
    page("<p>If this address is that of a user, a link is on its way.")
}

#[derive(Deserialize)]
struct Given {
    ticket: String,
}

/// Page of the link. Its button redeems the ticket.
async fn link_page(Query(given): Query<Given>) -> impl IntoResponse {
    let fields = AppendHeaders([
        (header::CACHE_CONTROL, "no-store"),
        // The address holds the ticket.
        (header::REFERRER_POLICY, "no-referrer"),
    ]);
    let form = format!(
        "<form method=post action=/login/link><input type=hidden name=ticket value='{}'>\
         <p><button>Log in</button></form>",
        escaped(&given.ticket),
    );
    (fields, page(&form))
}

async fn redeem(
    State(app): State<Arc<App>>,
    sign_in: SignIn,
    Form(given): Form<Given>,
) -> Result<Response, Denial> {
    let begun = sign_in.begin().await?;
    let (link, login) = match app.links.redeem_login(begun, &given.ticket, None).await {
        Ok(redeemed) => redeemed,
        Err(error) if error.is_rejected() => {
            let again = page(&format!(
                "<p>This link was used, or is too old.{}",
                form("/me")
            ));
            let denial = Extension(Denial::Unproven);
            return Ok((StatusCode::UNAUTHORIZED, denial, again).into_response());
        }
        Err(error) => return Err(error.into()),
    };
    sign_in.issue(login).await?;
    Ok(Redirect::to(&link.payload).into_response())
}

async fn log_out_everywhere(sign_in: SignIn) -> Result<Redirect, Denial> {
    let _ = sign_in.revoke_all().await?;
    Ok(Redirect::to("/login"))
}
