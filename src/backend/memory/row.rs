//! A row of the memory store.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::clock::Timestamp;
use crate::store::record::Record;
use crate::store::record_ref::RecordRef;

#[derive(Debug)]
pub(crate) struct Row {
    record: Record,
    /// Last use in Unix seconds, apart from the record so that a use can be noted under a shared
    /// lock.
    last_seen: AtomicU64,
}

impl Row {
    pub(crate) fn new(record: Record) -> Self {
        let last_seen = AtomicU64::new(record.last_seen().unix());
        Self { record, last_seen }
    }

    fn last_seen(&self) -> Timestamp {
        Timestamp::from_unix(self.last_seen.load(Ordering::Relaxed))
    }

    /// Returns the record. Its last use may be outdated.
    pub(crate) fn record(&self) -> &Record {
        &self.record
    }

    /// Returns a copy of the record with its current last use.
    #[inline]
    pub(crate) fn read(&self) -> Record {
        let mut record = self.record.clone();
        record.set_last_seen(self.last_seen());
        record
    }

    /// Returns the record where it lies, with its current last use.
    #[inline]
    pub(crate) fn peek(&self) -> RecordRef<'_> {
        RecordRef {
            last_seen: self.last_seen(),
            ..RecordRef::from(&self.record)
        }
    }

    #[inline]
    pub(crate) fn is_alive(&self, now: Timestamp) -> bool {
        self.record.is_alive_if_seen(self.last_seen(), now)
    }

    /// Notes a use, unless the login had expired at that time.
    pub(crate) fn touch(&self, seen_at: Timestamp) {
        if self.is_alive(seen_at) {
            self.last_seen.fetch_max(seen_at.unix(), Ordering::Relaxed);
        }
    }
}
