//! The facts that a node knows: in memory, checked on every request.

use std::collections::HashMap;
use std::collections::hash_map::Entry as Slot;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use crate::clock::Timestamp;
use crate::login::handle::Handle;
use crate::login::stamp::Stamp;
use crate::revocation::fact::{Entry, FIRST_POSITION, Fact, KeyId, SubjectKey};
use crate::revocation::filter::Filter;
use crate::revocation::log::MARGIN;
use crate::revocation::news::News;

/// Number of shards, each with its own lock; the partitions are divided among them.
const SHARDS: usize = 64;
/// Number of partitions of handles.
const PARTITIONS: usize = 4096;

/// Status of a login by the known facts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LoginStatus {
    /// No fact ends it.
    Active,
    /// Its row has changed, at least to this version.
    Changed(u64),
    /// It has ended: this login, or everything.
    Ended,
    /// All logins of its subject ended after it began.
    EndedWithSubject,
    /// All logins of its subject, or everything, ended, and its stamp is of a part that the log has
    /// lost: it cannot be compared.
    LostStamp {
        /// True if everything ended.
        everything: bool,
    },
    /// All logins of its subject, or everything, ended, and its stamp is beyond what has been read:
    /// it cannot be compared yet.
    UnreadStamp {
        /// True if everything ended.
        everything: bool,
    },
}

/// All facts that have not expired, combined by maximum.
///
/// A check takes no lock unless a fact may apply. It reads one word of the [`Filter`] for the
/// handle and one number for the partition of the subject. Only if a subject of that partition, or
/// everything, was ended, it also reads one mark.
pub(super) struct KnownFacts {
    shards: Box<[Shard]>,
    /// For each partition, the latest position before which a subject of it was ended.
    latest: Box<[AtomicU64]>,
    /// The position before which everything was ended.
    everything: AtomicU64,
    /// For the last positions, the lower half of the position and the mark of its entry. As many as
    /// the capacity: for so many entries a stamp of a lost part is recognized.
    marks: Box<[AtomicU64]>,
    incarnation: AtomicU64,
    /// The last position that was applied.
    applied: AtomicU64,
    has_keys: AtomicBool,
    rare: RwLock<RareFacts>,
    count: AtomicUsize,
    /// Number of changes of logins among them.
    changes: AtomicUsize,
    /// Number of calls of `sweep`, each of which sweeps one shard.
    sweeps: AtomicUsize,
    pub(super) news: News,
}

struct Shard {
    filter: Filter,
    facts: RwLock<ShardFacts>,
}

/// The facts about logins and subjects of one shard, each with its expiry.
#[derive(Default)]
struct ShardFacts {
    logins: HashMap<Handle, Timestamp>,
    changed: HashMap<Handle, (u64, Timestamp)>,
    subjects: HashMap<SubjectKey, (u64, Timestamp)>,
}

/// Facts that hardly ever change, behind one lock.
#[derive(Default)]
struct RareFacts {
    keys: HashMap<KeyId, Timestamp>,
    everything_until: Timestamp,
}

impl ShardFacts {
    fn len(&self) -> usize {
        self.logins.len() + self.changed.len() + self.subjects.len()
    }
}

