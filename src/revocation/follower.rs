//! Following a log: where a node stands, and what it does about a log that lost something.

use std::collections::HashMap;
use std::time::Duration;

use crate::clock::Timestamp;
use crate::entropy::Entropy;
use crate::error::{Error, Result};
use crate::login::stamp::Stamp;
use crate::revocation::fact::{Draft, Fact, Nonce};
use crate::revocation::known::Known;
use crate::revocation::log::{MARGIN, Page};

/// What a page meant for a reader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Progress {
    /// Everything that was there when the page was asked for has been applied.
    CaughtUp,
    /// There is more to read.
    Behind,
    /// The log is not the one that was read before: it is read again from its beginning.
    Lost,
}

/// How far a node has read, and what it would say again.
#[derive(Default)]
pub(crate) struct Follower {
    cursor: Option<Cursor>,
    /// What must be in the log and has not been seen there yet. By what is said: whoever has said
    /// it again, it is there.
    expected: HashMap<Fact, Expected>,
    /// Counts the reads.
    reads: u64,
    /// The last place that anybody is known to have been stamped with, and the read before which
    /// it was there.
    highest: Option<(Stamp, u64)>,
}

/// Where a reader stopped.
#[derive(Clone, Copy)]
struct Cursor {
    incarnation: u64,
    /// The last entry applied, and its nonce; `None` if there was none yet.
    last: Option<(u64, Nonce)>,
}

/// A fact that must be in the log.
#[derive(Clone, Copy)]
struct Expected {
    life: Duration,
    until: Timestamp,
    /// The read before which it was there.
    before: u64,
}

impl Follower {
    /// Begins a read, before which a login was seen that was stamped at `seen`: the place to read
    /// from, which is that of the last entry, as that must still be there.
    pub(crate) fn begin(&mut self, seen: Stamp) -> u64 {
        self.stamped(seen);
        self.reads += 1;
        self.position()
    }

    /// The last position that was applied.
    pub(crate) fn position(&self) -> u64 {
        let last = self.cursor.and_then(|cursor| cursor.last);
        last.map_or(0, |(position, _)| position)
    }

    /// What the log has lost, once it has been read to its end: to be said again before this node
    /// counts as fresh. Under nonces of their own: what is said again is another entry.
    ///
    /// # Errors
    ///
    /// *Unavailable* if the entropy source fails.
    pub(crate) fn missing(&self, now: Timestamp, entropy: &dyn Entropy) -> Result<Vec<Draft>> {
        let expected = self.expected.iter();
        expected
            .filter(|(_, expected)| expected.before <= self.reads && expected.until > now)
            .map(|(fact, expected)| Draft::new(*fact, expected.life, entropy))
            .collect()
    }

    /// By how many entries the log is shorter than it was, once it has been read to its end. Until
    /// it is as long again, a login of now would stand among those of the lost part.
    pub(crate) fn short_by(&self) -> u64 {
        let (Some((highest, before)), Some(cursor)) = (self.highest, self.cursor) else {
            return 0;
        };
        if highest.incarnation() != cursor.incarnation || before > self.reads {
            return 0;
        }
        highest.position().saturating_sub(self.position())
    }

    /// Remembers what this node has said, the last of it at `stamp`.
    pub(crate) fn said(&mut self, drafts: &[Draft], stamp: Stamp, now: Timestamp) {
        self.stamped(stamp);
        self.expected.retain(|_, expected| expected.until > now);
        for (back, draft) in (0..).zip(drafts.iter().rev()) {
            let place = stamp.position().saturating_sub(back);
            let fact = draft.fact.said_at(place);
            self.expect(fact, draft.life, stays_until(draft.life, now));
        }
    }

    /// Notes a place that somebody was stamped with.
    pub(crate) fn stamped(&mut self, stamp: Stamp) {
        if stamp.position() == 0 {
            return;
        }
        let same = |(known, _): &(Stamp, u64)| known.incarnation() == stamp.incarnation();
        match self.highest.filter(same) {
            Some((known, _)) if known.position() >= stamp.position() => {}
            // A read that is under way may have been sent before.
            _ => self.highest = Some((stamp, self.reads + 1)),
        }
    }

