//! Checks of the rows that a log reads.

use std::time::Duration;

use crate::backend::sql::value::Row;
use crate::error::{Error, Result};
use crate::login::stamp::Stamp;
use crate::revocation::fact::{Draft, Entry, Fact, Nonce};
use crate::revocation::log::Page;

/// A row of an answer: first the counter, then the entries.
struct Found<'r> {
    /// 0 for the counter, 1 for an entry.
    is_entry: i64,
    /// Position of the entry; in the counter, the last one.
    position: i64,
    /// Lifetime of the entry; in the counter, the incarnation of the log.
    number: i64,
    /// First position that exists, or the next one if there is none. Only in the counter.
    first: i64,
    /// Nonce of the entry; in the counter, of the last one.
    nonce: Nonce,
    fact: &'r [u8],
    /// Number of fences. Only in the counter.
    fences: i64,
}

/// The counter of a log.
struct Head {
    stamp: Stamp,
    position: u64,
    first: u64,
    fences: u64,
}

/// *Unavailable*: a reader must not skip it.
fn unreadable() -> Error {
    Error::could_not(
        "the revocation log contains a row that does not decode",
        None,
    )
}

/// *Unavailable*: an entry other than the first was removed.
fn gap() -> Error {
    Error::could_not("the revocation log has a gap", None)
}

fn found(row: &impl Row) -> Option<Found<'_>> {
    Some(Found {
        is_entry: row.number(0)?,
        position: row.number(1)?,
        number: row.number(2)?,
        first: row.number(3)?,
        nonce: Nonce::from_bytes(row.bytes(4)?.try_into().ok()?),
        fact: row.bytes(5)?,
        fences: row.number(6)?,
    })
}

fn head(row: &impl Row) -> Option<Head> {
    let found = found(row)?;
    let position = u64::try_from(found.position).ok()?;
    let incarnation = u64::try_from(found.number).ok()?;
    let first = u64::try_from(found.first).ok()?;
    let stamp = Stamp::new(incarnation, position, found.nonce.mark());
    let fits = stamp.position() == position && stamp.incarnation() == incarnation;
    let is_sound = found.is_entry == 0 && fits && (1..=position + 1).contains(&first);
    is_sound.then_some(Head {
        stamp,
        position,
        first,
        fences: found.fences.cast_unsigned(),
    })
}

fn entry(row: &impl Row) -> Option<Entry> {
    let found = found(row)?;
    let fact = Fact::from_bytes(found.fact.try_into().ok()?)?;
    let position = u64::try_from(found.position).ok()?;
    let life = Duration::from_secs(found.number.cast_unsigned());
    let draft = Draft::with_nonce(found.nonce, fact, life);
    (found.is_entry == 1).then_some(Entry::new(position, draft))
}

/// Returns the end of the log. `None` if there is no counter.
pub(crate) fn stamp(rows: &[impl Row]) -> Result<Option<Stamp>> {
    let Some(row) = rows.first() else {
        return Ok(None);
    };
    Ok(Some(head(row).ok_or_else(unreadable)?.stamp))
}

/// Returns the entries from a position on. `rows` holds one entry more than the limit if there are
/// more. `None` if there is no counter.
pub(crate) fn page(rows: &[impl Row], from: u64, limit: usize) -> Result<Option<Page>> {
    let Some((row, rows)) = rows.split_first() else {
        return Ok(None);
    };
    let head = head(row).ok_or_else(unreadable)?;
    let entries = rows.iter().map(|row| entry(row).ok_or_else(unreadable));
    let mut entries = entries.collect::<Result<Vec<_>>>()?;
    // There is no gap from the first wanted position to the head: an entry that was deleted by hand
    // is still in force.
    let start = from.max(head.first);
    let more = entries.len() > limit;
    let is_whole = more || entries.len() as u64 == (head.position + 1).saturating_sub(start);
    let mut positions = entries.iter().zip(start..);
    if !is_whole || positions.any(|(entry, at)| entry.position != at) {
        return Err(gap());
    }
    entries.truncate(limit);
    let incarnation = head.stamp.incarnation();
    let page = Page::new(incarnation, head.first, entries, more);
    Ok(Some(page.with_fences(head.fences)))
}
