//! The laws of a revocation log: each is a function that panics when a log breaks it.
//!
//! Test an entry that does not decode, and a server that is killed, with your backend: the kit
//! cannot cause either.

mod batch;
mod keep;
mod order;
mod place;
mod world;

/// Makes one test of each law, for the logs of a [`LogFixture`].
///
/// The second argument replaces the kit's [`block_on`](crate::testkit::block_on) by another
/// function that runs a future to its end, such as one that enters a runtime.
///
/// ```
/// mod laws {
///     statewise::testkit::revocation_log_laws!(statewise::testkit::MemoryLogFixture);
/// }
/// ```
///
/// [`LogFixture`]: crate::testkit::LogFixture
#[macro_export]
macro_rules! revocation_log_laws {
    ($fixture:expr $(,)?) => {
        $crate::revocation_log_laws!($fixture, block_on = $crate::testkit::block_on);
    };
    ($fixture:expr, block_on = $block_on:path $(,)?) => {
        $crate::revocation_log_laws!(@list @tests ($fixture) ($block_on));
    };
    // The list of all laws, by file. A law that is missing here is dead code, which the compiler
    // reports.
    (@list $($then:tt)*) => {
        $crate::revocation_log_laws! {
            $($then)*
            place:
                log_01_positions_are_side_by_side
                log_02_reads_from_a_position_on
                log_03_the_head_is_the_last_append
                log_07_facts_come_back_to_the_bit
                log_11_a_fence_appends_nothing;
            order: log_04_readers_miss_nothing log_12_begins_once;
            keep:
                log_05_keeps_entries_for_their_life
                log_06_continues_after_all_have_expired
                log_13_uses_its_own_clock
                log_14_an_expired_entry_reads_as_nothing;
            batch:
                log_08_a_batch_is_one_step
                log_09_the_same_drafts_are_appended_again
                log_10_may_be_dropped_at_every_step;
        }
    };
    (@exports $($file:ident: $($law:ident)*;)*) => {
        $(pub use $file::{$($law),*};)*
    };
    (@tests ($fixture:expr) ($block_on:path) $($file:ident: $($law:ident)*;)*) => {
        $($(
            #[test]
            fn $law() {
                $block_on($crate::testkit::log_laws::$law(&$fixture));
            }
        )*)*
    };
}

revocation_log_laws!(@list @exports);
