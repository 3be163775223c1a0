//! Tests of the kit: each of these stores breaks one law, and that law must fail.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use statewise::store::MemoryStore;
use statewise::store::contract::SessionStore;
use statewise::testkit::{MemoryFixture, StoreFixture, block_on, laws};

mod exceeds_the_limit;
mod fills_its_cache_late;
mod forgets_step_ups;
mod forgets_the_idle_deadline;
mod ignores_versions;
mod lengthens_the_idle_timeout;
mod lets_two_rotations_win;
mod looks_actively;
mod map;
mod overwrites_on_create;
mod resurrects_on_touch;
mod resurrects_on_update;
mod shows_old_rows;

/// Opens memory stores inside a broken wrapper.
struct Broken<W>(fn(MemoryStore) -> W);

impl<W: SessionStore> StoreFixture for Broken<W> {
    type Store = W;

    async fn open(&self) -> W {
        (self.0)(MemoryFixture.open().await)
    }

    async fn advance(&self, _: &W, _: Duration) {}
}

/// Returns the message of a law that failed, or `None` if it held.
fn failure_of(law: impl FnOnce()) -> Option<String> {
    let panic = catch_unwind(AssertUnwindSafe(law)).err()?;
    let text = panic.downcast_ref::<String>().cloned();
    Some(text.unwrap_or_else(|| panic.downcast_ref::<&str>().unwrap_or(&"").to_string()))
}

/// Declares a test of a broken store: its law fails, and holds for the store inside.
macro_rules! rejected {
    ($($broken:ident: $store:path => $($law:ident),+;)*) => {$(
        #[test]
        fn $broken() {
            $(
                let law = || block_on(laws::$law(&Broken($store)));
                let message = failure_of(law);
                assert!(message.is_some(), "{} lets it pass", stringify!($law));
                let law = || block_on(laws::$law(&MemoryFixture));
                assert_eq!(failure_of(law), None);
            )+
        }
    )*};
}

rejected! {
    resurrects_on_update_is_rejected: resurrects_on_update::ResurrectsOnUpdate::new
        => update_02_never_resurrects_a_removed_row, concur_01_does_what_a_map_would_do;
    resurrects_on_touch_is_rejected: resurrects_on_touch::ResurrectsOnTouch::new
        => update_07_a_touch_never_inserts_or_shortens, update_02_never_resurrects_a_removed_row;
    ignores_versions_is_rejected: ignores_versions::IgnoresVersions
        => update_04_loses_no_update, concur_01_does_what_a_map_would_do;
    overwrites_on_create_is_rejected: overwrites_on_create::OverwritesOnCreate
        => create_02_never_overwrites;
    fills_its_cache_late_is_rejected: fills_its_cache_late::FillsItsCacheLate::new
        => delete_05_no_late_fill, concur_02_is_linearizable;
    forgets_the_idle_deadline_is_rejected: forgets_the_idle_deadline::ForgetsTheIdleDeadline
        => read_02_expired_is_none_before_any_sweep, expiry_01_the_first_limit_ends_it;
    lets_two_rotations_win_is_rejected: lets_two_rotations_win::LetsTwoRotationsWin
        => rotate_03_one_rotation_wins;
    lengthens_the_idle_timeout_is_rejected: lengthens_the_idle_timeout::LengthensTheIdleTimeout
        => life_01_a_rotation_never_lengthens_the_idle_timeout;
    forgets_step_ups_is_rejected: forgets_step_ups::ForgetsStepUps
        => step_01_a_step_up_comes_back;
    waits_for_an_overlap_is_rejected: forgets_step_ups::WaitsForAnOverlap
        => step_01_a_step_up_comes_back;
    looks_actively_is_rejected: looks_actively::LooksActively
        => passive_01_looking_is_no_use;
    guesses_the_last_use_is_rejected: looks_actively::GuessesTheLastUse
        => passive_01_looking_is_no_use;
    notes_uses_rarely_is_rejected: looks_actively::NotesUsesRarely
        => update_12_notes_a_use_every_hour;
    exceeds_the_limit_is_rejected: exceeds_the_limit::ExceedsTheLimit
        => limit_01_rejects_above_the_limit;
    shows_old_rows_is_rejected: shows_old_rows::ShowsOldRows::new
        => peek_01_shows_what_load_answers, concur_01_does_what_a_map_would_do;
    leaves_expired_rows_is_rejected: shows_old_rows::LeavesExpiredRows
        => peek_01_shows_what_load_answers;
    shows_nothing_is_rejected: shows_old_rows::ShowsNothing
        => peek_01_shows_what_load_answers, concur_01_does_what_a_map_would_do;
}

/// A failing random script is reduced to its cause: create a row, and change it twice.
#[test]
fn a_failing_script_is_reduced_to_its_cause() {
    let broken = Broken(ignores_versions::IgnoresVersions);
    let law = || block_on(laws::concur_01_does_what_a_map_would_do(&broken));
    let message = failure_of(law).expect("a failure");
    assert!(message.contains("seed "), "{message}");
    assert!(message.contains(" 2 steps"), "{message}");
}

