//! Laws of the strategies, for any store: sessions and the hybrid keep their promises on top of it.
//!
//! The conformance kit asks a store for its contract alone. These laws run our strategies over a
//! store, at every step, in parallel, with faults and with cancelled futures. A test program of a
//! store includes this file and calls [`strategy_laws!`].

mod dropped;
pub(crate) mod family;
mod keys;
mod life;
mod refresh;
mod retry;
mod sessions;
mod step;
mod tickets;
mod unreadable;
pub(crate) mod world;

pub(crate) use dropped::*;
pub(crate) use keys::*;
pub(crate) use life::*;
pub(crate) use refresh::*;
pub(crate) use retry::*;
pub(crate) use sessions::*;
pub(crate) use step::*;
pub(crate) use tickets::*;
pub(crate) use unreadable::*;

/// Makes one test of each law, for the stores of a `StoreFixture`. `block_on` as in
/// `session_store_laws!`.
macro_rules! strategy_laws {
    ($fixture:expr) => {
        $crate::strategies::strategy_laws!($fixture, block_on = statewise::testkit::block_on);
    };
    ($fixture:expr, block_on = $block_on:path) => {
        $crate::strategies::strategy_laws! {
            @each ($fixture) ($block_on)
            delete_06_ends_logins_under_way
            delete_07_keeps_the_callers_own
            rotate_01_old_and_new_at_every_moment
            rotate_02_at_login_and_change_of_privilege
            rotate_05_keeps_beginning_and_deadline
            expiry_01_the_first_limit_ends_it
            expiry_07_the_upkeep_survives_an_error
            update_08_notes_uses_now_and_then
            update_09_a_shorter_life_counts_at_once
            refresh_01_replaces_the_credential
            refresh_02_reuse_ends_the_login
            refresh_03_parallel_refreshes_agree
            refresh_04_the_grace_has_an_end
            refresh_05_a_restart_revives_nothing
            refresh_06_a_failed_refresh_is_tried_again
            refresh_07_has_both_limits
            refresh_08_a_logout_ends_the_login
            refresh_11_the_grace_outlives_no_login
            refresh_12_data_are_read_before_a_rotation
            refresh_13_holders_that_take_turns_are_told_apart
            refresh_14_parallel_orphans_agree
            read_12_a_bad_deployment_ends_no_login
            read_13_a_damaged_row_blames_no_credential
            read_14_no_act_drops_a_field_of_a_later_version
            read_15_a_critical_field_is_refused_by_each_act
            retry_01_refreshing_again_is_safe
            retry_02_revoking_again_is_safe
            retry_03_logging_in_again_is_safe
            ticket_01_one_of_64_redeems
            ticket_02_a_refused_ticket_is_not_spent
            ticket_03_the_fourth_ends_the_first
            ticket_04_a_lost_answer_gives_it_to_nobody
            ticket_05_a_logout_ends_a_pending_ticket
            ticket_06_a_logout_ends_a_login_from_a_ticket
            ticket_07_two_applications_share_nothing
            life_01_a_login_keeps_the_life_it_chose
            life_02_a_shorter_life_counts_at_once
            life_04_other_logins_are_as_before
            passive_01_a_poll_keeps_nothing_alive
            passive_02_nothing_is_due
            step_01_is_for_the_credential_that_it_returns
            step_01_a_lost_answer_ends_nothing
            step_01_is_kept_by_a_refresh_credential
            key_01_a_damaged_key_costs_no_call
            key_02_sessions_and_keys_do_not_meet
            concur_03_may_be_dropped_at_every_step
            concur_06_survives_panics_of_the_application
            concur_07_dropping_the_upkeep_loses_nothing
        }
    };
    (@each ($fixture:expr) ($block_on:path) $($law:ident)*) => {
        $(
            #[test]
            fn $law() {
                $block_on($crate::strategies::$law(&$fixture));
            }
        )*
    };
}

pub(crate) use strategy_laws;
