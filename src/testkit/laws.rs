//! The laws: each is a function that panics when a store breaks it.
//!
//! Their names begin with the id of the behaviour that they ask for. CREATE to REFRESH number what
//! a place for sessions is known to get wrong; LIMIT, LIST, SCOPE, CONFIRM and RETRY are what the
//! contract adds.
//!
//! # What is not asked here
//!
//! | id | why |
//! |---|---|
//! | CREATE-08, UPDATE-12, DELETE-08, DELETE-09, EXPIRY-05 | belong to whoever writes cookies; a store never sees an anonymous visitor or a response |
//! | CREATE-09, DELETE-03 | durability shows when the server is killed; a backend's own tests do that |
//! | DELETE-04 | a cache inside of a store fails apart from it only by the store's own tests; DELETE-01 and DELETE-05 ask what shows outside |
//! | EXPIRY-03 | what a server keeps beside a row is the backend's own business |
//! | CONCUR-04, CONCUR-05 | need a server that hangs and a pool that runs dry |
//! | a full store | what a store can hold is its own business; a fixture opens one with room |
//! | WEB | belongs to whoever answers requests |

mod concur;
mod content;
mod create;
mod delete;
mod expiry;
mod limit;
mod list;
mod read;
mod refresh;
mod retry;
mod rotate;
mod script;
mod touch;
mod update;

pub use concur::{
    concur_01_does_what_a_map_would_do, concur_02_is_linearizable,
    concur_03_may_be_dropped_at_every_step, concur_06_survives_panics_of_the_application,
    concur_07_dropping_the_upkeep_loses_nothing,
};
pub use content::{
    read_04_unreadable_is_one_users_trouble, read_05_keeps_fields_of_later_versions,
    read_08_payloads_come_back_to_the_bit,
};
pub use create::{
    create_01_is_readable_at_once, create_02_never_overwrites, create_03_credentials_are_uniform,
    create_04_keeps_no_credential, create_05_adopts_no_id_of_a_client,
    create_06_malformed_never_reaches_the_store, create_07_overlong_never_reaches_the_store,
};
pub use delete::{
    delete_01_removed_is_gone, delete_02_removing_twice_is_fine, delete_05_no_late_fill,
    delete_06_ends_logins_under_way, delete_07_keeps_the_callers_own, scope_01_covers_what_it_says,
};
pub use expiry::{
    expiry_01_the_first_limit_ends_it, expiry_02_the_past_is_over_at_once,
    expiry_04_no_lifetime_overflows, expiry_06_a_clock_set_back_revives_nothing,
    expiry_07_sweeps_what_is_over, expiry_08_a_touch_saves_from_the_sweep,
};
pub use limit::{limit_01_rejects_what_is_too_much, limit_02_evicts_the_oldest};
pub use list::list_01_pages_hold_each_login_once;
pub use read::{
    read_01_missing_is_no_error, read_02_over_is_none_before_any_sweep,
    read_03_exactly_now_is_over, read_06_an_error_is_never_no_session,
    read_07_looking_creates_nothing, read_09_the_row_of_another_is_never_served,
    read_10_two_stores_share_nothing, read_11_hostile_subjects_select_only_themselves,
};
pub use refresh::{
    refresh_01_replaces_the_credential, refresh_02_reuse_ends_the_login,
    refresh_03_parallel_refreshes_agree, refresh_04_the_grace_has_an_end,
    refresh_05_a_restart_revives_nothing, refresh_06_a_failed_refresh_is_tried_again,
    refresh_07_has_both_limits, refresh_08_a_logout_ends_the_login, refresh_09_is_no_token,
    refresh_10_yields_no_tokens_for_others, refresh_11_the_grace_outlives_no_login,
};
pub use retry::{
    retry_01_refreshing_again_is_safe, retry_02_revoking_again_is_safe,
    retry_03_logging_in_again_is_safe, retry_04_creating_again_is_safe,
};
pub use rotate::{
    rotate_01_old_and_new_at_every_moment, rotate_02_at_login_and_change_of_privilege,
    rotate_03_one_rotation_wins, rotate_04_keeps_what_it_did_not_see,
    rotate_05_keeps_beginning_and_deadline, rotate_06_rotates_only_what_is_there,
};
pub use touch::{
    confirm_01_never_inserts, update_06_a_use_never_moves_the_deadline,
    update_07_a_touch_never_inserts, update_08_notes_uses_now_and_then,
    update_10_verifying_only_reads,
};
pub use update::{
    update_01_changes_what_it_names, update_02_never_resurrects_what_was_removed,
    update_03_never_revives_what_is_over, update_04_loses_no_update, update_05_tears_no_row,
    update_09_a_shorter_life_counts_at_once, update_11_emptying_is_a_change,
    update_13_too_large_never_reaches_the_store,
};

