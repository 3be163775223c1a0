//! The stored state of a login, and every change to it.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde::de::DeserializeOwned;

use crate::base::public_id::PublicId;
use crate::clock::{Timestamp, within};
use crate::error::{Error, Result};
use crate::login::begun::IssuerId;
use crate::login::data::DataReader;
use crate::login::fields::Fields;
use crate::login::handle::Handle;
use crate::login::identity::Identity;
use crate::login::purpose::purpose_of;
use crate::login::stamp::Stamp;
use crate::store::ask::{Rotation, Scope, Update};
use crate::store::proof::Proof;
use crate::store::record_ref::RecordRef;

/// The version of the envelope that this crate writes.
pub(crate) const FORMAT: u8 = 1;
/// Bytes of the envelope in front of the fields.
const HEAD: usize = 160;
/// Seed of a credential that is not derived from the one before: that of a step-up.
pub(crate) const UNDERIVED: [u8; 16] = [0; 16];
/// Parts of the idle timeout: at most one use is recorded in each.
const TOUCHES_PER_IDLE: u32 = 8;
/// The longest time in which only one use is recorded, so that a use every day keeps a login alive
/// for nearly its whole idle timeout, and that last uses can be compared.
const MAX_TOUCH_INTERVAL: Duration = Duration::from_secs(3600);

/// The stored state of one login.
///
/// A store treats it as a value: it stores it, returns it, and changes it with the methods
/// [`touch`](Self::touch), [`rotate`](Self::rotate), [`update`](Self::update) and
/// [`confirm`](Self::confirm), each as one atomic step. These methods are the same for every
/// backend. Cloning is cheap: small subjects, roles and data are inline.
///
/// A record holds proofs (hashes) of credentials and no credential: reading a store does not let
/// anyone log in (OWASP ASVS 7.2.3).
#[derive(Clone)]
pub struct Record {
    pub(crate) handle: Handle,
    pub(crate) generation: u32,
    pub(crate) version: u64,
    pub(crate) created_at: Timestamp,
    pub(crate) authenticated_at: Timestamp,
    pub(crate) deadline: Timestamp,
    pub(crate) last_seen: Timestamp,
    pub(crate) idle: u64,
    pub(crate) current: Proof,
    pub(crate) family: Proof,
    pub(crate) confirmed: bool,
    pub(crate) rotation_wanted: bool,
    /// Separate, so that logins without a history are smaller by a cache line.
    pub(crate) history: Option<Arc<History>>,
    pub(crate) fields: Fields,
}

/// Data only some logins have: the last rotation, with the time of its first use if there was one,
/// and the stamp.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct History {
    pub(crate) previous: Proof,
    pub(crate) seed: [u8; 16],
    pub(crate) rotated_at: Timestamp,
    pub(crate) stamp: Option<Stamp>,
}

impl History {
    /// Returns `None` if there is nothing to keep.
    pub(crate) fn kept(self) -> Option<Arc<Self>> {
        (self != Self::default()).then(|| Arc::new(self))
    }
}

impl Record {
    /// The last rotation; all zero if the login was never rotated.
    pub(crate) fn history(&self) -> History {
        self.history.as_deref().copied().unwrap_or_default()
    }

    /// Returns the identity of the login that this row keeps, with `data` as its data, for the
    /// authenticator `verified_by`. A login that continues the identity is refused there once this one has
    /// ended. Pass [`IssuerId::NONE`] for an identity that no caller gets.
    pub(crate) fn identity<D>(&self, data: D, verified_by: IssuerId) -> Identity<D> {
        let purpose = purpose_of(self.fields.subject_bytes());
        RecordRef::from(self).identity(data, verified_by, purpose, false, false)
    }

    /// Returns true if the credential of `generation` has the class of a step-up at `now`.
    pub(crate) fn is_stepped(&self, generation: u32, now: Timestamp) -> bool {
        RecordRef::from(self).is_stepped(generation, now)
    }

    /// Returns the [`identity`](Self::identity) of the login that this row keeps, with the data of the row.
    ///
    /// # Errors
    ///
    /// *Unreadable* if the data do not decode.
    pub(crate) fn read_identity<D>(
        &self,
        reader: &DataReader<D>,
        verified_by: IssuerId,
    ) -> Result<Identity<D>>
    where
        D: DeserializeOwned + 'static,
    {
        let data = reader.read(|| self.fields.data());
        let data = data.map_err(|error| error.of_login(self.public_id()))?;
        Ok(self.identity(data, verified_by))
    }

