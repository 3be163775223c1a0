//! A log with one flaw.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use statewise::Result;
use statewise::clock::Timestamp;
use statewise::revocation::log::{Draft, Entry, MARGIN, Page, RevocationLog};
use statewise::store::contract::Stamp;
use statewise::testkit::{Random, yield_now};

/// The flaw of a broken log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flaw {
    None,
    /// The first position is zero.
    CountsFromZero,
    /// An append returns the position of its first entry.
    AnswersTheFirst,
    /// A read begins behind the position that it names.
    ReadsBehind,
    /// A page never reports that more entries follow.
    NeverMore,
    /// All logs have the same incarnation.
    NoIncarnation,
    /// Positions are assigned first and filled later.
    Sequence,
    /// Reads are one append behind.
    Replica,
    /// Entries are removed at the end of their life, without the margin.
    NoMargin,
    /// Every expired entry is removed, wherever it stands.
    TrimsAnywhere,
    /// Only the last six entries are kept.
    KeepsSix,
    /// Entries are never removed.
    NeverTrims,
    /// The next position follows the last existing entry.
    CountsEntries,
    /// The mark is that of the last existing entry.
    LosesTheMark,
    /// Numbers are stored as floating-point values.
    Floating,
    /// The entries of a batch are written one by one.
    Pieces,
    /// A repeated fact is not appended.
    OncePerNonce,
    /// An expired entry is read with its original fact.
    SaysItForEver,
    /// A fence appends an entry.
    FenceAppends,
    /// Readers do not see a fence.
    HidesFences,
    /// Each node draws its own incarnation.
    BeginsAgain,
    /// The clock of the caller is used although the log has its own.
    BelievesCallers,
}

#[derive(Default)]
struct Inner {
    /// Each entry with the time until which it must stay.
    entries: BTreeMap<u64, (Entry, Timestamp)>,
    position: u64,
    mark: u32,
    fences: u64,
    /// The clock of the log, if it has one.
    clock: Option<Timestamp>,
    /// The content of a replica.
    behind: BTreeMap<u64, (Entry, Timestamp)>,
}

pub(crate) struct BrokenLog {
    flaw: Flaw,
    incarnation: u64,
    inner: Arc<Mutex<Inner>>,
}

impl BrokenLog {
    pub(crate) fn new(flaw: Flaw) -> Self {
        static COUNT: AtomicU64 = AtomicU64::new(1);
        let number = match flaw {
            Flaw::NoIncarnation => 0,
            _ => COUNT.fetch_add(1, Ordering::Relaxed),
        };
        Self {
            flaw,
            incarnation: Random::new(number).word(),
            inner: Arc::default(),
        }
    }

    pub(crate) fn with_clock(flaw: Flaw) -> Self {
        let log = Self::new(flaw);
        log.inner.lock().unwrap().clock = Some(Timestamp::from_unix(1));
        log
    }

    pub(crate) fn advance(&self, seconds: u64) {
        let mut inner = self.inner.lock().unwrap();
        inner.clock = inner.clock.map(|clock| clock.saturating_add(seconds));
    }

    pub(crate) fn again(&self) -> Self {
        let incarnation = match self.flaw {
            Flaw::BeginsAgain => Self::new(self.flaw).incarnation,
            _ => self.incarnation,
        };
        Self {
            flaw: self.flaw,
            incarnation,
            inner: Arc::clone(&self.inner),
        }
    }

    fn stamp(&self, inner: &Inner) -> Stamp {
        let last = inner.entries.last_key_value().map(|(_, (entry, _))| entry);
        let mark = match self.flaw {
            Flaw::LosesTheMark => last.map_or(0, |entry| entry.nonce.mark()),
            _ => inner.mark,
        };
        let position = match self.flaw {
            Flaw::CountsFromZero => inner.position.saturating_sub(1),
            Flaw::CountsEntries => last.map_or(0, |entry| entry.position),
            _ => inner.position,
        };
        Stamp::new(self.incarnation, position, mark)
    }

    fn now(&self, inner: &Inner, now: Timestamp) -> Timestamp {
        match self.flaw {
            Flaw::BelievesCallers => now,
            _ => inner.clock.unwrap_or(now),
        }
    }

    fn trim(&self, inner: &mut Inner, now: Timestamp) {
        let now = self.now(inner, now);
        let over = |until: &Timestamp| *until <= now;
        match self.flaw {
            Flaw::NeverTrims => {}
            Flaw::TrimsAnywhere => inner.entries.retain(|_, (_, until)| !over(until)),
            Flaw::KeepsSix => {
                while inner.entries.len() > 6 {
                    inner.entries.pop_first();
                }
            }
            _ => {
                while let Some(first) = inner.entries.first_entry()
                    && over(&first.get().1)
                {
                    first.remove();
                }
            }
        }
    }

