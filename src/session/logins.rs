//! Logins that are kept in a store: what sessions and the hybrid have in common.

use std::borrow::Cow;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::authenticator::revoke_all::AlsoEnds;
use crate::base::boxed::BoxFuture;
use crate::base::join::join;
use crate::base::public_id::PublicId;
use crate::clock::{self, Clock, Timestamp};
use crate::entropy::{self, Entropy};
use crate::error::{EndCause, EndedLogin, Error, Refusal, Rejection, Result};
use crate::login::Login;
use crate::login::begun::{Beginning, IssuerId};
use crate::login::data::{self, DataReader};
use crate::login::edit::EditFn;
use crate::login::handle::Handle;
use crate::login::identity::{Identity, check_size, fields_of};
use crate::login::issued::{Credential, Outcome, Revocation};
use crate::login::recent_changes::RecentChanges;
use crate::login::relatives::Relatives;
use crate::login::stamp::Stamp;
use crate::session::credential::{CredentialKind, SessionCredential};
use crate::session::judge::{Verdict, judge, judge_latest};
use crate::session::listed::{Session, SessionPage};
use crate::session::namespace::Namespace;
use crate::session::policy::Policy;
use crate::session::replay_limit::ReplayLimit;
use crate::session::sweeper::Sweeper;
use crate::store::answer::{Created, Peeked, Removed, Rotated, Updated};
use crate::store::ask::{Load, Rotation, Scope, Update};
use crate::store::listing::{Cursor, Page};
use crate::store::proof::Proof;
use crate::store::record::{History, Record, UNDERIVED};
use crate::store::record_ref::RecordRef;
use crate::store::session_store::SessionStore;
use crate::upkeep::Upkeep;

/// Rows on a page.
pub(crate) const ROWS_PER_PAGE: usize = 100;
/// Maximum number of attempts to update a row that other callers change at the same time.
const MAX_UPDATES: usize = 16;
/// Rows that are updated at the same time, so that a page takes a few round trips.
const UPDATES_AT_ONCE: usize = 16;
/// Rows that are read at a time to find one by its public id.
const ROWS_PER_SEARCH: usize = 1000;

/// Logins in a store, under one policy, with credentials of one kind. Knows nothing of the
/// application's data.
pub(crate) struct Logins<S> {
    pub(crate) kind: CredentialKind,
    pub(crate) namespace: Namespace,
    pub(crate) also_ends: AlsoEnds,
    pub(crate) store: Arc<S>,
    pub(crate) policy: Policy,
    pub(crate) replays: ReplayLimit,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) entropy: Arc<dyn Entropy>,
    pub(crate) changes: RecentChanges,
}

/// A login that is not in the store yet.
pub(crate) struct NewLogin {
    began: Beginning,
    pub(crate) now: Timestamp,
    credential: SessionCredential,
    pub(crate) row: Record,
}

/// A credential that was refreshed.
pub(crate) struct Refreshed {
    pub(crate) credential: SessionCredential,
    pub(crate) row: Record,
    pub(crate) outcome: Outcome,
}

/// A login after an update.
pub(crate) struct Edited {
    pub(crate) row: Record,
    pub(crate) has_changed: bool,
    pub(crate) has_new_roles: bool,
    /// The credential that a step-up has made.
    pub(crate) fresh: Option<SessionCredential>,
    /// The time from which no node shows the row as it was.
    pub(crate) effective: Revocation,
}

/// The logins on a page after an update of all logins.
pub(crate) struct UpdatedPage {
    /// Those that have been updated and have not ended.
    pub(crate) logins: Vec<Edited>,
    /// The first error of the others.
    pub(crate) outcome: Result<()>,
    pub(crate) next: Option<Page>,
}

