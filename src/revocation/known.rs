//! What a node knows to be revoked: in memory, asked on every request.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use crate::clock::Timestamp;
use crate::login::handle::Handle;
use crate::login::stamp::Stamp;
use crate::revocation::fact::{ELSEWHERE, Entry, Fact, KeyId, SubjectKey};
use crate::revocation::filter::Filter;
use crate::revocation::log::MARGIN;

/// Parts with a lock each; partitions of subjects are divided among them.
const SHARDS: usize = 64;
/// Partitions of handles.
const PARTITIONS: usize = 4096;

/// What applies to a login.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LoginStatus {
    /// No fact says that it has ended.
    Active,
    /// Its row has changed, to this version at least.
    Changed(u64),
    /// This login has ended: by itself, or with everything.
    Ended,
    /// It began before all logins of its subject ended.
    EndedWithSubject,
    /// All logins of its subject, or everything, ended, and whether it began before that cannot be
    /// told: it was stamped in a part that the log has lost.
    LostStamp {
        /// Whether everything ended.
        everything: bool,
    },
    /// All logins of its subject, or everything, ended, and whether it began before that cannot be
    /// told yet: it was stamped beyond what has been read.
    UnreadStamp {
        /// Whether everything ended.
        everything: bool,
    },
}

/// All facts that have not had their time, combined by maximum.
///
/// What a request asks is answered without a lock unless there may be a fact: one word of the
/// [`Filter`] for its handle, one number for the partition of its subject, and, only where some
/// subject of it or everything was ended, one mark.
pub(crate) struct Known {
    shards: Box<[Shard]>,
    /// For each partition, the latest position before which some subject of it was ended.
    latest: Box<[AtomicU64]>,
    /// The position before which everything was ended.
    everything: AtomicU64,
    /// For the last positions, the lower half of each and the mark of its entry. As many as the
    /// capacity: so far back a stamp of a lost part is told from what took its place.
    marks: Box<[AtomicU64]>,
    incarnation: AtomicU64,
    /// The last position that was applied.
    head: AtomicU64,
    some_keys: AtomicBool,
    rare: RwLock<Rare>,
    count: AtomicUsize,
    swept_to: AtomicUsize,
}

struct Shard {
    filter: Filter,
    facts: RwLock<Facts>,
}

#[derive(Default)]
struct Facts {
    logins: HashMap<Handle, Timestamp>,
    changed: HashMap<Handle, (u64, Timestamp)>,
    subjects: HashMap<SubjectKey, (u64, Timestamp)>,
}

/// What hardly ever changes, behind one lock.
#[derive(Default)]
struct Rare {
    keys: HashMap<KeyId, Timestamp>,
    everything_until: Timestamp,
}

impl Facts {
    fn len(&self) -> usize {
        self.logins.len() + self.changed.len() + self.subjects.len()
    }
}

