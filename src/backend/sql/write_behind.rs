//! Write-behind of uses: they wait in memory and are written together, many in one statement.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::future::Future;
use std::ops::RangeInclusive;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::base::boxed::BoxFuture;
use crate::clock::Timestamp;
use crate::error::Result;
use crate::login::handle::{Handle, partition};
use crate::observer::Observer;
use crate::store::record::Record;
use crate::upkeep::{Chore, Upkeep};

/// Maximum number of pending uses. They take some megabytes.
const MAX_PENDING: usize = 100_000;
/// Maximum number of uses in one statement.
const MAX_BATCH: usize = 1_000;
/// Pause between two flushes.
const FLUSH_INTERVAL: Duration = Duration::from_millis(500);
/// Pause after a full batch, when more uses are pending.
const FULL_BATCH_INTERVAL: Duration = Duration::from_millis(5);
/// Time after which a login that was read is no longer expected to be used.
const OVERDUE_TIMEOUT: Duration = Duration::from_secs(60);
/// Time after the last step of the upkeep at which it no longer counts as running.
const UPKEEP_TIMEOUT: Duration = Duration::from_secs(3);

/// One use of a login: its handle, and the time of the use.
pub(crate) type Use = (Handle, Timestamp);

/// A store that writes uses some time after they are noted.
pub(crate) trait WriteBehind: fmt::Debug + Send + Sync + 'static {
    /// Returns the uses that are not written yet.
    fn pending(&self) -> &PendingUses;

    /// Writes uses in one statement, each with the effect of [`Record::touch`]. They are sorted by
    /// handle, and each handle occurs once.
    fn write(&self, uses: &[Use]) -> impl Future<Output = Result<()>> + Send;
}

/// Uses that are noted and not written yet, at most one per login.
///
/// A use becomes pending only while the upkeep is running. Without it, [`touch`] writes each use
/// before it returns. All readers of this process see pending uses through [`apply_pending`], and
/// every decision that depends on one writes it first with [`flush_login`], [`flush_subject`] or
/// [`flush_all`]. A use is forgotten only after it is written, so a failed or dropped write loses
/// nothing.
pub(crate) struct PendingUses(Mutex<State>);

#[derive(Default)]
struct State {
    uses: BTreeMap<Handle, Timestamp>,
    /// Logins that were read when their last use was [overdue](Record::is_touch_overdue), and when
    /// they were read. Their next use is written before it is acknowledged.
    overdue: HashMap<Handle, Instant>,
    /// Last step of the upkeep.
    ticked_at: Option<Instant>,
    /// Number of [`WriteThrough`] guards.
    write_through: usize,
}

/// Guard: as long as one exists, each use is written at once and none becomes pending.
#[must_use = "uses become pending again once the guard is dropped"]
pub(crate) struct WriteThrough<'p>(&'p PendingUses);

impl Drop for WriteThrough<'_> {
    fn drop(&mut self) {
        self.0.state().write_through -= 1;
    }
}

