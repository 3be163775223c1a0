//! The old service: actix-session keeps the sessions, and actix-identity the user in them.

use std::io;
use std::net::TcpListener;
use std::time::Duration;

use actix_identity::{Identity, IdentityMiddleware};
use actix_session::config::{BrowserSession, TtlExtensionPolicy};
use actix_session::{Session, SessionMiddleware};
use actix_web::cookie::{Key, time};
use actix_web::dev::Server;
use actix_web::error::ErrorUnauthorized;
use actix_web::web::{self, Form, Html, Redirect};
use actix_web::{App, Either, HttpMessage as _, HttpRequest, HttpServer, Result};

use crate::store::Store;
use crate::{Choice, FORM, Given};

const DAY: u64 = 24 * 3600;

async fn home(user: Option<Identity>) -> Result<String> {
    let name = user.map(|user| user.id()).transpose()?;
    Ok(format!("hello {}", name.as_deref().unwrap_or("stranger")))
}

async fn account(user: Option<Identity>, session: Session) -> Result<Either<String, Redirect>> {
    let Some(user) = user else {
        return Ok(Either::Right(Redirect::to("/login").see_other()));
    };
    let language: Option<String> = session.get("language")?;
    let language = language.unwrap_or_else(|| "en".to_owned());
    let text = format!("You are {}, language {language}.", user.id()?);
    Ok(Either::Left(text))
}

async fn log_in(request: HttpRequest, session: Session, given: Form<Given>) -> Result<Redirect> {
    if !given.is_right() {
        return Err(ErrorUnauthorized("wrong user or password"));
    }
    Identity::login(&request.extensions(), given.user.clone())?;
    session.insert("language", "en")?;
    Ok(Redirect::to("/account").see_other())
}

async fn choose(_: Identity, session: Session, choice: Form<Choice>) -> Result<Redirect> {
    session.insert("language", &choice.language)?;
    Ok(Redirect::to("/account").see_other())
}

async fn log_out(user: Identity) -> Redirect {
    user.logout();
    Redirect::to("/").see_other()
}

/// Serves the old service.
///
/// # Errors
///
/// The socket cannot be used.
pub fn server(listener: TcpListener, store: Store, key: Key) -> io::Result<Server> {
    let server = HttpServer::new(move || {
        let lifecycle = BrowserSession::default()
            .state_ttl(time::Duration::days(1))
            .state_ttl_extension_policy(TtlExtensionPolicy::OnEveryRequest);
        let sessions = SessionMiddleware::builder(store.clone(), key.clone())
            .session_lifecycle(lifecycle)
            .build();
        let identities = IdentityMiddleware::builder()
            .login_deadline(Some(Duration::from_secs(30 * DAY)))
            .build();
        App::new()
            .route("/", web::get().to(home))
            .route("/account", web::get().to(account))
            .route("/login", web::get().to(|| async { Html::new(FORM) }))
            .route("/login", web::post().to(log_in))
            .route("/language", web::post().to(choose))
            .route("/logout", web::post().to(log_out))
            .wrap(identities)
            .wrap(sessions)
    });
    Ok(server.workers(1).listen(listener)?.run())
}
