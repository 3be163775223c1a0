//! The old service.

use std::collections::HashSet;
use std::convert::Infallible;

use axum::extract::{Form, Path, Query};
use axum::http::StatusCode;
use axum::response::{Html, IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use axum::{Extension, Router};
use axum_login::{
    AuthManagerLayerBuilder, AuthUser, AuthnBackend, AuthzBackend, login_required,
    permission_required,
};
use time::Duration;
use tower_sessions::{Expiry, MemoryStore, SessionManagerLayer};

use super::{FORM, Given, NewPassword, Wanted};
use crate::users::{User, Users};

pub type AuthSession = axum_login::AuthSession<Backend>;

#[derive(Clone)]
pub struct Backend(Users);

impl AuthUser for User {
    type Id = i64;

    fn id(&self) -> i64 {
        self.id
    }

    fn session_auth_hash(&self) -> &[u8] {
        self.password.as_bytes()
    }
}

impl AuthnBackend for Backend {
    type User = User;
    type Credentials = Given;
    type Error = Infallible;

    async fn authenticate(&self, given: Given) -> Result<Option<User>, Infallible> {
        Ok(self.0.check(&given.user, &given.password))
    }

    async fn get_user(&self, id: &i64) -> Result<Option<User>, Infallible> {
        Ok(self.0.by_id(*id))
    }
}

impl AuthzBackend for Backend {
    type Permission = String;

    async fn get_user_permissions(&self, user: &User) -> Result<HashSet<String>, Infallible> {
        Ok(user.permissions.clone())
    }
}

pub fn router(users: Users, store: MemoryStore) -> Router {
    let sessions =
        SessionManagerLayer::new(store).with_expiry(Expiry::OnInactivity(Duration::days(1)));
    let auth = AuthManagerLayerBuilder::new(Backend(users.clone()), sessions).build();
    let reports = Router::new()
        .route("/reports", get(async || "reports"))
        .route_layer(permission_required!(Backend, "reports"));
    let administration = Router::new()
        .route("/members/{name}/demote", post(demote))
        .route_layer(permission_required!(Backend, "admin"));
    Router::new()
        .route("/account", get(account))
        .route("/password", post(change_password))
        .route_layer(login_required!(Backend, login_url = "/login"))
        .merge(reports)
        .merge(administration)
        .route("/", get(home))
        .route("/login", get(Html(FORM)).post(log_in))
        .route("/logout", post(log_out))
        .layer(auth)
        .layer(Extension(users))
}

async fn home(auth: AuthSession) -> String {
    let name = auth.user.as_ref().map(|user| &*user.name);
    format!("hello {}", name.unwrap_or("stranger"))
}

async fn account(auth: AuthSession) -> Response {
    match auth.user {
        Some(user) => format!("account of {}", user.name).into_response(),
        None => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

async fn log_in(
    mut auth: AuthSession,
    Query(wanted): Query<Wanted>,
    Form(given): Form<Given>,
) -> Response {
    let user = match auth.authenticate(given).await {
        Ok(Some(user)) => user,
        Ok(None) => return (StatusCode::UNAUTHORIZED, Html(FORM)).into_response(),
        Err(_) => return StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    };
    if auth.login(&user).await.is_err() {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    }
    Redirect::to(wanted.next.as_deref().unwrap_or("/")).into_response()
}

async fn log_out(mut auth: AuthSession) -> Response {
    match auth.logout().await {
        Ok(_) => Redirect::to("/").into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

/// Ends all other sessions, because `session_auth_hash` is another one.
async fn change_password(
    mut auth: AuthSession,
    Extension(users): Extension<Users>,
    Form(given): Form<NewPassword>,
) -> Response {
    let id = auth.user.as_ref().map_or(0, |user| user.id);
    let Some(user) = users.change(id, |user| user.password = given.password) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    match auth.login(&user).await {
        Ok(()) => Redirect::to("/account").into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

async fn demote(Extension(users): Extension<Users>, Path(name): Path<String>) -> StatusCode {
    let user = users.by_name(&name);
    let changed = user.and_then(|user| {
        users.change(user.id, |user| {
            user.permissions.remove("reports");
        })
    });
    changed.map_or(StatusCode::NOT_FOUND, |_| StatusCode::NO_CONTENT)
}
