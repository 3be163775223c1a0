//! Step-up: a proof beside the login, for a time.

use crate::clock::{self, Timestamp};

/// A step-up of a login; see [`Edit::step_up`](crate::Edit::step_up).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct StepUp<T = String> {
    /// The first generation of the credential that has it. Holders of older ones proved nothing.
    pub(crate) since: u32,
    /// Time of the proof.
    pub(crate) at: Timestamp,
    /// The first moment at which the login has its own class again.
    pub(crate) until: Timestamp,
    /// The authentication context class.
    pub(crate) acr: T,
}

impl<T> StepUp<T> {
    pub(crate) fn new(acr: T, at: Timestamp, until: Timestamp) -> Self {
        Self {
            since: 0,
            at,
            until,
            acr,
        }
    }

    /// Returns true if it is in force at `now`. A clock that was set back to before the proof does not
    /// lengthen it.
    #[inline]
    pub(crate) fn is_in_force(&self, now: Timestamp) -> bool {
        now < self.until && !clock::is_ahead(self.at, now)
    }
}

impl<T: AsRef<str>> StepUp<T> {
    /// Encodes it for storage: generation, both times and class, with big-endian numbers.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut bytes = self.since.to_be_bytes().to_vec();
        bytes.extend(self.at.unix().to_be_bytes());
        bytes.extend(self.until.unix().to_be_bytes());
        bytes.extend(self.acr.as_ref().as_bytes());
        bytes
    }
}

impl<'a> StepUp<&'a str> {
    /// Decodes stored bytes. `None` for other bytes: then the class of the login counts.
    pub(crate) fn decode(bytes: &'a [u8]) -> Option<Self> {
        let (since, rest) = bytes.split_first_chunk()?;
        let (at, rest) = rest.split_first_chunk()?;
        let (until, acr) = rest.split_first_chunk()?;
        Some(Self {
            since: u32::from_be_bytes(*since),
            at: Timestamp::from_unix(u64::from_be_bytes(*at)),
            until: Timestamp::from_unix(u64::from_be_bytes(*until)),
            acr: std::str::from_utf8(acr).ok()?,
        })
    }
}