impl Shard {
    // No foreign code runs under the lock, so a panic leaves nothing half done.
    fn read(&self) -> RwLockReadGuard<'_, ShardFacts> {
        self.facts.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, ShardFacts> {
        self.facts.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl KnownFacts {
    /// Creates an empty set. It is sized for `capacity` facts and takes more.
    pub(super) fn new(capacity: usize) -> Self {
        let zeros = |count: usize| (0..count).map(|_| AtomicU64::new(0)).collect();
        let shard = |_| Shard {
            filter: Filter::new(capacity.div_ceil(SHARDS)),
            facts: RwLock::default(),
        };
        Self {
            shards: (0..SHARDS).map(shard).collect(),
            latest: zeros(PARTITIONS),
            everything: AtomicU64::new(0),
            marks: zeros(capacity.next_power_of_two()),
            incarnation: AtomicU64::new(0),
            applied: AtomicU64::new(0),
            has_keys: AtomicBool::new(false),
            rare: RwLock::default(),
            count: AtomicUsize::new(0),
            changes: AtomicUsize::new(0),
            sweeps: AtomicUsize::new(0),
            news: News::default(),
        }
    }

    /// Returns the number of facts about logins and subjects.
    pub(super) fn len(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }

    /// Returns the number of facts that logins have changed.
    pub(super) fn changes(&self) -> usize {
        self.changes.load(Ordering::Relaxed)
    }

    fn shard_of(&self, partition: u16) -> &Shard {
        &self.shards[usize::from(partition) % SHARDS]
    }

    /// Returns true if a stamp is of the incarnation that is followed.
    #[inline]
    pub(super) fn is_current(&self, stamp: Stamp) -> bool {
        stamp.incarnation() == self.incarnation.load(Ordering::Relaxed)
    }

    /// Returns the position up to which all entries have been applied.
    pub(super) fn applied(&self) -> u64 {
        self.applied.load(Ordering::Relaxed)
    }

    /// Sets the position up to which all entries have been applied.
    pub(super) fn set_applied(&self, position: u64) {
        self.applied.store(position, Ordering::Relaxed);
    }

    /// Returns the stamp of a login that begins at the last applied entry.
    pub(super) fn applied_stamp(&self) -> Stamp {
        let applied = self.applied();
        let mark = self.mark_at(applied).load(Ordering::Relaxed);
        let incarnation = self.incarnation.load(Ordering::Relaxed);
        Stamp::new(incarnation, applied, mark as u32)
    }

    /// Returns a stamp without a mark in the incarnation that is followed.
    pub(super) fn stamp_at(&self, position: u64) -> Stamp {
        Stamp::new(self.incarnation.load(Ordering::Relaxed), position, 0)
    }

    /// Returns the status of a login. One without a stamp of this incarnation is older than every
    /// fact.
    ///
    /// No I/O, no allocation; no lock for a login to which no fact applies.
    #[inline]
    pub(super) fn status(
        &self,
        handle: Handle,
        subject: &str,
        stamp: Option<Stamp>,
    ) -> LoginStatus {
        let partition = handle.partition();
        let shard = self.shard_of(partition);
        let own = if shard.filter.may_hold(handle) {
            Self::look_up(shard, handle)
        } else {
            LoginStatus::Active
        };
        let everything = self.everything.load(Ordering::Relaxed);
        let latest = self.latest[usize::from(partition)].load(Ordering::Relaxed);
        if own == LoginStatus::Ended || everything | latest == 0 {
            return own;
        }
        match self.compare(subject, stamp, everything, latest) {
            LoginStatus::Active => own,
            status => status,
        }
    }

    /// Returns the status of a login by facts about everything only.
    pub(super) fn status_with_everything(&self, stamp: Option<Stamp>) -> LoginStatus {
        match self.everything.load(Ordering::Relaxed) {
            0 => LoginStatus::Active,
            everything => self.compare("", stamp, everything, 0),
        }
    }

    /// Returns true if all logins of a subject, or everything, ended after this stamp, or if the stamp
    /// is lost and cannot be compared with such an end.
    pub(super) fn has_ended_with_subject(&self, subject: &str, stamp: Stamp) -> bool {
        let partition = usize::from(SubjectKey::of(subject).partition());
        let everything = self.everything.load(Ordering::Relaxed);
        let latest = self.latest[partition].load(Ordering::Relaxed);
        matches!(
            self.compare(subject, Some(stamp), everything, latest),
            LoginStatus::Ended | LoginStatus::EndedWithSubject | LoginStatus::LostStamp { .. }
        )
    }

    /// Compares the stamp of a login with the positions before which everything, and some subject
    /// of its partition, were ended.
    #[inline]
    fn compare(
        &self,
        subject: &str,
        stamp: Option<Stamp>,
        everything: u64,
        latest: u64,
    ) -> LoginStatus {
        let stamp = stamp.filter(|stamp| self.is_current(*stamp));
        let began = stamp.map_or(0, Stamp::position);
        if began < everything {
            return LoginStatus::Ended;
        }
        // This node knows the marks of its own appends and stamps.
        let is_unread =
            began > self.applied() && !stamp.is_some_and(|stamp| self.is_known_mark(stamp));
        let is_lost = !is_unread && stamp.is_some_and(|stamp| self.is_lost(stamp));
        let unclear = |everything| {
            if is_unread {
                LoginStatus::UnreadStamp { everything }
            } else {
                LoginStatus::LostStamp { everything }
            }
        };
        let is_unclear = is_unread || is_lost;
        if everything != 0 && is_unclear {
            return unclear(true);
        }
        if latest != 0 && (began < latest || is_unclear) {
            return match self.ended_before(subject) {
                Some(before) if began < before => LoginStatus::EndedWithSubject,
                Some(_) if is_unclear => unclear(false),
                _ => LoginStatus::Active,
            };
        }
        LoginStatus::Active
    }

    /// Returns true if a fact ends this very login.
    pub(super) fn has_ended(&self, handle: Handle) -> bool {
        Self::look_up(self.shard_of(handle.partition()), handle) == LoginStatus::Ended
    }

    /// Returns true if a fact says that this very login has changed to `version`, or has ended.
    pub(super) fn has_changed(&self, handle: Handle, version: u64) -> bool {
        match Self::look_up(self.shard_of(handle.partition()), handle) {
            LoginStatus::Changed(known) => known >= version,
            status => status == LoginStatus::Ended,
        }
    }

    fn mark_at(&self, position: u64) -> &AtomicU64 {
        // The length is a power of two.
        &self.marks[position as usize & (self.marks.len() - 1)]
    }

    fn set_mark(&self, position: u64, mark: u32) {
        self.mark_at(position)
            .store(position << 32 | u64::from(mark), Ordering::Relaxed);
    }

    /// Notes the mark of an entry at which a login was stamped, if it has not been read.
    pub(super) fn note_mark(&self, stamp: Stamp) {
        if self.is_current(stamp) && stamp.position() > self.applied() {
            self.set_mark(stamp.position(), stamp.mark());
        }
    }

    /// Returns true if the entry of a stamp is known.
    #[inline]
    fn is_known_mark(&self, stamp: Stamp) -> bool {
        let known = self.mark_at(stamp.position()).load(Ordering::Relaxed);
        known == stamp.position() << 32 | u64::from(stamp.mark())
    }

    /// Returns true if another entry is known at the position of a stamp.
    #[inline]
    fn is_lost(&self, stamp: Stamp) -> bool {
        let known = self.mark_at(stamp.position()).load(Ordering::Relaxed);
        known >> 32 == stamp.position() & u64::from(u32::MAX) && known as u32 != stamp.mark()
    }

    /// Returns the position before which all logins of a subject ended.
    #[cold]
    fn ended_before(&self, subject: &str) -> Option<u64> {
        let subject = SubjectKey::of(subject);
        let facts = self.shard_of(subject.partition()).read();
        facts.subjects.get(&subject).map(|(before, _)| *before)
    }

    #[cold]
    fn look_up(shard: &Shard, handle: Handle) -> LoginStatus {
        let facts = shard.read();
        if facts.logins.contains_key(&handle) {
            return LoginStatus::Ended;
        }
        match facts.changed.get(&handle) {
            Some((version, _)) => LoginStatus::Changed(*version),
            None => LoginStatus::Active,
        }
    }

    /// Returns true if a key was retired.
    #[inline]
    pub(super) fn is_retired(&self, key: impl FnOnce() -> KeyId) -> bool {
        self.has_keys.load(Ordering::Relaxed) && self.rare().keys.contains_key(&key())
    }

    /// Returns the retired keys that would be forgotten at `until` or earlier.
    pub(super) fn keys_until(&self, until: Timestamp) -> Vec<KeyId> {
        let rare = self.rare();
        let keys = rare.keys.iter().filter(|(_, known)| **known <= until);
        keys.map(|(key, _)| *key).collect()
    }

    /// Applies an entry. The order and the number of times do not matter.
    pub(super) fn apply(&self, entry: &Entry, now: Timestamp) {
        let until = now.saturating_add(entry.life.saturating_add(MARGIN).as_secs());
        self.set_mark(entry.position, entry.nonce.mark());
        self.learn(entry.fact, entry.fact.before(entry.position), until);
    }

    /// Learns a fact, which ends logins before a position if it is positional.
    pub(super) fn learn(&self, fact: Fact, before: u64, until: Timestamp) {
        match fact {
            Fact::Nothing => {}
            Fact::Login(handle) => self.change(handle.partition(), |shard, facts| {
                let known = facts.logins.entry(handle).or_insert(until);
                *known = until.max(*known);
                shard.filter.add(handle);
            }),
            Fact::Changed { handle, version } => self.change(handle.partition(), |shard, facts| {
                let known = facts.changed.entry(handle).or_insert((version, until));
                *known = (version.max(known.0), until.max(known.1));
                shard.filter.add(handle);
            }),
            Fact::Subject { subject, .. } => self.change(subject.partition(), |_, facts| {
                let known = facts.subjects.entry(subject).or_insert((before, until));
                *known = (before.max(known.0), until.max(known.1));
                self.latest[usize::from(subject.partition())].fetch_max(before, Ordering::Relaxed);
            }),
            Fact::Everything { .. } => {
                let mut rare = self.rare_mut();
                rare.everything_until = until.max(rare.everything_until);
                if self.everything.fetch_max(before, Ordering::Relaxed) < before {
                    self.news.learn(Fact::Everything { before: None });
                }
            }
            Fact::Key(key) => {
                let mut rare = self.rare_mut();
                match rare.keys.entry(key) {
                    Slot::Occupied(mut known) => {
                        let until = until.max(*known.get());
                        known.insert(until);
                    }
                    Slot::Vacant(unknown) => {
                        unknown.insert(until);
                        self.news.learn(fact);
                    }
                }
                self.has_keys.store(true, Ordering::Relaxed);
            }
        }
    }

    fn rare(&self) -> RwLockReadGuard<'_, RareFacts> {
        self.rare.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn rare_mut(&self) -> RwLockWriteGuard<'_, RareFacts> {
        self.rare.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, partition: u16, change: impl FnOnce(&Shard, &mut ShardFacts)) {
        let shard = self.shard_of(partition);
        let mut facts = shard.write();
        let (all, changes) = (facts.len(), facts.changed.len());
        change(shard, &mut facts);
        self.count.fetch_add(facts.len() - all, Ordering::Relaxed);
        self.changes
            .fetch_add(facts.changed.len() - changes, Ordering::Relaxed);
    }

    /// Enters another incarnation of the log, where positions start again. Positional facts apply
    /// to logins of earlier incarnations, and not to those that begin in the new one.
    pub(super) fn enter(&self, incarnation: u64) {
        if self.incarnation.swap(incarnation, Ordering::Relaxed) == incarnation {
            return;
        }
        for shard in &self.shards {
            let mut facts = shard.write();
            let subjects = facts.subjects.values_mut();
            subjects.for_each(|(before, _)| *before = FIRST_POSITION);
        }
        for before in self.latest.iter().chain([&self.everything]) {
            before.fetch_min(FIRST_POSITION, Ordering::Relaxed);
        }
        self.forget_marks();
    }

    /// Forgets the marks, after the log has lost entries: a stamp at a lost one would count as known
    /// until its position is taken again.
    pub(super) fn forget_marks(&self) {
        for mark in &self.marks {
            mark.store(0, Ordering::Relaxed);
        }
    }

    /// Returns all facts with their expiry, for a log that has lost its data.
    pub(super) fn facts(&self, now: Timestamp) -> Vec<(Fact, Timestamp)> {
        let mut all = Vec::new();
        for shard in &self.shards {
            let facts = shard.read();
            let logins = facts.logins.iter();
            all.extend(logins.map(|(handle, until)| (Fact::Login(*handle), *until)));
            let changed = facts.changed.iter();
            all.extend(
                changed
                    .map(|(&handle, &(version, until))| (Fact::Changed { handle, version }, until)),
            );
            let subjects = facts.subjects.iter();
            all.extend(subjects.map(|(&subject, &(before, until))| {
                let before = Some(before);
                (Fact::Subject { subject, before }, until)
            }));
        }
        let rare = self.rare();
        let keys = rare.keys.iter();
        all.extend(keys.map(|(key, until)| (Fact::Key(*key), *until)));
        let before = Some(self.everything.load(Ordering::Relaxed));
        all.push((Fact::Everything { before }, rare.everything_until));
        all.retain(|(_, until)| *until > now);
        all
    }

    /// Removes expired facts from one shard; as many calls as there are shards sweep all of them.
    pub(super) fn sweep(&self, now: Timestamp) {
        let turn = self.sweeps.fetch_add(1, Ordering::Relaxed) % SHARDS;
        let shard = &self.shards[turn];
        let mut facts = shard.write();
        let (all, changes, subjects) = (facts.len(), facts.changed.len(), facts.subjects.len());
        facts.logins.retain(|_, until| *until > now);
        facts.changed.retain(|_, (_, until)| *until > now);
        facts.subjects.retain(|_, (_, until)| *until > now);
        if facts.len() < all {
            let handles = facts.logins.keys().chain(facts.changed.keys());
            shard.filter.rebuild(handles.copied());
            self.count.fetch_sub(all - facts.len(), Ordering::Relaxed);
            self.changes
                .fetch_sub(changes - facts.changed.len(), Ordering::Relaxed);
        }
        if facts.subjects.len() < subjects {
            let mut latest = [0; PARTITIONS / SHARDS];
            for (subject, (before, _)) in &facts.subjects {
                let latest = &mut latest[usize::from(subject.partition()) / SHARDS];
                *latest = (*latest).max(*before);
            }
            let partitions = self.latest.iter().skip(turn).step_by(SHARDS);
            for (partition, latest) in partitions.zip(latest) {
                partition.store(latest, Ordering::Relaxed);
            }
        }
        drop(facts);
        if turn == 0 {
            let mut rare = self.rare_mut();
            rare.keys.retain(|_, until| *until > now);
            self.has_keys
                .store(!rare.keys.is_empty(), Ordering::Relaxed);
            if rare.everything_until <= now {
                self.everything.store(0, Ordering::Relaxed);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::revocation::fact::{Draft, Nonce};
    use std::time::Duration;

    use crate::testkit::{Random, seed};

    fn entry(position: u64, fact: Fact, life: u64) -> Entry {
        Entry::new(
            position,
            Draft::with_nonce(Nonce::from_bytes([0; 16]), fact, Duration::from_secs(life)),
        )
    }

    fn now() -> Timestamp {
        Timestamp::from_unix(1_000_000)
    }

    /// Facts give the same state in any order and with duplicates.
    #[test]
    fn facts_combine_by_maximum() {
        let seed = seed();
        println!("seed {seed}");
        let mut random = Random::new(seed);
        let subjects = ["alice", "bob", "carol"];
        let handle = |random: &mut Random| {
            let subject = subjects[random.below(3)];
            (
                Handle::of_subject(subject.as_bytes(), [random.below(5) as u8; 16]),
                subject,
            )
        };
        for _ in 0..200 {
            let entries: Vec<_> = (1..30)
                .map(|position| {
                    let fact = match random.below(5) {
                        0 => Fact::Login(handle(&mut random).0),
                        1 => Fact::Subject {
                            subject: SubjectKey::of(subjects[random.below(3)]),
                            before: [None, Some(random.below(40) as u64)][random.below(2)],
                        },
                        2 => Fact::Everything {
                            before: Some(random.below(4) as u64),
                        },
                        3 => Fact::Key(KeyId::from_bytes([random.below(3) as u8; 11])),
                        _ => Fact::Changed {
                            handle: handle(&mut random).0,
                            version: random.below(9) as u64,
                        },
                    };
                    entry(position, fact, random.below(500) as u64)
                })
                .collect();
            let [mut straight, mut shuffled] = [KnownFacts::new(100), KnownFacts::new(100)];
            for known in [&mut straight, &mut shuffled] {
                known.enter(1);
                known.set_applied(30);
            }
            for entry in &entries {
                straight.apply(entry, now());
            }
            for _ in 0..200 {
                shuffled.apply(&entries[random.below(entries.len())], now());
            }
            for entry in entries.iter().rev() {
                shuffled.apply(entry, now());
            }
            for later in [0, 100, 300, 600] {
                for known in [&straight, &shuffled] {
                    (0..SHARDS).for_each(|_| known.sweep(now().saturating_add(later)));
                }
                assert_eq!(straight.len(), shuffled.len());
                for _ in 0..60 {
                    let (handle, subject) = handle(&mut random);
                    let position = random.below(40) as u64;
                    let stamp = [None, Some(Stamp::new(1, position, 0))][random.below(2)];
                    assert_eq!(
                        straight.status(handle, subject, stamp),
                        shuffled.status(handle, subject, stamp)
                    );
                    let key = KeyId::from_bytes([random.below(3) as u8; 11]);
                    assert_eq!(straight.is_retired(|| key), shuffled.is_retired(|| key));
                }
            }
            assert_eq!(straight.len(), 0);
        }
    }

    #[test]
    fn a_fact_stays_for_its_life_and_no_shorter() {
        let known = KnownFacts::new(10);
        known.enter(1);
        let handle = Handle::of_subject(b"alice", [9; 16]);
        known.apply(&entry(1, Fact::Login(handle), 100), now());
        let sweep = |later| (0..SHARDS).for_each(|_| known.sweep(now().saturating_add(later)));
        sweep(100 + MARGIN.as_secs() - 1);
        assert_eq!(known.status(handle, "alice", None), LoginStatus::Ended);
        sweep(100 + MARGIN.as_secs());
        assert_eq!(known.status(handle, "alice", None), LoginStatus::Active);
        assert_eq!(known.len(), 0);
    }

    /// With far more facts than it was sized for, the set is slower and never wrong.
    #[test]
    fn no_fact_is_forgotten_beyond_the_size() {
        let known = KnownFacts::new(10);
        known.enter(1);
        let mut random = Random::new(seed());
        let handles: Vec<_> = (0..5000)
            .map(|_| Handle::from_bytes(std::array::from_fn(|_| random.below(256) as u8)))
            .collect();
        for (position, handle) in (1..).zip(&handles) {
            known.apply(&entry(position, Fact::Login(*handle), 100), now());
        }
        let ended = |handle: &&Handle| known.status(**handle, "x", None) == LoginStatus::Ended;
        assert_eq!(handles.iter().filter(ended).count(), handles.len());
    }
}
