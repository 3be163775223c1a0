//! Entries of a log as the server has them, and the answers of its scripts.

use std::time::Duration;

use redis::Value;

use crate::backend::redis::link::{bytes, items, unexpected};
use crate::error::{Error, Result};
use crate::login::stamp::Stamp;
use crate::revocation::fact::{Draft, Entry, FACT_BYTES, Fact, Nonce};
use crate::revocation::log::Page;

/// Bytes of an entry: nonce, fact and life.
const ENTRY_BYTES: usize = 16 + FACT_BYTES + 8;

/// Encodes an entry for the stream. The id of the stream entry is its position.
pub(crate) fn encode(draft: Draft) -> [u8; ENTRY_BYTES] {
    let mut entry = [0; ENTRY_BYTES];
    entry[..16].copy_from_slice(draft.nonce.as_bytes());
    entry[16..16 + FACT_BYTES].copy_from_slice(&draft.fact.to_bytes());
    entry[16 + FACT_BYTES..].copy_from_slice(&draft.life.as_secs().to_be_bytes());
    entry
}

fn decode(position: u64, entry: &[u8]) -> Option<Entry> {
    let (nonce, rest) = entry.split_first_chunk()?;
    let (fact, rest) = rest.split_first_chunk()?;
    let (life, []) = rest.split_first_chunk()? else {
        return None;
    };
    let draft = Draft::with_nonce(
        Nonce::from_bytes(*nonce),
        Fact::from_bytes(fact)?,
        Duration::from_secs(u64::from_be_bytes(*life)),
    );
    Some(Entry::new(position, draft))
}

/// Answer of `read.lua`.
pub(crate) struct Reply {
    pub(crate) head: Stamp,
    first: u64,
    fences: u64,
    entries: Vec<Entry>,
}

impl Reply {
    /// Parses the answer; `None` if there is no log.
    pub(crate) fn of(answer: Value) -> Result<Option<Self>> {
        let Ok([incarnation, last, nonce, first, fences, entries, now]) =
            <[Value; 7]>::try_from(items(answer)?)
        else {
            return Ok(None);
        };
        let now = number(now)?;
        Ok(Some(Self {
            head: stamp_of(incarnation, last, nonce)?,
            first: number(first)?,
            fences: number(fences)?,
            entries: items(entries)?
                .into_iter()
                .map(|answer| entry(answer, now))
                .collect::<Result<_>>()?,
        }))
    }

    /// Returns the page after a fetch of `limit + 1` entries.
    pub(crate) fn page(mut self, from: u64, limit: usize) -> Result<Page> {
        // A follower would miss the entries of a gap.
        let positions = self.entries.iter().map(|entry| entry.position);
        if !(from.max(self.first)..=u64::MAX)
            .zip(positions)
            .all(|(expected, found)| expected == found)
        {
            return Err(Error::unavailable("the revocation log has a gap"));
        }
        let more = self.entries.len() > limit;
        self.entries.truncate(limit);
        Ok(
            Page::new(self.head.incarnation(), self.first, self.entries, more)
                .with_fences(self.fences),
        )
    }
}

/// Parses the answer of `append.lua`.
pub(crate) fn stamp(answer: Value) -> Result<Stamp> {
    let [incarnation, last, nonce] =
        <[Value; 3]>::try_from(items(answer)?).map_err(|_| unexpected())?;
    stamp_of(incarnation, last, nonce)
}

fn stamp_of(incarnation: Value, last: Value, nonce: Value) -> Result<Stamp> {
    let incarnation: [u8; 6] = array(incarnation)?;
    let [a, b, c, d, e, f] = incarnation;
    let incarnation = u64::from_be_bytes([0, 0, a, b, c, d, e, f]);
    let last = number(last)?;
    let mark = if last == 0 {
        0
    } else {
        Nonce::from_bytes(array(nonce)?).mark()
    };
    Ok(Stamp::new(incarnation, last, mark))
}

/// Parses an entry of the stream: its id, and the fields `entry` and `until`, each a name and a
/// value. `until` is the time at which it expires, in milliseconds.
fn entry(answer: Value, now: u64) -> Result<Entry> {
    let mut answer = items(answer)?.into_iter();
    let id = bytes(answer.next().unwrap_or_default())?.unwrap_or_default();
    let position = std::str::from_utf8(&id)
        .ok()
        .and_then(|id| id.strip_suffix("-0")?.parse().ok())
        .ok_or_else(unexpected)?;
    let mut fields = items(answer.next().unwrap_or_default())?.into_iter();
    let value = bytes(fields.nth(1).unwrap_or_default())?.unwrap_or_default();
    // Do not skip it: a later version may have written it to end logins that we would accept.
    let unreadable = || Error::unavailable("the revocation log has an entry that does not decode");
    let entry = decode(position, &value).ok_or_else(unreadable)?;
    let until = number(fields.nth(1).unwrap_or_default())?;
    Ok(if until <= now { entry.expired() } else { entry })
}

fn number(answer: Value) -> Result<u64> {
    let digits = bytes(answer)?.unwrap_or_default();
    let number = std::str::from_utf8(&digits).ok();
    number
        .and_then(|digits| digits.parse().ok())
        .ok_or_else(unexpected)
}

fn array<const N: usize>(answer: Value) -> Result<[u8; N]> {
    let bytes = bytes(answer)?.and_then(|bytes| bytes.try_into().ok());
    bytes.ok_or_else(unexpected)
}
