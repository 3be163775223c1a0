//! Codes of authenticator apps (TOTP, RFC 6238). A real service keeps these fields in the row of the
//! user, and encrypts the secret.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use statewise::Error;
use statewise::clock::Clock;
use totp_rs::{Builder, Secret, Totp};

/// Wrong codes in a row after which a user has to wait (RFC 4226, section 7.3).
const MAX_WRONG: u32 = 5;
/// Seconds of that wait.
const WAIT_SECS: u64 = 15 * 60;

#[derive(Debug, PartialEq)]
pub(crate) enum Checked {
    Right,
    Wrong,
    /// Too many codes were wrong. This one was not looked at.
    Refused,
}

struct Factor {
    totp: Totp,
    /// Half minute of the last accepted code: no code is accepted twice (RFC 6238, section 5.2).
    last_step: u64,
    wrong: u32,
    refused_until: u64,
}

pub(crate) struct Codes {
    factors: Mutex<HashMap<String, Factor>>,
    clock: Arc<dyn Clock>,
}

impl Codes {
    /// Takes the secrets of users in base32, as their apps show them.
    pub(crate) fn of(users: &[(&str, &str)], clock: impl Clock) -> Result<Self, Error> {
        let mut factors = HashMap::new();
        for (user, secret) in users {
            let secret = Secret::try_from_base32(secret).map_err(Error::unavailable)?;
            // Six digits and half a minute; a code of the half minute before or after is accepted.
            let totp = Builder::new().with_secret(secret).build();
            let factor = Factor {
                totp: totp.map_err(Error::unavailable)?,
                last_step: 0,
                wrong: 0,
                refused_until: 0,
            };
            factors.insert((*user).to_owned(), factor);
        }
        Ok(Self {
            factors: Mutex::new(factors),
            clock: Arc::new(clock),
        })
    }

    /// Checks a code, and uses it up. In a database this is one statement, or a transaction with a
    /// lock on the row: of two requests with one code, one is right.
    pub(crate) fn check(&self, user: &str, code: &str) -> Result<Checked, Error> {
        let now = self.clock.now();
        let now = now.ok_or_else(|| Error::unavailable("no time"))?.unix();
        let mut factors = self.factors.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(factor) = factors.get_mut(user) else {
            return Ok(Checked::Wrong);
        };
        if now < factor.refused_until {
            return Ok(Checked::Refused);
        }
        let step = factor.totp.check(code, now);
        if let Some(step) = step.filter(|step| *step > factor.last_step) {
            factor.last_step = step;
            factor.wrong = 0;
            return Ok(Checked::Right);
        }
        factor.wrong += 1;
        if factor.wrong == MAX_WRONG {
            factor.wrong = 0;
            factor.refused_until = now + WAIT_SECS;
        }
        Ok(Checked::Wrong)
    }
}
