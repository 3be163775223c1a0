//! Application data in stored form: JSON, or nothing for `null`.

use std::any::TypeId;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde::de::value::{Error as Unreadable, UnitDeserializer};

use crate::error::{Error, Rejection, Result};

/// The value for absent data.
pub(crate) const NULL: &[u8] = b"null";

/// Maximum nesting of data, so that both strategies can read back everything they wrote.
const MAX_DEPTH: usize = 31;

/// Serializes the data of a login. Returns `None` if they serialize to `null`.
///
/// # Errors
///
/// *Misuse* if they do not serialize, or nest more than 31 levels deep.
pub(crate) fn stored<D: Serialize + 'static>(data: &D) -> Result<Option<Vec<u8>>> {
    if is_none::<D>() {
        return Ok(None);
    }
    let json = serde_json::to_vec(data).map_err(|_| {
        Error::misuse("the data of a login do not serialise to JSON: see their Serialize")
    })?;
    if depth(&json) > MAX_DEPTH {
        return Err(Error::misuse(
            "the data of a login nest more than 31 deep: flatten them, or keep them elsewhere",
        ));
    }
    Ok(Some(json).filter(|json| json != NULL))
}

/// Returns true if the application keeps no data.
fn is_none<D: 'static>() -> bool {
    TypeId::of::<D>() == TypeId::of::<()>()
}

/// Returns the nesting depth of a JSON value.
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

/// Reads data. A reader without a data type ignores them.
pub(crate) fn read<'a, D: DeserializeOwned + 'static>(
    json: impl FnOnce() -> Option<&'a [u8]>,
) -> Result<D> {
    read_by(json, |json| serde_json::from_slice(json))
}

/// Reads data that are known to be UTF-8 without validating them again. The validation took 3 % of
/// verifying a token with data.
pub(crate) fn read_text<D: DeserializeOwned + 'static>(json: Option<&str>) -> Result<D> {
    read_by(|| json, |json| serde_json::from_str(json))
}

fn read_by<J, D: DeserializeOwned + 'static>(
    json: impl FnOnce() -> Option<J>,
    parse: impl FnOnce(J) -> serde_json::Result<D>,
) -> Result<D> {
    let read = match Some(json)
        .filter(|_| !is_none::<D>())
        .and_then(|json| json())
    {
        Some(json) => parse(json).map_err(drop),
        // As for `null`, without a parser.
        None => D::deserialize(UnitDeserializer::<Unreadable>::new()).map_err(drop),
    };
    read.map_err(|()| Rejection::Unreadable.into())
}
