//! Middleware of actix-web that answers denials itself, inside and outside of the layer.

use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::StatusCode;
use actix_web::http::header::{HeaderValue, LOCATION};
use actix_web::middleware::{Next, from_fn};
use actix_web::{Error, HttpResponse};
use statewise::web::{AuthLayer, Require};

use crate::site::{Browser, acting};

pub(crate) fn redirected_inside(layer: &AuthLayer, anew: bool) -> Browser {
    Browser::before(match anew {
        true => acting!(from_fn(anew_to_form), layer.clone()),
        false => acting!(from_fn(to_form), layer.clone()),
    })
}

pub(crate) fn redirected_outside(layer: &AuthLayer, anew: bool) -> Browser {
    Browser::before(match anew {
        true => acting!(layer.clone(), from_fn(anew_to_form)),
        false => acting!(layer.clone(), from_fn(to_form)),
    })
}

/// Inside of the layer, and outside of a guard.
pub(crate) fn redirected_around_guard(layer: &AuthLayer, anew: bool) -> Browser {
    let guard = Require::authenticated();
    Browser::before(match anew {
        true => acting!(guard, from_fn(anew_to_form), layer.clone()),
        false => acting!(guard, from_fn(to_form), layer.clone()),
    })
}

/// Changes the response of a denial.
async fn to_form(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let mut response = next.call(request).await?;
    if response.status() == StatusCode::UNAUTHORIZED {
        *response.response_mut().status_mut() = StatusCode::SEE_OTHER;
        let form = HeaderValue::from_static("/form");
        response.headers_mut().insert(LOCATION, form);
    }
    Ok(response.map_into_boxed_body())
}

/// Builds another response instead of that of a denial.
async fn anew_to_form(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let response = next.call(request).await?.map_into_boxed_body();
    if response.status() != StatusCode::UNAUTHORIZED {
        return Ok(response);
    }
    let mut redirect = HttpResponse::SeeOther();
    let redirect = redirect.insert_header((LOCATION, "/form")).finish();
    Ok(response.into_response(redirect))
}