/// Makes one test of each law, for the stores of a [`StoreFixture`].
///
/// With a second argument the tests are run by another function than the kit's
/// [`block_on`](crate::testkit::block_on), such as one that enters a runtime: it takes a future
/// and returns when that has ended.
///
/// ```
/// mod by_itself {
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
        $crate::session_store_laws! {
            @each ($fixture) ($block_on)
            create_01_is_readable_at_once
            create_02_never_overwrites
            create_03_credentials_are_uniform
            create_04_keeps_no_credential
            create_05_adopts_no_id_of_a_client
            create_06_malformed_never_reaches_the_store
            create_07_overlong_never_reaches_the_store
            limit_01_rejects_what_is_too_much
            limit_02_evicts_the_oldest
            read_01_missing_is_no_error
            read_02_over_is_none_before_any_sweep
            read_03_exactly_now_is_over
            read_04_unreadable_is_one_users_trouble
            read_05_keeps_fields_of_later_versions
            read_06_an_error_is_never_no_session
            read_07_looking_creates_nothing
            read_08_payloads_come_back_to_the_bit
            read_09_the_row_of_another_is_never_served
            read_10_two_stores_share_nothing
            read_11_hostile_subjects_select_only_themselves
            list_01_pages_hold_each_login_once
            update_01_changes_what_it_names
            update_02_never_resurrects_what_was_removed
            update_03_never_revives_what_is_over
            update_04_loses_no_update
            update_05_tears_no_row
            update_06_a_use_never_moves_the_deadline
            update_07_a_touch_never_inserts
            update_08_notes_uses_now_and_then
            update_09_a_shorter_life_counts_at_once
            update_10_verifying_only_reads
            update_11_emptying_is_a_change
            update_13_too_large_never_reaches_the_store
            confirm_01_never_inserts
            delete_01_removed_is_gone
            delete_02_removing_twice_is_fine
            delete_05_no_late_fill
            delete_06_ends_logins_under_way
            delete_07_keeps_the_callers_own
            scope_01_covers_what_it_says
            rotate_01_old_and_new_at_every_moment
            rotate_02_at_login_and_change_of_privilege
            rotate_03_one_rotation_wins
            rotate_04_keeps_what_it_did_not_see
            rotate_05_keeps_beginning_and_deadline
            rotate_06_rotates_only_what_is_there
            expiry_01_the_first_limit_ends_it
            expiry_02_the_past_is_over_at_once
            expiry_04_no_lifetime_overflows
            expiry_06_a_clock_set_back_revives_nothing
            expiry_07_sweeps_what_is_over
            expiry_08_a_touch_saves_from_the_sweep
            refresh_01_replaces_the_credential
            refresh_02_reuse_ends_the_login
            refresh_03_parallel_refreshes_agree
            refresh_04_the_grace_has_an_end
            refresh_05_a_restart_revives_nothing
            refresh_06_a_failed_refresh_is_tried_again
            refresh_07_has_both_limits
            refresh_08_a_logout_ends_the_login
            refresh_09_is_no_token
            refresh_10_yields_no_tokens_for_others
            refresh_11_the_grace_outlives_no_login
            retry_01_refreshing_again_is_safe
            retry_02_revoking_again_is_safe
            retry_03_logging_in_again_is_safe
            retry_04_creating_again_is_safe
            concur_01_does_what_a_map_would_do
            concur_02_is_linearizable
            concur_03_may_be_dropped_at_every_step
            concur_06_survives_panics_of_the_application
            concur_07_dropping_the_upkeep_loses_nothing
        }
    };
    (@each ($fixture:expr) ($block_on:path) $($law:ident)*) => {
        $(
            #[test]
            fn $law() {
                $block_on($crate::testkit::laws::$law(&$fixture));
            }
        )*
    };
}

#[cfg(test)]
mod tests {
    /// The text of every file with laws.
    const FILES: [&str; 13] = [
        include_str!("laws/concur.rs"),
        include_str!("laws/content.rs"),
        include_str!("laws/create.rs"),
        include_str!("laws/delete.rs"),
        include_str!("laws/expiry.rs"),
        include_str!("laws/limit.rs"),
        include_str!("laws/list.rs"),
        include_str!("laws/read.rs"),
        include_str!("laws/refresh.rs"),
        include_str!("laws/retry.rs"),
        include_str!("laws/rotate.rs"),
        include_str!("laws/touch.rs"),
        include_str!("laws/update.rs"),
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
        let this = include_str!("laws.rs");
        let list = this.split("@each ($fixture) ($block_on)\n").nth(1).unwrap();
        let mut listed: Vec<_> = list.split('}').next().unwrap().split_whitespace().collect();
        assert!(listed.len() > 50);
        laws.sort_unstable();
        listed.sort_unstable();
        assert_eq!(laws, listed);
    }
}
