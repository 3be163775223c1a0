//! The two tables of a log: its entries by position, and its own numbers.

use ::redb::{
    Error as Cause, ReadOnlyTable, ReadTransaction, ReadableTable as _, Table, TableError,
    WriteTransaction,
};

use std::time::Duration;

use crate::backend::redb::engine::Engine;
use crate::backend::redb::failure;
pub(crate) use crate::backend::redb::tables::Judged;
use crate::backend::redb::tables::{LogNumbers, Names};
use crate::clock::Timestamp;
use crate::entropy::{self, SystemEntropy};
use crate::error::{Error, Result};
use crate::login::stamp::Stamp;
use crate::revocation::fact::{Draft, Entry, FACT_BYTES, Fact, Nonce};
use crate::revocation::log::{MARGIN, Page};

/// Nonce, fact, life, and the moment until which it stays.
pub(crate) const ENTRY: usize = 16 + FACT_BYTES + 8 + 8;
/// Incarnation, first and last position, last nonce.
const OWN: usize = 8 + 8 + 8 + 16;
/// Entries that are set aside at first for what is read.
const SOME: usize = 1024;

/// The log's own numbers.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Own {
    incarnation: u64,
    /// The position of the first entry that is there, or of the next one.
    first: u64,
    last: u64,
    /// Of the last entry that there was.
    nonce: [u8; 16],
}

impl Own {
    pub(crate) fn stamp(&self) -> Stamp {
        let mark = Nonce::from_bytes(self.nonce).mark();
        Stamp::new(self.incarnation, self.last, mark)
    }

    fn encode(&self) -> [u8; OWN] {
        let mut bytes = [0; OWN];
        bytes[..8].copy_from_slice(&self.incarnation.to_be_bytes());
        bytes[8..16].copy_from_slice(&self.first.to_be_bytes());
        bytes[16..24].copy_from_slice(&self.last.to_be_bytes());
        bytes[24..].copy_from_slice(&self.nonce);
        bytes
    }

    fn decode(bytes: &[u8; OWN]) -> Self {
        let number = |at: usize| {
            let mut number = [0; 8];
            number.copy_from_slice(&bytes[at..at + 8]);
            u64::from_be_bytes(number)
        };
        let mut nonce = [0; 16];
        nonce.copy_from_slice(&bytes[24..]);
        Self {
            incarnation: number(0),
            first: number(8),
            last: number(16),
            nonce,
        }
    }
}

fn encode(draft: Draft, until: Timestamp) -> [u8; ENTRY] {
    let mut entry = [0; ENTRY];
    entry[..16].copy_from_slice(draft.nonce.as_bytes());
    entry[16..42].copy_from_slice(&draft.fact.to_bytes());
    entry[42..50].copy_from_slice(&draft.life.as_secs().to_be_bytes());
    entry[50..].copy_from_slice(&until.unix().to_be_bytes());
    entry
}

fn decode(position: u64, bytes: &[u8; ENTRY], now: Timestamp) -> Option<Entry> {
    let (nonce, rest) = bytes.split_first_chunk()?;
    let (fact, rest) = rest.split_first_chunk()?;
    let (life, _) = rest.split_first_chunk()?;
    let draft = Draft::with_nonce(
        Nonce::from_bytes(*nonce),
        Fact::from_bytes(fact)?,
        Duration::from_secs(u64::from_be_bytes(*life)),
    );
    let entry = Entry::new(position, draft);
    Some(if until(bytes) <= now {
        entry.expired()
    } else {
        entry
    })
}

fn until(bytes: &[u8; ENTRY]) -> Timestamp {
    let mut until = [0; 8];
    until.copy_from_slice(&bytes[50..]);
    Timestamp::from_unix(u64::from_be_bytes(until))
}

/// Makes the tables, and draws the incarnation, if this log is not there yet.
pub(crate) fn prepare(engine: &Engine) -> Result<()> {
    let names = &engine.names;
    let of_table = |error| match error {
        TableError::Storage(error) => failure::of(error),
        _ => Error::misuse(
            "the database has tables of this name that are not those of a revocation log: choose \
             another name",
        ),
    };
    let there = engine.read(|snapshot| {
        Ok(match Snapshot::open(snapshot, names) {
            Ok(tables) => Ok(tables.own()?.is_some()),
            Err(TableError::TableDoesNotExist(_)) => Ok(false),
            Err(error) => Err(of_table(error)),
        })
    })?;
    if there {
        return Ok(());
    }
    let incarnation = u64::from_be_bytes(entropy::draw(&SystemEntropy)?);
    let transaction = engine.begin_write().map_err(|failure| failure.error())?;
    let mut tables = Tables::open(&transaction, names).map_err(of_table)?;
    // Another handle on the same database may have been faster.
    if tables.own().map_err(failure::of)?.is_none() {
        let own = Own {
            incarnation,
            first: 1,
            last: 0,
            nonce: [0; 16],
        };
        tables.begin(&own).map_err(failure::of)?;
    }
    drop(tables);
    let committed = engine.commit(transaction);
    committed.map_err(|failure| failure.error())
}