    /// The handle by which the store finds the row.
    #[must_use]
    pub fn handle(&self) -> Handle {
        self.handle
    }

    /// The id under which the login may be shown and logged.
    #[must_use]
    pub fn public_id(&self) -> PublicId {
        self.handle.public_id()
    }

    /// The subject. A store indexes it for [`list`], [`remove_subject`] and the limit.
    ///
    /// [`list`]: crate::store::contract::SessionStore::list
    /// [`remove_subject`]: crate::store::contract::SessionStore::remove_subject
    #[must_use]
    pub fn subject(&self) -> &str {
        self.fields.subject()
    }

    /// Number of changes of roles, device and data.
    #[must_use]
    pub fn version(&self) -> u64 {
        self.version
    }

    /// Number of rotations of the credential.
    #[must_use]
    pub fn generation(&self) -> u32 {
        self.generation
    }

    /// Time at which the login began.
    #[must_use]
    pub fn created_at(&self) -> Timestamp {
        self.created_at
    }

    /// The first moment at which the login is expired, however much it is used.
    #[must_use]
    pub fn deadline(&self) -> Timestamp {
        self.deadline
    }

    /// The last recorded use.
    #[must_use]
    pub fn last_seen(&self) -> Timestamp {
        self.last_seen
    }

    /// The idle timeout: the time for which the login lives without a use. In whole seconds.
    #[must_use]
    pub fn idle(&self) -> Duration {
        Duration::from_secs(self.idle)
    }

    /// The stamp of the login in the revocation log, if it has one.
    #[must_use]
    pub fn stamp(&self) -> Option<Stamp> {
        RecordRef::from(self).stamp()
    }

    /// The first moment at which the login expires without another use: by idle or absolute
    /// timeout, whichever comes first.
    #[must_use]
    pub fn expires_at(&self) -> Timestamp {
        RecordRef::from(self).expires_at()
    }

    /// Returns true if the login has not expired at `now`. A login that expires exactly at `now`
    /// has expired.
    #[must_use]
    pub fn is_alive(&self, now: Timestamp) -> bool {
        now < self.expires_at()
    }

    /// Records a use at `seen_at`, if it advances the last use. Never shortens the login, never
    /// revives it, and leaves the version. Returns `false` if nothing changed.
    pub fn touch(&mut self, seen_at: Timestamp) -> bool {
        let notes = seen_at > self.last_seen && self.is_alive(seen_at);
        if notes {
            self.last_seen = seen_at;
        }
        notes
    }

    /// The time after a recorded use in which further uses need not be recorded: an eighth of the
    /// idle timeout, and at most an hour. The login may expire early by this much, and never late.
    #[must_use]
    pub fn touch_interval(&self) -> Duration {
        touch_interval(self.idle)
    }

    /// Returns true if a use at `now` must be recorded: the last recorded use is older than the
    /// [interval](Self::touch_interval).
    #[must_use]
    pub fn wants_touch(&self, now: Timestamp) -> bool {
        RecordRef::from(self).wants_touch(now)
    }

    /// Returns true if the last recorded use is at least half of the idle timeout ago. A store that
    /// delays its writes must write the next use before it acknowledges it. A crash then ends a
    /// login early by at most half of the idle timeout.
    #[must_use]
    pub fn is_touch_overdue(&self, now: Timestamp) -> bool {
        is_due(self.last_seen, Duration::from_secs(self.idle) / 2, now)
    }

    /// Sets the last use, for a store that leaves the idle timeout to its server: a row that the
    /// server still has is alive.
    pub fn set_last_seen(&mut self, seen_at: Timestamp) {
        self.last_seen = seen_at;
    }

    /// Rotates to the next credential if the presented proof is the current one and the overlap of
    /// the last rotation has passed. Returns `false` if the record is unchanged; an expired login
    /// is never rotated. Keeps the shorter one of both idle timeouts.
    pub fn rotate(&mut self, rotation: &Rotation, now: Timestamp) -> bool {
        let idle = self.idle.min(rotation.idle.as_secs());
        let is_idle = now >= self.last_seen.saturating_add(idle);
        if is_idle || !self.is_alive(now) {
            return false;
        }
        let history = self.history();
        let overlap = rotation.overlap.as_secs();
        let rests = self.generation > 0 && within(history.rotated_at, overlap, now);
        let Some(next) = self.generation.checked_add(1) else {
            return false;
        };
        if rests || rotation.generation != self.generation || rotation.presented != self.current {
            return false;
        }
        let history = History {
            previous: self.current,
            seed: rotation.seed,
            rotated_at: now,
            stamp: history.stamp,
        };
        self.history = history.kept();
        self.current = rotation.next;
        self.generation = next;
        self.last_seen = self.last_seen.max(now);
        self.idle = idle;
        self.confirmed = false;
        self.rotation_wanted = false;
        true
    }

