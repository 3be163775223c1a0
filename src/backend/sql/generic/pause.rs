//! Pauses between attempts.

use std::time::Duration;

/// First pause.
const MIN_PAUSE: Duration = Duration::from_millis(1);
/// Longest pause.
const MAX_PAUSE: Duration = Duration::from_millis(25);

/// Pauses between attempts, each twice as long as the one before. The caller has a deadline.
pub(crate) struct Pause(Duration);

impl Pause {
    pub(crate) fn new() -> Self {
        Self(MIN_PAUSE)
    }

    pub(crate) async fn wait(&mut self) {
        tokio::time::sleep(self.0).await;
        self.0 = (self.0 * 2).min(MAX_PAUSE);
    }
}
