//! Uses that are noted behind the read, many in one statement.

use std::collections::BTreeMap;
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

/// Uses that wait at most: some megabytes.
const MOST: usize = 100_000;
/// Uses in one statement.
const BATCH: usize = 1_000;
/// Between two flushes.
const PAUSE: Duration = Duration::from_millis(500);
/// Between two flushes while there is more to write.
const NEXT_BATCH: Duration = Duration::from_millis(5);
/// After the last step of the upkeep, how long it is taken to be running.
const LAPSE: Duration = Duration::from_secs(3);

/// One use of a login.
pub(crate) type Use = (Handle, Timestamp);

/// A store that writes uses behind the read.
pub(crate) trait WritesBehind: fmt::Debug + Send + Sync + 'static {
    /// What waits.
    fn behind(&self) -> &Behind;

    /// Notes uses in one statement, as [`Record::touch`] does. They are in the order of their
    /// handles, and no handle comes twice.
    fn write(&self, uses: &[Use]) -> impl Future<Output = Result<()>> + Send;
}

/// The uses that wait to be written: at most one of each login.
///
/// They wait only while the upkeep is being run; without it, each is written before
/// [`touch`] returns. What waits counts for all readers of this process, by [`overlay`], and is
/// written before anything that depends on it is decided, by [`settle`] and its like. It is
/// forgotten only after it is written, so that a failed or dropped write loses nothing.
pub(crate) struct Behind(Mutex<State>);

#[derive(Default)]
struct State {
    waiting: BTreeMap<Handle, Timestamp>,
    ticked_at: Option<Instant>,
    /// Acts in progress that must not overlook a use.
    pauses: usize,
}

/// As long as it is held, nothing waits.
#[must_use = "what is noted later waits again once it is dropped"]
pub(crate) struct Pause<'b>(&'b Behind);

impl Drop for Pause<'_> {
    fn drop(&mut self) {
        self.0.state().pauses -= 1;
    }
}

impl Behind {
    pub(crate) fn new() -> Self {
        Self(Mutex::default())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Every change is one insertion or removal.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The use of a login that waits. To be asked for before the row is read: what is written
    /// between the two is in the row.
    pub(crate) fn of(&self, handle: Handle) -> Option<Timestamp> {
        self.state().waiting.get(&handle).copied()
    }

    /// Takes uses in. Returns those that cannot wait, in rounds that are to be written one after
    /// the other: in each, no handle comes twice.
    fn take(&self, uses: &[Use], at: Instant) -> Vec<Vec<Use>> {
        let mut uses = uses.to_vec();
        uses.sort_unstable();
        uses.dedup();
        let mut state = self.state();
        let runs = state.pauses == 0
            && state
                .ticked_at
                .is_some_and(|ticked_at| at.saturating_duration_since(ticked_at) < LAPSE);
        let mut through = Vec::new();
        if !runs {
            // Left behind by an upkeep that has ended.
            let left = state.waiting.iter().take(BATCH);
            through.extend(left.map(|(handle, seen_at)| (*handle, *seen_at)));
        }
        for (handle, seen_at) in uses {
            match state.waiting.get(&handle).copied() {
                Some(waiting) if waiting == seen_at && runs => {}
                // Whether the later of two uses counts depends on the earlier one.
                Some(waiting) => through.extend([(handle, waiting), (handle, seen_at)]),
                None if runs && state.waiting.len() < MOST => {
                    state.waiting.insert(handle, seen_at);
                }
                None => through.push((handle, seen_at)),
            }
        }
        through.sort_unstable();
        through.dedup();
        rounds(through)
    }

    /// Some of what waits, in order.
    fn some(&self, handles: RangeInclusive<Handle>, most: usize) -> Vec<Use> {
        let state = self.state();
        let waiting = state.waiting.range(handles).take(most);
        waiting
            .map(|(handle, seen_at)| (*handle, *seen_at))
            .collect()
    }

    /// Forgets what has been written.
    fn written(&self, uses: &[Use]) {
        let mut state = self.state();
        for (handle, seen_at) in uses {
            if state.waiting.get(handle) == Some(seen_at) {
                state.waiting.remove(handle);
            }
        }
    }

    fn tick(&self, at: Instant) {
        self.state().ticked_at = Some(at);
    }
}

/// Adds to a row the use that was waiting when it was read.
pub(crate) fn overlay(row: &mut Record, waiting: Option<Timestamp>) {
    if let Some(seen_at) = waiting {
        row.touch(seen_at);
    }
}

/// Splits uses, which are in order, so that in each round no handle comes twice.
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

/// Notes uses: behind the read if the upkeep is being run, and at once if not.
pub(crate) async fn touch(store: &impl WritesBehind, uses: &[Use]) -> Result<()> {
    for round in store.behind().take(uses, Instant::now()) {
        for batch in round.chunks(BATCH) {
            write(store, batch).await?;
        }
    }
    Ok(())
}

/// Writes the use of a login that waits, before the login is changed.
pub(crate) async fn settle(store: &impl WritesBehind, handle: Handle) -> Result<()> {
    match store.behind().of(handle) {
        Some(seen_at) => write(store, &[(handle, seen_at)]).await,
        None => Ok(()),
    }
}

/// Writes what waits of the logins of a subject, before they are counted or listed.
pub(crate) async fn settle_subject(store: &impl WritesBehind, subject: &str) -> Result<()> {
    let start = partition(subject) << 4;
    let bound = |start: u16, filler| {
        let mut bytes = [filler; 16];
        [bytes[0], bytes[1]] = start.to_be_bytes();
        Handle::from_bytes(bytes)
    };
    settle_range(store, bound(start, 0)..=bound(start | 0xf, 0xff)).await
}

/// Writes all that waits, before logins are swept, and lets nothing wait until they are.
pub(crate) async fn settle_all(store: &impl WritesBehind) -> Result<Pause<'_>> {
    let behind = store.behind();
    behind.state().pauses += 1;
    let pause = Pause(behind);
    let bound = |filler| Handle::from_bytes([filler; 16]);
    settle_range(store, bound(0)..=bound(0xff)).await?;
    Ok(pause)
}

