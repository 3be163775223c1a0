//! Claims of a verified payload (RFC 7519, section 4), in any order.

use std::time::Duration;

use crate::base::base64url;
use crate::clock::Timestamp;
use crate::error::{Error, Rejection, Result};
use crate::login::handle::Handle;
use crate::login::stamp::Stamp;
use crate::login::step_up::StepUp;
use crate::token::json::{self, Text, Value};

/// The claims that have a meaning here, each with the right type. Their values are not checked yet.
#[derive(Clone, Copy, Default)]
pub(crate) struct Claims<'a> {
    /// True if `iss` and `aud` are known to be ours; the two fields are then empty.
    pub(crate) is_addressed: bool,
    pub(crate) iss: Option<Text<'a>>,
    pub(crate) aud: Option<Audience<'a>>,
    pub(crate) exp: Option<NumericDate>,
    pub(crate) nbf: Option<NumericDate>,
    pub(crate) iat: Option<NumericDate>,
    pub(crate) auth_time: Option<NumericDate>,
    pub(crate) abs: Option<NumericDate>,
    pub(crate) sid: Option<Handle>,
    pub(crate) jti: Option<Text<'a>>,
    pub(crate) sub: Option<Text<'a>>,
    pub(crate) acr: Option<Text<'a>>,
    /// An array of strings, as it is written.
    pub(crate) roles: Option<&'a str>,
    pub(crate) device: Option<Text<'a>>,
    pub(crate) rev: Option<Stamp>,
    /// The version of the row that the token was read from.
    pub(crate) ver: Option<NumericDate>,
    /// The step-up: an object, as it is written.
    pub(crate) stp: Option<&'a str>,
    /// A JSON value, as it is written.
    pub(crate) data: Option<&'a str>,
    /// The whole claims set, if it may contain claims without a meaning here.
    pub(crate) json: Option<&'a str>,
}

/// One audience or an array of several (RFC 7519, section 4.1.3).
#[derive(Clone, Copy)]
pub(crate) enum Audience<'a> {
    One(Text<'a>),
    Many(&'a str),
}

impl Audience<'_> {
    pub(crate) fn includes(self, audience: &str) -> bool {
        match self {
            Self::One(one) => one.is(audience),
            Self::Many(array) => json::texts(array).any(|one| one.is(audience)),
        }
    }
}

/// The claims of a verified token, after all checks except the expiry.
#[derive(Clone, Copy)]
pub(crate) struct CheckedClaims<'a> {
    pub(crate) subject: Text<'a>,
    /// An array of strings, as it is written; empty text without any.
    pub(crate) roles: &'a str,
    pub(crate) device: Option<Text<'a>>,
    pub(crate) acr: Option<Text<'a>>,
    pub(crate) handle: Handle,
    pub(crate) issued_at: Timestamp,
    pub(crate) authenticated_at: Timestamp,
    pub(crate) expires_at: Timestamp,
    pub(crate) deadline: Timestamp,
    /// The deadline in the token, whatever the configuration of this node.
    pub(crate) signed_deadline: Timestamp,
    pub(crate) stamp: Option<Stamp>,
    /// The version of the row that the token was read from; zero without a row.
    pub(crate) version: u64,
    /// The step-up: an object, as it is written.
    pub(crate) stp: Option<&'a str>,
    /// The application's data, as they are written.
    pub(crate) data: Option<&'a str>,
    /// The whole claims set of our own token, if it may contain claims of a later version.
    pub(crate) json: Option<&'a str>,
    /// True if another issuer made the token.
    pub(crate) is_foreign: bool,
}

impl<'a> CheckedClaims<'a> {
    /// Returns the step-up that is in force at `now`.
    #[inline]
    pub(crate) fn step(&self, now: Timestamp) -> Option<StepUp<Text<'a>>> {
        read_step(self.stp?).filter(|step| step.is_in_force(now))
    }
}