    fn expect(&mut self, fact: Fact, life: Duration, until: Timestamp) {
        // A read that is under way may have been sent before.
        let before = self.reads + 1;
        let expected = Expected {
            life,
            until,
            before,
        };
        self.expected.insert(fact, expected);
    }

    /// Takes a page that was read from where [`begin`](Self::begin) said.
    ///
    /// # Errors
    ///
    /// *Unavailable* if the log breaks its contract by a gap: what is before it counts.
    pub(crate) fn take(&mut self, page: &Page, known: &Known, now: Timestamp) -> Result<Progress> {
        if !self.continues(page) {
            self.start_again(page);
            return Ok(Progress::Lost);
        }
        known.enter(page.incarnation);
        if self.position() < page.first {
            // It begins anew, or slept for so long that it cannot tell whether this is the log that
            // it read. All that there is comes now: what is known is among it, or is said again.
            self.expect_known(known, now);
        }
        let mut last = self.cursor.and_then(|cursor| cursor.last);
        let mut entries = page.entries.iter().peekable();
        // The entry at which reading stopped is there again.
        entries.next_if(|entry| last.is_some_and(|(position, _)| entry.position == position));
        let next = last.map_or(0, |(position, _)| position + 1).max(page.first);
        for (expected, entry) in (next..).zip(entries) {
            if entry.position != expected {
                return Err(Error::could_not("the revocation log has a gap", None));
            }
            known.apply(entry, now);
            // Said for less long, it would be forgotten early.
            let fact = entry.fact.said_at(entry.position);
            let is_there = |expected: &Expected| expected.life <= entry.life;
            if self.expected.get(&fact).is_some_and(is_there) {
                self.expected.remove(&fact);
            }
            last = Some((entry.position, entry.nonce));
        }
        self.cursor = Some(Cursor {
            incarnation: page.incarnation,
            last,
        });
        Ok(if page.more {
            Progress::Behind
        } else {
            Progress::CaughtUp
        })
    }

    /// Whether a page goes on where reading stopped.
    fn continues(&self, page: &Page) -> bool {
        let Some(cursor) = self.cursor else {
            return true;
        };
        if cursor.incarnation != page.incarnation {
            return false;
        }
        match cursor.last {
            // Whoever slept for long has missed only what has had its time.
            Some((position, _)) if position < page.first => true,
            Some((position, nonce)) => page
                .entries
                .first()
                .is_some_and(|entry| entry.position == position && entry.nonce == nonce),
            None => true,
        }
    }

    /// Forgets where it stood, so that the log is read again from its beginning. What it knows stays
    /// known.
    fn start_again(&mut self, page: &Page) {
        let is_cut = self
            .cursor
            .is_some_and(|cursor| cursor.incarnation == page.incarnation);
        if is_cut {
            let here = Stamp::new(page.incarnation, self.position(), 0);
            self.stamped(here);
        } else {
            for (fact, expected) in std::mem::take(&mut self.expected) {
                self.expect(fact.said_elsewhere(), expected.life, expected.until);
            }
        }
        self.cursor = None;
    }

    /// Expects all that is known in what is read now, but for what is about to have had its time.
    fn expect_known(&mut self, known: &Known, now: Timestamp) {
        for (fact, until) in known.facts(now) {
            let life = Duration::from_secs(until.saturating_since(now)).saturating_sub(MARGIN);
            let before = self.reads;
            if !life.is_zero() {
                let expected = Expected {
                    life,
                    until,
                    before,
                };
                self.expected.insert(fact, expected);
            }
        }
    }
}

fn stays_until(life: Duration, now: Timestamp) -> Timestamp {
    now.saturating_add(life.saturating_add(MARGIN).as_secs())
}