async fn settle_range(store: &impl WritesBehind, handles: RangeInclusive<Handle>) -> Result<()> {
    // What comes in meanwhile is concurrent with the caller's act.
    for batch in store.behind().some(handles, MOST).chunks(BATCH) {
        write(store, batch).await?;
    }
    Ok(())
}

async fn write(store: &impl WritesBehind, uses: &[Use]) -> Result<()> {
    store.write(uses).await?;
    store.behind().written(uses);
    Ok(())
}

/// The background work of a store that writes behind the read.
pub(crate) fn upkeep(store: &Arc<impl WritesBehind>) -> Upkeep {
    Upkeep::of(Flush(Arc::clone(store)))
}

/// Writes what waits, at most a second after it was noted.
struct Flush<W>(Arc<W>);

impl<W: WritesBehind> Chore for Flush<W> {
    fn step<'a>(
        &'a self,
        _now: Timestamp,
        _observer: &'a dyn Observer,
    ) -> BoxFuture<'a, Result<Duration>> {
        Box::pin(async {
            let behind = self.0.behind();
            behind.tick(Instant::now());
            let all = Handle::from_bytes([0; 16])..=Handle::from_bytes([0xff; 16]);
            let batch = behind.some(all, BATCH);
            if batch.is_empty() {
                return Ok(PAUSE);
            }
            write(&*self.0, &batch).await?;
            behind.tick(Instant::now());
            Ok(if batch.len() == BATCH {
                NEXT_BATCH
            } else {
                PAUSE
            })
        })
    }
}

impl<W> fmt::Debug for Flush<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Flush")
    }
}

