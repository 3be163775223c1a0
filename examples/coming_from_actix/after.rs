//! The port: the same service with statewise. It runs unchanged in all steps of the deployment, which
//! differ in the authenticator that they pass to `layer`.

use std::io;
use std::net::TcpListener;
use std::sync::Arc;

use actix_web::dev::Server;
use actix_web::web::{self, Form, Html, Redirect};
use actix_web::{App, HttpServer};
use statewise::clock::Clock;
use statewise::web::{Answer, Auth, AuthLayer, Denial, SignIn, Transport, Visitor};
use statewise::{DynAuthenticator, Login, Upkeep};

use crate::{Choice, FORM, Given};

/// Data of the session, beside the user.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
pub struct Profile {
    pub language: String,
}

async fn home(visitor: Visitor<Profile>) -> String {
    let name = visitor.caller().map(|caller| caller.subject());
    format!("hello {}", name.unwrap_or("stranger"))
}

async fn account(caller: Auth<Profile>) -> String {
    let language = &caller.data().language;
    format!("You are {}, language {language}.", caller.subject())
}

async fn log_in(sign_in: SignIn<Profile>, given: Form<Given>) -> Result<Redirect, Denial> {
    if !given.is_right() {
        return Err(Denial::Unproven);
    }
    let language = "en".to_owned();
    let login = Login::new(&given.user).data(Profile { language });
    sign_in.issue(login).await?;
    Ok(Redirect::to("/account").see_other())
}

async fn choose(sign_in: SignIn<Profile>, choice: Form<Choice>) -> Result<Redirect, Denial> {
    let change = sign_in.update(|login| {
        login.data.language.clone_from(&choice.language);
        Ok(())
    });
    change.await?;
    Ok(Redirect::to("/account").see_other())
}

async fn log_out(sign_in: SignIn<Profile>) -> Result<Redirect, Denial> {
    let _when = sign_in.revoke().await?;
    Ok(Redirect::to("/").see_other())
}

/// Returns the layer for an authenticator, and for the cookie that a step of the deployment uses.
///
/// # Errors
///
/// *Misuse*, if the arguments contradict each other.
pub fn layer(
    auth: Arc<dyn DynAuthenticator<Profile>>,
    transport: Transport,
    clock: impl Clock,
) -> statewise::Result<AuthLayer<Profile>> {
    let wrong = |denial: &Denial| matches!(denial, Denial::Unproven);
    let layer = AuthLayer::new(auth, transport)?
        .login_page("/login")?
        .on_denial(move |denial, _| {
            wrong(denial).then(|| Answer::text(401, "wrong user or password"))
        })
        .clock(clock);
    Ok(layer)
}

/// Serves the port. Call it in a runtime of actix-web, on which it spawns the upkeep.
///
/// # Errors
///
/// The socket cannot be used.
pub fn server(
    listener: TcpListener,
    layer: AuthLayer<Profile>,
    upkeep: Upkeep,
) -> io::Result<Server> {
    // Removes expired sessions, and old ones that were upgraded.
    actix_web::rt::spawn(upkeep.run(actix_web::rt::time::sleep));
    let server = HttpServer::new(move || {
        App::new()
            .route("/", web::get().to(home))
            .route("/account", web::get().to(account))
            .route("/login", web::get().to(|| async { Html::new(FORM) }))
            .route("/login", web::post().to(log_in))
            .route("/language", web::post().to(choose))
            .route("/logout", web::post().to(log_out))
            .wrap(layer.clone())
    });
    Ok(server.workers(1).listen(listener)?.run())
}
