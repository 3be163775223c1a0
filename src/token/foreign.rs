//! Claims of another issuer's token, and the login that they mean here.

use std::fmt;

use serde::de::DeserializeOwned;

use crate::clock::Timestamp;
use crate::error::{Error, Rejection, Result};
use crate::login::Login;
use crate::login::handle::Handle;
use crate::token::claims::CheckedClaims;
use crate::token::json::{self, Text, Value};

/// Claims of another issuer's token, after its signature, issuer, audience and dates have been
/// checked. The argument of [`Interop::map`](crate::token::Interop::map).
///
/// The name of a claim may lead to a nested one, such as `realm_access.roles`. A claim with the
/// whole name comes first, so that `https://auth.example/roles` is one claim.
#[derive(Clone, Copy)]
pub struct ForeignClaims<'a> {
    json: &'a str,
}

impl<'a> ForeignClaims<'a> {
    pub(crate) fn new(json: &'a str) -> Self {
        Self { json }
    }

    /// The whole claims set as JSON: one object without duplicate names.
    #[must_use]
    pub fn json(&self) -> &'a str {
        self.json
    }

    /// Returns whether the token has this claim, with any value.
    #[must_use]
    pub fn has(&self, claim: &str) -> bool {
        find(self.json, claim).is_some()
    }

    /// Returns a text that is not empty. A whole number is returned as its digits.
    ///
    /// # Errors
    ///
    /// *Rejected* with the claim's name: it is missing or empty, or has another type.
    pub fn text(&self, claim: &str) -> Result<String> {
        let value = self.value(claim)?;
        let text = match (value.text(), value.number()) {
            (Some(text), _) => text.decode().into_owned(),
            (_, Some(number)) if number.bytes().all(|c| c.is_ascii_digit()) => number.to_owned(),
            _ => return Err(Error::rejected_claim(Rejection::WrongClaimType, claim)),
        };
        if text.is_empty() {
            return Err(Error::rejected_claim(Rejection::MissingClaim, claim));
        }
        Ok(text)
    }

    /// Returns an array of texts, or the words of a text, such as `scope` (RFC 8693, section 4.2).
    /// Empty without the claim.
    ///
    /// # Errors
    ///
    /// *Rejected* with the claim's name: it has another type.
    pub fn words(&self, claim: &str) -> Result<Vec<String>> {
        let Some(value) = find(self.json, claim) else {
            return Ok(Vec::new());
        };
        if let Some(array) = value.texts() {
            return Ok(json::texts(array)
                .map(|text| text.decode().into_owned())
                .collect());
        }
        let text = value
            .text()
            .ok_or_else(|| Error::rejected_claim(Rejection::WrongClaimType, claim))?;
        let decoded = text.decode();
        Ok(decoded
            .split_ascii_whitespace()
            .map(str::to_owned)
            .collect())
    }

    /// Reads a claim of any type.
    ///
    /// # Errors
    ///
    /// *Rejected* with the claim's name: it is missing, or does not decode.
    pub fn read<T: DeserializeOwned>(&self, claim: &str) -> Result<T> {
        serde_json::from_str(self.value(claim)?.raw)
            .map_err(|_| Error::rejected_claim(Rejection::WrongClaimType, claim))
    }

    fn value(&self, claim: &str) -> Result<Value<'a>> {
        find(self.json, claim).ok_or_else(|| Error::rejected_claim(Rejection::MissingClaim, claim))
    }

    /// Returns a claim as it is written.
    pub(crate) fn raw(&self, claim: &str) -> Option<&'a str> {
        find(self.json, claim).map(|value| value.raw)
    }
}

impl fmt::Debug for ForeignClaims<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ForeignClaims").finish_non_exhaustive()
    }
}

/// Finds a member by its name, or by the names of the objects around it and its own, with dots
/// between them.
fn find<'a>(object: &'a str, path: &str) -> Option<Value<'a>> {
    let member = |wanted: &str| {
        let mut found = None;
        json::object(object, |name, value| {
            if name.is(wanted) {
                found = Some(value);
            }
            Some(())
        })?;
        found
    };
    member(path).or_else(|| {
        path.match_indices('.')
            .find_map(|(dot, _)| find(member(&path[..dot])?.raw, &path[dot + 1..]))
    })
}

/// A login that another issuer's token states, in the form of our own claims.
pub(crate) struct ForeignLogin {
    /// These texts are spelled as a [`Text`].
    pub(crate) subject: String,
    pub(crate) device: Option<String>,
    pub(crate) acr: Option<String>,
    /// An array in JSON.
    pub(crate) roles: String,
    /// A value in JSON.
    pub(crate) data: Option<String>,
    pub(crate) handle: Handle,
    pub(crate) issued_at: Timestamp,
    pub(crate) authenticated_at: Timestamp,
    pub(crate) expires_at: Timestamp,
}

impl ForeignLogin {
    /// Takes texts and data from `login`, and the times from the others.
    pub(crate) fn new(
        login: &Login<Option<String>>,
        handle: Handle,
        issued_at: Timestamp,
        authenticated_at: Timestamp,
        expires_at: Timestamp,
    ) -> Self {
        let authenticated_at = login.authenticated_at.unwrap_or(authenticated_at);
        let roles: Vec<_> = login.fields.roles().collect();
        Self {
            subject: json::spell(login.subject()),
            device: login.device.as_deref().map(json::spell),
            acr: login.acr.as_deref().map(json::spell),
            // Serialising strings cannot fail.
            roles: serde_json::to_string(&roles).unwrap_or_default(),
            data: login.data.clone(),
            handle,
            issued_at,
            authenticated_at: authenticated_at.min(issued_at),
            expires_at: expires_at.min(login.deadline.unwrap_or(expires_at)),
        }
    }

    pub(crate) fn claims(&self) -> CheckedClaims<'_> {
        CheckedClaims {
            subject: Text::plain(&self.subject),
            roles: &self.roles,
            device: self.device.as_deref().map(Text::plain),
            acr: self.acr.as_deref().map(Text::plain),
            handle: self.handle,
            issued_at: self.issued_at,
            authenticated_at: self.authenticated_at,
            expires_at: self.expires_at,
            deadline: self.expires_at,
            signed_deadline: self.expires_at,
            stamp: None,
            version: 0,
            stp: None,
            data: self.data.as_deref(),
            json: None,
            is_foreign: true,
        }
    }
}