impl fmt::Debug for Behind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Behind")
            .field("waiting", &self.state().waiting.len())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;
    use crate::error::Error;
    use crate::testkit::{block_on, give_up_after, yield_now};

    /// Keeps what was written, batch by batch.
    #[derive(Debug)]
    struct Paper {
        behind: Behind,
        written: Mutex<Vec<Vec<Use>>>,
        fails: AtomicBool,
    }

    impl Paper {
        fn new() -> Arc<Self> {
            Arc::new(Self {
                behind: Behind::new(),
                written: Mutex::default(),
                fails: AtomicBool::new(false),
            })
        }

        fn written(&self) -> Vec<Vec<Use>> {
            std::mem::take(&mut self.written.lock().unwrap())
        }
    }

    impl WritesBehind for Paper {
        fn behind(&self) -> &Behind {
            &self.behind
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
    fn writes_through_while_nobody_flushes() {
        let paper = Paper::new();
        let uses = [
            (handle(2), at(9)),
            (handle(1), at(5)),
            (handle(2), at(7)),
            (handle(1), at(5)),
        ];
        block_on(touch(&*paper, &uses)).unwrap();
        let rounds = paper.written();
        assert_eq!(
            rounds,
            [
                vec![(handle(1), at(5)), (handle(2), at(7))],
                vec![(handle(2), at(9))]
            ]
        );
        assert_eq!(paper.behind.of(handle(1)), None);
    }

    #[test]
    fn waits_while_somebody_flushes_and_is_seen_meanwhile() {
        let paper = Paper::new();
        let upkeep = upkeep(&paper);
        let flush = || block_on(upkeep.tick()).unwrap().unwrap();
        assert!(flush() <= Duration::from_secs(1));
        block_on(touch(&*paper, &[(handle(2), at(5)), (handle(1), at(6))])).unwrap();
        block_on(touch(&*paper, &[(handle(2), at(5))])).unwrap();
        assert!(paper.written().is_empty());
        assert_eq!(paper.behind.of(handle(2)), Some(at(5)));
        assert!(flush() <= Duration::from_secs(1));
        assert_eq!(
            paper.written(),
            [[(handle(1), at(6)), (handle(2), at(5))]],
            "one statement, in order"
        );
        assert_eq!(paper.behind.of(handle(2)), None);
        flush();
        assert!(paper.written().is_empty());
    }

    /// Of two uses a hundred seconds apart, with an idle time of sixty, the later one counts only
    /// if one in between does.
    #[test]
    fn a_second_use_does_not_swallow_the_first() {
        let paper = Paper::new();
        block_on(upkeep(&paper).tick()).unwrap();
        for seconds in [50, 100] {
            block_on(touch(&*paper, &[(handle(1), at(seconds))])).unwrap();
        }
        assert_eq!(
            paper.written(),
            [[(handle(1), at(50))], [(handle(1), at(100))]]
        );
        assert_eq!(paper.behind.of(handle(1)), None);
    }

    #[test]
    fn a_failed_or_dropped_write_loses_nothing() {
        let paper = Paper::new();
        let upkeep = upkeep(&paper);
        block_on(upkeep.tick()).unwrap();
        block_on(touch(&*paper, &[(handle(1), at(5))])).unwrap();
        assert!(block_on(give_up_after(1, upkeep.tick())).is_none());
        assert_eq!(paper.behind.of(handle(1)), Some(at(5)));
        paper.fails.store(true, Ordering::Relaxed);
        assert!(block_on(upkeep.tick()).is_err());
        assert!(block_on(settle(&*paper, handle(1))).is_err());
        assert_eq!(paper.behind.of(handle(1)), Some(at(5)));
        paper.fails.store(false, Ordering::Relaxed);
        block_on(upkeep.tick()).unwrap();
        assert_eq!(paper.written(), [[(handle(1), at(5))]]);
    }

    #[test]
    fn an_upkeep_that_ended_is_noticed() {
        let paper = Paper::new();
        let behind = &paper.behind;
        let start = Instant::now();
        behind.tick(start);
        assert!(behind.take(&[(handle(1), at(5))], start).is_empty());
        let late = start + LAPSE;
        let rounds = behind.take(&[(handle(2), at(6))], late);
        assert_eq!(
            rounds,
            [[(handle(1), at(5)), (handle(2), at(6))]],
            "with what was left behind"
        );
        behind.tick(late);
        assert!(behind.take(&[(handle(2), at(6))], late).is_empty());
    }

    #[test]
    fn is_bounded() {
        let behind = Behind::new();
        let start = Instant::now();
        behind.tick(start);
        let uses: Vec<_> = (0..=MOST as u128)
            .map(|number| (Handle::from_bytes(number.to_be_bytes()), at(5)))
            .collect();
        let rounds = behind.take(&uses, start);
        assert_eq!(rounds, [[uses[MOST]]]);
    }

    #[test]
    fn settles_what_is_asked_for_and_no_more() {
        let paper = Paper::new();
        block_on(upkeep(&paper).tick()).unwrap();
        let (ours, theirs) = (handle(1), Handle::of_subject(b"bob", [0; 16]));
        let edges = [0, 0xff].map(|filler| Handle::of_subject(b"alice", [filler; 16]));
        assert_ne!(ours.partition(), theirs.partition());
        let uses = [ours, theirs, edges[0], edges[1]].map(|handle| (handle, at(5)));
        block_on(touch(&*paper, &uses)).unwrap();
        block_on(settle(&*paper, handle(9))).unwrap();
        assert!(paper.written().is_empty());
        block_on(settle(&*paper, ours)).unwrap();
        assert_eq!(paper.written(), [[(ours, at(5))]]);
        block_on(settle_subject(&*paper, "alice")).unwrap();
        assert_eq!(paper.written(), [edges.map(|handle| (handle, at(5)))]);
        let pause = block_on(settle_all(&*paper)).unwrap();
        assert_eq!(paper.written(), [[(theirs, at(5))]]);
        block_on(touch(&*paper, &[(ours, at(6))])).unwrap();
        assert_eq!(paper.written(), [[(ours, at(6))]]);
        drop(pause);
        block_on(touch(&*paper, &[(ours, at(7))])).unwrap();
        assert!(paper.written().is_empty(), "it waits again");
    }
}
