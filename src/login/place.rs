//! Place of a credential in requests.

/// Place in which a client presents a credential.
///
/// The web layer sets it for each credential that it reads, and for each login that it issues.
/// [`Either`](crate::either::Either) chooses a strategy by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Place {
    /// A cookie. A browser adds it to each request without a script.
    Cookie,
    /// A bearer token: the field `Authorization`, or the body of a request for a token. A program
    /// adds it.
    Bearer,
}
