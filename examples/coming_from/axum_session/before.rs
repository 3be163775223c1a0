//! The old service.

use axum::Router;
use axum::extract::{Form, Query, State};
use axum::http::StatusCode;
use axum::response::{Html, IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use axum_session::{SessionConfig, SessionLayer, SessionMode, SessionStore};
use time::Duration;

use super::pool::MemoryPool;
use super::{Choice, DEFAULT_LANGUAGE, FORM, Given, Wanted};
use crate::users::{User, Users};

type Session = axum_session::Session<MemoryPool>;

/// Table of the sessions.
pub const TABLE: &str = "sessions";

/// Configuration with the defaults, but for several nodes.
#[must_use]
pub fn config(mode: SessionMode) -> SessionConfig {
    SessionConfig::default()
        .with_table_name(TABLE)
        .with_mode(mode)
        // A node that keeps a session in its memory does not see what other nodes change.
        .with_memory_lifetime(Duration::ZERO)
}

/// Returns the service. Call it in a runtime of tokio, in which axum_session spawns a task.
pub fn router(users: Users, store: SessionStore<MemoryPool>) -> Router {
    Router::new()
        .route("/", get(home))
        .route("/account", get(account))
        .route("/language", post(choose))
        .route("/login", get(Html(FORM)).post(log_in))
        .route("/logout", post(log_out))
        .layer(SessionLayer::new(store))
        .with_state(users)
}

fn user_of(session: &Session, users: &Users) -> Option<User> {
    session.get("user").and_then(|id| users.by_id(id))
}

async fn home(session: Session, State(users): State<Users>) -> String {
    let user = user_of(&session, &users);
    let name = user.as_ref().map(|user| &*user.name);
    format!("hello {}", name.unwrap_or("stranger"))
}

async fn account(session: Session, State(users): State<Users>) -> Response {
    let Some(user) = user_of(&session, &users) else {
        return Redirect::to("/login?next=/account").into_response();
    };
    let language: Option<String> = session.get("language");
    let language = language.as_deref().unwrap_or(DEFAULT_LANGUAGE);
    format!("account of {}, language {language}", user.name).into_response()
}

async fn choose(session: Session, Form(choice): Form<Choice>) -> Redirect {
    session.set("language", &choice.language);
    session.set_store(true);
    Redirect::to("/account")
}

async fn log_in(
    session: Session,
    State(users): State<Users>,
    Query(wanted): Query<Wanted>,
    Form(given): Form<Given>,
) -> Response {
    let Some(user) = users.check(&given.user, &given.password) else {
        return (StatusCode::UNAUTHORIZED, Html(FORM)).into_response();
    };
    session.renew();
    session.set("user", user.id);
    session.set_longterm(given.remember.is_some());
    session.set_store(true);
    Redirect::to(wanted.next.as_deref().unwrap_or("/")).into_response()
}

async fn log_out(session: Session) -> Redirect {
    session.destroy();
    Redirect::to("/")
}
