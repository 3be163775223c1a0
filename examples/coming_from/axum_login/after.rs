//! The port: the same routes with statewise. All steps after the old service run these handlers.

use axum::Router;
use axum::extract::{Form, Path, Query, State};
use axum::http::StatusCode;
use axum::response::{Html, Redirect};
use axum::routing::{get, post};
use serde::{Deserialize, Serialize};
use statewise::Login;
use statewise::web::{Answer, AuthLayer, Denial, Require, local_path};

use super::{FORM, Given, NewPassword, Wanted};
use crate::users::{User, Users};

/// Data of a login, as old as the login.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Profile {
    pub name: String,
}

pub type Caller = statewise::web::Auth<Profile>;
pub type SignIn = statewise::web::SignIn<Profile>;
pub type Visitor = statewise::web::Visitor<Profile>;

/// Returns the login of a user, in all steps.
pub fn login_of(user: &User) -> Login<Profile> {
    let name = user.name.clone();
    Login::new(user.id.to_string())
        .roles(&user.permissions)
        .data(Profile { name })
}

pub fn router(users: Users, layer: AuthLayer<Profile>) -> statewise::Result<Router> {
    let layer = layer
        .login_page("/login")?
        .on_denial(|denial, _| matches!(denial, Denial::Unproven).then(|| Answer::html(401, FORM)));
    let reports = Router::new()
        .route("/reports", get(async || "reports"))
        .route_layer(Require::with_data::<Profile>().role("reports"));
    let administration = Router::new()
        .route("/members/{name}/demote", post(demote))
        .route_layer(Require::with_data::<Profile>().role("admin"));
    Ok(Router::new()
        .route("/account", get(account))
        .route("/password", post(change_password))
        .merge(reports)
        .merge(administration)
        .route("/", get(home))
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
    format!("account of {}", caller.data().name)
}

async fn log_in(
    State(users): State<Users>,
    sign_in: SignIn,
    Query(wanted): Query<Wanted>,
    Form(given): Form<Given>,
) -> Result<Redirect, Denial> {
    let user = users.check(&given.user, &given.password);
    sign_in
        .issue(login_of(&user.ok_or(Denial::Unproven)?))
        .await?;
    Ok(Redirect::to(
        wanted.next.as_deref().and_then(local_path).unwrap_or("/"),
    ))
}

async fn log_out(sign_in: SignIn) -> Result<Redirect, Denial> {
    let _when = sign_in.revoke().await?;
    Ok(Redirect::to("/"))
}

/// Ends all logins of the user, and begins a new one.
async fn change_password(
    State(users): State<Users>,
    caller: Caller,
    sign_in: SignIn,
    Form(given): Form<NewPassword>,
) -> Result<Redirect, Denial> {
    let id = caller.subject().parse().unwrap_or_default();
    let user = users.change(id, |user| user.password = given.password);
    let _ended = sign_in.revoke_all().await?;
    sign_in
        .issue(login_of(&user.ok_or(Denial::Unproven)?))
        .await?;
    Ok(Redirect::to("/account"))
}

/// Takes a permission away: first in the table, then from the logins of the user.
async fn demote(
    State(users): State<Users>,
    sign_in: SignIn,
    Path(name): Path<String>,
) -> Result<StatusCode, Denial> {
    let user = users.by_name(&name);
    let changed = user.and_then(|user| {
        users.change(user.id, |user| {
            user.permissions.remove("reports");
        })
    });
    let Some(user) = changed else {
        return Ok(StatusCode::NOT_FOUND);
    };
    let _affected = sign_in
        .update_all(&user.id.to_string(), |login| {
            login.roles = user.permissions.iter().cloned().collect();
            Ok(())
        })
        .await?;
    Ok(StatusCode::NO_CONTENT)
}