/// Seconds since 1970 (RFC 7519, section 2, "NumericDate").
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NumericDate {
    seconds: u64,
    /// Up to a whole second. A double has no more digits.
    microseconds: u32,
}

impl NumericDate {
    /// A whole number of seconds. `None` after the year 9999.
    pub(crate) fn whole(seconds: u64) -> Option<Self> {
        (seconds <= Timestamp::MAX.unix()).then_some(Self {
            seconds,
            microseconds: 0,
        })
    }

    /// Reads any JSON number from 1970 to 9999. `None` for any other value.
    fn read(value: Value<'_>) -> Option<Self> {
        let number = value.number()?;
        if number.len() <= 12 && number.bytes().all(|c| c.is_ascii_digit()) {
            let digits = number.bytes().map(|digit| u64::from(digit - b'0'));
            return Self::whole(digits.fold(0, |seconds, digit| seconds * 10 + digit));
        }
        let seconds: f64 = number.parse().ok()?;
        (0.0..=Timestamp::MAX.unix() as f64)
            .contains(&seconds)
            .then_some(Self {
                seconds: seconds as u64,
                microseconds: (seconds.fract() * 1e6).round() as u32,
            })
    }

    /// Returns the last whole second that is not after this date.
    pub(crate) fn floor(self) -> Timestamp {
        Timestamp::from_unix(self.seconds)
    }

    /// Returns the first whole second that is not before this date.
    pub(crate) fn ceil(self) -> Timestamp {
        Timestamp::from_unix(self.seconds + u64::from(self.microseconds > 0))
    }

    /// Returns the time since 1970.
    pub(crate) fn exact(self) -> Duration {
        Duration::from_secs(self.seconds) + Duration::from_micros(self.microseconds.into())
    }
}

impl<'a> Claims<'a> {
    /// Reads the claims of one of our own tokens. `None` if `json` is not one strict object, if a
    /// claim that this service writes has another type, and for a claim `crit`.
    pub(crate) fn own(json: &'a str) -> Option<Self> {
        let mut claims = Self {
            json: Some(json),
            ..Self::default()
        };
        json::object(json, |name, value| {
            let name = name.decode();
            if !claims.read_registered(&name, value)? {
                claims.read_private(&name, value)?;
            }
            Some(())
        })?;
        Some(claims)
    }

    /// Reads the claims of another issuer's token that have a meaning in RFC 7519 or OpenID Connect
    /// Core. `sub` may be a number if `has_numeric_subject`.
    ///
    /// # Errors
    ///
    /// *Rejected* if `json` is not one strict object, or if one of these claims has another type.
    pub(crate) fn foreign(json: &'a str, has_numeric_subject: bool) -> Result<Self> {
        let mut claims = Self::default();
        let mut wrong = None;
        let read = json::object(json, |name, value| {
            let name = name.decode();
            let is_read = match &*name {
                "sub" if has_numeric_subject => Some(()),
                "auth_time" => claims.read_private(&name, value),
                _ => claims.read_registered(&name, value).map(drop),
            };
            if is_read.is_none() {
                wrong = Some(Error::rejected_claim(Rejection::WrongClaimType, &name));
            }
            is_read
        });
        match read {
            Some(()) => Ok(claims),
            None => Err(wrong.unwrap_or_else(|| Rejection::InvalidClaims.into())),
        }
    }

    /// Checks if a claims set is one of ours, valid or not: by issuer and handle, or by a claim
    /// `crit`. True if `json` is not one strict object.
    pub(crate) fn are_ours(json: &str, issuer: &str) -> bool {
        let (mut is_issuer, mut has_handle, mut has_crit) = (false, false, false);
        let read = json::object(json, |name, value| {
            is_issuer |= name.is("iss") && value.text().is_some_and(|iss| iss.is(issuer));
            has_handle |= name.is("sid");
            has_crit |= name.is("crit");
            Some(())
        });
        read.is_none() || has_crit || (is_issuer && has_handle)
    }