    /// Moves the last rotation to `rotated_at`, from which the grace counts. Returns `false` if it is not
    /// earlier. No use of the login.
    pub(crate) fn restart_grace(&mut self, rotated_at: Timestamp) -> bool {
        let history = self.history();
        let is_earlier = history.rotated_at < rotated_at;
        if is_earlier {
            self.history = History {
                rotated_at,
                ..history
            }
            .kept();
        }
        is_earlier
    }

    /// Replaces the current credential, which is unused, by another successor of the previous one. The
    /// previous one stays, and the replaced one is then recognised by its family alone. It is no use of the
    /// login: a login that has ended in the log is not kept alive by it.
    pub(crate) fn replace_successor(
        &mut self,
        generation: u32,
        next: Proof,
        seed: [u8; 16],
        now: Timestamp,
    ) {
        let history = History {
            seed,
            rotated_at: now,
            ..self.history()
        };
        self.history = history.kept();
        self.current = next;
        self.generation = generation;
        self.rotation_wanted = false;
    }

    /// Replaces roles, device, data, step-up or stamp if `expected` is the current version. Returns
    /// `false` if it is not. A change of roles makes a refresh of the credential due (OWASP ASVS 7.2.4).
    pub fn update(&mut self, expected: u64, update: &Update) -> bool {
        if expected != self.version {
            return false;
        }
        let roles = update.roles.as_ref();
        let device = update.device.as_ref().map(Option::as_deref);
        let data = update.data.as_ref().map(Option::as_deref);
        let step = update.step.as_ref();
        if roles.is_some() || device.is_some() || step.is_some() || data.is_some() {
            let roles = roles.map(|roles| roles.iter().map(String::as_str));
            self.rotation_wanted |= roles
                .clone()
                .is_some_and(|roles| !roles.eq(self.fields.roles()));
            self.fields = self.fields.with(roles, device, step, data);
        }
        if update.stamp.is_some() {
            let history = History {
                stamp: update.stamp,
                ..self.history()
            };
            self.history = history.kept();
        }
        self.version = self.version.saturating_add(1);
        true
    }

    /// Records the first use of the credential of `generation`, if it is the current one. Returns
    /// `false` if nothing changed.
    ///
    /// The overlap restarts at this moment: the answer with the credential may have been lost and
    /// repeated, while requests with the replaced credential are in flight.
    pub fn confirm(&mut self, generation: u32, now: Timestamp) -> bool {
        let notes = generation == self.generation && !self.confirmed;
        if notes {
            self.confirmed = true;
            let history = self.history();
            let history = History {
                rotated_at: history.rotated_at.max(now),
                ..history
            };
            self.history = history.kept();
        }
        notes
    }

    /// Returns true if `scope` covers the login.
    #[must_use]
    pub fn is_in(&self, scope: &Scope) -> bool {
        scope.covers(self.handle, self.stamp())
    }

