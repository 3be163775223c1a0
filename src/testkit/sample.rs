//! Rows and changes for tests of stores.

use std::time::Duration;

use crate::clock::Timestamp;
use crate::entropy::{self, SystemEntropy};
use crate::login::fields::FieldsBuilder;
use crate::login::handle::Handle;
use crate::login::stamp::Stamp;
use crate::store::contract::{Proof, Record, Rotation, Update};
use crate::store::record::History;

/// Builder of a row like one of the session strategy, to test a store without the strategy.
///
/// ```
/// use statewise::clock::Timestamp;
/// use statewise::testkit::Sample;
///
/// let now = Timestamp::from_unix(1_000_000);
/// let row = Sample::of("alice").idle(60).data(b"{}").at(now);
/// assert_eq!((row.subject(), row.expires_at()), ("alice", now.saturating_add(60)));
/// ```
#[derive(Clone, Debug)]
#[must_use = "call `at` to make a row"]
pub struct Sample {
    subject: String,
    roles: Vec<String>,
    device: Option<String>,
    acr: Option<String>,
    data: Option<Vec<u8>>,
    idle: u64,
    absolute: u64,
    stamp: Option<Stamp>,
}

impl Sample {
    /// Begins a login of `subject` with an idle timeout of an hour and an absolute one of a day.
    pub fn of(subject: impl Into<String>) -> Self {
        Self {
            subject: subject.into(),
            roles: Vec::new(),
            device: None,
            acr: None,
            data: None,
            idle: 3_600,
            absolute: 86_400,
            stamp: None,
        }
    }

    /// Adds a role.
    pub fn role(mut self, role: impl Into<String>) -> Self {
        self.roles.push(role.into());
        self
    }

    /// Sets the device.
    pub fn device(mut self, device: impl Into<String>) -> Self {
        self.device = Some(device.into());
        self
    }

    /// Sets the authentication context class.
    pub fn acr(mut self, acr: impl Into<String>) -> Self {
        self.acr = Some(acr.into());
        self
    }

    /// Sets the application's data, which may be any bytes.
    pub fn data(mut self, data: impl Into<Vec<u8>>) -> Self {
        self.data = Some(data.into());
        self
    }

    /// Sets the idle timeout in seconds.
    pub fn idle(mut self, seconds: u64) -> Self {
        self.idle = seconds;
        self
    }

    /// Sets the absolute timeout in seconds.
    pub fn absolute(mut self, seconds: u64) -> Self {
        self.absolute = seconds;
        self
    }

    /// Sets the stamp: a position in the revocation log.
    pub fn stamp(mut self, incarnation: u64, position: u64) -> Self {
        self.stamp = Some(Stamp::new(incarnation, position, 0));
        self
    }

    /// Makes the row of a login that begins at `now`, under a fresh random handle.
    ///
    /// # Panics
    ///
    /// If the operating system gives no random bytes.
    #[must_use]
    pub fn at(&self, now: Timestamp) -> Record {
        let mut fields = FieldsBuilder::new(&self.subject);
        self.roles.iter().for_each(|role| fields.role(role));
        if let Some(device) = &self.device {
            fields.device(device);
        }
        if let Some(acr) = &self.acr {
            fields.acr(acr);
        }
        if let Some(data) = &self.data {
            fields.data(data);
        }
        let history = History {
            stamp: self.stamp,
            ..History::default()
        };
        Record {
            handle: Handle::draw(self.subject.as_bytes(), &SystemEntropy).expect("random bytes"),
            generation: 0,
            version: 0,
            created_at: now,
            authenticated_at: now,
            deadline: now.saturating_add(self.absolute),
            last_seen: now,
            idle: self.idle,
            current: proof(),
            family: proof(),
            confirmed: true,
            rotation_wanted: false,
            history: history.kept(),
            fields: fields.build(),
        }
    }

    /// Makes the rotation that the holder of a row's current credential asks for, with an overlap
    /// of ten seconds.
    ///
    /// # Panics
    ///
    /// If the operating system gives no random bytes.
    #[must_use]
    pub fn rotation_of(row: &Record) -> Rotation {
        Rotation {
            generation: row.generation,
            presented: row.current,
            next: proof(),
            seed: *proof().as_bytes(),
            overlap: Duration::from_secs(10),
            idle: row.idle(),
        }
    }

    /// Makes an update of the data alone.
    #[must_use]
    pub fn update(data: impl Into<Vec<u8>>) -> Update {
        Update {
            data: Some(Some(data.into())),
            ..Update::default()
        }
    }
}

/// A random proof, for which no credential exists.
fn proof() -> Proof {
    Proof::from_bytes(entropy::draw(&SystemEntropy).expect("random bytes"))
}
