//! The upkeep of logins in a store.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::base::boxed::BoxFuture;
use crate::clock::Timestamp;
use crate::error::Result;
use crate::observer::Observer;
use crate::observer::event::Event;
use crate::store::session_store::SessionStore;
use crate::upkeep::Chore;

/// Rows that one step removes at most.
const ROWS_PER_STEP: usize = 1000;
/// Pause between two steps of a round.
const STEP_PAUSE: Duration = Duration::from_millis(20);
/// Pause between two rounds.
const ROUND_PAUSE: Duration = Duration::from_secs(15);

/// Removes the rows of expired logins.
pub(crate) struct Sweeper<S>(pub(crate) Arc<S>);

impl<S: SessionStore> Chore for Sweeper<S> {
    fn step<'a>(
        &'a self,
        now: Timestamp,
        observer: &'a dyn Observer,
    ) -> BoxFuture<'a, Result<Duration>> {
        Box::pin(async move {
            let swept = self.0.sweep(ROWS_PER_STEP, now).await?;
            observer.observe(&Event::Swept {
                rows: swept.removed,
            });
            Ok(if swept.more { STEP_PAUSE } else { ROUND_PAUSE })
        })
    }
}

impl<S> fmt::Debug for Sweeper<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sweeper")
    }
}
