//! Comparison of the clock of a node with the clock of its server.

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::base::boxed::BoxFuture;
use crate::clock::{self, Timestamp};
use crate::error::Result;
use crate::observer::Observer;
use crate::observer::event::Event;
use crate::upkeep::{Chore, Upkeep};

/// Pause between two comparisons.
const COMPARISON_PAUSE: Duration = Duration::from_secs(60);
/// Difference of two clocks up to which they count as synchronized.
const MAX_SKEW_SECS: i64 = clock::MAX_SKEW_SECS.cast_signed();

/// A server with a clock of its own.
pub(crate) trait ServerClock: Send + Sync + 'static {
    /// Returns the time of the server.
    fn server_time(&self) -> impl Future<Output = Result<Timestamp>> + Send;
}

/// Returns the background task that compares the clock of the node with that of the server.
pub(crate) fn upkeep(server: &Arc<impl ServerClock>) -> Upkeep {
    Upkeep::of(CompareClocks(Arc::clone(server)))
}

/// Chore that reports how far the clock of the node is ahead of the one of the server.
struct CompareClocks<S>(Arc<S>);

impl<S: ServerClock> Chore for CompareClocks<S> {
    fn step<'a>(
        &'a self,
        now: Timestamp,
        observer: &'a dyn Observer,
    ) -> BoxFuture<'a, Result<Duration>> {
        Box::pin(async move {
            let asked_at = Instant::now();
            let server = self.0.server_time().await?;
            // The server read its clock after `now`, by at most this.
            let delay = i64::try_from(asked_at.elapsed().as_secs()).unwrap_or(i64::MAX);
            let ahead = now.unix().cast_signed() - server.unix().cast_signed();
            observer.observe(&Event::ClockSkew {
                ahead: time::Duration::seconds(ahead),
                is_excessive: ahead > MAX_SKEW_SECS
                    || ahead.saturating_neg().saturating_sub(delay) > MAX_SKEW_SECS,
            });
            Ok(COMPARISON_PAUSE)
        })
    }
}

impl<S> fmt::Debug for CompareClocks<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CompareClocks")
    }
}
