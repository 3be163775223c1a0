//! The claims of a verified payload (RFC 7519, section 4), in any order.

use crate::clock::Timestamp;
use crate::error::{Rejection, Result};
use crate::login::handle::Handle;
use crate::login::stamp::Stamp;
use crate::token::json::{self, Invalid, NumericDate, Text, Value};

/// The names that mean something here, each at most once, and of its type.
#[derive(Clone, Copy, Default)]
pub(crate) struct Claims<'a> {
    /// Whether `iss` and `aud` are known to be ours, and so not in the fields below.
    pub(crate) addressed: bool,
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
    /// An array of strings, with its brackets.
    pub(crate) roles: Option<&'a str>,
    pub(crate) device: Option<Text<'a>>,
    pub(crate) rev: Option<Stamp>,
    /// Any value, as it is written.
    pub(crate) data: Option<&'a str>,
}

/// Whom a token is meant for: one, or an array of strings (RFC 7519, section 4.1.3).
#[derive(Clone, Copy)]
pub(crate) enum Audience<'a> {
    One(Text<'a>),
    Many(&'a str),
}

impl Audience<'_> {
    pub(crate) fn includes(self, audience: &str) -> bool {
        match self {
            Self::One(one) => one.is(audience),
            Self::Many(many) => json::texts(many).any(|one| one.is(audience)),
        }
    }
}

/// The names that we write.
pub(crate) const WRITTEN: [&str; 13] = [
    "iss",
    "aud",
    "exp",
    "iat",
    "auth_time",
    "abs",
    "sid",
    "sub",
    "roles",
    "device",
    "acr",
    "rev",
    "data",
];

/// What a verified token says, once all of its claims have been checked.
#[derive(Clone, Copy)]
pub(crate) struct Facts<'a> {
    pub(crate) subject: Text<'a>,
    pub(crate) roles: &'a str,
    pub(crate) device: Option<Text<'a>>,
    pub(crate) acr: Option<Text<'a>>,
    pub(crate) handle: Handle,
    pub(crate) issued_at: Timestamp,
    pub(crate) authenticated_at: Timestamp,
    pub(crate) expires_at: Timestamp,
    pub(crate) deadline: Timestamp,
    /// The deadline as the token has it, whatever the policy of now says.
    pub(crate) signed_deadline: Timestamp,
    pub(crate) stamp: Option<Stamp>,
    /// The application's data, as they are written.
    pub(crate) data: Option<&'a str>,
    /// The whole claims set.
    pub(crate) json: &'a str,
    /// Whether somebody else made the token.
    pub(crate) foreign: bool,
}

impl<'a> Claims<'a> {
    /// The claims of one of our own tokens. What we write has its type, or is refused.
    pub(crate) fn own(json: &'a str) -> Result<Self> {
        let mut claims = Self::default();
        json::object(json, |name, value, raw| {
            if !claims.registered(name, value)? {
                claims.private(name, value, raw)?;
            }
            Ok(())
        })
        .map_err(|Invalid| Rejection::InvalidClaims)?;
        Ok(claims)
    }

    /// The claims of somebody else's token. What RFC 7519 registers has its type, and so has `acr`,
    /// which an application may require to have a value; what is ours alone means nothing there, but
    /// roles and `auth_time` are taken where they have their type.
    pub(crate) fn foreign(json: &'a str) -> Result<Self> {
        let mut claims = Self::default();
        json::object(json, |name, value, raw| {
            if !claims.registered(name, value)? && (name.is("roles") || name.is("auth_time")) {
                let _ = claims.private(name, value, raw);
            }
            Ok(())
        })
        .map_err(|Invalid| Rejection::InvalidClaims)?;
        Ok(claims)
    }

    /// Whether a claims set says that it is one of ours, good or not: by issuer and handle, or by
    /// asking to be understood.
    pub(crate) fn say_ours(json: &str, issuer: &str) -> bool {
        let (mut is_issuer, mut has_handle, mut is_critical) = (false, false, false);
        let read = json::object(json, |name, value, _| {
            is_issuer |= name.is("iss") && value.text().is_ok_and(|iss| iss.is(issuer));
            has_handle |= name.is("sid");
            is_critical |= name.is("crit");
            Ok(())
        });
        read.is_err() || is_critical || (is_issuer && has_handle)
    }

    /// Takes a claim of RFC 7519, section 4.1, or `acr` (OpenID Connect Core, section 2). `false` if
    /// it is none of them.
    fn registered(
        &mut self,
        name: Text<'a>,
        value: Value<'a>,
    ) -> std::result::Result<bool, Invalid> {
        let name = name.decode();
        match &*name {
            "iss" => self.iss = Some(value.text()?),
            "sub" => self.sub = Some(value.text()?),
            "jti" => self.jti = Some(value.text()?),
            "acr" => self.acr = Some(value.text()?),
            "exp" => self.exp = Some(value.date()?),
            "nbf" => self.nbf = Some(value.date()?),
            "iat" => self.iat = Some(value.date()?),
            "aud" => {
                self.aud = Some(match value {
                    Value::Text(one) => Audience::One(one),
                    Value::Array(many) if json::is_texts(many) => Audience::Many(many),
                    _ => return Err(Invalid),
                });
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// Takes a claim that our tokens carry beside those.
    fn private(
        &mut self,
        name: Text<'a>,
        value: Value<'a>,
        raw: &'a str,
    ) -> std::result::Result<(), Invalid> {
        let name = name.decode();
        match &*name {
            "auth_time" => self.auth_time = Some(value.date()?),
            "abs" => self.abs = Some(value.date()?),
            "sid" => self.sid = Some(Handle::from_bytes(sixteen(value.text()?)?)),
            "rev" => self.rev = Some(Stamp::from_bytes(sixteen(value.text()?)?)),
            "device" => self.device = Some(value.text()?),
            "data" => self.data = Some(raw),
            // What a later version wants understood, as `crit` does in a header (RFC 7515, 4.1.11).
            "crit" => return Err(Invalid),
            "roles" => match value {
                Value::Array(roles) if json::is_texts(roles) => self.roles = Some(roles),
                _ => return Err(Invalid),
            },
            _ => {}
        }
        Ok(())
    }
}

/// Sixteen bytes in their one spelling.
#[inline]
pub(crate) fn sixteen(text: Text<'_>) -> std::result::Result<[u8; 16], Invalid> {
    let text = text.decode();
    let digits = text.as_bytes().try_into().map_err(|_| Invalid)?;
    crate::base::public_id::decode_16(digits).ok_or(Invalid)
}
