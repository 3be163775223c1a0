//! Verifying without owning anything.

use std::borrow::Cow;
use std::fmt;

use time::OffsetDateTime;

use crate::base::public_id::PublicId;
use crate::token::claims::Facts;
use crate::token::json::{self, Text};
use crate::token::jws::{LONGEST, Room};

const TEXT: usize = LONGEST + Room::BESIDE;
const BYTES: usize = TEXT / 4 * 3;

/// Room for a token, to be used again and again.
///
/// Fourteen kilobytes, once. What is left in it of the last token is overwritten by the next.
pub struct TokenBuffer {
    text: [u8; TEXT],
    bytes: [u8; BYTES],
}

impl TokenBuffer {
    /// An empty buffer.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            text: [0; TEXT],
            bytes: [0; BYTES],
        }
    }

    pub(crate) fn room(&mut self) -> Room<'_> {
        Room::new(&mut self.text, &mut self.bytes)
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

/// Who is calling, read in place: [`Identity`](crate::Identity) without a copy.
///
/// Made by [`TokenAuthenticator::verify_borrowed`](crate::token::TokenAuthenticator::verify_borrowed)
/// from a verified token only. Nothing is copied but what the token spells with escapes.
#[derive(Clone)]
pub struct BorrowedIdentity<'b> {
    subject: Cow<'b, str>,
    device: Option<Cow<'b, str>>,
    acr: Option<Cow<'b, str>>,
    facts: Facts<'b>,
}

impl<'b> BorrowedIdentity<'b> {
    #[inline(always)]
    pub(crate) fn new(facts: Facts<'b>) -> Self {
        Self {
            subject: facts.subject.decode(),
            device: facts.device.map(Text::decode),
            acr: facts.acr.map(Text::decode),
            facts,
        }
    }

    /// The user.
    #[must_use]
    pub fn subject(&self) -> &str {
        &self.subject
    }

    /// The roles, in the order of the token.
    pub fn roles(&self) -> impl Iterator<Item = Cow<'b, str>> + use<'b> {
        json::texts(self.facts.roles).map(Text::decode)
    }

    /// Whether the user has this role. Compares bytes.
    #[must_use]
    pub fn has_role(&self, role: &str) -> bool {
        json::texts(self.facts.roles).any(|given| given.is(role))
    }

    /// The device or client named at login.
    #[must_use]
    pub fn device(&self) -> Option<&str> {
        self.device.as_deref()
    }

    /// How strongly the user proved who they are; see [`Identity::acr`](crate::Identity::acr).
    #[must_use]
    pub fn acr(&self) -> Option<&str> {
        self.acr.as_deref()
    }

    /// When the token was issued.
    #[must_use]
    pub fn issued_at(&self) -> OffsetDateTime {
        self.facts.issued_at.into()
    }

    /// When the user proved who they are.
    #[must_use]
    pub fn authenticated_at(&self) -> OffsetDateTime {
        self.facts.authenticated_at.into()
    }

    /// The first moment at which the token is no longer accepted.
    #[must_use]
    pub fn expires_at(&self) -> OffsetDateTime {
        self.facts.expires_at.into()
    }

    /// The moment beyond which no refresh carries this login.
    #[must_use]
    pub fn deadline(&self) -> OffsetDateTime {
        self.facts.deadline.into()
    }

    /// The public id of this login; see [`Identity::id`](crate::Identity::id).
    #[must_use]
    pub fn id(&self) -> PublicId {
        self.facts.handle.public_id()
    }

    /// The application's data as JSON: the claim `data`, or the whole claims set of a token that
    /// somebody else made. `None` if there are none.
    #[must_use]
    pub fn data_json(&self) -> Option<&'b str> {
        self.facts.data
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
            .field("expires_at", &self.facts.expires_at)
            .finish_non_exhaustive()
    }
}
