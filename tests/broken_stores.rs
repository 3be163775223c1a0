//! Tests of the kit: each of these stores breaks one law, and that law must fail.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use statewise::store::MemoryStore;
use statewise::store::contract::SessionStore;
use statewise::testkit::{MemoryFixture, StoreFixture, block_on, laws};

#[path = "broken_stores/exceeds_the_limit.rs"]
mod exceeds_the_limit;
#[path = "broken_stores/fills_its_cache_late.rs"]
mod fills_its_cache_late;
#[path = "broken_stores/forgets_the_idle_deadline.rs"]
mod forgets_the_idle_deadline;
#[path = "broken_stores/ignores_versions.rs"]
mod ignores_versions;
#[path = "broken_stores/lets_two_rotations_win.rs"]
mod lets_two_rotations_win;
#[path = "broken_stores/overwrites_on_create.rs"]
mod overwrites_on_create;
#[path = "broken_stores/resurrects_on_touch.rs"]
mod resurrects_on_touch;
#[path = "broken_stores/resurrects_on_update.rs"]
mod resurrects_on_update;

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
                let said = failure_of(law);
                assert!(said.is_some(), "{} lets it pass", stringify!($law));
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
    exceeds_the_limit_is_rejected: exceeds_the_limit::ExceedsTheLimit
        => limit_01_rejects_above_the_limit;
}

/// A failing random script is reduced to its cause: create a row, and change it twice.
#[test]
fn a_failing_script_is_reduced_to_its_cause() {
    let broken = Broken(ignores_versions::IgnoresVersions);
    let law = || block_on(laws::concur_01_does_what_a_map_would_do(&broken));
    let said = failure_of(law).expect("a failure_of");
    assert!(said.contains("seed "), "{said}");
    assert!(said.contains(" 2 steps"), "{said}");
}
