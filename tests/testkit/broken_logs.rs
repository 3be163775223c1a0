//! The kit can fail: logs that break one law each, and the law that catches them.

#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use log::{BrokenLog, Flaw};
use statewise::testkit::{LogFixture, block_on, log_laws};

mod log;

/// Opens logs with a flaw.
struct Broken(Flaw);

impl LogFixture for Broken {
    type Log = Arc<BrokenLog>;

    async fn open(&self) -> Arc<BrokenLog> {
        Arc::new(BrokenLog::new(self.0))
    }

    async fn again(&self, log: &Arc<BrokenLog>) -> Arc<BrokenLog> {
        Arc::new(log.again())
    }

    async fn advance(&self, _: &Arc<BrokenLog>, _: Duration) {}
}

/// The same with a clock of its own, which stands still unless it is advanced.
struct BrokenServer(Flaw);

impl LogFixture for BrokenServer {
    type Log = Arc<BrokenLog>;

    const OWN_CLOCK: bool = true;

    async fn open(&self) -> Arc<BrokenLog> {
        Arc::new(BrokenLog::with_clock(self.0))
    }

    async fn again(&self, log: &Arc<BrokenLog>) -> Arc<BrokenLog> {
        Arc::new(log.again())
    }

    async fn advance(&self, log: &Arc<BrokenLog>, by: Duration) {
        log.advance(by.as_secs());
    }
}

/// Panic message of a broken law; `None` if the law held.
fn complaint(law: impl FnOnce()) -> Option<String> {
    let panic = catch_unwind(AssertUnwindSafe(law)).err()?;
    let text = panic.downcast_ref::<String>().cloned();
    Some(text.unwrap_or_else(|| panic.downcast_ref::<&str>().unwrap_or(&"").to_string()))
}

/// One test for each broken log: its laws reject it.
macro_rules! rejected {
    ($($test:ident: $fixture:ident($flaw:ident) => $($law:ident),+;)*) => {$(
        #[test]
        fn $test() {
            $(
                let broken = $fixture(Flaw::$flaw);
                let said = complaint(|| block_on(log_laws::$law(&broken)));
                assert!(said.is_some(), "{} lets it pass", stringify!($law));
            )+
        }
    )*};
}

rejected! {
    counts_from_zero_is_rejected: Broken(CountsFromZero)
        => log_01_positions_are_side_by_side;
    answers_the_first_of_a_batch_is_rejected: Broken(AnswersTheFirst)
        => log_01_positions_are_side_by_side;
    reads_behind_the_cursor_is_rejected: Broken(ReadsBehind)
        => log_02_reads_from_a_position_on;
    never_says_more_is_rejected: Broken(NeverMore)
        => log_02_reads_from_a_position_on;
    has_no_incarnation_is_rejected: Broken(NoIncarnation)
        => log_03_the_head_is_the_last_append;
    takes_places_from_a_sequence_is_rejected: Broken(Sequence)
        => log_04_readers_miss_nothing, log_10_may_be_dropped_at_every_step;
    reads_a_replica_is_rejected: Broken(Replica)
        => log_04_readers_miss_nothing, log_03_the_head_is_the_last_append;
    forgets_the_margin_is_rejected: Broken(NoMargin)
        => log_05_keeps_entries_for_their_life;
    takes_out_of_the_middle_is_rejected: Broken(TrimsAnywhere)
        => log_05_keeps_entries_for_their_life;
    keeps_a_number_of_entries_is_rejected: Broken(KeepsSix)
        => log_05_keeps_entries_for_their_life;
    grows_for_ever_is_rejected: Broken(NeverTrims)
        => log_05_keeps_entries_for_their_life;
    counts_its_entries_is_rejected: Broken(CountsEntries)
        => log_06_continues_after_all_have_expired;
    loses_the_mark_is_rejected: Broken(LosesTheMark)
        => log_06_continues_after_all_have_expired;
    counts_in_floating_point_is_rejected: Broken(Floating)
        => log_07_facts_come_back_to_the_bit;
    writes_a_batch_in_pieces_is_rejected: Broken(Pieces)
        => log_08_a_batch_is_one_step, log_10_may_be_dropped_at_every_step;
    takes_the_nonce_for_a_key_is_rejected: Broken(OncePerNonce)
        => log_09_the_same_drafts_are_appended_again;
    fences_by_an_entry_is_rejected: Broken(FenceAppends)
        => log_11_a_fence_appends_nothing;
    hides_fences_is_rejected: Broken(HidesFences)
        => log_11_a_fence_appends_nothing;
    begins_on_each_node_is_rejected: Broken(BeginsAgain)
        => log_12_begins_once, log_07_facts_come_back_to_the_bit;
    says_what_has_expired_is_rejected: Broken(SaysItForEver)
        => log_14_an_expired_entry_reads_as_nothing;
    believes_its_callers_is_rejected: BrokenServer(BelievesCallers)
        => log_13_uses_its_own_clock;
}

/// The log without a flaw keeps all laws, with and without a clock of its own: it is the flaw
/// that is rejected.
mod without_a_flaw {
    use super::{Broken, Flaw};

    statewise::testkit::revocation_log_laws!(Broken(Flaw::None));
}

mod without_a_flaw_on_a_server {
    use super::{BrokenServer, Flaw};

    statewise::testkit::revocation_log_laws!(BrokenServer(Flaw::None));
}
