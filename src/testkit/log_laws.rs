//! The laws of a revocation log: each is a function that panics when a log breaks it.
//!
//! What a log does when it meets an entry that does not decode, and what it keeps when its server
//! is killed, is for a backend's own tests: the kit cannot make it happen.

mod batch;
mod keep;
mod order;
mod place;
mod world;

pub use batch::{
    log_08_a_batch_is_one_step, log_09_the_same_again_stands_again,
    log_10_may_be_given_up_at_every_step,
};
pub use keep::{
    log_05_nothing_goes_early, log_06_goes_on_when_all_is_gone, log_13_goes_by_its_own_clock,
    log_14_what_has_had_its_time_says_nothing,
};
pub use order::{log_04_readers_miss_nothing, log_12_begins_once};
pub use place::{
    log_01_positions_are_side_by_side, log_02_reads_from_a_place_on,
    log_03_the_head_is_the_last_append, log_07_facts_come_back_to_the_bit,
    log_11_a_fence_appends_nothing,
};

/// Makes one test of each law, for the logs of a [`LogFixture`].
///
/// With a second argument the tests are run by another function than the kit's
/// [`block_on`](crate::testkit::block_on), such as one that enters a runtime: it takes a future
/// and returns when that has ended.
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
        $crate::revocation_log_laws! {
            @each ($fixture) ($block_on)
            log_01_positions_are_side_by_side
            log_02_reads_from_a_place_on
            log_03_the_head_is_the_last_append
            log_04_readers_miss_nothing
            log_05_nothing_goes_early
            log_06_goes_on_when_all_is_gone
            log_07_facts_come_back_to_the_bit
            log_08_a_batch_is_one_step
            log_09_the_same_again_stands_again
            log_10_may_be_given_up_at_every_step
            log_11_a_fence_appends_nothing
            log_12_begins_once
            log_13_goes_by_its_own_clock
            log_14_what_has_had_its_time_says_nothing
        }
    };
    (@each ($fixture:expr) ($block_on:path) $($law:ident)*) => {
        $(
            #[test]
            fn $law() {
                $block_on($crate::testkit::log_laws::$law(&$fixture));
            }
        )*
    };
}

#[cfg(test)]
mod tests {
    /// The text of every file with laws.
    const FILES: [&str; 4] = [
        include_str!("log_laws/batch.rs"),
        include_str!("log_laws/keep.rs"),
        include_str!("log_laws/order.rs"),
        include_str!("log_laws/place.rs"),
    ];

    #[test]
    fn every_law_is_in_the_list() {
        let mut laws: Vec<_> = FILES
            .iter()
            .flat_map(|file| file.lines())
            .filter_map(|line| line.strip_prefix("pub async fn "))
            .filter_map(|line| line.split_once('<'))
            .map(|(name, _)| name)
            .collect();
        let this = include_str!("log_laws.rs");
        let list = this.split("@each ($fixture) ($block_on)\n").nth(1).unwrap();
        let listed: Vec<_> = list.split('}').next().unwrap().split_whitespace().collect();
        assert_eq!(listed.len(), 14);
        laws.sort_unstable();
        assert_eq!(laws, listed);
    }
}
