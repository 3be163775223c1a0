//! Reasons of denials and times of revocations, for the page to show.

use axum::Json;
use axum::extract::Request;
use axum::http::{HeaderName, HeaderValue};
use axum::middleware::Next;
use axum::response::Response;
use serde_json::{Value, json};
use statewise::web::Denial;
use statewise::{Error, Revocation};

/// Adds the reason of a denial to the response. A real service logs it instead: the layer leaves it in
/// the extensions of the response.
pub(crate) async fn add_reason(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    if let Some(denial) = response.extensions().get::<Denial>()
        && let Ok(reason) = HeaderValue::try_from(reason(denial))
    {
        response
            .headers_mut()
            .insert(HeaderName::from_static("x-demo-reason"), reason);
    }
    response
}

fn reason(denial: &Denial) -> String {
    match denial.error().and_then(Error::theft) {
        Some(theft) => format!(
            "{denial}: a theft; this login of {} has ended",
            theft.subject()
        ),
        None => denial.to_string(),
    }
}

/// Answers with the time at which a logout or a change takes effect.
pub(crate) fn effective(revocation: Revocation) -> Json<Value> {
    let text = match revocation {
        Revocation::Immediate => "takes effect at once".to_owned(),
        Revocation::Within(time) => format!("takes effect within {} s", time.as_secs()),
        Revocation::AtExpiry(_) => "takes effect when the token expires".to_owned(),
        _ => "takes effect later".to_owned(),
    };
    Json(json!({ "effective": text }))
}