impl Shard {
    // Nothing under the lock runs code of others, so that a panic leaves nothing half done.
    fn read(&self) -> RwLockReadGuard<'_, Facts> {
        self.facts.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Facts> {
        self.facts.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    /// Nothing known. Sized for so many facts, and takes more.
    pub(crate) fn new(capacity: usize) -> Self {
        let shard = |_| Shard {
            filter: Filter::new(capacity.div_ceil(SHARDS)),
            facts: RwLock::default(),
        };
        Self {
            shards: (0..SHARDS).map(shard).collect(),
            latest: (0..PARTITIONS).map(|_| AtomicU64::new(0)).collect(),
            everything: AtomicU64::new(0),
            marks: (0..capacity.next_power_of_two())
                .map(|_| AtomicU64::new(0))
                .collect(),
            incarnation: AtomicU64::new(0),
            head: AtomicU64::new(0),
            some_keys: AtomicBool::new(false),
            rare: RwLock::default(),
            count: AtomicUsize::new(0),
            swept_to: AtomicUsize::new(0),
        }
    }

    /// How many facts there are.
    pub(crate) fn len(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }

    fn shard_of(&self, partition: u16) -> &Shard {
        &self.shards[usize::from(partition) % SHARDS]
    }

    /// Whether a stamp is of the incarnation that is followed.
    #[inline]
    pub(crate) fn is_here(&self, stamp: Stamp) -> bool {
        stamp.incarnation() == self.incarnation.load(Ordering::Relaxed)
    }

    /// The last position up to which everything has been applied.
    pub(crate) fn head(&self) -> u64 {
        self.head.load(Ordering::Relaxed)
    }

    /// Everything has been applied up to this position.
    pub(crate) fn reached(&self, position: u64) {
        self.head.store(position, Ordering::Relaxed);
    }

    /// Where everything has been applied up to, as the stamp of who begins there.
    pub(crate) fn applied_stamp(&self) -> Stamp {
        let head = self.head();
        let mark = self.mark_at(head).load(Ordering::Relaxed);
        Stamp::new(self.incarnation.load(Ordering::Relaxed), head, mark as u32)
    }

    /// A place in the incarnation that is followed.
    pub(crate) fn place(&self, position: u64) -> Stamp {
        Stamp::new(self.incarnation.load(Ordering::Relaxed), position, 0)
    }

    /// What applies to a login. One without a stamp of this incarnation began before everything.
    ///
    /// No I/O, no allocation; no lock for a login to which nothing applies.
    #[inline]
    pub(crate) fn status(
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
        match self.order(subject, stamp, everything, latest) {
            LoginStatus::Active => own,
            standing => standing,
        }
    }

    /// What applies to a login but for what is about it, or its subject.
    pub(crate) fn status_with_everything(&self, stamp: Option<Stamp>) -> LoginStatus {
        match self.everything.load(Ordering::Relaxed) {
            0 => LoginStatus::Active,
            everything => self.order("", stamp, everything, 0),
        }
    }

    /// Whether a login began before what ended, where something did.
    #[inline]
    fn order(
        &self,
        subject: &str,
        stamp: Option<Stamp>,
        everything: u64,
        latest: u64,
    ) -> LoginStatus {
        let stamp = stamp.filter(|stamp| self.is_here(*stamp));
        let began = stamp.map_or(0, Stamp::position);
        if began < everything {
            return LoginStatus::Ended;
        }
        // Not ahead is what this node has said or stamped itself.
        let is_ahead = began > self.head() && !stamp.is_some_and(|stamp| self.is_noted(stamp));
        let is_lost = !is_ahead && stamp.is_some_and(|stamp| self.is_lost(stamp));
        if everything != 0 && (is_ahead || is_lost) {
            return if is_ahead {
                LoginStatus::UnreadStamp { everything: true }
            } else {
                LoginStatus::LostStamp { everything: true }
            };
        }
        if latest != 0 && (began < latest || is_ahead || is_lost) {
            return match self.before(subject) {
                Some(before) if began < before => LoginStatus::EndedWithSubject,
                Some(_) if is_ahead => LoginStatus::UnreadStamp { everything: false },
                Some(_) if is_lost => LoginStatus::LostStamp { everything: false },
                _ => LoginStatus::Active,
            };
        }
        LoginStatus::Active
    }

    /// Whether a fact says that this very login has ended.
    pub(crate) fn has_ended(&self, handle: Handle) -> bool {
        Self::look_up(self.shard_of(handle.partition()), handle) == LoginStatus::Ended
    }

    fn mark_at(&self, position: u64) -> &AtomicU64 {
        // As many as a power of two.
        &self.marks[position as usize & (self.marks.len() - 1)]
    }

    /// Notes the entry at which a login was stamped.
    pub(crate) fn note(&self, stamp: Stamp) {
        let mark = stamp.position() << 32 | u64::from(stamp.mark());
        if self.is_here(stamp) && stamp.position() > self.head() {
            self.mark_at(stamp.position())
                .store(mark, Ordering::Relaxed);
        }
    }

    /// Whether it is known that a stamp was taken at this entry.
    #[inline]
    fn is_noted(&self, stamp: Stamp) -> bool {
        let known = self.mark_at(stamp.position()).load(Ordering::Relaxed);
        known == stamp.position() << 32 | u64::from(stamp.mark())
    }

    /// Whether another entry is known where a stamp was taken.
    #[inline]
    fn is_lost(&self, stamp: Stamp) -> bool {
        let known = self.mark_at(stamp.position()).load(Ordering::Relaxed);
        known >> 32 == stamp.position() & u64::from(u32::MAX) && known as u32 != stamp.mark()
    }

    /// The position before which all logins of a subject ended.
    #[cold]
    fn before(&self, subject: &str) -> Option<u64> {
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

    /// Whether a key verifies nothing any more.
    #[inline]
    pub(crate) fn is_retired(&self, key: impl FnOnce() -> KeyId) -> bool {
        self.some_keys.load(Ordering::Relaxed) && {
            let rare = self.rare.read().unwrap_or_else(PoisonError::into_inner);
            rare.keys.contains_key(&key())
        }
    }

    /// The keys that are known to be retired until `until` at the latest.
    pub(crate) fn keys_until(&self, until: Timestamp) -> Vec<KeyId> {
        if !self.some_keys.load(Ordering::Relaxed) {
            return Vec::new();
        }
        let rare = self.rare.read().unwrap_or_else(PoisonError::into_inner);
        let due = rare.keys.iter().filter(|(_, known)| **known <= until);
        due.map(|(key, _)| *key).collect()
    }

    /// Adds a fact. In whatever order and however often, it comes to the same.
    pub(crate) fn apply(&self, entry: &Entry, now: Timestamp) {
        let until = now.saturating_add(entry.life.saturating_add(MARGIN).as_secs());
        let position = |before: Option<u64>| before.unwrap_or(entry.position);
        let mark = entry.position << 32 | u64::from(entry.nonce.mark());
        self.mark_at(entry.position).store(mark, Ordering::Relaxed);
        match entry.fact {
            Fact::Nothing => {}
            Fact::Login(handle) => self.change(handle.partition(), |shard, facts| {
                let known = facts.logins.entry(handle).or_insert(until);
                *known = until.max(*known);
                shard.filter.add(handle);
            }),
            Fact::Changed { handle, version } => {
                self.change(handle.partition(), |shard, facts| {
                    let known = facts.changed.entry(handle).or_insert((version, until));
                    *known = (version.max(known.0), until.max(known.1));
                    shard.filter.add(handle);
                });
            }
            Fact::Subject { subject, before } => {
                let before = position(before);
                self.change(subject.partition(), |_, facts| {
                    let known = facts.subjects.entry(subject).or_insert((before, until));
                    *known = (before.max(known.0), until.max(known.1));
                    self.latest[usize::from(subject.partition())]
                        .fetch_max(before, Ordering::Relaxed);
                });
            }
            Fact::Everything { before } => {
                let mut rare = self.rare();
                rare.everything_until = until.max(rare.everything_until);
                self.everything
                    .fetch_max(position(before), Ordering::Relaxed);
            }
            Fact::Key(key) => {
                let mut rare = self.rare();
                let known = rare.keys.entry(key).or_insert(until);
                *known = until.max(*known);
                self.some_keys.store(true, Ordering::Relaxed);
            }
        }
    }

    fn rare(&self) -> RwLockWriteGuard<'_, Rare> {
        self.rare.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, partition: u16, change: impl FnOnce(&Shard, &mut Facts)) {
        let shard = self.shard_of(partition);
        let mut facts = shard.write();
        let before = facts.len();
        change(shard, &mut facts);
        self.count
            .fetch_add(facts.len() - before, Ordering::Relaxed);
    }

    /// Moves to another incarnation of the log, where positions begin anew: what ended by its place
    /// began before the first entry there, and logins that begin there go on.
    pub(crate) fn enter(&self, incarnation: u64) {
        if self.incarnation.swap(incarnation, Ordering::Relaxed) == incarnation {
            return;
        }
        for shard in &self.shards {
            let mut facts = shard.write();
            facts
                .subjects
                .values_mut()
                .for_each(|(before, _)| *before = ELSEWHERE);
        }
        for latest in &self.latest {
            latest.store(
                ELSEWHERE.min(latest.load(Ordering::Relaxed)),
                Ordering::Relaxed,
            );
        }
        for mark in &self.marks {
            mark.store(0, Ordering::Relaxed);
        }
        let everything = &self.everything;
        everything.store(
            ELSEWHERE.min(everything.load(Ordering::Relaxed)),
            Ordering::Relaxed,
        );
    }

    /// All that it holds, and until when: what a log that began anew is told.
    pub(crate) fn facts(&self, now: Timestamp) -> Vec<(Fact, Timestamp)> {
        let mut all = Vec::new();
        for shard in &self.shards {
            let facts = shard.read();
            let logins = facts.logins.iter();
            all.extend(logins.map(|(handle, until)| (Fact::Login(*handle), *until)));
            let changed = facts.changed.iter();
            all.extend(changed.map(|(handle, (version, until))| {
                let (handle, version) = (*handle, *version);
                (Fact::Changed { handle, version }, *until)
            }));
            let subjects = facts.subjects.iter();
            all.extend(subjects.map(|(subject, (before, until))| {
                let (subject, before) = (*subject, Some(*before));
                (Fact::Subject { subject, before }, *until)
            }));
        }
        let rare = self.rare.read().unwrap_or_else(PoisonError::into_inner);
        all.extend(
            rare.keys
                .iter()
                .map(|(key, until)| (Fact::Key(*key), *until)),
        );
        let before = Some(self.everything.load(Ordering::Relaxed));
        all.push((Fact::Everything { before }, rare.everything_until));
        all.retain(|(_, until)| *until > now);
        all
    }

    /// Lets go of what has had its time, in one of the parts; in all of them after as many calls.
    pub(crate) fn sweep(&self, now: Timestamp) {
        let turn = self.swept_to.fetch_add(1, Ordering::Relaxed) % SHARDS;
        let shard = &self.shards[turn];
        let mut facts = shard.write();
        let (all, subjects) = (facts.len(), facts.subjects.len());
        facts.logins.retain(|_, until| *until > now);
        facts.changed.retain(|_, (_, until)| *until > now);
        facts.subjects.retain(|_, (_, until)| *until > now);
        if facts.len() < all {
            let handles = facts.logins.keys().chain(facts.changed.keys());
            shard.filter.rebuild(handles.copied());
            self.count.fetch_sub(all - facts.len(), Ordering::Relaxed);
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
            let mut rare = self.rare();
            rare.keys.retain(|_, until| *until > now);
            self.some_keys
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
            Draft::again(Nonce::from_bytes([0; 16]), fact, Duration::from_secs(life)),
        )
    }

    fn now() -> Timestamp {
        Timestamp::from_unix(1_000_000)
    }

    /// Any order, any number of times: one state.
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
            let [mut straight, mut shuffled] = [Known::new(100), Known::new(100)];
            for known in [&mut straight, &mut shuffled] {
                known.enter(1);
                known.reached(30);
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
        let known = Known::new(10);
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

    /// Far more facts than it was sized for: slower, and never wrong.
    #[test]
    fn nothing_is_forgotten_beyond_the_size() {
        let known = Known::new(10);
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
