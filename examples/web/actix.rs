//! Sessions with actix-web: `AuthLayer` as a middleware, and the caller as an argument of handlers.
//!
//! ```text
//! cargo run --features actix --example actix
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
//! curl -si -c jar -b jar http://127.0.0.1:3000/admin/users                # 403
//! curl -si -c jar -b jar -X POST -H 'Sec-Fetch-Site: cross-site' http://127.0.0.1:3000/logout   # 403
//! curl -si -c jar -b jar -X POST http://127.0.0.1:3000/logout             # 204
//! curl -si -c jar -b jar http://127.0.0.1:3000/me                         # 401
//! curl -si -c jar -b jar http://127.0.0.1:3000/                           # 200
//! ```

mod passwords;

use std::io::Write as _;
use std::sync::Arc;
use std::time::Duration;

use actix_web::web::{self, Data, Form};
use actix_web::{App, HttpResponse, HttpServer};
use statewise::session::SessionAuthenticator;
use statewise::store::MemoryStore;
use statewise::web::{Auth, AuthLayer, Cookie, Denial, Require, SignIn, Transport, Visitor};
use statewise::{Authenticator as _, Login};

use passwords::{Credentials, Passwords};

async fn home(visitor: Visitor) -> String {
    match visitor.caller() {
        Some(caller) => format!("Hello {}.\n", caller.subject()),
        None => "Hello.\n".to_owned(),
    }
}

async fn me(caller: Auth) -> String {
    format!("You are {}.\n", caller.subject())
}

async fn log_in(
    sign_in: SignIn,
    passwords: Data<Passwords>,
    given: Form<Credentials>,
) -> Result<HttpResponse, Denial> {
    if !passwords.check(&given).await? {
        return Err(Denial::Unproven);
    }
    sign_in.issue(Login::new(&given.user)).await?;
    Ok(HttpResponse::NoContent().finish())
}

async fn log_out(sign_in: SignIn) -> Result<HttpResponse, Denial> {
    let _ = sign_in.revoke().await?;
    Ok(HttpResponse::NoContent().finish())
}

async fn users() -> &'static str {
    "alice\n"
}

async fn run(port: u16) -> Result<(), Box<dyn std::error::Error>> {
    let auth = SessionAuthenticator::builder(MemoryStore::with_capacity(100_000)?)
        .idle(Duration::from_secs(30 * 60))
        .absolute(Duration::from_secs(12 * 3600))
        .build()?;
    // Removes expired sessions from the store.
    actix_web::rt::spawn(auth.upkeep().run(tokio::time::sleep));
    // All workers share the authenticator and its store.
    let layer = AuthLayer::new(Arc::new(auth), Transport::cookie(Cookie::default()))?;
    let passwords = Data::new(Passwords::of(&[("alice", "correct horse battery staple")])?);
    let server = HttpServer::new(move || {
        let admin = web::scope("/admin")
            .wrap(Require::authenticated().role("admin"))
            .route("/users", web::get().to(users));
        App::new()
            .app_data(passwords.clone())
            .route("/", web::get().to(home))
            .route("/me", web::route().to(me))
            .route("/login", web::post().to(log_in))
            .route("/logout", web::post().to(log_out))
            .service(admin)
            // The last middleware is the outermost one.
            .wrap(layer.clone())
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
