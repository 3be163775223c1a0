//! The program of the page of the manual on actix-web. It answers the `curl` lines of the page on axum.
//!
//! ```text
//! cargo run --features actix --example actix_start
//! ```

use std::{sync::Arc, time::Duration};

use actix_web::web::{self, Form, Html, Redirect};
use actix_web::{App, HttpServer};
use statewise::web::{Auth, AuthLayer, Cookie, Denial, Require, SignIn, Transport, Visitor};
use statewise::{Authenticator, Login, session::SessionAuthenticator, store::MemoryStore};

const FORM: &str = "<form method=post><input name=user><input name=password type=password>
<button>Log in</button></form>";

async fn home(visitor: Visitor) -> String {
    let name = visitor.caller().map(|caller| caller.subject());
    format!("hello {}", name.unwrap_or("stranger"))
}

async fn account(caller: Auth) -> String {
    format!("You are {}.", caller.subject())
}

#[derive(serde::Deserialize)]
struct Given {
    user: String,
    password: String,
}

async fn log_in(sign_in: SignIn, given: Form<Given>) -> Result<Redirect, Denial> {
    // Your service compares with the hash of the password in its database.
    if given.user != "alice" || given.password != "open sesame" {
        return Err(Denial::Unproven);
    }
    sign_in.issue(Login::new(&given.user)).await?;
    Ok(Redirect::to("/account").see_other())
}

async fn log_out(sign_in: SignIn) -> Result<Redirect, Denial> {
    let _when = sign_in.revoke().await?;
    Ok(Redirect::to("/").see_other())
}

async fn serve() -> Result<(), Box<dyn std::error::Error>> {
    let auth = SessionAuthenticator::builder(MemoryStore::with_capacity(100_000)?)
        .idle(Duration::from_secs(30 * 60))
        .absolute(Duration::from_secs(12 * 3600))
        .build()?;
    // Removes expired sessions.
    actix_web::rt::spawn(auth.upkeep().run(tokio::time::sleep));
    // Built once, outside of the closure: all workers share the store.
    let layer = AuthLayer::new(Arc::new(auth), Transport::cookie(Cookie::default()))?
        .login_page("/login")?;
    let server = HttpServer::new(move || {
        let admin = web::scope("/admin")
            .wrap(Require::authenticated().role("admin"))
            .route("/users", web::get().to(|| async { "alice" }));
        App::new()
            .route("/", web::get().to(home))
            .route("/account", web::get().to(account))
            .route("/login", web::get().to(|| async { Html::new(FORM) }))
            .route("/login", web::post().to(log_in))
            .route("/logout", web::post().to(log_out))
            .service(admin)
            // The last middleware is the outermost one.
            .wrap(layer.clone())
    });
    let port = std::env::args().nth(1).unwrap_or("3000".into());
    let server = server.bind(format!("127.0.0.1:{port}"))?;
    for address in server.addrs() {
        println!("listening on http://{address}");
    }
    Ok(server.run().await?)
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    actix_web::rt::System::new().block_on(serve())
}