/// One test for each flaw of a map: its laws reject it with their messages, in each of some runs. A
/// race of real threads depends on the scheduler, so on a busy machine a run may take a second try.
macro_rules! flawed {
    ($runs:literal runs, $tries:literal tries: $($test:ident: $flaw:ident => $($law:ident: $message:literal),+;)*) => {$(
        #[test]
        fn $test() {
            $(
                for run in 0..$runs {
                    let law = || block_on(laws::$law(&map::Maps(map::Flaw::$flaw)));
                    let message = (0..$tries).find_map(|_| failure_of(law));
                    let message = message.unwrap_or_else(|| {
                        panic!("{} lets it pass in run {run}", stringify!($law))
                    });
                    assert!(message.contains($message), "{message}");
                    let lines = message.lines().count();
                    assert!(lines <= 40, "{lines} lines: {message}");
                }
            )+
        }
    )*};
}

flawed! { 20 runs, 3 tries:
    changes_in_two_steps_is_rejected: ChangesInTwoSteps
        => change_01_is_one_step: " during change",
           race_02_no_rotation_revives_a_removed_row: "rotate brought a removed row back";
    updates_in_two_steps_is_rejected: UpdatesInTwoSteps
        => race_01_no_update_revives_a_removed_row: "update brought a removed row back",
           race_04_updates_and_rotations_all_count: "answered as done";
    touches_in_two_steps_is_rejected: TouchesInTwoSteps
        => race_03_no_touch_revives_a_removed_row: "touch brought a removed row back";
    counts_in_two_steps_is_rejected: CountsInTwoSteps
        => race_06_creates_stay_within_the_limit: "2 logins within a limit of 1";
    looks_in_two_steps_is_rejected: LooksInTwoSteps
        => race_05_one_create_of_a_handle_wins: "create stored one handle twice";
    removes_in_two_steps_is_rejected: RemovesInTwoSteps
        => ticket_01_one_removal_counts: "removals of one row that counted it";
}

flawed! { 1 runs, 1 tries:
    counts_each_removal_is_rejected: CountsEachRemoval
        => ticket_01_one_removal_counts: "removals of one row that counted it";
    repeats_the_cursor_is_rejected: RepeatsTheCursor
        => list_01_pages_hold_each_login_once: " again",
           concur_01_does_what_a_map_would_do: " again";
    never_ends_its_list_is_rejected: NeverEndsItsList
        => list_01_pages_hold_each_login_once: "does not move",
           concur_01_does_what_a_map_would_do: "does not move";
    ignores_the_cursor_is_rejected: IgnoresTheCursor
        => list_01_pages_hold_each_login_once: "begins with",
           concur_01_does_what_a_map_would_do: "list is not sorted";
    never_ends_its_sweep_is_rejected: NeverEndsItsSweep
        => expiry_07_sweeps_the_expired: "sweep always answers that there is more";
    evicts_the_latest_is_rejected: EvictsTheLatest
        => limit_02_evicts_the_oldest: "evicted";
    evicts_by_deadline_is_rejected: EvictsByDeadline
        => limit_03_evicts_the_least_recently_used: "evicted logins";
    always_conflicts_is_rejected: AlwaysConflicts
        => update_04_loses_no_update: "update",
           concur_02_is_linearizable: "no order of these calls gives the answer marked with ->";
    hides_unreadable_rows_is_rejected: HidesUnreadableRows
        => read_04_undecodable_is_an_error_until_removed: "load of a row that does not decode is not unreadable: Ok(None)";
    overlooks_critical_fields_is_rejected: OverlooksCriticalFields
        => read_04_undecodable_is_an_error_until_removed: "load of a row that does not decode is not unreadable: Ok(Some";
    hides_unreadable_rows_from_changes_is_rejected: HidesUnreadableRowsFromChanges
        => read_04_undecodable_is_an_error_until_removed: "change of a row that does not decode is not unreadable: Ok(None)";
    keeps_unreadable_rows_is_rejected: KeepsUnreadableRows
        => read_04_undecodable_is_an_error_until_removed: "remove left a row that does not decode";
    keeps_unreadable_rows_of_subjects_is_rejected: KeepsUnreadableRowsOfSubjects
        => read_04_undecodable_is_an_error_until_removed: "remove_subject left a row that does not decode";
    fails_lists_of_unreadable_rows_is_rejected: FailsListsOfUnreadableRows
        => read_04_undecodable_is_an_error_until_removed: "list answers";
}

/// The map without a flaw keeps all laws: it is the flaw that is rejected.
mod without_a_flaw {
    use super::map::{Flaw, Maps};

    statewise::testkit::session_store_laws!(Maps(Flaw::None));
}