/// Returns the update of a row. It may be called again with a newer row.
pub(crate) type DraftFn<'d> = &'d mut (dyn FnMut(&Record) -> Result<Update> + Send + 'd);

/// Result of ending a login by its credential.
pub(crate) enum Ended {
    /// The login of this row has ended.
    Login(Record, Removed),
    /// The credential has the handle of a login, but does not prove it.
    Unproven,
    /// There is no login under the handle, or no longer.
    Absent,
}

impl<S: SessionStore> Logins<S> {
    pub(crate) fn now(&self) -> Result<Timestamp> {
        clock::read(&*self.clock)
    }

    /// Reads a presented credential.
    #[inline(always)]
    pub(crate) fn parse(&self, credential: &str) -> Option<SessionCredential> {
        SessionCredential::parse(self.kind, credential)
    }

    /// Removes expired rows, and does what the store wants done.
    pub(crate) fn upkeep(&self) -> Upkeep {
        Upkeep::of(Sweeper(Arc::clone(&self.store)))
            .and(self.store.upkeep())
            .clock(Arc::clone(&self.clock))
    }

    // Issuing

    /// Returns the beginning of a login that begins now, at the position of a log in `stamp`.
    pub(crate) fn beginning(&self, stamp: Option<Stamp>) -> Beginning {
        Beginning {
            by: self.changes.id,
            count: self.changes.count(),
            stamp,
        }
    }

    /// Returns the beginning of a login that begins now, at the position of the store's log.
    pub(crate) async fn begin(&self) -> Result<Beginning> {
        let beginning = self.beginning(None);
        let stamp = self.store.begin(self.now()?).await?;
        Ok(Beginning { stamp, ..beginning })
    }

    /// Returns the beginning of a login: the one that it names, or the one of `begin`.
    pub(crate) async fn beginning_of<D>(
        &self,
        login: &Login<D>,
        begin: impl Future<Output = Result<Beginning>> + Send,
    ) -> Result<Beginning>
    where
        D: Sync,
    {
        match &login.begun {
            Some(begun) => begun.at(self.changes.id, self.now()?),
            None => begin.await,
        }
    }

    /// Refuses a login that continues one of this store, which `verifier` has verified, if that one has
    /// ended. Call it before the login that the new one replaces is ended.
    pub(crate) async fn check_continued<D>(
        &self,
        login: &Login<D>,
        verifier: IssuerId,
    ) -> Result<()>
    where
        D: Sync,
    {
        match login.continues {
            Some(of) if of.verified_by == verifier => {
                let row = self.alive(of.handle, self.now()?).await?;
                row.map(drop).ok_or_else(|| Refusal::Outdated.into())
            }
            _ => Ok(()),
        }
    }

    /// Draws the credential and builds the row of a login that began at `began`, bound to a browser
    /// by the hash of its secret if there is one. A login that continues another one keeps the stamp
    /// of that one. Writes nothing.
    pub(crate) fn prepare<D>(
        &self,
        login: &Login<D>,
        began: Beginning,
        browser: Option<[u8; 16]>,
    ) -> Result<NewLogin>
    where
        D: Serialize + 'static,
    {
        let now = self.now()?;
        let timeouts = self.policy.timeouts_of_new(login.is_remembered);
        let stamp = login.stamp.or(began.stamp);
        let data = self.encode(&login.data)?;
        let authenticated_at = login.authenticated_at.unwrap_or(now).min(now);
        let deadline = timeouts.deadline(authenticated_at);
        let deadline = login.deadline.unwrap_or(deadline).min(deadline);
        if deadline <= now {
            return Err(Rejection::Expired.into());
        }
        let mut fields = fields_of(login, data.as_deref())?;
        let subject = self.namespace.index(login.subject())?;
        if let Cow::Owned(subject) = &subject {
            fields = fields.with_subject(subject);
        }
        if let Some(hash) = &browser {
            fields = fields.with_browser(hash);
        }
        check_size(&fields, self.policy.max_fields)?;
        let mut credential =
            SessionCredential::draw(self.kind, &subject, login.is_remembered, &*self.entropy)?;
        if login.is_upgrade
            && let Some(handle) = login.upgraded(&subject, entropy::draw(&*self.entropy)?)
        {
            credential = credential.with_handle(handle);
        }
        let history = History {
            stamp,
            ..History::default()
        };
        let row = Record {
            handle: credential.handle(),
            generation: 0,
            // Rows of version 0 are not searched for a step-up.
            version: u64::from(login.step.is_some()),
            created_at: now,
            authenticated_at,
            deadline,
            last_seen: now,
            idle: timeouts.idle().as_secs(),
            current: credential.proof(),
            family: credential.family_proof(),
            // The first credential has no predecessor, so its first use reveals no reuse.
            confirmed: true,
            rotation_wanted: false,
            history: history.kept(),
            fields,
        };
        Ok(NewLogin {
            began,
            now,
            credential,
            row,
        })
    }

    /// Stores a new login. Returns its credential, and the logins that the limit evicted.
    pub(crate) async fn insert(&self, new: &mut NewLogin) -> Result<(Credential, Vec<Handle>)> {
        let now = new.now;
        let mut stored = self.create(&new.row, now).await?;
        if stored.is_none() {
            // A handle is never drawn twice, unless the entropy source repeats itself.
            let (subject, handle) = (new.row.subject(), new.row.handle());
            let mut drawn = SessionCredential::draw(
                self.kind,
                subject,
                handle.is_remembered(),
                &*self.entropy,
            )?;
            if handle.upgrades() > 0 {
                let number = entropy::draw(&*self.entropy)?;
                drawn = drawn.with_handle(handle.with_tag(handle.upgrades(), number));
            }
            new.credential = drawn;
            new.row.handle = drawn.handle();
            new.row.current = drawn.proof();
            new.row.family = drawn.family_proof();
            stored = self.create(&new.row, now).await?;
        }
        let Some(evicted) = stored else {
            return Err(Error::could_not("the entropy source repeats itself", None));
        };
        let row = &new.row;
        let checked = match self.changes.include(row.subject(), new.began.count) {
            true => Err(Refusal::Outdated.into()),
            false => self.store.check_new(row, new.began.stamp, now).await,
        };
        if let Err(error) = checked {
            // If the row stays, no client has its credential.
            let _ = self.store.remove(row.handle(), row.subject(), now).await;
            return Err(error.with_ended(self.ended_by_limit(row.subject(), &evicted)));
        }
        Ok((new.credential.encode(), evicted))
    }

    /// Returns the logins that the limit evicted, for the error of the login that they made way for.
    pub(crate) fn ended_by_limit<'h>(
        &self,
        indexed: &str,
        evicted: &'h [Handle],
    ) -> impl Iterator<Item = EndedLogin> + use<'h, S> {
        let subject: Box<str> = self.namespace.subject(indexed).into();
        evicted
            .iter()
            .map(move |handle| EndedLogin::new(&subject, handle.public_id(), EndCause::Evicted))
    }

    /// Stores a row. Returns the evicted logins; `None` if the handle is taken.
    async fn create(&self, row: &Record, now: Timestamp) -> Result<Option<Vec<Handle>>> {
        match self.store.create(row, self.policy.limit, now).await? {
            Created::Stored { evicted } => Ok(Some(evicted)),
            Created::Duplicate => Ok(None),
            Created::LimitReached => Err(Refusal::SessionLimit.into()),
            Created::Full => Err(Refusal::Capacity.into()),
        }
    }

    /// Returns `Ok` if the store answers.
    pub(crate) async fn ready(&self) -> Result<()> {
        let (nothing, load) = (Handle::from_bytes([0; 16]), Load::new().authoritative());
        self.store.load(nothing, load, self.now()?).await.map(drop)
    }

    // Judging

    /// Loads the row of a presented credential from the store itself, and verifies the credential.
    pub(crate) async fn proven(
        &self,
        credential: &SessionCredential,
        now: Timestamp,
    ) -> Result<Record> {
        let load = Load::new().authoritative();
        let handle = credential.handle();
        let row = name_login(self.store.load(handle, load, now).await, handle)?;
        let (row, verdict) = self.judge(row, credential, &credential.proof(), now)?;
        if !self.accepts(verdict) {
            return Err(self.reject(&row, verdict, now).await);
        }
        Ok(row)
    }

    /// Loads the live row of a handle from the store itself, without any credential.
    pub(crate) async fn alive(&self, handle: Handle, now: Timestamp) -> Result<Option<Record>> {
        let load = Load::new().authoritative();
        let Some(mut row) = name_login(self.store.load(handle, load, now).await, handle)? else {
            return Ok(None);
        };
        check_handle(&row, handle)?;
        if self.policy.tighten(&mut row, now) {
            return Ok(Some(row));
        }
        let _ = self.store.remove(handle, row.subject(), now).await?;
        Ok(None)
    }

    /// Judges a presented credential by the row that was loaded for it.
    #[inline]
    pub(crate) fn judge(
        &self,
        row: Option<Record>,
        credential: &SessionCredential,
        proof: &Proof,
        now: Timestamp,
    ) -> Result<(Record, Verdict)> {
        let mut row = row.ok_or(Rejection::Unknown)?;
        check_handle(&row, credential.handle())?;
        if !self.policy.tighten(&mut row, now) {
            return Ok((row, Verdict::Expired));
        }
        let verdict = judge((&row).into(), credential, proof, self.policy.windows, now);
        Ok((row, verdict))
    }

    /// Verifies a credential by a row that the store shows in place, and returns its identity with
    /// `data`. `None` if the store does not show it, or if more has to be done than to read it: then
    /// load the row.
    #[inline]
    pub(crate) fn try_verify_now<D>(
        &self,
        credential: &SessionCredential,
        proof: Proof,
        now: Timestamp,
        is_passive: bool,
        data: D,
    ) -> Option<Result<Identity<D>>> {
        let (handle, generation) = (credential.handle(), credential.generation());
        // Before the row is shown: the store may hold a lock meanwhile.
        let shows_copies = !self.store.staleness().is_zero();
        // Set in place: with a copy, a verification took 8 % longer (bench `verify`, 2026-11-29).
        let mut verified = None;
        let peeked = self.store.peek(handle, now, |row| {
            let row = self.policy.tightened(row);
            if row.handle != handle || !row.is_alive(now) {
                return;
            }
            match judge_latest(row, generation, &proof) {
                Some(Verdict::Current)
                    if row.confirmed && (is_passive || !row.wants_touch(now)) =>
                {
                    let refresh_due = !is_passive && self.refresh_due(row, Verdict::Current, now);
                    let is_stepped = row.is_stepped(generation, now);
                    let purpose = self.kind.purpose();
                    let verified_by = self.changes.id;
                    verified = Some(Ok(row.identity(
                        data,
                        verified_by,
                        purpose,
                        refresh_due,
                        is_stepped,
                    )));
                }
                // Final, unless the row may be an outdated copy.
                Some(Verdict::Unknown) if !shows_copies => {
                    verified = Some(Err(Rejection::Unknown.into()));
                }
                _ => {}
            }
        });
        if let Peeked::Absent = peeked {
            verified = Some(Err(Rejection::Unknown.into()));
        }
        verified
    }

    /// Returns when a change of a row counts on nodes that were not notified of it.
    pub(crate) fn effective_unnotified(&self) -> Revocation {
        match self.store.staleness() {
            Duration::ZERO => Revocation::Immediate,
            staleness => Revocation::Within(staleness),
        }
    }

    /// Returns whether the policy accepts a credential of this verdict.
    pub(crate) fn accepts(&self, verdict: Verdict) -> bool {
        match verdict {
            Verdict::Current | Verdict::Overlap | Verdict::Grace => true,
            Verdict::Orphaned => !self.policy.reject_orphaned,
            Verdict::Reused | Verdict::Ahead | Verdict::Unknown | Verdict::Expired => false,
        }
    }

    /// Rejects a credential of this verdict. Removes the row if the credential was stolen, or if
    /// the login has expired by this policy: neither becomes valid again if the clock is set back
    /// or the policy loosened.
    pub(crate) async fn reject(&self, row: &Record, verdict: Verdict, now: Timestamp) -> Error {
        let rejected = match verdict {
            Verdict::Ahead => return Rejection::Ahead.into(),
            Verdict::Orphaned | Verdict::Reused => {
                Error::theft_of(self.namespace.subject(row.subject()), row.public_id())
            }
            Verdict::Expired => Rejection::Unknown.into(),
            _ => return Rejection::Unknown.into(),
        };
        match self.store.remove(row.handle(), row.subject(), now).await {
            Ok(_) => rejected,
            Err(error) => error,
        }
    }

    /// Returns whether the client should refresh a credential of this verdict.
    #[inline]
    pub(crate) fn refresh_due(&self, row: RecordRef<'_>, verdict: Verdict, now: Timestamp) -> bool {
        let is_old = |age| now.saturating_since(row.rotated_at()) >= age;
        let is_due = match verdict {
            Verdict::Current => row.rotation_wanted || self.policy.rotate_after.is_some_and(is_old),
            // A step-up leaves the credential before it without a successor.
            _ => !row.is_underived(),
        };
        is_due && self.kind.is_refreshable()
    }

    // Refreshing

    /// Refreshes a credential: rotates the row, or replays the successor that it already has.
    ///
    /// The caller reads `now` before this call. Whatever it derives from the row is then no younger
    /// than the row, however long the store takes.
    ///
    /// # Errors
    ///
    /// *Unreadable* if `reader` cannot read the data of the row: then nothing is rotated.
    pub(crate) async fn refresh<D: DeserializeOwned + 'static>(
        &self,
        presented: SessionCredential,
        reader: &DataReader<D>,
        now: Timestamp,
    ) -> Result<Refreshed> {
        let proof = presented.proof();
        if !self.replays.allows(&proof, now) {
            return Err(Refusal::RefreshLimit.into());
        }
        self.check_data(&presented, &proof, reader, now).await?;
        let seed = entropy::draw(&*self.entropy)?;
        let next = presented.generation().checked_add(1);
        let next = next.and_then(|generation| presented.successor(generation, &seed));
        // After four billion rotations.
        let next = next.ok_or(Rejection::Unknown)?;
        let rotation = Rotation {
            generation: presented.generation(),
            presented: proof,
            next: next.proof(),
            seed,
            overlap: self.policy.windows.overlap(),
            idle: self.policy.timeouts_of(presented.handle()).idle(),
        };
        let handle = presented.handle();
        let rotated = self.store.rotate(handle, &rotation, now).await;
        let rotated = name_login(rotated, handle)?;
        let (mut row, rotated) = match rotated {
            Rotated::Done(row) => (row, true),
            Rotated::Unchanged(row) => (row, false),
            Rotated::Absent => return Err(Rejection::Unknown.into()),
        };
        check_handle(&row, handle)?;
        if !self.policy.tighten(&mut row, now) {
            return Err(self.reject(&row, Verdict::Expired, now).await);
        }
        let (credential, outcome) = if rotated {
            (next, Outcome::Rotated)
        } else {
            let replayed = self.replay(&mut row, presented, &proof, now).await?;
            self.replays.count(&proof, now);
            replayed
        };
        Ok(Refreshed {
            credential,
            row,
            outcome,
        })
    }

    /// Fails if the credential would be accepted, and the data of its row cannot be read. A rotation
    /// before that would leave the client with a replaced credential: it would count as orphaned
    /// after the grace. Without a type of data there is nothing to read, and no call of the store.
    async fn check_data<D: DeserializeOwned + 'static>(
        &self,
        credential: &SessionCredential,
        proof: &Proof,
        reader: &DataReader<D>,
        now: Timestamp,
    ) -> Result<()> {
        if data::is_none::<D>() {
            return Ok(());
        }
        let load = Load::new().authoritative();
        let handle = credential.handle();
        let row = name_login(self.store.load(handle, load, now).await, handle)?;
        match self.judge(row, credential, proof, now) {
            Ok((row, verdict)) if self.accepts(verdict) => {
                row.read_identity(reader, IssuerId::NONE).map(drop)
            }
            Err(error) if error.is_unavailable() => Err(error),
            // The rotation rejects it, and ends the login of a stolen credential.
            _ => Ok(()),
        }
    }

    /// Finds the answer to a refresh that did not rotate the row.
    async fn replay(
        &self,
        row: &mut Record,
        credential: SessionCredential,
        proof: &Proof,
        now: Timestamp,
    ) -> Result<(SessionCredential, Outcome)> {
        let windows = self.policy.windows;
        let mut verdict = judge((&*row).into(), &credential, proof, windows, now);
        let is_late = matches!(verdict, Verdict::Grace | Verdict::Orphaned);
        if is_late && self.kind.is_used_by_refreshing() && !self.policy.reject_orphaned {
            verdict = self
                .note_late(row, &credential, proof, verdict, now)
                .await?;
        }
        if !self.accepts(verdict) {
            return Err(self.reject(row, verdict, now).await);
        }
        let outcome = if verdict == Verdict::Orphaned {
            Outcome::Orphaned
        } else {
            Outcome::Replayed
        };
        if verdict == Verdict::Current || RecordRef::from(&*row).is_underived() {
            return Ok((credential, outcome));
        }
        let successor = credential.successor(row.generation, &row.history().seed);
        let successor = successor.filter(|successor| successor.proof() == row.current);
        let successor = successor.ok_or_else(|| Error::unreadable().of_login(row.public_id()))?;
        Ok((successor, outcome))
    }

    /// Notes in the row that a replaced credential was refreshed after the overlap, while its successor is
    /// unused. Only for credentials that are used by nothing but a refresh, so that the row sees each use.
    ///
    /// Within the grace, another tab of the client may do the same at this moment: the grace starts again, without
    /// its overlap. An orphaned credential gets a new successor, because another party may have got the first
    /// one. That one counts as reused from then on. Otherwise two holders that take turns would get the same
    /// successors for ever.
    ///
    /// Writes the new state to `row`. Returns `verdict`, which is the one before the change, or that by a newer
    /// row.
    async fn note_late(
        &self,
        row: &mut Record,
        credential: &SessionCredential,
        proof: &Proof,
        verdict: Verdict,
        now: Timestamp,
    ) -> Result<Verdict> {
        let (windows, seed) = (self.policy.windows, entropy::draw(&*self.entropy)?);
        let judge = |row: &Record| judge(row.into(), credential, proof, windows, now);
        let note = |row: &mut Record| {
            match judge(row) {
                // A step-up has a grace without end.
                Verdict::Grace if RecordRef::from(&*row).is_underived() => false,
                Verdict::Grace => row.restart_grace(now.saturating_sub(windows.overlap)),
                Verdict::Orphaned => {
                    // The replaced one must be older than the latest two generations, in which a wrong
                    // secret ends nothing. After four billion rotations it is not replaced.
                    let generation = row.generation.checked_add(2);
                    let next = generation.and_then(|next| credential.successor(next, &seed));
                    if let Some(next) = &next {
                        row.replace_successor(next.generation(), next.proof(), seed, now);
                    }
                    next.is_some()
                }
                _ => false,
            }
        };
        let handle = row.handle();
        let noted = self.store.change(handle, now, &note).await;
        let noted = name_login(noted, handle)?.ok_or(Rejection::Unknown)?;
        check_handle(&noted.record, handle)?;
        *row = noted.record;
        if !self.policy.tighten(row, now) {
            return Ok(Verdict::Expired);
        }
        Ok(match noted.changed {
            true => verdict,
            false => judge(row),
        })
    }

    // Changing

    /// Returns the stored form of application data; `None` for data that serialises to `null`.
    pub(crate) fn encode<D: Serialize + 'static>(&self, data: &D) -> Result<Option<Vec<u8>>> {
        let encoded = data::stored(data)?;
        self.check_data_size(encoded.as_ref())?;
        Ok(encoded)
    }

    fn check_data_size(&self, encoded: Option<&Vec<u8>>) -> Result<()> {
        if encoded.is_some_and(|json| json.len() > self.policy.max_data) {
            return Err(Refusal::TooLarge.into());
        }
        Ok(())
    }

    /// Returns the update of a row that `edit` makes.
    pub(crate) fn draft<D>(
        &self,
        row: &Record,
        reader: &DataReader<D>,
        edit: EditFn<'_, D>,
    ) -> Result<Update>
    where
        D: Serialize + DeserializeOwned + 'static,
    {
        let identity = row.read_identity(reader, IssuerId::NONE)?;
        let (_, changes) = identity.edit(edit, self.now()?)?;
        if changes.step.is_some() && !self.kind.is_refreshable() {
            return Err(Refusal::NotRefreshable.into());
        }
        self.check_data_size(changes.data.as_ref().and_then(Option::as_ref))?;
        let update = Update {
            roles: changes.roles,
            device: changes.device,
            data: changes.data,
            step: changes.step,
            stamp: None,
        };
        let mut edited = row.clone();
        edited.update(row.version(), &update);
        // A row from before the limit was lowered may shrink.
        if edited.fields.size_without_data() > row.fields.size_without_data() {
            check_size(&edited.fields, self.policy.max_fields)?;
        }
        Ok(update)
    }

    /// Updates a row by compare-and-swap. If another caller was faster, loads the row, verifies the
    /// presented credential if there is one, and tries again. `None` if the login has ended.
    ///
    /// A step-up first gets a credential, and then the class: a crash in between leaves a login
    /// without it, and the presented credential remains valid.
    pub(crate) async fn update(
        &self,
        mut row: Record,
        presented: Option<SessionCredential>,
        draft: DraftFn<'_>,
    ) -> Result<Option<Edited>> {
        let handle = row.handle();
        let mut fresh = None;
        for _ in 0..MAX_UPDATES {
            let mut update = draft(&row)?;
            let (now, mut may_write) = (self.now()?, true);
            if let Some(step) = &mut update.step {
                let presented = presented.ok_or_else(|| {
                    Error::misuse(
                        "a step-up of a login whose credential is not presented: update it by the \
                         credential of the user who has proven it",
                    )
                })?;
                let next = match fresh {
                    // Made by an earlier attempt, and not handed out yet.
                    Some(own) if SessionCredential::proof(&own) == row.current => Some(own),
                    _ => self.rotate_underived(&row, presented, now).await?,
                };
                match next {
                    Some(next) => step.since = next.generation(),
                    None => may_write = false,
                }
                fresh = next.or(fresh);
            }
            let edited = |row, effective| Edited {
                row,
                has_changed: update != Update::default(),
                has_new_roles: update.roles.is_some(),
                fresh,
                effective,
            };
            if update == Update::default() {
                // An earlier call may have changed the row, and failed to notify the other nodes.
                return Ok(Some(edited(row, self.effective_unnotified())));
            }
            if may_write {
                let updated = self.store.update(handle, row.version(), &update, now).await;
                match name_login(updated, handle)? {
                    Updated::Done {
                        record: mut row,
                        effective,
                    } => {
                        self.policy.tighten(&mut row, now);
                        return Ok(Some(edited(row, effective)));
                    }
                    Updated::Absent => return Ok(None),
                    Updated::Conflict => {}
                }
            }
            let next = match presented {
                // After a rotation it is an older one, and it has been verified before.
                Some(presented) if fresh.is_none() => Some(self.proven(&presented, now).await?),
                _ => self.alive(handle, now).await?,
            };
            match next {
                Some(next) => row = next,
                None => return Ok(None),
            }
        }
        Err(Error::could_not(
            "other calls keep changing the login",
            None,
        ))
    }

    /// Rotates a row to a credential that no other one derives, within an overlap too. `None` if
    /// another caller was faster.
    async fn rotate_underived(
        &self,
        row: &Record,
        presented: SessionCredential,
        now: Timestamp,
    ) -> Result<Option<SessionCredential>> {
        let handle = row.handle();
        let next = presented.draw_after(row.generation, &*self.entropy)?;
        let rotation = Rotation {
            generation: row.generation,
            presented: row.current,
            next: next.proof(),
            seed: UNDERIVED,
            overlap: Duration::ZERO,
            idle: self.policy.timeouts_of(handle).idle(),
        };
        let rotated = self.store.rotate(handle, &rotation, now).await;
        Ok(match name_login(rotated, handle)? {
            // Unchanged if the store has tried again after a lost answer.
            Rotated::Done(row) | Rotated::Unchanged(row) => {
                (row.current == rotation.next).then_some(next)
            }
            Rotated::Absent => None,
        })
    }

    /// Makes the logins of `subject` outdated that are in progress. Call it before the first page of
    /// [`update_page`](Self::update_page).
    pub(crate) async fn outdate(&self, subject: &str) -> Result<()> {
        let subject = self.namespace.index(subject)?;
        self.changes.note(&subject);
        self.store.outdate(&subject, self.now()?).await
    }

    /// Updates the logins on one page of a subject. A login that cannot be updated does not keep the
    /// others from it.
    ///
    /// # Errors
    ///
    /// *Unavailable* if the store cannot list the page.
    pub(crate) async fn update_page(
        &self,
        subject: &str,
        page: Page,
        draft: DraftFn<'_>,
    ) -> Result<UpdatedPage> {
        let (now, subject) = (self.now()?, self.namespace.index(subject)?);
        let listing = self.store.list(&subject, page, now).await?;
        let mut rows = listing.records;
        rows.retain_mut(|row| self.policy.tighten(row, now));
        let mut updated = UpdatedPage {
            logins: Vec::with_capacity(rows.len()),
            outcome: Ok(()),
            next: listing.next.map(|next| Page::after(next, page.limit)),
        };
        let draft = Mutex::new(draft);
        for rows in rows.chunks(UPDATES_AT_ONCE) {
            let updates = rows.iter().map(|row| {
                let row = row.clone();
                let draft = &draft;
                Box::pin(async move {
                    let one_at_a_time = &mut |row: &Record| {
                        // A panic of the application's edit ends this call.
                        let mut draft = draft.lock().unwrap_or_else(PoisonError::into_inner);
                        draft(row)
                    };
                    self.update(row, None, one_at_a_time).await
                }) as BoxFuture<'_, Result<Option<Edited>>>
            });
            for login in join(updates.collect()).await {
                match login {
                    Ok(login) => updated.logins.extend(login),
                    Err(error) => updated.outcome = updated.outcome.and(Err(error)),
                }
            }
        }
        Ok(updated)
    }

    // Listing and ending

    /// Ends a login by its credential, and returns the login if this call has ended it: of any number
    /// of calls, one. The credential is refused, and the login goes on, if its data cannot be read or
    /// `check` fails.
    pub(crate) async fn take<D: DeserializeOwned + 'static>(
        &self,
        credential: &str,
        reader: &DataReader<D>,
        check: impl FnOnce(&Record) -> Result<()>,
    ) -> Result<Identity<D>> {
        let now = self.now()?;
        let credential = self.parse(credential).ok_or(Rejection::Malformed)?;
        let row = self.proven(&credential, now).await?;
        check(&row)?;
        let identity = row.read_identity(reader, self.changes.id)?;
        let removed = self.store.remove(row.handle(), row.subject(), now).await?;
        if removed.count == 1 {
            return Ok(identity);
        }
        Err(Rejection::Unknown.into())
    }

    /// Lists the live logins of `subject` that the policy has not ended.
    pub(crate) async fn list(
        &self,
        subject: &str,
        after: Option<Cursor>,
        now: Timestamp,
    ) -> Result<SessionPage> {
        let (page, subject) = (
            Page {
                after,
                limit: ROWS_PER_PAGE,
            },
            self.namespace.index(subject)?,
        );
        let listing = self.store.list(&subject, page, now).await?;
        let mut rows = listing.records;
        rows.retain_mut(|row| self.policy.tighten(row, now));
        Ok(SessionPage {
            sessions: rows.into_iter().map(Session::new).collect(),
            next: listing.next,
        })
    }

    /// Loads the live row of the login of `subject` that is listed under `id`.
    pub(crate) async fn find_alive(
        &self,
        subject: &str,
        id: PublicId,
        now: Timestamp,
    ) -> Result<Option<Record>> {
        match self.find(subject, id, now).await? {
            Some(handle) => self.alive(handle, now).await,
            None => Ok(None),
        }
    }

    /// Finds the login of `subject` that is listed under `id`.
    pub(crate) async fn find(
        &self,
        subject: &str,
        id: PublicId,
        now: Timestamp,
    ) -> Result<Option<Handle>> {
        let subject = self.namespace.index(subject)?;
        let mut page = Page::first(ROWS_PER_SEARCH);
        loop {
            let listing = self.store.list(&subject, page, now).await?;
            let found = listing.records.iter().find(|row| row.public_id() == id);
            match (found, listing.next) {
                (Some(row), _) => return Ok(Some(row.handle())),
                (None, Some(next)) => page = Page::after(next, ROWS_PER_SEARCH),
                (None, None) => return Ok(None),
            }
        }
    }

    /// Removes the logins of `subject` that `scope` covers, and those in progress on this node.
    pub(crate) async fn remove_subject(
        &self,
        subject: &str,
        scope: Scope,
        now: Timestamp,
    ) -> Result<Removed> {
        let subject = self.namespace.index(subject)?;
        self.changes.note(&subject);
        self.store.remove_subject(&subject, scope, now).await
    }

    /// Removes the other logins of the subject of `row`, and those in progress on this node.
    pub(crate) async fn remove_others(&self, row: &Record, now: Timestamp) -> Result<Removed> {
        self.changes.note(row.subject());
        let others = Scope::others(row.handle());
        self.store.remove_subject(row.subject(), others, now).await
    }

    /// Removes a login of `subject`.
    pub(crate) async fn remove(
        &self,
        handle: Handle,
        subject: &str,
        now: Timestamp,
    ) -> Result<Removed> {
        let subject = self.namespace.index(subject)?;
        self.store.remove(handle, &subject, now).await
    }

    /// Returns the relatives of a login of `subject`.
    pub(crate) async fn find_relatives(
        &self,
        subject: &str,
        relatives: &Relatives,
        now: Timestamp,
    ) -> Result<Vec<Record>> {
        let mut found = Vec::new();
        let mut page = (!relatives.is_empty()).then(|| Page::first(ROWS_PER_SEARCH));
        let subject = self.namespace.index(subject)?;
        while let Some(this) = page {
            let listing = self.store.list(&subject, this, now).await?;
            let rows = listing.records.into_iter();
            found.extend(rows.filter(|row| relatives.contain(row.handle())));
            page = listing.next.map(|next| Page::after(next, ROWS_PER_SEARCH));
        }
        Ok(found)
    }

    /// Refuses an overlap in which a replaced credential would count as stolen.
    pub(crate) fn check_overlap(&self, overlap: Duration) -> Result<()> {
        if self.policy.reject_orphaned && self.policy.windows.grace < overlap.as_secs() {
            return Err(Error::misuse(format!(
                "sessions that reject orphaned credentials have a grace of {} s, and a change of strategy \
                 presents old credentials for {} s: make the `grace` as long as the overlap, or the overlap \
                 shorter",
                self.policy.windows.grace,
                overlap.as_secs(),
            )));
        }
        Ok(())
    }

    /// Returns the row of a credential that proves its login, however old it is.
    pub(crate) async fn prove(&self, credential: &str) -> Result<Option<Record>> {
        Ok(self.row_to_end(credential, self.now()?).await?.ok())
    }

    /// Ends the login of a credential. The policy is not asked: another node may have a looser one.
    pub(crate) async fn end(&self, credential: &str) -> Result<Ended> {
        let now = self.now()?;
        let row = match self.row_to_end(credential, now).await? {
            Ok(row) => row,
            Err(ended) => return Ok(ended),
        };
        let removed = self.store.remove(row.handle(), row.subject(), now).await?;
        Ok(Ended::Login(row, removed))
    }

    /// Loads the row of a credential. Returns why there is nothing to end if the credential proves no login.
    async fn row_to_end(
        &self,
        credential: &str,
        now: Timestamp,
    ) -> Result<std::result::Result<Record, Ended>> {
        let credential = self.parse(credential).ok_or(Rejection::Malformed)?;
        let (handle, load) = (credential.handle(), Load::new().authoritative());
        let Some(row) = name_login(self.store.load(handle, load, now).await, handle)? else {
            return Ok(Err(Ended::Absent));
        };
        check_handle(&row, handle)?;
        let (proof, windows) = (credential.proof(), self.policy.windows);
        if judge((&row).into(), &credential, &proof, windows, now) == Verdict::Unknown {
            return Ok(Err(Ended::Unproven));
        }
        Ok(Ok(row))
    }
}

/// Names the login in the error of a row that does not decode.
#[inline]
pub(crate) fn name_login<T>(answer: Result<T>, handle: Handle) -> Result<T> {
    answer.map_err(|error| error.of_login(handle.public_id()))
}

/// Refuses the row of another handle than the one that was asked for.
fn check_handle(row: &Record, handle: Handle) -> Result<()> {
    if row.handle() == handle {
        return Ok(());
    }
    // The store has mixed up two answers, so neither can be trusted.
    let what = "the session store answered with another session";
    Err(Error::could_not(what, None))
}

impl<S: fmt::Debug> fmt::Debug for Logins<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Logins")
            .field("store", &self.store)
            .field("policy", &self.policy)
            .field("clock", &self.clock)
            .finish_non_exhaustive()
    }
}
