//! Header fields, requests and responses of the crate `http`.

use std::borrow::Cow;

use bytes::Bytes;
use http::header::{
    AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE, COOKIE, Entry, HOST, LOCATION, ORIGIN, RETRY_AFTER,
    SET_COOKIE, UPGRADE, VARY, WWW_AUTHENTICATE,
};
use http::{Extensions, HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode, Uri};

use crate::error::Result;
use crate::web::answer::Answer;
use crate::web::denial::Denial;
use crate::web::headers::{Headers, HeadersMut};
use crate::web::request::{Line, Lines};
use crate::web::sign_in::SignIn;
use crate::web::token_error::TokenError;

const SEC_FETCH_MODE: HeaderName = HeaderName::from_static("sec-fetch-mode");
const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

impl Headers for HeaderMap {
    // Inlined: the compiler then resolves a constant name without comparisons.
    #[inline]
    fn each<'a>(&'a self, name: &str, each: &mut dyn FnMut(&'a [u8])) {
        let values = match name {
            "authorization" => self.get_all(AUTHORIZATION),
            "cache-control" => self.get_all(CACHE_CONTROL),
            "content-type" => self.get_all(CONTENT_TYPE),
            "cookie" => self.get_all(COOKIE),
            "host" => self.get_all(HOST),
            "origin" => self.get_all(ORIGIN),
            "sec-fetch-mode" => self.get_all(SEC_FETCH_MODE),
            "sec-fetch-site" => self.get_all(SEC_FETCH_SITE),
            "set-cookie" => self.get_all(SET_COOKIE),
            "upgrade" => self.get_all(UPGRADE),
            "vary" => self.get_all(VARY),
            name => self.get_all(name),
        };
        values.iter().for_each(|value| each(value.as_bytes()));
    }
}

impl HeadersMut for HeaderMap {
    fn each_name(&self, each: &mut dyn FnMut(&str)) {
        self.keys().for_each(|name| each(name.as_str()));
    }

    #[inline]
    fn remove(&mut self, name: &str) {
        match name {
            "cache-control" => Self::remove(self, CACHE_CONTROL),
            "set-cookie" => Self::remove(self, SET_COOKIE),
            name => Self::remove(self, name),
        };
    }

    #[inline]
    fn append(&mut self, name: &str, value: Cow<'static, str>) {
        let name = match name {
            "cache-control" => CACHE_CONTROL,
            "content-type" => CONTENT_TYPE,
            "location" => LOCATION,
            "retry-after" => RETRY_AFTER,
            "set-cookie" => SET_COOKIE,
            "vary" => VARY,
            "www-authenticate" => WWW_AUTHENTICATE,
            name => match HeaderName::from_bytes(name.as_bytes()) {
                Ok(name) => name,
                Err(_) => return,
            },
        };
        let value = match value {
            // Neither is copied.
            Cow::Borrowed(value) => {
                HeaderValue::from_maybe_shared(Bytes::from_static(value.as_bytes()))
            }
            Cow::Owned(value) => HeaderValue::from_maybe_shared(Bytes::from(value)),
        };
        if let Ok(mut value) = value {
            value.set_sensitive(name == SET_COOKIE);
            Self::append(self, name, value);
        }
    }
}

impl Lines {
    /// Shares the values of a field, and marks them in the request as sensitive so that `Debug`
    /// does not print them.
    pub(crate) fn shared(headers: &mut HeaderMap, name: &'static str) -> Self {
        let name = match name {
            "cookie" => COOKIE,
            _ => AUTHORIZATION,
        };
        let Entry::Occupied(mut entry) = headers.entry(name) else {
            return Self::default();
        };
        let values = entry.iter_mut().map(|value| {
            value.set_sensitive(true);
            Line::Http(value.clone())
        });
        values.collect()
    }
}

/// Returns the address that the client has asked for: inside of a nested router of axum, `uri` lacks
/// the prefix.
pub(crate) fn address<'r>(uri: &'r Uri, extensions: &'r Extensions) -> &'r Uri {
    #[cfg(feature = "axum")]
    if let Some(axum::extract::OriginalUri(original)) = extensions.get() {
        return original;
    }
    let _ = extensions;
    uri
}

impl Answer {
    /// Converts the answer to a response.
    pub(crate) fn into_http<B: From<Vec<u8>>>(self) -> Response<B> {
        let status = self.status();
        let mut headers = HeaderMap::new();
        let body = self.write(&mut headers);
        let mut response = Response::new(B::from(body));
        *response.headers_mut() = headers;
        *response.status_mut() = status_of(status);
        response
    }
}

pub(crate) fn status_of(status: u16) -> StatusCode {
    StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}

impl Denial {
    /// Converts the denial to a response: the status, with its name as plain text. In debug builds
    /// the response to a *misuse* says what to change. The denial itself is in the extensions of the
    /// response, where the layer and your own middleware find it.
    ///
    /// The layer adds challenge and `Retry-After` on the way out, or replaces the response by
    /// [your own answer](crate::web::AuthLayer::on_denial), unless you change the status.
    #[must_use]
    pub fn into_http<B: From<Vec<u8>>>(self) -> Response<B> {
        let mut response = self.plain_answer().into_http();
        response.extensions_mut().insert(self);
        response
    }
}

impl TokenError {
    /// Converts the error to a response. Its [`denial`](Self::denial) is in the extensions.
    #[must_use]
    pub fn into_http<B: From<Vec<u8>>>(self) -> Response<B> {
        let mut response = self.answer().into_http();
        response.extensions_mut().insert(self.denial().clone());
        response
    }
}

impl<D: Send + Sync + 'static> SignIn<D> {
    /// Returns the `SignIn` that the layer put into a request.
    ///
    /// ```
    /// use statewise::web::{Denial, SignIn};
    ///
    /// async fn subject<B>(request: http::Request<B>) -> Result<String, Denial> {
    ///     let sign_in = SignIn::<()>::of(request.extensions())?;
    ///     Ok(sign_in.verify().await?.subject().to_owned())
    /// }
    /// # let _ = subject::<()>;
    /// ```
    ///
    /// # Errors
    ///
    /// *Misuse* if the request passed no `AuthLayer`, or one for another data type.
    pub fn of(extensions: &Extensions) -> Result<Self> {
        let sign_in = extensions.get().cloned();
        sign_in.ok_or_else(|| Self::missing_layer(None))
    }

    /// Returns the `SignIn` of a request. Its error names the request.
    pub(crate) fn of_request_line(
        method: &Method,
        uri: &Uri,
        extensions: &Extensions,
    ) -> Result<Self> {
        let sign_in = extensions.get().cloned();
        sign_in.ok_or_else(|| {
            let path = address(uri, extensions).path();
            Self::missing_layer(Some((method.as_str(), path)))
        })
    }
}
