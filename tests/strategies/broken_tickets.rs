//! Stores that break the laws of tickets, each of which must fail.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use statewise::Result;
use statewise::clock::Timestamp;
use statewise::session::Removed;
use statewise::store::MemoryStore;
use statewise::store::contract::{
    Handle, Limit, Load, Record, Scope, SessionStore, Update, Updated,
};
use statewise::testkit::{MemoryFixture, StoreFixture, block_on, forward_session_store, yield_now};

use crate::strategies;

/// The mistake of a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Flaw {
    /// Looks for the row, and removes it in another step.
    RemovesInTwoSteps,
    /// Each removal counts a row, as one does that was repeated and finds nothing.
    CountsEachRemoval,
    /// A row is removed when it is loaded.
    TakesAtOnce,
    /// The index has one namespace for all purposes.
    HasOneNamespace,
    /// An update of a row that is gone inserts it.
    InsertsOnUpdate,
}

#[derive(Debug)]
struct Broken {
    flaw: Flaw,
    store: MemoryStore,
}

impl SessionStore for Broken {
    forward_session_store! {
        store: create, change, rotate, confirm, touch, list, sweep, begin, staleness, upkeep
    }

    async fn load(&self, handle: Handle, load: Load, now: Timestamp) -> Result<Option<Record>> {
        let row = self.store.load(handle, load, now).await?;
        // Lets other calls load it too, however the threads are scheduled.
        yield_now().await;
        if let Some(row) = row.as_ref().filter(|_| self.flaw == Flaw::TakesAtOnce) {
            let _ = self.store.remove(handle, row.subject(), now).await?;
        }
        // On a busy machine, no other call would come in between.
        yield_now().await;
        Ok(row)
    }

    async fn update(
        &self,
        handle: Handle,
        expected: u64,
        update: &Update,
        now: Timestamp,
    ) -> Result<Updated> {
        let seen = self.store.load(handle, Load::new(), now).await?;
        yield_now().await;
        let updated = self.store.update(handle, expected, update, now).await?;
        let is_gone = matches!(updated, Updated::Absent);
        if let Some(mut row) = seen.filter(|_| is_gone && self.flaw == Flaw::InsertsOnUpdate) {
            row.update(expected, update);
            let _ = self.store.create(&row, Limit::Unlimited, now).await?;
            return Ok(Updated::at_once(row));
        }
        Ok(updated)
    }

    async fn remove(&self, handle: Handle, subject: &str, now: Timestamp) -> Result<Removed> {
        let row = self.store.load(handle, Load::new(), now).await?;
        if self.flaw == Flaw::RemovesInTwoSteps {
            std::thread::yield_now();
            yield_now().await;
        }
        let removed = self.store.remove(handle, subject, now).await?;
        Ok(match self.flaw {
            Flaw::RemovesInTwoSteps => Removed::at_once(u64::from(row.is_some())),
            Flaw::CountsEachRemoval | Flaw::TakesAtOnce => Removed::at_once(1),
            Flaw::HasOneNamespace | Flaw::InsertsOnUpdate => removed,
        })
    }

    async fn remove_subject(&self, subject: &str, scope: Scope, now: Timestamp) -> Result<Removed> {
        let bare = subject.rsplit('\u{1}').next().unwrap_or(subject);
        let all = ["", "\u{1}ticket:reset\u{1}", "\u{1}ticket:email\u{1}"];
        let all = all.map(|purpose| [purpose, bare].concat());
        let (mut count, is_one) = (0, self.flaw == Flaw::HasOneNamespace);
        for indexed in all.iter().filter(|indexed| is_one || *indexed == subject) {
            count += self.store.remove_subject(indexed, scope, now).await?.count;
        }
        Ok(Removed::at_once(count))
    }
}

/// Opens stores with a flaw.
struct Flawed(Flaw);

impl StoreFixture for Flawed {
    type Store = Broken;

    async fn open(&self) -> Broken {
        let store = MemoryFixture.open().await;
        Broken {
            flaw: self.0,
            store,
        }
    }

    async fn advance(&self, _: &Broken, _: Duration) {}
}

macro_rules! rejected {
    ($($test:ident: $flaw:ident => $law:ident: $message:literal;)*) => {$(
        #[test]
        fn $test() {
            let law = || block_on(strategies::$law(&Flawed(Flaw::$flaw)));
            let panic = catch_unwind(AssertUnwindSafe(law)).expect_err("the law lets it pass");
            let message = panic.downcast_ref::<String>().expect("a message");
            assert!(message.contains($message), "{message}");
        }
    )*};
}

rejected! {
    ticket_01_rejects_two_steps: RemovesInTwoSteps
        => ticket_01_one_of_64_redeems: "winners in round";
    ticket_01_rejects_each_removal: CountsEachRemoval
        => ticket_01_one_of_64_redeems: "winners in round";
    ticket_02_rejects_a_removal_before_the_judgement: TakesAtOnce
        => ticket_02_a_refused_ticket_is_not_spent: "Some(WrongBrowser)";
    ticket_03_rejects_one_namespace: HasOneNamespace
        => ticket_03_the_fourth_ends_the_first: "Some(1)";
    ticket_04_rejects_a_retry_that_counts_nothing: CountsEachRemoval
        => ticket_04_a_lost_answer_gives_it_to_nobody: "winners beside the lost answer";
    ticket_05_rejects_an_update_that_inserts: InsertsOnUpdate
        => ticket_05_a_logout_ends_a_pending_ticket: "Some(";
}

/// Opens one store for all applications.
struct OneForAll(Arc<MemoryStore>);

impl StoreFixture for OneForAll {
    type Store = Arc<MemoryStore>;

    async fn open(&self) -> Self::Store {
        Arc::clone(&self.0)
    }

    async fn advance(&self, _: &Self::Store, _: Duration) {}
}

#[test]
fn ticket_07_rejects_one_store_for_all() {
    let store = Arc::new(block_on(MemoryFixture.open()));
    let law = strategies::ticket_07_two_applications_share_nothing;
    let panic = catch_unwind(|| block_on(law(&OneForAll(store)))).expect_err("it lets it pass");
    let message = panic.downcast_ref::<String>().expect("a message");
    assert!(message.contains("Some(Unknown)"), "{message}");
}

/// A ticket for the next try is not there yet when the logout looks for it.
#[test]
fn ticket_05_rejects_a_ticket_that_is_issued_again() {
    let broken = block_on(strategies::outlives_a_logout(&MemoryFixture, true));
    assert!(broken.is_some(), "the law lets it pass");
}

#[test]
fn ticket_06_rejects_a_login_that_begins_late() {
    let broken = block_on(strategies::logs_in_after_a_logout(&MemoryFixture, false));
    assert!(broken.is_some(), "the law lets it pass");
}