impl PendingUses {
    pub(crate) fn new() -> Self {
        Self(Mutex::default())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Each change is a single insertion or removal, so a poisoned lock holds valid state.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the pending use of a login. Call it before you read the row: a use that is written
    /// between the two calls is then in the row.
    pub(crate) fn get(&self, handle: Handle) -> Option<Timestamp> {
        self.state().uses.get(&handle).copied()
    }

    /// Remembers a row that was read, if its next use is [overdue](Record::is_touch_overdue).
    pub(crate) fn note_read(&self, row: &Record, now: Timestamp) {
        if row.is_touch_overdue(now) {
            let mut state = self.state();
            // Without the upkeep, each use is written at once anyway.
            if state.ticked_at.is_some() && state.overdue.len() < MAX_PENDING {
                state.overdue.insert(row.handle(), Instant::now());
            }
        }
    }

    /// Adds uses. Returns those that must be written now, in rounds to be written one after the
    /// other: in each round a handle occurs once.
    fn add(&self, uses: &[Use], at: Instant) -> Vec<Vec<Use>> {
        let mut uses = uses.to_vec();
        uses.sort_unstable();
        uses.dedup();
        let mut state = self.state();
        let may_wait = state.write_through == 0
            // Some overdue login may not be noted.
            && state.overdue.len() < MAX_PENDING
            && state
                .ticked_at
                .is_some_and(|ticked_at| at.saturating_duration_since(ticked_at) < UPKEEP_TIMEOUT);
        let mut due = Vec::new();
        if !may_wait {
            // An upkeep that has stopped may have left pending uses.
            let left = state.uses.iter().take(MAX_BATCH);
            due.extend(left.map(|(handle, seen_at)| (*handle, *seen_at)));
        }
        for (handle, seen_at) in uses {
            let may_wait = state.overdue.remove(&handle).is_none() && may_wait;
            match state.uses.get(&handle).copied() {
                Some(pending) if pending == seen_at && may_wait => {}
                // Write both: the later use counts only if the login had not expired after the
                // earlier one.
                Some(pending) => due.extend([(handle, pending), (handle, seen_at)]),
                None if may_wait && state.uses.len() < MAX_PENDING => {
                    state.uses.insert(handle, seen_at);
                }
                None => due.push((handle, seen_at)),
            }
        }
        due.sort_unstable();
        due.dedup();
        rounds(due)
    }

    /// Returns up to `limit` pending uses of a range of handles, sorted by handle.
    fn range(&self, handles: RangeInclusive<Handle>, limit: usize) -> Vec<Use> {
        let state = self.state();
        let uses = state.uses.range(handles).take(limit);
        uses.map(|(handle, seen_at)| (*handle, *seen_at)).collect()
    }

    /// Forgets uses that have been written.
    fn forget(&self, written: &[Use]) {
        let mut state = self.state();
        for (handle, seen_at) in written {
            if state.uses.get(handle) == Some(seen_at) {
                state.uses.remove(handle);
            }
        }
    }

    /// Records that the upkeep is running.
    fn tick(&self, at: Instant) {
        let mut state = self.state();
        state.ticked_at = Some(at);
        // A verification that has taken so long is not going to record its use.
        let is_recent =
            |read_at: &Instant| at.saturating_duration_since(*read_at) < OVERDUE_TIMEOUT;
        state.overdue.retain(|_, read_at| is_recent(read_at));
    }
}

/// Adds a pending use to a row. Read `pending` before the row: see [`PendingUses::get`].
pub(crate) fn apply_pending(row: &mut Record, pending: Option<Timestamp>) {
    if let Some(seen_at) = pending {
        row.touch(seen_at);
    }
}

/// Splits sorted uses into rounds in which each handle occurs once.
fn rounds(uses: Vec<Use>) -> Vec<Vec<Use>> {
    let mut rounds: Vec<Vec<Use>> = Vec::new();
    let (mut last, mut depth) = (None, 0);
    for (handle, seen_at) in uses {
        depth = if last == Some(handle) { depth + 1 } else { 0 };
        last = Some(handle);
        match rounds.get_mut(depth) {
            Some(round) => round.push((handle, seen_at)),
            None => rounds.push(vec![(handle, seen_at)]),
        }
    }
    rounds
}

/// Notes uses. They become pending while the upkeep is running, and are written at once otherwise.
pub(crate) async fn touch(store: &impl WriteBehind, uses: &[Use]) -> Result<()> {
    for round in store.pending().add(uses, Instant::now()) {
        for batch in round.chunks(MAX_BATCH) {
            write(store, batch).await?;
        }
    }
    Ok(())
}

/// Writes the pending use of a login. Call it before you change the login.
pub(crate) async fn flush_login(store: &impl WriteBehind, handle: Handle) -> Result<()> {
    match store.pending().get(handle) {
        Some(seen_at) => write(store, &[(handle, seen_at)]).await,
        None => Ok(()),
    }
}

/// Writes the pending uses of a subject's logins. Call it before you count or list them.
pub(crate) async fn flush_subject(store: &impl WriteBehind, subject: &str) -> Result<()> {
    let start = partition(subject) << 4;
    let bound = |start: u16, filler| {
        let mut bytes = [filler; 16];
        [bytes[0], bytes[1]] = start.to_be_bytes();
        Handle::from_bytes(bytes)
    };
    flush_range(store, bound(start, 0)..=bound(start | 0xf, 0xff)).await
}

/// Writes all pending uses. Call it before a sweep, and hold the guard until the sweep is done.
pub(crate) async fn flush_all(store: &impl WriteBehind) -> Result<WriteThrough<'_>> {
    let pending = store.pending();
    pending.state().write_through += 1;
    let guard = WriteThrough(pending);
    flush_range(store, all_handles()).await?;
    Ok(guard)
}

