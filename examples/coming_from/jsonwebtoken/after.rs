//! The port: the same routes with statewise. All steps after the old service run these handlers.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::{Deserialize, Serialize};
use serde_json::json;
use statewise::Login;
use statewise::web::{Answer, AuthLayer, Denial};
use time::OffsetDateTime;

use super::{Given, Me, before};
use crate::users::Users;

/// Data of a login. Old tokens have them beside their other claims.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Profile {
    pub company: String,
}

pub type Caller = statewise::web::Auth<Profile>;
pub type SignIn = statewise::web::SignIn<Profile>;

#[derive(Clone)]
struct App {
    users: Users,
    issues_old: bool,
}

pub fn router(users: Users, layer: AuthLayer<Profile>, issues_old: bool) -> Router {
    let layer = layer.on_denial(|denial, _| {
        let error = match denial {
            Denial::Unproven => "wrong credentials",
            Denial::Absent => "missing token",
            denial if denial.status() == 401 => "invalid token",
            denial if denial.status() == 403 => "forbidden",
            _ => return None,
        };
        let body = json!({ "error": error });
        Some(Answer::json(denial.status(), body.to_string()))
    });
    Router::new()
        .route("/token", post(token))
        .route("/me", get(me))
        .route("/reports", get(reports))
        .route("/logout", post(log_out))
        .layer(layer)
        .with_state(App { users, issues_old })
}

async fn token(
    State(app): State<App>,
    sign_in: SignIn,
    Json(given): Json<Given>,
) -> Result<Response, Denial> {
    let user = app.users.check(&given.user, &given.password);
    let user = user.ok_or(Denial::Unproven)?;
    // In the first deployment only: delete these lines in the second one.
    if app.issues_old {
        let token = before::sign(&user, OffsetDateTime::now_utc());
        let body =
            token.map(|token| Json(json!({ "access_token": token, "token_type": "Bearer" })));
        return Ok(body.into_response());
    }
    let (company, id) = (user.company.clone(), user.id.to_string());
    let login = Login::new(id)
        .roles(&user.permissions)
        .data(Profile { company });
    Ok(sign_in.issue_token(login).await?.into_response())
}

async fn me(caller: Caller) -> Json<Me> {
    Json(Me {
        user: caller.subject().to_owned(),
        company: caller.data().company.clone(),
    })
}

async fn reports(caller: Caller) -> Result<&'static str, Denial> {
    caller.require_role("reports")?;
    Ok("reports")
}

/// Ends the token, on every node within the bound of the log.
async fn log_out(caller: Caller, sign_in: SignIn) -> Result<StatusCode, Denial> {
    drop(caller);
    let _when = sign_in.revoke().await?;
    Ok(StatusCode::NO_CONTENT)
}