/// The tables within a write transaction.
pub(crate) struct Tables<'t> {
    entries: Table<'t, u64, LogNumbers<ENTRY>>,
    own: Table<'t, (), LogNumbers<OWN>>,
}

impl<'t> Tables<'t> {
    pub(crate) fn open(
        transaction: &'t WriteTransaction,
        names: &Names,
    ) -> std::result::Result<Self, TableError> {
        Ok(Self {
            entries: transaction.open_table(names.log_entries())?,
            own: transaction.open_table(names.log_own())?,
        })
    }

    pub(crate) fn own(&self) -> std::result::Result<Option<Own>, Cause> {
        let own = self.own.get(())?;
        Ok(own.map(|bytes| Own::decode(bytes.value())))
    }

    pub(crate) fn set(&mut self, own: &Own) -> std::result::Result<(), Cause> {
        self.own.insert((), &own.encode())?;
        Ok(())
    }

    /// Begins a log in which there is nothing.
    fn begin(&mut self, own: &Own) -> std::result::Result<(), Cause> {
        self.entries.retain(|_, _| false)?;
        self.set(own)
    }

    /// Lets go of what has had its time, from the front, and of so many at most.
    pub(crate) fn trim(
        &mut self,
        own: &mut Own,
        most: usize,
        now: Timestamp,
    ) -> std::result::Result<bool, Cause> {
        let first = own.first;
        for _ in 0..most {
            let over = match self.entries.get(own.first)? {
                Some(entry) => until(entry.value()) <= now,
                None => false,
            };
            if !over {
                break;
            }
            self.entries.remove(own.first)?;
            own.first += 1;
        }
        Ok(own.first > first)
    }

    pub(crate) fn add(
        &mut self,
        own: &mut Own,
        draft: Draft,
        now: Timestamp,
    ) -> std::result::Result<(), Cause> {
        own.last += 1;
        own.nonce = *draft.nonce.as_bytes();
        let until = now.saturating_add(draft.life.saturating_add(MARGIN).as_secs());
        self.entries.insert(own.last, &encode(draft, until))?;
        Ok(())
    }
}

/// The tables as last committed.
pub(crate) struct Snapshot {
    entries: ReadOnlyTable<u64, LogNumbers<ENTRY>>,
    own: ReadOnlyTable<(), LogNumbers<OWN>>,
}

impl Snapshot {
    pub(crate) fn open(
        snapshot: &ReadTransaction,
        names: &Names,
    ) -> std::result::Result<Self, TableError> {
        Ok(Self {
            entries: snapshot.open_table(names.log_entries())?,
            own: snapshot.open_table(names.log_own())?,
        })
    }

    pub(crate) fn own(&self) -> std::result::Result<Option<Own>, Cause> {
        let own = self.own.get(())?;
        Ok(own.map(|bytes| Own::decode(bytes.value())))
    }

    /// A page, which is as long as the numbers of the log say.
    pub(crate) fn page(&self, own: &Own, from: u64, limit: usize, now: Timestamp) -> Judged<Page> {
        let from = from.max(own.first);
        let rest = own.last.saturating_add(1).saturating_sub(from);
        let taken = usize::try_from(rest).unwrap_or(usize::MAX).min(limit);
        let mut entries = Vec::with_capacity(taken.min(SOME));
        for (expected, entry) in (from..=own.last)
            .zip(self.entries.range(from..)?)
            .take(taken)
        {
            let (position, bytes) = entry?;
            let entry = decode(position.value(), bytes.value(), now);
            // Not to be passed over: it may be of a later version, and end what this one accepts.
            match entry.filter(|entry| entry.position == expected) {
                Some(entry) => entries.push(entry),
                None => return Ok(Err(super::missing())),
            }
        }
        if entries.len() < taken {
            return Ok(Err(super::missing()));
        }
        let more = rest > taken as u64;
        Ok(Ok(Page::new(own.incarnation, own.first, entries, more)))
    }
}