    fn put(&self, inner: &mut Inner, position: u64, draft: Draft, now: Timestamp) {
        let margin = match self.flaw {
            Flaw::NoMargin => 0,
            _ => MARGIN.as_secs(),
        };
        let now = self.now(inner, now);
        let until = now.saturating_add(draft.life.as_secs().saturating_add(margin));
        let place = match self.flaw {
            Flaw::CountsFromZero => position - 1,
            _ => position,
        };
        let mut entry = Entry::new(place, draft);
        if self.flaw == Flaw::Floating {
            entry.life = Duration::from_secs(entry.life.as_secs() as f64 as u64);
        }
        inner.entries.insert(place, (entry, until));
        inner.mark = draft.nonce.mark();
    }
}

impl RevocationLog for BrokenLog {
    async fn append(&self, facts: &[Draft], now: Timestamp) -> Result<Stamp> {
        let mut places = Vec::new();
        {
            let mut inner = self.inner.lock().unwrap();
            inner.behind = inner.entries.clone();
            self.trim(&mut inner, now);
            if self.flaw == Flaw::CountsEntries {
                inner.position = self.stamp(&inner).position();
            }
            for draft in facts {
                let said = |(entry, _): &(Entry, Timestamp)| entry.nonce == draft.nonce;
                if self.flaw == Flaw::OncePerNonce && inner.entries.values().any(said) {
                    continue;
                }
                inner.position += 1;
                let place = inner.position;
                places.push(place);
                if self.flaw != Flaw::Sequence && self.flaw != Flaw::Pieces {
                    self.put(&mut inner, place, *draft, now);
                }
                if self.flaw == Flaw::Pieces {
                    inner.position -= 1;
                }
            }
            if self.flaw != Flaw::Sequence && self.flaw != Flaw::Pieces {
                let mut stamp = self.stamp(&inner);
                if self.flaw == Flaw::AnswersTheFirst && places.len() > 1 {
                    let entry = inner.entries[&places[0]].0;
                    stamp = Stamp::new(self.incarnation, places[0], entry.nonce.mark());
                }
                return Ok(stamp);
            }
        }
        if self.flaw == Flaw::Sequence {
            yield_now().await;
        }
        let mut last = 0;
        for (place, draft) in places.into_iter().zip(facts) {
            if self.flaw == Flaw::Pieces {
                yield_now().await;
            }
            let mut inner = self.inner.lock().unwrap();
            last = match self.flaw {
                Flaw::Pieces => {
                    inner.position += 1;
                    inner.position
                }
                _ => place,
            };
            self.put(&mut inner, last, *draft, now);
        }
        let inner = self.inner.lock().unwrap();
        let stamp = self.stamp(&inner);
        Ok(match (last, facts.last()) {
            (0, _) | (_, None) => stamp,
            (last, Some(draft)) => Stamp::new(self.incarnation, last, draft.nonce.mark()),
        })
    }

    async fn head(&self, _now: Timestamp) -> Result<Stamp> {
        Ok(self.stamp(&self.inner.lock().unwrap()))
    }

    async fn read(&self, from: u64, limit: usize, now: Timestamp) -> Result<Page> {
        let inner = self.inner.lock().unwrap();
        let entries = match self.flaw {
            Flaw::Replica => &inner.behind,
            _ => &inner.entries,
        };
        let from = match self.flaw {
            Flaw::ReadsBehind => from.saturating_add(1),
            _ => from,
        };
        let now = self.now(&inner, now);
        let next = inner.position + 1;
        let first = entries.first_key_value().map_or(next, |(first, _)| *first);
        let mut rest = entries.range(from..).map(|(_, (entry, until))| {
            if *until <= now && self.flaw != Flaw::SaysItForEver {
                entry.expired()
            } else {
                *entry
            }
        });
        let entries: Vec<_> = rest.by_ref().take(limit.max(1)).collect();
        let more = rest.next().is_some() && self.flaw != Flaw::NeverMore;
        let page = Page::new(self.incarnation, first, entries, more);
        Ok(page.with_fences(inner.fences))
    }

    async fn fence(&self, now: Timestamp) -> Result<()> {
        if self.flaw == Flaw::FenceAppends {
            let nonce = statewise::revocation::log::Nonce::from_bytes([0; 16]);
            let fence = Draft::with_nonce(
                nonce,
                statewise::revocation::log::Fact::Nothing,
                Duration::ZERO,
            );
            self.append(&[fence], now).await?;
        }
        if self.flaw != Flaw::HidesFences {
            self.inner.lock().unwrap().fences += 1;
        }
        Ok(())
    }
}

impl std::fmt::Debug for BrokenLog {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BrokenLog")
            .field("flaw", &self.flaw)
            .finish()
    }
}
