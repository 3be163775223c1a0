//! Rules for our own tokens.

use crate::clock::Timestamp;
use crate::error::{Error, Rejection, Result};
use crate::login::handle::Handle;
use crate::token::claims::{CheckedClaims, Claims};
use crate::token::interop::Interop;
use crate::token::issuers::Issuers;
use crate::token::keyring::{Keyring, PROPAGATION_SECS};
use crate::token::profile::Profile;

/// Configuration of a [`TokenAuthenticator`](crate::token::TokenAuthenticator), checked.
#[derive(Debug)]
pub(crate) struct Policy {
    pub(crate) issuer: String,
    pub(crate) audience: String,
    /// Beginning of every payload with this issuer and audience.
    pub(crate) prefix: String,
    pub(crate) lifetime_secs: u64,
    /// Caps every token at `lifetime_secs`, whatever its `exp`. The hybrid needs this: its
    /// revocations are kept only that long.
    pub(crate) caps_lifetime: bool,
    /// Time for which a login can be refreshed, from its authentication on: one that is not
    /// remembered, and one that is. `u64::MAX` leaves the latter to the store of the hybrid.
    pub(crate) max_lifetime_secs: [u64; 2],
    /// For the same logins: that time begins when the token is issued, because no maximum was set. A
    /// token that continues an older login then lasts one lifetime.
    pub(crate) counts_from_issue: [bool; 2],
    pub(crate) max_chars: usize,
    /// Claims beside those of this crate.
    pub(crate) profile: Option<Profile>,
    /// Time in which a new key reaches all nodes and services.
    pub(crate) propagation_secs: u64,
    /// Other issuers with accepted tokens.
    pub(crate) issuers: Issuers,
}

impl Policy {
    /// Rejects a token that is longer than the configuration allows.
    pub(crate) fn check_length(&self, token: &str) -> Result<()> {
        if token.len() > self.max_chars {
            return Err(Rejection::Malformed.into());
        }
        Ok(())
    }

    /// Checks all claims of one of our own tokens except the expiry.
    #[inline(always)]
    pub(crate) fn check<'a>(
        &self,
        claims: &Claims<'a>,
        now: Timestamp,
    ) -> Result<CheckedClaims<'a>> {
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
        if !claims.is_addressed {
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
        // The token's own deadline, so that no later configuration extends it; and the configured
        // one, so that a shorter one takes effect at once.
        let signed_deadline = claims.abs.map_or(expires_at, |abs| abs.floor());
        let deadline = signed_deadline.min(self.deadline(handle, authenticated_at, issued_at));
        let mut expires_at = expires_at.min(deadline);
        if self.caps_lifetime {
            expires_at = expires_at.min(issued_at.saturating_add(self.lifetime_secs));
        }
        Ok(CheckedClaims {
            subject,
            roles: claims.roles.unwrap_or_default(),
            device: claims.device,
            acr: claims.acr,
            handle,
            issued_at,
            authenticated_at,
            expires_at,
            deadline,
            signed_deadline,
            stamp: claims.rev,
            version: claims.ver.map_or(0, |version| version.floor().unix()),
            stp: claims.stp,
            data: claims.data,
            json: claims.json,
            is_foreign: false,
        })
    }

    /// Completes a ring, and gives its keys the configured header.
    ///
    /// # Errors
    ///
    /// *Misuse*: see [`Keyring::complete`] and [`Issuers::check_ring`].
    pub(crate) fn complete(&self, ring: Keyring) -> Result<Keyring> {
        // When the authenticator is built, and after each fetch.
        #[cfg(feature = "_public")]
        let ring = self.issuers.leave_out_theirs(ring);
        self.issuers.check_ring(&ring)?;
        if ring.signs_with_a_public_key() && self.propagation_secs < PROPAGATION_SECS {
            return Err(Error::misuse(
                "services fetch published keys at most once in 30 s, and may cache them for half of the \
                 propagation: a new key would sign before they know it, so that its propagation must \
                 be a minute or longer",
            ));
        }
        let ring = ring.complete(self.longest_token_secs(), self.propagation_secs)?;
        let is_access_token = |profile: &Profile| profile.is_access_token;
        Ok(match self.profile.as_ref().is_some_and(is_access_token) {
            true => ring.with_access_token_headers(),
            false => ring,
        })
    }

    /// Returns the deadline of a login that began at `authenticated_at`, for a token of `issued_at`.
    #[inline]
    pub(crate) fn deadline(
        &self,
        handle: Handle,
        authenticated_at: Timestamp,
        issued_at: Timestamp,
    ) -> Timestamp {
        let class = usize::from(handle.is_remembered());
        let begin = match self.counts_from_issue[class] {
            true => issued_at,
            false => authenticated_at,
        };
        begin.saturating_add(self.max_lifetime_secs[class])
    }

    fn longest_login_secs(&self) -> u64 {
        let [others, remembered] = self.max_lifetime_secs;
        match remembered {
            u64::MAX => others,
            remembered => remembered.max(others),
        }
    }

    /// Returns how long a login can be refreshed, or a token is accepted, at most, from its issue
    /// on.
    pub(crate) fn longest_secs(&self) -> u64 {
        let foreign = self.issuers.iter().map(Interop::longest_secs);
        foreign.fold(self.longest_login_secs(), u64::max)
    }

    /// Returns how long a login or a token that exists already may be accepted.
    pub(crate) fn last_secs(&self) -> u64 {
        let foreign = self.issuers.iter().map(Interop::last_secs);
        foreign.fold(self.longest_login_secs(), u64::max)
    }

    /// Returns how long a token is accepted at most that a key of the ring has signed.
    pub(crate) fn longest_token_secs(&self) -> u64 {
        if self.caps_lifetime {
            return self.lifetime_secs;
        }
        let with_ring = |issuer: &&Interop| issuer.own_keys().is_none();
        let foreign = self.issuers.iter().filter(with_ring);
        foreign
            .map(Interop::last_secs)
            .fold(self.longest_login_secs(), u64::max)
    }
}
