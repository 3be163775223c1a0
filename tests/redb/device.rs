//! A simulated device that counts syncs, fails on command, delays syncs, and loses power.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use redb::{Database, StorageBackend};
use statewise::store::{Redb, RedbStore};
use statewise::testkit::Random;

/// Size of the unit in which the device keeps or loses unsynced data.
const BLOCK_BYTES: usize = 512;

/// A fault of the device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Writes fail: there is no space.
    Full,
    /// Syncs fail.
    Sync,
    /// Reads fail.
    Read,
}

#[derive(Debug, Default)]
pub(crate) struct State {
    /// Content as the operating system shows it.
    written: Vec<u8>,
    /// Content that a loss of power leaves.
    synced: Vec<u8>,
    syncs: u64,
    fault: Option<Fault>,
    /// Syncs wait while this is set.
    held: bool,
    /// Set when a sync begins to wait.
    waiting: bool,
}

/// The device. Its content outlives the database on it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Device(pub(crate) Arc<(Mutex<State>, Condvar)>);

impl Device {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn database(&self) -> Arc<Database> {
        let mut builder = Database::builder();
        builder.set_check_integrity_on_open(true);
        let database = builder.create_with_backend(self.clone());
        Arc::new(database.expect("a database on the device"))
    }

    pub(crate) fn open(&self) -> Redb {
        let redb = Redb::over(self.database()).build();
        redb.expect("sessions and a log on the device")
    }

    pub(crate) fn sessions(&self) -> RedbStore {
        self.open().sessions()
    }

    pub(crate) fn syncs(&self) -> u64 {
        self.state().syncs
    }

    pub(crate) fn fail(&self, fault: impl Into<Option<Fault>>) {
        self.state().fault = fault.into();
    }

    /// Delays all syncs until [`release`](Self::release) or until the guard is dropped: a test that
    /// fails must not wait forever for the store to close.
    pub(crate) fn hold(&self) -> Held<'_> {
        let mut state = self.state();
        state.held = true;
        state.waiting = false;
        drop(state);
        Held(self)
    }

    /// Waits until a sync is delayed.
    pub(crate) fn wait_until_held(&self) {
        let (lock, signal) = &*self.0;
        let state = lock.lock().unwrap_or_else(PoisonError::into_inner);
        let patience = Duration::from_secs(30);
        let waited = signal.wait_timeout_while(state, patience, |state| !state.waiting);
        assert!(!waited.unwrap().1.timed_out(), "nothing was synced");
    }

    pub(crate) fn release(&self) {
        self.state().held = false;
        self.0.1.notify_all();
    }

    /// Returns the device as a loss of power at this moment leaves it: with all synced data, and
    /// any part of the unsynced data.
    pub(crate) fn after_power_loss(&self, random: &mut Random) -> Self {
        let state = self.state();
        let mut left = state.synced.clone();
        if random.once_in(2) {
            left.resize(state.written.len(), 0);
        }
        let mut chosen = BTreeMap::new();
        for at in (0..left.len().min(state.written.len())).step_by(BLOCK_BYTES) {
            // Neighbouring blocks are mostly kept or lost together.
            let fate = chosen.entry(at / 65_536).or_insert_with(|| random.below(4));
            let end = (at + BLOCK_BYTES).min(left.len()).min(state.written.len());
            if *fate == 0 || (*fate == 1 && random.once_in(2)) {
                left[at..end].copy_from_slice(&state.written[at..end]);
            }
        }
        Self::with_content(left)
    }

    fn with_content(bytes: Vec<u8>) -> Self {
        let device = Self::default();
        {
            let mut state = device.state();
            state.written.clone_from(&bytes);
            state.synced = bytes;
        }
        device
    }

    /// Returns a working device with the content that the operating system shows.
    pub(crate) fn repaired(&self) -> Self {
        Self::with_content(self.state().written.clone())
    }
}

/// Releases the syncs when it is dropped.
#[must_use]
pub(crate) struct Held<'d>(&'d Device);

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.0.release();
    }
}

fn broken() -> io::Error {
    io::Error::other("the test broke the device on purpose")
}

impl StorageBackend for Device {
    fn len(&self) -> io::Result<u64> {
        Ok(self.state().written.len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let state = self.state();
        if state.fault == Some(Fault::Read) {
            return Err(broken());
        }
        let start = usize::try_from(offset).unwrap();
        let bytes = state.written.get(start..start + out.len());
        out.copy_from_slice(bytes.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let mut state = self.state();
        if state.fault == Some(Fault::Full) && len > state.written.len() as u64 {
            return Err(io::ErrorKind::StorageFull.into());
        }
        state.written.resize(usize::try_from(len).unwrap(), 0);
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        let signal = &self.0.1;
        let mut state = self.state();
        state.waiting = true;
        signal.notify_all();
        let state = signal.wait_while(state, |state| state.held);
        let mut state = state.unwrap_or_else(PoisonError::into_inner);
        state.syncs += 1;
        if state.fault == Some(Fault::Sync) {
            return Err(broken());
        }
        let written = state.written.clone();
        state.synced = written;
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let mut state = self.state();
        if state.fault == Some(Fault::Full) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let start = usize::try_from(offset).unwrap();
        state.written[start..start + data.len()].copy_from_slice(data);
        Ok(())
    }
}
