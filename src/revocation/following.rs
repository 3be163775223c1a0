//! The background work of a view.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::base::boxed::BoxFuture;
use crate::clock::{self, Timestamp};
use crate::error::Result;
use crate::observer::Observer;
use crate::revocation::view::RevocationView;
use crate::upkeep::{Chore, Upkeep};

impl RevocationView {
    /// The work of following the log, and of waking those who wait for the end of a login, for the
    /// application to run.
    pub fn upkeep(&self) -> Upkeep {
        Upkeep::of(Following(self.clone()))
            .and(Upkeep::of(Watching(self.clone())))
            .clock(Arc::clone(&self.settings().clock))
    }
}

/// Between two looks at who is due: time is told in whole seconds.
const LOOK: Duration = Duration::from_millis(250);

struct Following(RevocationView);

impl Chore for Following {
    fn step<'a>(
        &'a self,
        now: Timestamp,
        observer: &'a dyn Observer,
    ) -> BoxFuture<'a, Result<Duration>> {
        Box::pin(async move {
            let view = &self.0;
            view.sweep(now);
            let followed = view.follow().await;
            // Reading takes time, and perhaps all of the bound.
            let now = clock::read(&*view.settings().clock).unwrap_or(now);
            observer.observe(&view.lag(now));
            followed?;
            view.keep_keys().await?;
            Ok(view.settings().poll)
        })
    }

    /// Soon enough for one failure to be no outage, and never so late that the nodes refuse
    /// everybody for long after one has ended.
    fn retries(&self) -> [Duration; 2] {
        let settings = self.0.settings();
        [settings.poll, settings.bound / 8]
    }
}

impl fmt::Debug for Following {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Following")
    }
}

/// Beside the reading, so that a log that never answers keeps nobody waiting.
struct Watching(RevocationView);

impl Chore for Watching {
    fn step<'a>(&'a self, now: Timestamp, _: &'a dyn Observer) -> BoxFuture<'a, Result<Duration>> {
        Box::pin(async move {
            let view = &self.0;
            if view.check_fresh(now).is_err() {
                view.waiters().tell_all();
            } else {
                view.waiters().tell_due(now);
            }
            Ok(LOOK)
        })
    }

    /// It fails while the clock does.
    fn retries(&self) -> [Duration; 2] {
        [LOOK, LOOK]
    }
}

impl fmt::Debug for Watching {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Watching")
    }
}
