//! Method and target of a request.

/// Method and target of a request. Shared with the request where the framework allows it.
pub(crate) enum RequestLine {
    #[cfg(feature = "tower")]
    Http(http::Method, Option<http::uri::PathAndQuery>),
    #[cfg(feature = "actix")]
    Actix(
        actix_web::http::Method,
        Option<actix_web::http::uri::PathAndQuery>,
    ),
    Copied(Box<str>, Box<str>),
}

impl RequestLine {
    pub(crate) fn method(&self) -> &str {
        match self {
            #[cfg(feature = "tower")]
            Self::Http(method, _) => method.as_str(),
            #[cfg(feature = "actix")]
            Self::Actix(method, _) => method.as_str(),
            Self::Copied(method, _) => method,
        }
    }

    /// Path and query.
    pub(crate) fn target(&self) -> &str {
        match self {
            #[cfg(feature = "tower")]
            Self::Http(_, target) => target.as_ref().map_or("/", |target| target.as_str()),
            #[cfg(feature = "actix")]
            Self::Actix(_, target) => target.as_ref().map_or("/", |target| target.as_str()),
            Self::Copied(_, target) => target,
        }
    }

    /// Path without the query.
    pub(crate) fn path(&self) -> &str {
        path_of(self.target())
    }

    pub(crate) fn query(&self) -> &str {
        self.target().split_once('?').map_or("", |(_, query)| query)
    }
}

/// Returns the path of a target, without the query.
pub(crate) fn path_of(target: &str) -> &str {
    target.split(['?', '#']).next().unwrap_or_default()
}
