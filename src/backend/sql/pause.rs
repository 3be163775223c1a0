//! Waiting between two tries.

use std::time::Duration;

/// At first.
const FIRST: Duration = Duration::from_millis(1);
/// At most.
const LAST: Duration = Duration::from_millis(25);

/// Waits between two tries, longer each time. The caller has a deadline.
pub(crate) struct Pause(Duration);

impl Pause {
    pub(crate) fn new() -> Self {
        Self(FIRST)
    }

    pub(crate) async fn pass(&mut self) {
        tokio::time::sleep(self.0).await;
        self.0 = (self.0 * 2).min(LAST);
    }
}
