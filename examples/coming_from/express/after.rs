//! The port: the same routes with statewise.

use axum::Router;
use axum::extract::{Form, State};
use axum::response::{Html, Redirect};
use axum::routing::{get, post};
use serde::{Deserialize, Serialize};
use statewise::Login;
use statewise::web::{Answer, Auth, AuthLayer, Denial, SignIn, Visitor};

use super::FORM;
use crate::users::Users;

/// `req.session`, beside the user.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Profile {
    pub language: String,
}

#[derive(Deserialize)]
struct Given {
    user: String,
    password: String,
}

pub fn router(users: Users, layer: AuthLayer<Profile>) -> statewise::Result<Router> {
    let layer = layer.login_page("/login")?.on_denial(|denial, _| {
        matches!(denial, Denial::Unproven).then(|| Answer::text(401, "wrong user or password"))
    });
    Ok(Router::new()
        .route("/", get(home))
        .route("/account", get(account))
        .route("/login", get(Html(FORM)).post(log_in))
        .route("/language", post(choose))
        .route("/logout", post(log_out))
        .layer(layer)
        .with_state(users))
}

async fn home(visitor: Visitor<Profile>) -> String {
    let user = visitor.caller().map(|caller| caller.subject());
    format!("hello {}", user.unwrap_or("stranger"))
}

async fn account(caller: Auth<Profile>) -> String {
    let language = &caller.data().language;
    format!("You are {}, language {language}.", caller.subject())
}

async fn log_in(
    State(users): State<Users>,
    sign_in: SignIn<Profile>,
    Form(given): Form<Given>,
) -> Result<Redirect, Denial> {
    let user = users.check(&given.user, &given.password);
    let user = user.ok_or(Denial::Unproven)?;
    let language = "en".to_owned();
    let login = Login::new(user.name).data(Profile { language });
    sign_in.issue(login).await?;
    Ok(Redirect::to("/account"))
}

async fn choose(sign_in: SignIn<Profile>, Form(choice): Form<Profile>) -> Result<Redirect, Denial> {
    let change = sign_in.update(|login| {
        login.data.language.clone_from(&choice.language);
        Ok(())
    });
    change.await?;
    Ok(Redirect::to("/account"))
}

async fn log_out(sign_in: SignIn<Profile>) -> Result<Redirect, Denial> {
    let _when = sign_in.revoke().await?;
    Ok(Redirect::to("/"))
}