    /// Encodes the record for storage. All numbers are big-endian:
    ///
    /// | at | size | what |
    /// |---|---|---|
    /// | 0 | 1 | format, 1 |
    /// | 1 | 1 | confirmed: 1 once the current credential was used |
    /// | 2 | 1 | rotation wanted, 0 or 1 |
    /// | 3 | 1 | stamped, 0 or 1 |
    /// | 4 | 4 | generation |
    /// | 8 | 8 | version |
    /// | 16 | 8 | created at, seconds since 1970 |
    /// | 24 | 8 | authenticated at |
    /// | 32 | 8 | deadline |
    /// | 40 | 8 | rotated at, or first used after that |
    /// | 48 | 8 | last seen |
    /// | 56 | 8 | idle, seconds |
    /// | 64 | 16 | handle |
    /// | 80 | 16 | proof of the current credential |
    /// | 96 | 16 | proof of the previous one |
    /// | 112 | 16 | proof of the family |
    /// | 128 | 16 | seed of the current credential |
    /// | 144 | 16 | stamp: incarnation, position |
    /// | 160 | | fields: tag, length in base 128, bytes; subject 1, role 2, device 3, data 4, acr 5, step-up 8; unknown tags are kept below 128 and unreadable from 128 on |
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let history = self.history();
        let fields = self.fields.as_bytes();
        let mut bytes = Vec::with_capacity(HEAD + fields.len());
        bytes.extend([
            FORMAT,
            u8::from(self.confirmed),
            u8::from(self.rotation_wanted),
            u8::from(history.stamp.is_some()),
        ]);
        bytes.extend(self.generation.to_be_bytes());
        bytes.extend(self.version.to_be_bytes());
        for time in [
            self.created_at,
            self.authenticated_at,
            self.deadline,
            history.rotated_at,
            self.last_seen,
        ] {
            bytes.extend(time.unix().to_be_bytes());
        }
        bytes.extend(self.idle.to_be_bytes());
        bytes.extend(self.handle.as_bytes());
        for proof in [&self.current, &history.previous, &self.family] {
            bytes.extend(proof.as_bytes());
        }
        bytes.extend(history.seed);
        bytes.extend(history.stamp.map_or([0; 16], Stamp::to_bytes));
        bytes.extend(fields);
        bytes
    }

    /// Decodes bytes that [`encode`](Self::encode) wrote. Keeps fields that this version does not
    /// know.
    ///
    /// # Errors
    ///
    /// [*Unreadable*](Error::is_unreadable) for all other bytes, including newer formats.
    pub fn decode(bytes: &[u8]) -> Result<Self> {
        Self::read(bytes).ok_or_else(Error::unreadable)
    }

    fn read(bytes: &[u8]) -> Option<Self> {
        let mut head = Head(bytes);
        let [FORMAT, confirmed, rotation_wanted, stamped] = head.take()? else {
            return None;
        };
        let generation = u32::from_be_bytes(head.take()?);
        let version = u64::from_be_bytes(head.take()?);
        let created_at = head.time()?;
        let authenticated_at = head.time()?;
        let deadline = head.time()?;
        let rotated_at = head.time()?;
        let last_seen = head.time()?;
        let idle = u64::from_be_bytes(head.take()?);
        let handle = Handle::from_bytes(head.take()?);
        let current = Proof::from_bytes(head.take()?);
        let previous = Proof::from_bytes(head.take()?);
        let family = Proof::from_bytes(head.take()?);
        let seed = head.take()?;
        let stamp = Stamp::from_bytes(head.take()?);
        let history = History {
            previous,
            seed,
            rotated_at,
            stamp: flag(stamped)?.then_some(stamp),
        };
        Some(Self {
            handle,
            generation,
            version,
            created_at,
            authenticated_at,
            deadline,
            last_seen,
            idle,
            current,
            family,
            confirmed: flag(confirmed)?,
            rotation_wanted: flag(rotation_wanted)?,
            history: history.kept(),
            fields: Fields::decode(head.0)?,
        })
    }
}

/// The time after a recorded use in which further uses need not be recorded, for an idle timeout in
/// seconds. Exact, so that the shorter of two timeouts has the shorter interval.
pub(crate) fn touch_interval(idle: u64) -> Duration {
    (Duration::from_secs(idle) / TOUCHES_PER_IDLE).min(MAX_TOUCH_INTERVAL)
}

/// Returns true if a use at `now` must be recorded: the last one is at least `interval` old.
pub(crate) fn is_due(last_seen: Timestamp, interval: Duration, now: Timestamp) -> bool {
    now.saturating_since(last_seen) >= interval.as_secs().max(1)
}

fn flag(byte: u8) -> Option<bool> {
    match byte {
        0 => Some(false),
        1 => Some(true),
        _ => None,
    }
}

/// The unread rest of an envelope.
struct Head<'a>(&'a [u8]);

impl Head<'_> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (taken, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*taken)
    }

    fn time(&mut self) -> Option<Timestamp> {
        let seconds = u64::from_be_bytes(self.take()?);
        (seconds <= Timestamp::MAX.unix()).then(|| Timestamp::from_unix(seconds))
    }
}

impl fmt::Debug for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Record")
            .field("id", &self.public_id())
            .field("fields", &self.fields)
            .field("version", &self.version)
            .field("generation", &self.generation)
            .field("created_at", &self.created_at)
            .field("deadline", &self.deadline)
            .field("last_seen", &self.last_seen)
            .field("idle", &self.idle)
            .finish_non_exhaustive()
    }
}