async fn flush_range(store: &impl WriteBehind, handles: RangeInclusive<Handle>) -> Result<()> {
    // Uses that are noted during the flush are concurrent with the caller's operation.
    for batch in store
        .pending()
        .range(handles, MAX_PENDING)
        .chunks(MAX_BATCH)
    {
        write(store, batch).await?;
    }
    Ok(())
}

async fn write(store: &impl WriteBehind, uses: &[Use]) -> Result<()> {
    store.write(uses).await?;
    store.pending().forget(uses);
    Ok(())
}

fn all_handles() -> RangeInclusive<Handle> {
    Handle::from_bytes([0; 16])..=Handle::from_bytes([0xff; 16])
}

/// Returns the background task that writes pending uses.
pub(crate) fn upkeep(store: &Arc<impl WriteBehind>) -> Upkeep {
    Upkeep::of(Flush(Arc::clone(store)))
}

/// Chore that writes each pending use within a second.
struct Flush<W>(Arc<W>);

impl<W: WriteBehind> Chore for Flush<W> {
    fn step<'a>(
        &'a self,
        _now: Timestamp,
        _observer: &'a dyn Observer,
    ) -> BoxFuture<'a, Result<Duration>> {
        Box::pin(async {
            let pending = self.0.pending();
            pending.tick(Instant::now());
            let batch = pending.range(all_handles(), MAX_BATCH);
            if batch.is_empty() {
                return Ok(FLUSH_INTERVAL);
            }
            write(&*self.0, &batch).await?;
            pending.tick(Instant::now());
            Ok(if batch.len() == MAX_BATCH {
                FULL_BATCH_INTERVAL
            } else {
                FLUSH_INTERVAL
            })
        })
    }

    fn finish<'a>(
        &'a self,
        _now: Timestamp,
        _observer: &'a dyn Observer,
    ) -> BoxFuture<'a, Result<()>> {
        // The upkeep has ended, so later uses are written at once.
        self.0.pending().state().ticked_at = None;
        Box::pin(flush_range(&*self.0, all_handles()))
    }
}

impl<W> fmt::Debug for Flush<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Flush")
    }
}

