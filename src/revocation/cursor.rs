//! The cursor: the place at which a node has stopped reading, and the facts that it must find.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use crate::clock::Timestamp;
use crate::entropy::Entropy;
use crate::error::{Error, Result};
use crate::login::stamp::Stamp;
use crate::revocation::fact::{Draft, Fact, Nonce};
use crate::revocation::known::KnownFacts;
use crate::revocation::log::{MARGIN, Page};

/// Entries that were read last and are remembered.
const MAX_RECENT: usize = 1024;

/// Result of applying a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Progress {
    /// The end of the log: all entries that existed when the page was requested have been applied.
    AtEnd,
    /// There are more entries to read.
    Behind,
    /// The log has lost entries or all of its data: it must be read again from its first entry.
    Lost,
}

/// The place at which a node has stopped reading, and the facts that it must find in the log.
///
/// It does no I/O: [`start_read`](Self::start_read) returns the position to read from, and
/// [`apply`](Self::apply) takes the page.
#[derive(Default)]
pub(super) struct Cursor {
    place: Option<Place>,
    /// Facts that must be in the log and have not been read yet. Keyed by the fact and not by its
    /// nonce: it does not matter which node appended it again.
    expected: HashMap<Fact, Expected>,
    /// Positions and nonces of the entries that were read last. A read may return an entry before its append
    /// has had its answer, and no later read returns it.
    recent: VecDeque<(u64, Nonce)>,
    /// Number of reads started.
    reads: u64,
    /// The highest known stamp, and the first read that must find its entry.
    highest: Option<(Stamp, u64)>,
}

/// The place at which reading stopped.
#[derive(Clone, Copy)]
struct Place {
    incarnation: u64,
    /// Position and nonce of the last entry applied; `None` if there was none yet.
    last: Option<(u64, Nonce)>,
}

/// Details of a fact that must be in the log.
#[derive(Clone, Copy)]
struct Expected {
    life: Duration,
    until: Timestamp,
    /// The first read that must find it.
    by_read: u64,
    /// True if this node has appended it and has not read it.
    is_appended: bool,
}

impl Cursor {
    /// Starts a read and returns the position to read from: that of the last entry applied, which
    /// must still be there. `unread` is the highest stamp of a presented login.
    pub(super) fn start_read(&mut self, unread: Stamp) -> u64 {
        self.note_stamp(unread);
        self.reads += 1;
        self.position()
    }

    /// Returns the position of the last entry applied; 0 before the first.
    pub(super) fn position(&self) -> u64 {
        let last = self.place.and_then(|place| place.last);
        last.map_or(0, |(position, _)| position)
    }

    /// Returns the facts that the log has lost, to append again, once it has been read to its end.
    /// They get new nonces, because a fact appended again is another entry.
    ///
    /// # Errors
    ///
    /// *Unavailable* if the entropy source fails.
    pub(super) fn lost_facts(&self, now: Timestamp, entropy: &dyn Entropy) -> Result<Vec<Draft>> {
        let expected = self.expected.iter();
        expected
            .filter(|(_, expected)| expected.by_read <= self.reads && expected.until > now)
            .map(|(fact, expected)| Draft::new(*fact, expected.life, entropy))
            .collect()
    }

    /// Forgets what must be in the log, on a node that cannot append it again.
    pub(super) fn expect_nothing(&mut self) {
        self.expected.clear();
        self.highest = None;
    }

    /// Returns how many entries the log is shorter than it was, once it has been read to its end.
    /// Until that many are appended, new logins would get positions of the lost part.
    pub(super) fn lost_len(&self) -> u64 {
        let (Some((highest, by_read)), Some(place)) = (self.highest, self.place) else {
            return 0;
        };
        if highest.incarnation() != place.incarnation || by_read > self.reads {
            return 0;
        }
        highest.position().saturating_sub(self.position())
    }

    /// Returns true if entries are missing that the log had in this incarnation, once it has been read to its
    /// end. A fact that this node knows otherwise may be missing because it has expired in the log.
    pub(super) fn has_lost_entries(&self, now: Timestamp) -> bool {
        let is_missing = |expected: &Expected| {
            expected.is_appended && expected.by_read <= self.reads && expected.until > now
        };
        self.lost_len() > 0 || self.expected.values().any(is_missing)
    }

