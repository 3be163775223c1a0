//! Facts about all users, which each node reports to its observer once.

use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::login::issued::Revocation;
use crate::observer::Observer;
use crate::observer::event::Event;
use crate::revocation::fact::Fact;

/// Retired keys, and ends of all logins, that this node has learned and not reported.
///
/// The upkeep reports them. A call that reports its fact itself [announces](Self::announce) it first, so
/// that the node reports it once, whether it learns the fact from the call or from the log.
#[derive(Default)]
pub(super) struct News(Mutex<State>);

#[derive(Default)]
struct State {
    unreported: Vec<Fact>,
    /// Facts of calls that are running.
    announced: Vec<Fact>,
}

impl News {
    /// Adds a fact that this node did not know.
    pub(super) fn learn(&self, fact: Fact) {
        let mut state = self.lock();
        if !take(&mut state.announced, fact) && !state.unreported.contains(&fact) {
            state.unreported.push(fact);
        }
    }

    /// Forgets the facts that were not reported, and returns them.
    pub(super) fn take(&self) -> Vec<Fact> {
        std::mem::take(&mut self.lock().unreported)
    }

    /// Reports the facts that were learned since the last report.
    pub(super) fn report(&self, observer: &dyn Observer) {
        let effective = Revocation::Immediate;
        for fact in self.take() {
            match fact {
                Fact::Key(key) => {
                    let kid = &String::from_utf8_lossy(key.as_bytes());
                    observer.observe(&Event::KeyRetired { kid, effective });
                }
                _ => observer.observe(&Event::RevokedEverything { effective }),
            }
        }
    }

    /// Notes that a call is about to append a fact, and to report it.
    pub(super) fn announce(&self, fact: Fact) -> Announced<'_> {
        self.lock().announced.push(fact);
        Announced {
            news: self,
            fact,
            is_reported: false,
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // No code under the lock panics.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The announcement of a call. If the call fails or is dropped after this node has learned the fact, the
/// upkeep reports it.
#[must_use]
pub(super) struct Announced<'n> {
    news: &'n News,
    fact: Fact,
    is_reported: bool,
}

impl Announced<'_> {
    /// Ends the announcement of a call that has succeeded.
    pub(super) fn reported(mut self) {
        self.is_reported = true;
    }
}

impl Drop for Announced<'_> {
    fn drop(&mut self) {
        let mut state = self.news.lock();
        let is_learned = !take(&mut state.announced, self.fact);
        if is_learned && !self.is_reported {
            state.unreported.push(self.fact);
        }
    }
}

/// Removes a fact from a list. Returns false if it is not in it.
fn take(facts: &mut Vec<Fact>, fact: Fact) -> bool {
    let at = facts.iter().position(|known| *known == fact);
    at.map(|at| facts.swap_remove(at)).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    const FACT: Fact = Fact::Everything { before: None };

    /// The log may have taken the fact of a call that got no answer.
    #[test]
    fn a_fact_is_reported_once_by_its_call_or_by_the_upkeep() {
        let news = News::default();
        let announced = news.announce(FACT);
        news.learn(FACT);
        announced.reported();
        assert_eq!(news.take(), []);
        // Of a fact that was known.
        news.announce(FACT).reported();
        // Without an answer, and without a fact.
        drop(news.announce(FACT));
        assert_eq!(news.take(), []);
        // Without an answer, and with a fact.
        let announced = news.announce(FACT);
        news.learn(FACT);
        assert_eq!(news.take(), []);
        drop(announced);
        assert_eq!(news.take(), [FACT]);
        // No announcement is left over.
        news.learn(FACT);
        news.learn(FACT);
        assert_eq!(news.take(), [FACT]);
    }
}
