//! A verified token, read in place.

use std::borrow::Cow;
use std::fmt;

use time::OffsetDateTime;

use crate::base::base64url::Scratch;
use crate::base::public_id::PublicId;
use crate::token::claims::CheckedClaims;
use crate::token::foreign::ForeignLogin;
use crate::token::json::{self, Text};
use crate::token::jws::MAX_TOKEN_CHARS;

const SCRATCH_CHARS: usize = MAX_TOKEN_CHARS + Scratch::PADDING_CHARS;
const SCRATCH_BYTES: usize = SCRATCH_CHARS / 4 * 3;

/// Reusable memory in which
/// [`verify_borrowed`](crate::token::TokenAuthenticator::verify_borrowed) decodes a token.
///
/// It takes 14 kilobytes, for a token of any length. The next verification overwrites the decoded
/// token of the last one.
pub struct TokenBuffer {
    chars: [u8; SCRATCH_CHARS],
    bytes: [u8; SCRATCH_BYTES],
    /// The last token of another issuer.
    foreign: Option<ForeignLogin>,
}

impl TokenBuffer {
    /// Creates an empty buffer.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            chars: [0; SCRATCH_CHARS],
            bytes: [0; SCRATCH_BYTES],
            foreign: None,
        }
    }

    /// Returns the memory for a token of this service, and the place for one of another issuer.
    pub(crate) fn parts(&mut self) -> (Scratch<'_>, &mut Option<ForeignLogin>) {
        let scratch = Scratch::new(&mut self.chars, &mut self.bytes);
        (scratch, &mut self.foreign)
    }
}

impl Default for TokenBuffer {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for TokenBuffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenBuffer").finish_non_exhaustive()
    }
}

/// The caller of a request, read in place: an [`Identity`](crate::Identity) that borrows from a
/// [`TokenBuffer`].
///
/// Only [`TokenAuthenticator::verify_borrowed`](crate::token::TokenAuthenticator::verify_borrowed)
/// makes one, from a verified token. It copies only strings that the token spells with escapes.
#[derive(Clone)]
pub struct BorrowedIdentity<'b> {
    subject: Cow<'b, str>,
    device: Option<Cow<'b, str>>,
    acr: Option<Cow<'b, str>>,
    claims: CheckedClaims<'b>,
}

impl<'b> BorrowedIdentity<'b> {
    #[inline(always)]
    pub(crate) fn new(claims: CheckedClaims<'b>) -> Self {
        Self {
            subject: claims.subject.decode(),
            device: claims.device.map(Text::decode),
            acr: claims.acr.map(Text::decode),
            claims,
        }
    }

    /// The user.
    #[must_use]
    pub fn subject(&self) -> &str {
        &self.subject
    }

    /// The roles, in the order of the token.
    pub fn roles(&self) -> impl Iterator<Item = Cow<'b, str>> + use<'b> {
        json::texts(self.claims.roles).map(Text::decode)
    }

    /// Checks if the user has this role. Compares bytes: no patterns, no case folding.
    #[must_use]
    pub fn has_role(&self, role: impl AsRef<str>) -> bool {
        self.roles().any(|given| given == role.as_ref())
    }

    /// The device or client named at login.
    #[must_use]
    pub fn device(&self) -> Option<&str> {
        self.device.as_deref()
    }

    /// The authentication context class; see [`Identity::acr`](crate::Identity::acr).
    #[must_use]
    pub fn acr(&self) -> Option<&str> {
        self.acr.as_deref()
    }

    /// Time at which the token was issued.
    #[must_use]
    pub fn issued_at(&self) -> OffsetDateTime {
        self.claims.issued_at.into()
    }

    /// Time at which the user authenticated.
    #[must_use]
    pub fn authenticated_at(&self) -> OffsetDateTime {
        self.claims.authenticated_at.into()
    }

    /// Time from which on the token is rejected as expired.
    #[must_use]
    pub fn expires_at(&self) -> OffsetDateTime {
        self.claims.expires_at.into()
    }

    /// Time beyond which no refresh extends this login.
    #[must_use]
    pub fn deadline(&self) -> OffsetDateTime {
        self.claims.deadline.into()
    }

    /// The public id of this login; see [`Identity::id`](crate::Identity::id).
    #[must_use]
    pub fn id(&self) -> PublicId {
        self.claims.handle.public_id()
    }

    /// The application's data as JSON: the claim `data`. Of another issuer's token, the data of its
    /// [`Interop`](crate::token::Interop). `None` if there are none.
    #[must_use]
    pub fn data_json(&self) -> Option<&'b str> {
        self.claims.data
    }
}

impl fmt::Debug for BorrowedIdentity<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BorrowedIdentity")
            .field("subject", &self.subject)
            .field("roles", &self.roles().collect::<Vec<_>>())
            .field("device", &self.device)
            .field("acr", &self.acr)
            .field("id", &self.id())
            .field("expires_at", &self.claims.expires_at)
            .finish_non_exhaustive()
    }
}
