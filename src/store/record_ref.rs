//! A record that is shown in place.

use std::fmt;

use crate::clock::Timestamp;
use crate::login::begun::IssuerId;
use crate::login::fields::Fields;
use crate::login::handle::Handle;
use crate::login::identity::Identity;
use crate::login::purpose::Purpose;
use crate::login::stamp::Stamp;
use crate::store::proof::Proof;
use crate::store::record::{History, Record, UNDERIVED, is_due, touch_interval};

/// A [`Record`] that a store shows in place, without a copy of it.
///
/// A store makes one for [`peek`](crate::store::contract::SessionStore::peek), from its record:
/// `RecordRef::from(&record)`.
#[derive(Clone, Copy)]
pub struct RecordRef<'r> {
    pub(crate) handle: Handle,
    pub(crate) generation: u32,
    pub(crate) version: u64,
    pub(crate) created_at: Timestamp,
    pub(crate) authenticated_at: Timestamp,
    pub(crate) deadline: Timestamp,
    pub(crate) last_seen: Timestamp,
    pub(crate) idle: u64,
    pub(crate) current: &'r Proof,
    pub(crate) family: &'r Proof,
    pub(crate) confirmed: bool,
    pub(crate) rotation_wanted: bool,
    pub(crate) history: Option<&'r History>,
    pub(crate) fields: &'r Fields,
}

impl<'r> RecordRef<'r> {
    /// The handle by which the store finds the row.
    #[must_use]
    pub fn handle(self) -> Handle {
        self.handle
    }

    /// The subject.
    #[must_use]
    pub fn subject(self) -> &'r str {
        self.fields.subject()
    }

    /// Number of changes of roles and data.
    #[must_use]
    pub fn version(self) -> u64 {
        self.version
    }

    /// The stamp of the login in the revocation log, if it has one.
    #[must_use]
    pub fn stamp(self) -> Option<Stamp> {
        self.history?.stamp
    }

    /// Returns the first moment at which the login expires without another use.
    #[must_use]
    pub fn expires_at(self) -> Timestamp {
        self.last_seen.saturating_add(self.idle).min(self.deadline)
    }

    /// Returns true if the login has not expired at `now`.
    #[must_use]
    pub fn is_alive(self, now: Timestamp) -> bool {
        now < self.expires_at()
    }

    /// Returns true if a use at `now` must be recorded.
    #[must_use]
    pub fn wants_touch(self, now: Timestamp) -> bool {
        is_due(self.last_seen, touch_interval(self.idle), now)
    }

    /// Returns when the current credential was made, or first used after that.
    pub(crate) fn rotated_at(self) -> Timestamp {
        let rotated_at = self.history.map(|history| history.rotated_at);
        rotated_at.unwrap_or_default().max(self.created_at)
    }

    /// Returns true if the current credential is that of a step-up, which the one before does not
    /// derive.
    pub(crate) fn is_underived(self) -> bool {
        let history = self.history.copied().unwrap_or_default();
        self.generation > 0 && history.seed == UNDERIVED
    }

    /// Returns true if the credential of `generation` has the class of a step-up at `now`.
    #[inline]
    pub(crate) fn is_stepped(self, generation: u32, now: Timestamp) -> bool {
        // A step-up is a change: most logins were never changed, and are not searched.
        self.version > 0
            && self
                .fields
                .step()
                .is_some_and(|step| step.since <= generation && step.is_in_force(now))
    }

    /// Copies the row into a [`Record`].
    #[must_use]
    pub fn to_record(self) -> Record {
        Record {
            handle: self.handle,
            generation: self.generation,
            version: self.version,
            created_at: self.created_at,
            authenticated_at: self.authenticated_at,
            deadline: self.deadline,
            last_seen: self.last_seen,
            idle: self.idle,
            current: *self.current,
            family: *self.family,
            confirmed: self.confirmed,
            rotation_wanted: self.rotation_wanted,
            history: self.history.and_then(|history| history.kept()),
            fields: self.fields.clone(),
        }
    }

    /// Returns the identity of the login that this row keeps, with `data` as its data, as the authenticator
    /// `verified_by` has verified it. The caller knows the purpose of its rows, because reading it from the
    /// subject costs each verification.
    #[inline(always)]
    pub(crate) fn identity<D>(
        self,
        data: D,
        verified_by: IssuerId,
        purpose: Purpose,
        refresh_due: bool,
        is_stepped: bool,
    ) -> Identity<D> {
        Identity {
            fields: self.fields.clone(),
            handle: self.handle,
            issued_at: self.created_at,
            authenticated_at: self.authenticated_at,
            expires_at: self.expires_at(),
            deadline: self.deadline,
            stamp: self.stamp(),
            version: self.version,
            refresh_due,
            is_stepped,
            purpose,
            verified_by,
            data,
        }
    }
}

impl<'r> From<&'r Record> for RecordRef<'r> {
    #[inline]
    fn from(record: &'r Record) -> Self {
        Self {
            handle: record.handle,
            generation: record.generation,
            version: record.version,
            created_at: record.created_at,
            authenticated_at: record.authenticated_at,
            deadline: record.deadline,
            last_seen: record.last_seen,
            idle: record.idle,
            current: &record.current,
            family: &record.family,
            confirmed: record.confirmed,
            rotation_wanted: record.rotation_wanted,
            history: record.history.as_deref(),
            fields: &record.fields,
        }
    }
}

impl fmt::Debug for RecordRef<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("RecordRef").field(&self.to_record()).finish()
    }
}
