//! The laws of a session store: each is a function that panics when a store breaks it.
//!
//! A name begins with the id of the behaviour. CREATE, READ, UPDATE, DELETE, ROTATE, EXPIRY and
//! CONCUR number the known mistakes of session stores. CHANGE, LIMIT, LIST, SCOPE, CONFIRM,
//! RETRY, RACE and TICKET are added by the contract. A law about one method has the id of that method.
//!
//! # Not asked here
//!
//! | id | reason |
//! |---|---|
//! | CREATE-03 to 07, READ-06, UPDATE-10, UPDATE-13, DELETE-07, REFRESH | belong to the strategy, and no store can break them |
//! | CREATE-08, UPDATE-12, DELETE-08, DELETE-09, EXPIRY-05, WEB | belong to the web layer: a store never sees a visitor or a response |
//! | CREATE-09, DELETE-03 | durability shows when the server is killed: test it with your backend |
//! | DELETE-04 | a failing cache inside of a store: DELETE-01 and DELETE-05 ask for its effects |
//! | EXPIRY-03 | a time to live that a server keeps beside the row is internal to the backend |
//! | CONCUR-04, CONCUR-05 | need a server that hangs and an exhausted pool |
//! | a full store | capacity is the store's decision; open one with room |

mod concur;
mod content;
mod create;
mod delete;
mod expiry;
mod limit;
mod list;
mod peek;
mod race;
mod read;
mod retry;
mod rotate;
mod script;
mod touch;
mod update;

/// Makes one test of each law, for the stores of a [`StoreFixture`].
///
/// The second argument replaces the kit's [`block_on`](crate::testkit::block_on) by another
/// function that runs a future to its end, such as one that enters a runtime.
///
/// ```
/// mod without_a_runtime {
///     statewise::testkit::session_store_laws!(statewise::testkit::MemoryFixture);
/// }
/// mod on_a_runtime {
///     fn on_a_runtime(future: impl Future<Output = ()>) {
///         statewise::testkit::block_on(future)
///     }
///
///     statewise::testkit::session_store_laws!(
///         statewise::testkit::MemoryFixture,
///         block_on = on_a_runtime
///     );
/// }
/// ```
///
/// [`StoreFixture`]: crate::testkit::StoreFixture
#[macro_export]
macro_rules! session_store_laws {
    ($fixture:expr $(,)?) => {
        $crate::session_store_laws!($fixture, block_on = $crate::testkit::block_on);
    };
    ($fixture:expr, block_on = $block_on:path $(,)?) => {
        $crate::session_store_laws!(@list @tests ($fixture) ($block_on));
    };
    // The list of all laws, by file. A law that is missing here is dead code, which the compiler
    // reports.
    (@list $($then:tt)*) => {
        $crate::session_store_laws! {
            $($then)*
            create: create_01_is_readable_at_once create_02_never_overwrites;
            limit:
                limit_01_rejects_above_the_limit
                limit_02_evicts_the_oldest
                limit_03_evicts_the_least_recently_used;
            read:
                read_01_missing_is_no_error
                read_02_expired_is_none_before_any_sweep
                read_03_exactly_now_is_expired
                read_04_undecodable_is_an_error_until_removed
                read_07_looking_creates_nothing
                read_09_the_row_of_another_is_never_served
                read_10_two_stores_share_nothing
                read_11_hostile_subjects_select_only_themselves;
            peek: peek_01_shows_what_load_answers;
            content:
                read_05_keeps_fields_of_later_versions
                read_08_payloads_come_back_to_the_bit;
            list: list_01_pages_hold_each_login_once;
            update:
                update_01_changes_only_the_named_fields
                update_02_never_resurrects_a_removed_row
                update_03_never_revives_an_expired_login
                update_04_loses_no_update
                update_05_tears_no_row
                update_11_emptying_is_a_change;
            touch:
                update_06_a_use_never_moves_the_deadline
                update_07_a_touch_never_inserts_or_shortens
                update_08_notes_uses_now_and_then
                update_12_notes_a_use_every_hour
                passive_01_looking_is_no_use
                confirm_01_counts_for_its_generation;
            delete:
                delete_01_removed_is_gone
                delete_02_removing_twice_is_fine
                delete_05_no_late_fill
                delete_06_ends_all_that_were_created_before
                ticket_01_one_removal_counts
                scope_01_selects_the_right_rows;
            rotate:
                rotate_01_a_row_is_there_at_every_moment
                rotate_03_one_rotation_wins
                rotate_04_keeps_all_other_fields
                rotate_05_keeps_beginning_and_deadline
                rotate_06_rotates_only_what_is_there
                rotate_07_rests_in_the_overlap
                life_01_a_rotation_never_lengthens_the_idle_timeout
                step_01_a_step_up_comes_back
                update_09_a_shorter_life_counts_at_once;
            expiry:
                expiry_01_the_first_limit_ends_it
                expiry_02_the_past_has_expired
                expiry_04_no_lifetime_overflows
                expiry_06_a_clock_set_back_revives_nothing
                expiry_07_sweeps_the_expired
                expiry_08_a_touch_saves_from_the_sweep;
            retry: retry_01_rotating_again_is_safe retry_04_creating_again_is_safe;
            concur:
                concur_01_does_what_a_map_would_do
                concur_02_is_linearizable
                concur_03_may_be_dropped_at_every_step
                concur_07_dropping_the_upkeep_loses_nothing;
            race:
                change_01_is_one_step
                race_01_no_update_revives_a_removed_row
                race_02_no_rotation_revives_a_removed_row
                race_03_no_touch_revives_a_removed_row
                race_04_updates_and_rotations_all_count
                race_05_one_create_of_a_handle_wins
                race_06_creates_stay_within_the_limit;
        }
    };
    (@exports $($file:ident: $($law:ident)*;)*) => {
        $(pub use $file::{$($law),*};)*
    };
    (@tests ($fixture:expr) ($block_on:path) $($file:ident: $($law:ident)*;)*) => {
        $($(
            #[test]
            fn $law() {
                $block_on($crate::testkit::laws::$law(&$fixture));
            }
        )*)*
    };
}

session_store_laws!(@list @exports);
