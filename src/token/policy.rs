//! What one of our own tokens must say.

use crate::clock::Timestamp;
use crate::error::{Rejection, Result};
use crate::token::claims::{Claims, Facts};

/// Whose tokens, for whom, and for how long.
#[derive(Debug)]
pub(crate) struct Policy {
    pub(crate) issuer: String,
    pub(crate) audience: String,
    /// The beginning of every payload that names the two.
    pub(crate) prefix: String,
    /// Seconds that a token lives.
    pub(crate) lifetime: u64,
    /// Whether no token lives longer, however long it says: what keeps the end of a login in mind
    /// does so for that long.
    pub(crate) caps_lifetime: bool,
    /// Seconds for which a login may be carried on since the user proved who they are.
    pub(crate) max_lifetime: u64,
    /// Characters of a token, at most.
    pub(crate) max_length: usize,
}

impl Policy {
    /// Refuses a token that is longer than any of ours may be.
    pub(crate) fn check_length(&self, token: &str) -> Result<()> {
        if token.len() > self.max_length {
            return Err(Rejection::Malformed.into());
        }
        Ok(())
    }

    /// Checks the claims of one of our own tokens, but for whether it has expired.
    #[inline(always)]
    pub(crate) fn check<'a>(
        &self,
        claims: &Claims<'a>,
        json: &'a str,
        now: Timestamp,
    ) -> Result<Facts<'a>> {
        let (Some(exp), Some(iat), Some(handle), Some(subject)) =
            (claims.exp, claims.iat, claims.sid, claims.sub)
        else {
            return Err(Rejection::InvalidClaims.into());
        };
        let (expires_at, issued_at) = (exp.floor(), iat.ceil());
        let authenticated_at = claims.auth_time.map_or(issued_at, |time| time.floor());
        if subject.is("") || authenticated_at > issued_at {
            return Err(Rejection::InvalidClaims.into());
        }
        if !claims.addressed {
            if !claims.iss.is_some_and(|iss| iss.is(&self.issuer)) {
                return Err(Rejection::WrongIssuer.into());
            }
            if !claims.aud.is_some_and(|aud| aud.includes(&self.audience)) {
                return Err(Rejection::WrongAudience.into());
            }
        }
        if claims.nbf.is_some_and(|nbf| nbf.ceil() > now) {
            return Err(Rejection::NotYetValid.into());
        }
        // What the token says, so that no later policy moves it; and the policy of now, so that
        // one that was shortened counts at once.
        let signed_deadline = claims.abs.map_or(expires_at, |abs| abs.floor());
        let deadline = signed_deadline.min(self.deadline(authenticated_at));
        let mut expires_at = expires_at.min(deadline);
        if self.caps_lifetime {
            expires_at = expires_at.min(issued_at.saturating_add(self.lifetime));
        }
        Ok(Facts {
            subject,
            roles: claims.roles.unwrap_or("[]"),
            device: claims.device,
            acr: claims.acr,
            handle,
            issued_at,
            authenticated_at,
            expires_at,
            deadline,
            signed_deadline,
            stamp: claims.rev,
            data: claims.data,
            json,
            foreign: false,
        })
    }

    /// Beyond which no token carries a login that began at `authenticated_at`.
    pub(crate) fn deadline(&self, authenticated_at: Timestamp) -> Timestamp {
        authenticated_at.saturating_add(self.max_lifetime)
    }
}
