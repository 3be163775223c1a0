//! What was read of a log, checked.

use std::time::Duration;

use crate::error::{Error, Result};
use crate::login::stamp::Stamp;
use crate::revocation::fact::{Draft, Entry, Fact, Nonce};
use crate::revocation::log::Page;

/// A row of an answer: first that of the head, then those of entries.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Found<'r> {
    /// Whether it is an entry.
    pub(crate) is_entry: i64,
    /// The entry's, or that of the last one that there was.
    pub(crate) position: i64,
    /// The incarnation of the log, or the life of the entry.
    pub(crate) number: i64,
    /// The first position that is still there, or the next one.
    pub(crate) first: i64,
    /// The entry's, or that of the last one that there was.
    pub(crate) nonce: &'r [u8],
    pub(crate) fact: &'r [u8],
}

/// *Unavailable*: a reader must not pass over it.
fn unreadable() -> Error {
    Error::could_not("the revocation log holds what does not decode", None)
}

/// *Unavailable*: an entry went that was not the first one.
fn gap() -> Error {
    Error::could_not("the revocation log has a gap", None)
}

/// The row that counts.
struct Head {
    stamp: Stamp,
    position: u64,
    first: u64,
}

fn head(found: &Found<'_>) -> Option<Head> {
    let position = u64::try_from(found.position).ok()?;
    let incarnation = u64::try_from(found.number).ok()?;
    let first = u64::try_from(found.first).ok()?;
    let nonce = Nonce::from_bytes(found.nonce.try_into().ok()?);
    let stamp = Stamp::new(incarnation, position, nonce.mark());
    let fits = stamp.position() == position && stamp.incarnation() == incarnation;
    let is_sound = found.is_entry == 0 && fits && (1..=position + 1).contains(&first);
    is_sound.then_some(Head {
        stamp,
        position,
        first,
    })
}

fn entry(found: &Found<'_>) -> Option<Entry> {
    let nonce = Nonce::from_bytes(found.nonce.try_into().ok()?);
    let fact = Fact::from_bytes(found.fact.try_into().ok()?)?;
    let position = u64::try_from(found.position).ok()?;
    let draft = Draft::with_nonce(
        nonce,
        fact,
        Duration::from_secs(found.number.cast_unsigned()),
    );
    (found.is_entry == 1).then_some(Entry::new(position, draft))
}

/// Where the log ends. `None` if there is no row that counts.
pub(crate) fn stamp<'r>(
    mut rows: impl Iterator<Item = Option<Found<'r>>>,
) -> Result<Option<Stamp>> {
    let Some(row) = rows.next() else {
        return Ok(None);
    };
    let head = row.as_ref().and_then(head).ok_or_else(unreadable)?;
    Ok(Some(head.stamp))
}

/// What was read from a place on, with one entry more than wanted if there is one. `None` if there
/// is no row that counts.
pub(crate) fn page<'r>(
    mut rows: impl Iterator<Item = Option<Found<'r>>>,
    from: u64,
    limit: usize,
) -> Result<Option<Page>> {
    let Some(row) = rows.next() else {
        return Ok(None);
    };
    let head = row.as_ref().and_then(head).ok_or_else(unreadable)?;
    let mut entries = Vec::new();
    for row in rows {
        entries.push(row.as_ref().and_then(entry).ok_or_else(unreadable)?);
    }
    // Side by side, from the place that was asked for up to the head: whoever took an entry out by
    // hand has not made it unsaid.
    let start = from.max(head.first);
    let more = entries.len() > limit;
    let is_whole = more || entries.len() as u64 == (head.position + 1).saturating_sub(start);
    if !is_whole
        || entries
            .iter()
            .zip(start..)
            .any(|(entry, at)| entry.position != at)
    {
        return Err(gap());
    }
    entries.truncate(limit);
    let incarnation = head.stamp.incarnation();
    Ok(Some(Page::new(incarnation, head.first, entries, more)))
}