    /// Expects the facts that this node has appended, the last of them at `stamp`.
    pub(super) fn note_appended(&mut self, drafts: &[Draft], stamp: Stamp, now: Timestamp) {
        self.note_stamp(stamp);
        self.expected.retain(|_, expected| expected.until > now);
        for (back, draft) in (0..).zip(drafts.iter().rev()) {
            let position = stamp.position().saturating_sub(back);
            let is_current = |place: Place| place.incarnation == stamp.incarnation();
            if self.place.is_some_and(is_current) && self.recent.contains(&(position, draft.nonce))
            {
                continue;
            }
            let until = now.saturating_add(draft.life.saturating_add(MARGIN).as_secs());
            let expected = Expected {
                life: draft.life,
                until,
                by_read: self.next_read(),
                is_appended: true,
            };
            let fact = draft.fact.appended_at(position);
            self.expected.insert(fact, expected);
        }
    }

    /// Notes the stamp of a login or of an append.
    pub(super) fn note_stamp(&mut self, stamp: Stamp) {
        let is_noted = self.highest.is_some_and(|(highest, _)| {
            highest.incarnation() == stamp.incarnation() && highest.position() >= stamp.position()
        });
        if stamp.position() > 0 && !is_noted {
            self.highest = Some((stamp, self.next_read()));
        }
    }

    /// Returns the first read that must find an entry of now: one that is under way may have been
    /// sent before.
    fn next_read(&self) -> u64 {
        self.reads + 1
    }

    fn expect(&mut self, fact: Fact, life: Duration, until: Timestamp, by_read: u64) {
        let expected = Expected {
            life,
            until,
            by_read,
            is_appended: false,
        };
        self.expected.insert(fact, expected);
    }

    /// Applies a page that was read from where [`start_read`](Self::start_read) said.
    ///
    /// # Errors
    ///
    /// *Unavailable* if the log breaks its contract by a gap. The entries before the gap are
    /// applied.
    pub(super) fn apply(
        &mut self,
        page: &Page,
        known: &KnownFacts,
        now: Timestamp,
    ) -> Result<Progress> {
        if !self.continues(page) {
            self.restart(page);
            return Ok(Progress::Lost);
        }
        known.enter(page.incarnation);
        if self.position() < page.first {
            // Reading starts over, or the node was away for so long that it cannot tell whether
            // this is the log that it read. The whole log follows; known facts that it lacks are
            // lost.
            self.expect_known(known, now);
        }
        let mut last = self.place.and_then(|place| place.last);
        let mut entries = page.entries.iter().peekable();
        // The page begins with the entry at which reading stopped.
        entries.next_if(|entry| last.is_some_and(|(position, _)| entry.position == position));
        let next = last.map_or(0, |(position, _)| position + 1).max(page.first);
        for (expected, entry) in (next..).zip(entries) {
            if entry.position != expected {
                return Err(Error::could_not("the revocation log has a gap", None));
            }
            known.apply(entry, now);
            // With a shorter life the fact would be forgotten early.
            let fact = entry.fact.appended_at(entry.position);
            let is_there = |expected: &Expected| expected.life <= entry.life;
            if self.expected.get(&fact).is_some_and(is_there) {
                self.expected.remove(&fact);
            }
            last = Some((entry.position, entry.nonce));
            if self.recent.len() >= MAX_RECENT {
                self.recent.pop_front();
            }
            self.recent.push_back((entry.position, entry.nonce));
        }
        self.place = Some(Place {
            incarnation: page.incarnation,
            last,
        });
        Ok(if page.more {
            Progress::Behind
        } else {
            Progress::AtEnd
        })
    }

    /// Returns true if a page continues where reading stopped.
    fn continues(&self, page: &Page) -> bool {
        let Some(place) = self.place else {
            return true;
        };
        place.incarnation == page.incarnation
            && place.last.is_none_or(|(position, nonce)| {
                // A node that was away for long has missed expired entries only.
                let is_trimmed = position < page.first;
                let entry = page.entries.first();
                is_trimmed
                    || entry.is_some_and(|entry| entry.position == position && entry.nonce == nonce)
            })
    }

    /// Makes the log be read again from its first entry. Known facts stay known.
    fn restart(&mut self, page: &Page) {
        let is_same = |place: Place| place.incarnation == page.incarnation;
        if self.place.is_some_and(is_same) {
            self.note_stamp(Stamp::new(page.incarnation, self.position(), 0));
        } else {
            for (fact, expected) in std::mem::take(&mut self.expected) {
                let fact = fact.in_new_incarnation();
                self.expect(fact, expected.life, expected.until, self.next_read());
            }
        }
        self.place = None;
        self.recent.clear();
    }

    /// Expects in the current read every known fact that is not about to expire.
    fn expect_known(&mut self, known: &KnownFacts, now: Timestamp) {
        for (fact, until) in known.facts(now) {
            let life = Duration::from_secs(until.saturating_since(now)).saturating_sub(MARGIN);
            if !life.is_zero() {
                self.expect(fact, life, until, self.reads);
            }
        }
    }
}
