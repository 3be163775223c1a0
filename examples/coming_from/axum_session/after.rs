//! The port: the same routes with statewise. All steps after the old service run these handlers.

use axum::Router;
use axum::extract::{Form, Query, State};
use axum::response::{Html, Redirect};
use axum::routing::{get, post};
use serde::{Deserialize, Serialize};
use statewise::Login;
use statewise::web::{Answer, AuthLayer, Denial, local_path};

use super::{Choice, DEFAULT_LANGUAGE, FORM, Given, Wanted};
use crate::users::{User, Users};

/// Data of a login: the values of the old session, and the name.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Profile {
    pub name: String,
    pub language: String,
}

pub type Caller = statewise::web::Auth<Profile>;
pub type SignIn = statewise::web::SignIn<Profile>;
pub type Visitor = statewise::web::Visitor<Profile>;

/// Returns the login of a user, in all steps.
pub fn login_of(user: &User, language: &str, is_remembered: bool) -> Login<Profile> {
    let login = Login::new(user.id.to_string()).data(Profile {
        name: user.name.clone(),
        language: language.to_owned(),
    });
    if is_remembered {
        login.remember()
    } else {
        login
    }
}

pub fn router(users: Users, layer: AuthLayer<Profile>) -> statewise::Result<Router> {
    let layer = layer
        .login_page("/login")?
        .on_denial(|denial, _| matches!(denial, Denial::Unproven).then(|| Answer::html(401, FORM)));
    Ok(Router::new()
        .route("/", get(home))
        .route("/account", get(account))
        .route("/language", post(choose))
        .route("/login", get(Html(FORM)).post(log_in))
        .route("/logout", post(log_out))
        .layer(layer)
        .with_state(users))
}

async fn home(visitor: Visitor) -> String {
    let name = visitor.caller().map(|caller| &*caller.data().name);
    format!("hello {}", name.unwrap_or("stranger"))
}

async fn account(caller: Caller) -> String {
    let Profile { name, language } = caller.data();
    format!("account of {name}, language {language}")
}

async fn choose(sign_in: SignIn, Form(choice): Form<Choice>) -> Result<Redirect, Denial> {
    let change = sign_in.update(|login| {
        login.data.language.clone_from(&choice.language);
        Ok(())
    });
    change.await?;
    Ok(Redirect::to("/account"))
}

async fn log_in(
    State(users): State<Users>,
    sign_in: SignIn,
    Query(wanted): Query<Wanted>,
    Form(given): Form<Given>,
) -> Result<Redirect, Denial> {
    let user = users.check(&given.user, &given.password);
    let user = user.ok_or(Denial::Unproven)?;
    let login = login_of(&user, DEFAULT_LANGUAGE, given.remember.is_some());
    sign_in.issue(login).await?;
    let next = wanted.next.as_deref().and_then(local_path);
    Ok(Redirect::to(next.unwrap_or("/")))
}

async fn log_out(sign_in: SignIn) -> Result<Redirect, Denial> {
    let _when = sign_in.revoke().await?;
    Ok(Redirect::to("/"))
}
