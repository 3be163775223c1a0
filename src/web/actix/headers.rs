//! Header fields, requests and responses of actix-web.

use std::borrow::Cow;

use actix_web::body::BoxBody;
use actix_web::http::StatusCode;
use actix_web::http::header::{
    AUTHORIZATION, COOKIE, HeaderMap, HeaderName, HeaderValue, SET_COOKIE,
};
use actix_web::{HttpMessage, HttpRequest, HttpResponse, Responder, ResponseError};

use crate::error::Result;
use crate::web::answer::Answer;
use crate::web::denial::Denial;
use crate::web::headers::{Headers, HeadersMut};
use crate::web::request::{Line, Lines};
use crate::web::sign_in::SignIn;
use crate::web::token_error::TokenError;
use crate::web::token_response::TokenResponse;

impl Headers for HeaderMap {
    fn each<'a>(&'a self, name: &str, each: &mut dyn FnMut(&'a [u8])) {
        self.get_all(name).for_each(|value| each(value.as_bytes()));
    }
}

impl HeadersMut for HeaderMap {
    fn each_name(&self, each: &mut dyn FnMut(&str)) {
        self.keys().for_each(|name| each(name.as_str()));
    }

    fn remove(&mut self, name: &str) {
        Self::remove(self, name);
    }

    fn append(&mut self, name: &str, value: Cow<'static, str>) {
        let name = HeaderName::from_bytes(name.as_bytes());
        let value = HeaderValue::try_from(value.into_owned());
        if let (Ok(name), Ok(mut value)) = (name, value) {
            value.set_sensitive(name == SET_COOKIE);
            Self::append(self, name, value);
        }
    }
}

impl Lines {
    /// Shares the values of a field, and marks them in the request as sensitive so that `Debug`
    /// does not print them.
    pub(crate) fn shared_by_actix(headers: &mut HeaderMap, name: &'static str) -> Self {
        let name = match name {
            "cookie" => COOKIE,
            _ => AUTHORIZATION,
        };
        let values = headers.remove(&name).map(|mut value| {
            value.set_sensitive(true);
            headers.append(name.clone(), value.clone());
            Line::Actix(value)
        });
        values.collect()
    }
}

impl Answer {
    /// Converts the answer to a response of actix-web.
    pub(crate) fn into_actix(self) -> HttpResponse {
        let mut response = HttpResponse::new(status_of(self.status()));
        let body = self.write(response.headers_mut());
        response.set_body(BoxBody::new(body))
    }
}

pub(crate) fn status_of(status: u16) -> StatusCode {
    StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}

/// The denial itself is in the extensions of the response, where the layer and your own middleware
/// find it.
impl ResponseError for Denial {
    fn status_code(&self) -> StatusCode {
        status_of(self.status())
    }

    fn error_response(&self) -> HttpResponse {
        denied(self.plain_answer(), self.clone())
    }
}

/// The [`denial`](TokenError::denial) is in the extensions of the response.
impl ResponseError for TokenError {
    fn status_code(&self) -> StatusCode {
        status_of(self.answer().status())
    }

    fn error_response(&self) -> HttpResponse {
        denied(self.answer(), self.denial().clone())
    }
}

/// Converts the answer to a denial.
pub(crate) fn denied(answer: Answer, denial: Denial) -> HttpResponse {
    let mut response = answer.into_actix();
    response.extensions_mut().insert(denial);
    response
}

impl<D> Responder for TokenResponse<D> {
    type Body = BoxBody;

    fn respond_to(self, _: &HttpRequest) -> HttpResponse {
        let mut answer = Answer::json(200, self.reveal());
        answer.add("cache-control", "no-store");
        answer.into_actix()
    }
}

impl<D: Send + Sync + 'static> SignIn<D> {
    /// Returns the `SignIn` that the layer put into a request of actix-web. Call it in a middleware;
    /// handlers take the `SignIn` as an argument.
    ///
    /// ```
    /// use actix_web::Error;
    /// use actix_web::body::MessageBody;
    /// use actix_web::dev::{ServiceRequest, ServiceResponse};
    /// use actix_web::middleware::Next;
    /// use statewise::web::SignIn;
    ///
    /// /// For `actix_web::middleware::from_fn`.
    /// async fn only_alice<B: MessageBody>(
    ///     request: ServiceRequest,
    ///     next: Next<B>,
    /// ) -> Result<ServiceResponse<B>, Error> {
    ///     let sign_in = SignIn::<()>::of_request(request.request())?;
    ///     let caller = sign_in.verify().await?;
    ///     if caller.subject() != "alice" {
    ///         return Err(actix_web::error::ErrorForbidden("only alice"));
    ///     }
    ///     next.call(request).await
    /// }
    /// # let _ = only_alice::<actix_web::body::BoxBody>;
    /// ```
    ///
    /// # Errors
    ///
    /// [`Denial::Failed`] with a *misuse* if the request passed no `AuthLayer`, or one for another
    /// data type.
    pub fn of_request(request: &HttpRequest) -> Result<Self, Denial> {
        let sign_in = request.extensions().get().cloned();
        let line = (request.method().as_str(), request.path());
        Ok(sign_in.ok_or_else(|| Self::missing_layer(Some(line)))?)
    }
}