    /// Reads a claim of RFC 7519, section 4.1, or `acr` (OpenID Connect Core, section 2).
    /// `Some(false)` for any other claim, `None` for another type.
    fn read_registered(&mut self, name: &str, value: Value<'a>) -> Option<bool> {
        match name {
            "iss" => self.iss = Some(value.text()?),
            "sub" => self.sub = Some(value.text()?),
            "jti" => self.jti = Some(value.text()?),
            "acr" => self.acr = Some(value.text()?),
            "exp" => self.exp = Some(NumericDate::read(value)?),
            "nbf" => self.nbf = Some(NumericDate::read(value)?),
            "iat" => self.iat = Some(NumericDate::read(value)?),
            "aud" => {
                let one = value.text().map(Audience::One);
                self.aud = Some(one.or_else(|| value.texts().map(Audience::Many))?);
            }
            _ => return Some(false),
        }
        Some(true)
    }

    /// Reads a claim that only our own tokens have. `None` for another type.
    fn read_private(&mut self, name: &str, value: Value<'a>) -> Option<()> {
        match name {
            "auth_time" => self.auth_time = Some(NumericDate::read(value)?),
            "abs" => self.abs = Some(NumericDate::read(value)?),
            "sid" => self.sid = Some(Handle::from_bytes(sixteen(value)?)),
            "rev" => self.rev = Some(Stamp::from_bytes(sixteen(value)?)),
            "ver" => self.ver = Some(NumericDate::read(value)?),
            "device" => self.device = Some(value.text()?),
            "roles" => self.roles = Some(value.texts()?),
            "stp" => {
                read_step(value.raw)?;
                self.stp = Some(value.raw);
            }
            "data" => self.data = Some(value.raw),
            // A later version demands that this one understands a claim, as `crit` does in a header
            // (RFC 7515, section 4.1.11).
            "crit" => return None,
            _ => {}
        }
        Some(())
    }
}

/// Reads a step-up. `None` if a member is missing or has another type.
fn read_step(json: &str) -> Option<StepUp<Text<'_>>> {
    let (mut acr, mut at, mut until) = (None, None, None);
    json::object(json, |name, value| {
        match &*name.decode() {
            "acr" => acr = Some(value.text()?),
            "at" => at = Some(NumericDate::read(value)?),
            "exp" => until = Some(NumericDate::read(value)?),
            _ => {}
        }
        Some(())
    })?;
    Some(StepUp::new(acr?, at?.floor(), until?.floor()))
}

/// Decodes a string of 16 bytes in base64url.
fn sixteen(value: Value<'_>) -> Option<[u8; 16]> {
    base64url::decode_16(value.text()?.decode().as_bytes().try_into().ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_dates_without_wrapping() {
        let read = |number: &str| {
            let mut date = None;
            json::object(&format!("{{\"exp\":{number}}}"), |_, value| {
                date = NumericDate::read(value);
                Some(())
            })?;
            date.map(|date| (date.floor().unix(), date.ceil().unix()))
        };
        assert_eq!(read("0"), Some((0, 0)));
        assert_eq!(read("1700000000.5"), Some((1_700_000_000, 1_700_000_001)));
        assert_eq!(read("1.8e9"), Some((1_800_000_000, 1_800_000_000)));
        assert_eq!(read("18E8"), Some((1_800_000_000, 1_800_000_000)));
        assert_eq!(read("-0"), Some((0, 0)));
        assert_eq!(
            read("253402300799"),
            Some((253_402_300_799, 253_402_300_799))
        );
        for absurd in [
            "253402300800",
            "-1",
            "-0.5",
            "1e30",
            "18446744073709551616",
            "9e999",
        ] {
            assert_eq!(read(absurd), None, "{absurd}");
        }
        for other in ["\"1\"", "[1]", "[]", "{}", "null", "true"] {
            assert_eq!(read(other), None, "{other}");
        }
    }
}