impl fmt::Debug for PendingUses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PendingUses")
            .field("len", &self.state().uses.len())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;
    use crate::error::Error;
    use crate::testkit::{Sample, block_on, give_up_after, yield_now};

    /// Store that keeps the written batches, and fails on command.
    #[derive(Debug)]
    struct Batches {
        pending: PendingUses,
        written: Mutex<Vec<Vec<Use>>>,
        fails: AtomicBool,
    }

    impl Batches {
        fn new() -> Arc<Self> {
            Arc::new(Self {
                pending: PendingUses::new(),
                written: Mutex::default(),
                fails: AtomicBool::new(false),
            })
        }

        /// Takes the batches written since the last call.
        fn written(&self) -> Vec<Vec<Use>> {
            std::mem::take(&mut self.written.lock().unwrap())
        }
    }

    impl WriteBehind for Batches {
        fn pending(&self) -> &PendingUses {
            &self.pending
        }

        async fn write(&self, uses: &[Use]) -> Result<()> {
            yield_now().await;
            if self.fails.load(Ordering::Relaxed) {
                return Err(Error::unavailable("on purpose"));
            }
            self.written.lock().unwrap().push(uses.to_vec());
            Ok(())
        }
    }

    fn handle(number: u8) -> Handle {
        Handle::of_subject(b"alice", [number; 16])
    }

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_unix(seconds)
    }

    #[test]
    fn without_the_upkeep_uses_are_written_at_once() {
        let store = Batches::new();
        let uses = [
            (handle(2), at(9)),
            (handle(1), at(5)),
            (handle(2), at(7)),
            (handle(1), at(5)),
        ];
        block_on(touch(&*store, &uses)).unwrap();
        let rounds = store.written();
        assert_eq!(
            rounds,
            [
                vec![(handle(1), at(5)), (handle(2), at(7))],
                vec![(handle(2), at(9))]
            ]
        );
        assert_eq!(store.pending.get(handle(1)), None);
    }

    #[test]
    fn with_the_upkeep_uses_are_pending_and_readable_until_the_flush() {
        let store = Batches::new();
        let upkeep = upkeep(&store);
        let flush = || block_on(upkeep.tick()).unwrap().unwrap();
        assert!(flush() <= Duration::from_secs(1));
        block_on(touch(&*store, &[(handle(2), at(5)), (handle(1), at(6))])).unwrap();
        block_on(touch(&*store, &[(handle(2), at(5))])).unwrap();
        assert!(store.written().is_empty());
        assert_eq!(store.pending.get(handle(2)), Some(at(5)));
        assert!(flush() <= Duration::from_secs(1));
        assert_eq!(
            store.written(),
            [[(handle(1), at(6)), (handle(2), at(5))]],
            "one statement, sorted by handle"
        );
        assert_eq!(store.pending.get(handle(2)), None);
        flush();
        assert!(store.written().is_empty());
    }

    /// With an idle time of 60 s and uses at 0, 50 and 100 s, the last one counts only if the one
    /// at 50 s was written.
    #[test]
    fn a_second_use_of_a_login_writes_the_first_one() {
        let store = Batches::new();
        block_on(upkeep(&store).tick()).unwrap();
        for seconds in [50, 100] {
            block_on(touch(&*store, &[(handle(1), at(seconds))])).unwrap();
        }
        assert_eq!(
            store.written(),
            [[(handle(1), at(50))], [(handle(1), at(100))]]
        );
        assert_eq!(store.pending.get(handle(1)), None);
    }

    /// A crash loses pending uses, so a use long after the last one is written at once.
    #[test]
    fn a_use_is_written_at_once_if_the_one_before_is_half_the_idle_timeout_old() {
        for (seconds, is_written) in [(899, false), (900, true), (1_799, true)] {
            let store = Batches::new();
            block_on(upkeep(&store).tick()).unwrap();
            let row = Sample::of("alice").idle(1_800).at(at(1_000));
            let now = at(1_000 + seconds);
            store.pending.note_read(&row, now);
            block_on(touch(&*store, &[(row.handle(), now)])).unwrap();
            let written = store.written();
            assert_eq!(!written.is_empty(), is_written, "after {seconds} seconds");
            // Once: its row now has a recent use.
            block_on(touch(&*store, &[(row.handle(), now.saturating_add(1))])).unwrap();
            assert_eq!(store.written().is_empty(), is_written);
        }
    }

    #[test]
    fn finishing_writes_all_uses_and_later_ones_at_once() {
        let store = Batches::new();
        let upkeep = upkeep(&store);
        block_on(upkeep.tick()).unwrap();
        let uses: Vec<_> = (0..=255).map(|number| (handle(number), at(5))).collect();
        block_on(touch(&*store, &uses)).unwrap();
        assert!(store.written().is_empty());
        block_on(upkeep.finish()).unwrap();
        assert_eq!(store.written().concat().len(), uses.len());
        block_on(touch(&*store, &[(handle(1), at(6))])).unwrap();
        assert_eq!(store.written(), [[(handle(1), at(6))]]);
    }

    #[test]
    fn a_failure_to_finish_is_an_error() {
        let store = Batches::new();
        let upkeep = upkeep(&store);
        block_on(upkeep.tick()).unwrap();
        block_on(touch(&*store, &[(handle(1), at(5))])).unwrap();
        store.fails.store(true, Ordering::Relaxed);
        assert!(block_on(upkeep.finish()).is_err());
        store.fails.store(false, Ordering::Relaxed);
        block_on(upkeep.finish()).unwrap();
        assert_eq!(store.written(), [[(handle(1), at(5))]]);
    }

    #[test]
    fn a_failed_or_dropped_write_loses_nothing() {
        let store = Batches::new();
        let upkeep = upkeep(&store);
        block_on(upkeep.tick()).unwrap();
        block_on(touch(&*store, &[(handle(1), at(5))])).unwrap();
        assert!(block_on(give_up_after(1, upkeep.tick())).is_none());
        assert_eq!(store.pending.get(handle(1)), Some(at(5)));
        store.fails.store(true, Ordering::Relaxed);
        assert!(block_on(upkeep.tick()).is_err());
        assert!(block_on(flush_login(&*store, handle(1))).is_err());
        assert_eq!(store.pending.get(handle(1)), Some(at(5)));
        store.fails.store(false, Ordering::Relaxed);
        block_on(upkeep.tick()).unwrap();
        assert_eq!(store.written(), [[(handle(1), at(5))]]);
    }

    #[test]
    fn uses_are_written_at_once_after_the_upkeep_has_stopped() {
        let store = Batches::new();
        let pending = &store.pending;
        let start = Instant::now();
        pending.tick(start);
        assert!(pending.add(&[(handle(1), at(5))], start).is_empty());
        let late = start + UPKEEP_TIMEOUT;
        let rounds = pending.add(&[(handle(2), at(6))], late);
        assert_eq!(
            rounds,
            [[(handle(1), at(5)), (handle(2), at(6))]],
            "together with the pending ones"
        );
        pending.tick(late);
        assert!(pending.add(&[(handle(2), at(6))], late).is_empty());
    }

    #[test]
    fn the_number_of_pending_uses_is_bounded() {
        let pending = PendingUses::new();
        let start = Instant::now();
        pending.tick(start);
        let uses: Vec<_> = (0..=MAX_PENDING as u128)
            .map(|number| (Handle::from_bytes(number.to_be_bytes()), at(5)))
            .collect();
        let rounds = pending.add(&uses, start);
        assert_eq!(rounds, [[uses[MAX_PENDING]]]);
    }

    #[test]
    fn a_flush_writes_its_own_logins_only() {
        let store = Batches::new();
        block_on(upkeep(&store).tick()).unwrap();
        let (ours, theirs) = (handle(1), Handle::of_subject(b"bob", [0; 16]));
        let edges = [0, 0xff].map(|filler| Handle::of_subject(b"alice", [filler; 16]));
        assert_ne!(ours.partition(), theirs.partition());
        let uses = [ours, theirs, edges[0], edges[1]].map(|handle| (handle, at(5)));
        block_on(touch(&*store, &uses)).unwrap();
        block_on(flush_login(&*store, handle(9))).unwrap();
        assert!(store.written().is_empty());
        block_on(flush_login(&*store, ours)).unwrap();
        assert_eq!(store.written(), [[(ours, at(5))]]);
        block_on(flush_subject(&*store, "alice")).unwrap();
        assert_eq!(store.written(), [edges.map(|handle| (handle, at(5)))]);
        let guard = block_on(flush_all(&*store)).unwrap();
        assert_eq!(store.written(), [[(theirs, at(5))]]);
        block_on(touch(&*store, &[(ours, at(6))])).unwrap();
        assert_eq!(store.written(), [[(ours, at(6))]]);
        drop(guard);
        block_on(touch(&*store, &[(ours, at(7))])).unwrap();
        assert!(store.written().is_empty(), "uses become pending again");
    }
}
