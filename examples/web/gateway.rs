//! Session at the edge, short tokens behind it. The gateway keeps the session of the browser, and
//! calls each inner service with a one-minute token that it issues from the verified identity.
//! Inner services need a key but no store. A logout at the edge reaches them within the minute.
//!
//! HMAC keys both sign and verify, so each inner service has the key of its own audience: none can
//! call another one as a user. The gateway derives all of them from one master key, which no service
//! has. A second master key takes over tomorrow. Both sides have its keys from the start, so that
//! the rotation rejects no token.
//!
//! ```text
//! cargo run --example gateway
//! ```
//!
//! The users are `alice`, an accountant, and `bob`; the password is `correct horse battery staple`.
//! Try it with curl 7.79 or newer, which accepts `Secure` cookies over plain HTTP from this
//! machine:
//!
//! ```text
//! curl -si -c jar -b jar http://127.0.0.1:3000/inner/orders               # 401
//! curl -si -c jar -b jar -d user=alice --data-urlencode 'password=correct horse battery staple' http://127.0.0.1:3000/login   # 204
//! curl -si -c jar -b jar http://127.0.0.1:3000/inner/orders               # 200
//! curl -si -c jar -b jar http://127.0.0.1:3000/inner/billing              # 200
//! curl -si -c jar -b jar http://127.0.0.1:3000/inner/other                # 404
//! curl -si -c jar -b jar -d user=bob --data-urlencode 'password=correct horse battery staple' http://127.0.0.1:3000/login   # 204
//! curl -si -c jar -b jar http://127.0.0.1:3000/inner/billing              # 403
//! curl -si -c jar -b jar -X POST http://127.0.0.1:3000/logout             # 204
//! curl -si -c jar -b jar http://127.0.0.1:3000/inner/orders               # 401
//! ```

pub(crate) mod inner;
mod passwords;
mod serve;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Form, Path, State};
use axum::http::{Request, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use hyper_util::client::legacy::{Client, connect::HttpConnector};
use hyper_util::rt::TokioExecutor;
use statewise::clock::SystemClock;
use statewise::session::SessionAuthenticator;
use statewise::store::MemoryStore;
use statewise::token::TokenAuthenticator;
use statewise::web::{Auth, AuthLayer, Cookie, Denial, SignIn, Transport};
use statewise::{Authenticator, DynAuthenticator, Login};
use tokio::net::TcpListener;

use inner::{keys_of, masters, service, tokens};
use passwords::{Credentials, Passwords};

const MINUTE: Duration = Duration::from_secs(60);
const SERVICES: [&str; 2] = ["orders", "billing"];

pub(crate) type Failure = Box<dyn std::error::Error + Send + Sync>;

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let masters = masters()?;
    let mut inner = Vec::new();
    for name in SERVICES {
        // In production these are other programs, which load their keys from a secret store.
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?;
        let service = service(name, tokens(name, keys_of(name, &masters)?, SystemClock)?)?;
        tokio::spawn(async move { axum::serve(listener, service).await });
        let tokens = tokens(name, &masters, SystemClock)?;
        inner.push(Inner {
            name,
            address,
            tokens,
        });
    }
    let sessions = SessionAuthenticator::builder(MemoryStore::with_capacity(100_000)?)
        .idle(30 * MINUTE)
        .absolute(12 * 60 * MINUTE)
        .build()?;
    tokio::spawn(sessions.upkeep().run(tokio::time::sleep));
    Ok(serve::serve(gateway(Arc::new(sessions), inner)?).await?)
}

/// Address and tokens of an inner service.
pub(crate) struct Inner {
    pub(crate) name: &'static str,
    pub(crate) address: SocketAddr,
    pub(crate) tokens: TokenAuthenticator,
}

struct Gateway {
    passwords: Passwords,
    inner: Vec<Inner>,
    client: Client<HttpConnector, Body>,
}

pub(crate) fn gateway(
    sessions: Arc<dyn DynAuthenticator<()>>,
    inner: Vec<Inner>,
) -> Result<Router, Failure> {
    let password = "correct horse battery staple";
    let gateway = Gateway {
        passwords: Passwords::of(&[("alice", password), ("bob", password)])?,
        inner,
        client: Client::builder(TokioExecutor::new()).build_http(),
    };
    Ok(Router::new()
        .route("/login", post(log_in))
        .route("/logout", post(log_out))
        .route("/inner/{name}", get(pass_on))
        .layer(AuthLayer::new(
            sessions,
            Transport::cookie(Cookie::default()),
        )?)
        .with_state(Arc::new(gateway)))
}

async fn log_in(
    State(gateway): State<Arc<Gateway>>,
    sign_in: SignIn,
    Form(given): Form<Credentials>,
) -> Result<StatusCode, Denial> {
    if !gateway.passwords.check(&given).await? {
        return Err(Denial::Unproven);
    }
    let mut login = Login::new(&given.user);
    if given.user == "alice" {
        login = login.role("accountant");
    }
    sign_in.issue(login).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn log_out(sign_in: SignIn) -> Result<StatusCode, Denial> {
    let _ = sign_in.revoke().await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Calls an inner service for the caller. The cookie is not passed on.
async fn pass_on(
    State(gateway): State<Arc<Gateway>>,
    caller: Auth,
    Path(name): Path<String>,
) -> Result<Response, Denial> {
    let Some(inner) = gateway.inner.iter().find(|inner| inner.name == name) else {
        return Ok(StatusCode::NOT_FOUND.into_response());
    };
    // Keeps subject, roles, time of login and deadline: the token never outlives the session.
    let login = caller.identity().clone().into_login();
    let issued = inner.tokens.issue(login).await?;
    let bearer = format!("Bearer {}", issued.credential().reveal());
    let request = Request::get(format!("http://{}/", inner.address))
        .header(header::AUTHORIZATION, bearer)
        .body(Body::empty());
    let Ok(request) = request else {
        return Ok(StatusCode::INTERNAL_SERVER_ERROR.into_response());
    };
    Ok(match gateway.client.request(request).await {
        // The gateway issued the token, so the browser is not to blame.
        Ok(answer) if answer.status() == StatusCode::UNAUTHORIZED => {
            StatusCode::BAD_GATEWAY.into_response()
        }
        Ok(answer) => (answer.status(), Body::new(answer.into_body())).into_response(),
        Err(_) => StatusCode::BAD_GATEWAY.into_response(),
    })
}
