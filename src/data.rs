//! The application's data in their stored form: JSON, and nothing where they are `null`.

use std::any::TypeId;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde::de::value::{Error as Unreadable, UnitDeserializer};

use crate::error::{Error, Rejection, Result};

/// What an absent value is read as.
pub(crate) const NULL: &[u8] = b"null";

/// How deep data may nest, so that both strategies read back what they wrote.
const DEPTH: usize = 31;

/// Appends data to `json`.
///
/// # Errors
///
/// *Misuse* if they do not serialise, or nest more than 31 deep.
pub(crate) fn write<D: Serialize>(data: &D, json: &mut Vec<u8>) -> Result<()> {
    let start = json.len();
    serde_json::to_writer(&mut *json, data).map_err(|_| {
        Error::misuse("the data of a login do not serialise to JSON: see their Serialize")
    })?;
    if depth(json.get(start..).unwrap_or_default()) > DEPTH {
        return Err(Error::misuse(
            "the data of a login nest more than 31 deep: flatten them, or keep them elsewhere",
        ));
    }
    Ok(())
}

/// How deep a JSON value nests.
fn depth(json: &[u8]) -> usize {
    let (mut depth, mut deepest, mut in_text, mut escaped) = (0usize, 0, false, false);
    for byte in json {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_text => escaped = true,
            b'"' => in_text = !in_text,
            b'[' | b'{' if !in_text => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b']' | b'}' if !in_text => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

/// Reads data. Who wants none is not hindered by any.
pub(crate) fn read<'a, D: DeserializeOwned + 'static>(
    json: impl FnOnce() -> Option<&'a [u8]>,
) -> Result<D> {
    let wants_none = TypeId::of::<D>() == TypeId::of::<()>();
    let read = match Some(json).filter(|_| !wants_none).and_then(|json| json()) {
        Some(json) => serde_json::from_slice(json).map_err(drop),
        // As `null` would be, without a parser for it.
        None => D::deserialize(UnitDeserializer::<Unreadable>::new()).map_err(drop),
    };
    read.map_err(|()| Rejection::Unreadable.into())
}
