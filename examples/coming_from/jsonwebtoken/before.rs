//! The old service.

use axum::extract::{FromRequestParts, State};
use axum::http::request::Parts;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation, decode, encode};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use time::{Duration, OffsetDateTime};

use super::{Given, Me, OLD_SECRET};
use crate::users::{User, Users};

/// Lifetime of a token.
pub const LIFETIME: Duration = Duration::DAY;

#[derive(Serialize, Deserialize)]
pub struct Claims {
    pub user_id: i64,
    pub company: String,
    /// Words with spaces between them.
    pub scope: String,
    pub iat: i64,
    pub exp: i64,
}

pub enum AuthError {
    WrongCredentials,
    MissingToken,
    InvalidToken,
    Forbidden,
    Failed,
}

impl IntoResponse for AuthError {
    fn into_response(self) -> Response {
        let (status, error) = match self {
            Self::WrongCredentials => (StatusCode::UNAUTHORIZED, "wrong credentials"),
            Self::MissingToken => (StatusCode::UNAUTHORIZED, "missing token"),
            Self::InvalidToken => (StatusCode::UNAUTHORIZED, "invalid token"),
            Self::Forbidden => (StatusCode::FORBIDDEN, "forbidden"),
            Self::Failed => (StatusCode::INTERNAL_SERVER_ERROR, "failed"),
        };
        (status, Json(json!({ "error": error }))).into_response()
    }
}

/// Signs a token. The port calls it until all nodes accept its own tokens.
pub fn sign(user: &User, now: OffsetDateTime) -> Result<String, AuthError> {
    let claims = Claims {
        user_id: user.id,
        company: user.company.clone(),
        scope: user.sorted_permissions().join(" "),
        iat: now.unix_timestamp(),
        exp: (now + LIFETIME).unix_timestamp(),
    };
    let key = EncodingKey::from_secret(OLD_SECRET).map_err(|_| AuthError::Failed)?;
    encode(&Header::default(), &claims, &key).map_err(|_| AuthError::Failed)
}

impl<S: Send + Sync> FromRequestParts<S> for Claims {
    type Rejection = AuthError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, AuthError> {
        let field = parts.headers.get(header::AUTHORIZATION);
        let field = field.and_then(|field| field.to_str().ok());
        let token = field.and_then(|field| field.strip_prefix("Bearer "));
        let token = token.ok_or(AuthError::MissingToken)?;
        let key = DecodingKey::from_secret(OLD_SECRET).map_err(|_| AuthError::Failed)?;
        let read = decode::<Self>(token, &key, &Validation::new(Algorithm::HS256));
        Ok(read.map_err(|_| AuthError::InvalidToken)?.claims)
    }
}

pub fn router(users: Users) -> Router {
    Router::new()
        .route("/token", post(token))
        .route("/me", get(me))
        .route("/reports", get(reports))
        .route("/logout", post(log_out))
        .with_state(users)
}

async fn token(
    State(users): State<Users>,
    Json(given): Json<Given>,
) -> Result<Json<Value>, AuthError> {
    let user = users.check(&given.user, &given.password);
    let user = user.ok_or(AuthError::WrongCredentials)?;
    let token = sign(&user, OffsetDateTime::now_utc())?;
    Ok(Json(
        json!({ "access_token": token, "token_type": "Bearer" }),
    ))
}

async fn me(claims: Claims) -> Json<Me> {
    Json(Me {
        user: claims.user_id.to_string(),
        company: claims.company,
    })
}

async fn reports(claims: Claims) -> Result<&'static str, AuthError> {
    if !claims.scope.split(' ').any(|word| word == "reports") {
        return Err(AuthError::Forbidden);
    }
    Ok("reports")
}

/// The client forgets its token. Nothing ends it.
async fn log_out(_: Claims) -> StatusCode {
    StatusCode::NO_CONTENT
}
