//! Recipe for a framework without tower layers, here actix-web 4 with http 0.2. `recipe.rs` has the
//! glue, mainly access to header fields. The core of this crate finds credentials and answers
//! denials. An extractor takes the place of the layer, so a credential is verified only if a
//! handler asks for the caller.
//!
//! Without the layer, handlers must set and remove the cookie, and credentials are not rotated:
//! these sessions get a new credential only at login.
//!
//! ```text
//! cargo run --example actix
//! ```
//!
//! The user is `alice`, the password `correct horse battery staple`. Try it with curl 7.79 or
//! newer, which accepts `Secure` cookies over plain HTTP from this machine:
//!
//! ```text
//! curl -si -c jar -b jar http://127.0.0.1:3000/me                         # 401
//! curl -si -c jar -b jar -d user=alice -d password=guess http://127.0.0.1:3000/login   # 401
//! curl -si -c jar -b jar -d user=alice --data-urlencode 'password=correct horse battery staple' http://127.0.0.1:3000/login   # 204
//! curl -si -c jar -b jar http://127.0.0.1:3000/me                         # 200
//! curl -si -c jar -b jar -X POST http://127.0.0.1:3000/me                 # 200
//! curl -si -c jar -b jar -X POST -H 'Origin: https://evil.example' http://127.0.0.1:3000/me   # 403
//! curl -si -c jar -b jar -X POST -H 'Sec-Fetch-Site: cross-site' http://127.0.0.1:3000/logout   # 403
//! curl -si -c jar -b jar -X POST http://127.0.0.1:3000/logout             # 204
//! curl -si -c jar -b jar http://127.0.0.1:3000/me                         # 401
//! ```

mod passwords;
mod recipe;

use std::future::Future;
use std::io::Write as _;
use std::pin::Pin;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use actix_web::dev::Payload;
use actix_web::http::header;
use actix_web::web::{self, Data, Form};
use actix_web::{FromRequest, HttpRequest, HttpResponse, HttpServer};
use statewise::session::SessionAuthenticator;
use statewise::store::MemoryStore;
use statewise::web::{Cookie, Denial, Transport};
use statewise::{Authenticator, DynAuthenticator, Error, Identity, Login};

use passwords::{Credentials, Passwords};
use recipe::{Denied, Fields, SameOrigin, private};

static COOKIE: LazyLock<Cookie> = LazyLock::new(Cookie::default);
static TRANSPORT: LazyLock<Transport> = LazyLock::new(|| Transport::cookie(COOKIE.clone()));

/// Extractor of the verified caller.
struct Caller(Identity);

impl FromRequest for Caller {
    type Error = Denied;
    type Future = Pin<Box<dyn Future<Output = Result<Self, Denied>>>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let same_origin = SameOrigin::from_request(request, payload);
        let request = request.clone();
        Box::pin(async move {
            same_origin.await?;
            let Some(app) = request.app_data::<Data<App>>() else {
                return Err(Error::misuse(
                    "no `App` in the application data: add it with `app_data`",
                )
                .into());
            };
            let headers = Fields(request.headers());
            let carried = TRANSPORT.read(&headers, |value| app.auth.is_well_formed(value))?;
            Ok(Self(app.auth.verify_with(carried.into()).await?))
        })
    }
}

struct App {
    auth: Arc<dyn DynAuthenticator<()>>,
    passwords: Passwords,
}

impl App {
    /// Revokes all credentials that a request carries, so that an attacker cannot plant a session.
    async fn end_carried(&self, request: &HttpRequest) -> Result<(), Denied> {
        let headers = Fields(request.headers());
        for credential in TRANSPORT.read_all(&headers, |value| self.auth.is_well_formed(value))? {
            match self.auth.revoke(credential).await {
                Err(error) if !error.is_rejected() => return Err(error.into()),
                _ => {}
            }
        }
        Ok(())
    }
}

async fn me(caller: Caller) -> HttpResponse {
    let subject = caller.0.subject();
    private(&mut HttpResponse::Ok()).body(format!("You are {subject}.\n"))
}

async fn log_in(
    _: SameOrigin,
    request: HttpRequest,
    app: Data<App>,
    given: Form<Credentials>,
) -> Result<HttpResponse, Denied> {
    if !app.passwords.check(&given).await? {
        return Err(Denial::Unproven.into());
    }
    app.end_carried(&request).await?;
    let issued = app.auth.issue(Login::new(&given.user)).await?;
    let cookie = COOKIE.set(issued.credential())?;
    Ok(private(&mut HttpResponse::NoContent())
        .insert_header((header::SET_COOKIE, cookie))
        .finish())
}

async fn log_out(
    _: SameOrigin,
    request: HttpRequest,
    app: Data<App>,
) -> Result<HttpResponse, Denied> {
    app.end_carried(&request).await?;
    Ok(private(&mut HttpResponse::NoContent())
        .insert_header((header::SET_COOKIE, COOKIE.remove()))
        .finish())
}

async fn run(port: u16) -> Result<(), Box<dyn std::error::Error>> {
    let auth = SessionAuthenticator::builder(MemoryStore::with_capacity(100_000)?)
        .idle(Duration::from_secs(30 * 60))
        .absolute(Duration::from_secs(12 * 3600))
        .build()?;
    actix_web::rt::spawn(auth.upkeep().run(tokio::time::sleep));
    let app = Data::new(App {
        auth: Arc::new(auth),
        passwords: Passwords::of(&[("alice", "correct horse battery staple")])?,
    });
    let server = HttpServer::new(move || {
        actix_web::App::new()
            .app_data(app.clone())
            .route("/me", web::route().to(me))
            .route("/login", web::post().to(log_in))
            .route("/logout", web::post().to(log_out))
    });
    // The default waits 30 seconds for open connections.
    let server = server
        .workers(2)
        .shutdown_timeout(1)
        .bind(("127.0.0.1", port))?;
    for address in server.addrs() {
        println!("listening on http://{address}");
    }
    std::io::stdout().flush()?;
    Ok(server.run().await?)
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let port = std::env::args().nth(1).map(|port| port.parse());
    actix_web::rt::System::new().block_on(run(port.transpose()?.unwrap_or(3000)))
}
