//! Application data in stored form: JSON, or nothing for `null`.

use std::any::TypeId;
use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde::de::value::UnitDeserializer;

use crate::error::{Error, Result};

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
pub(crate) fn is_none<D: 'static>() -> bool {
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

/// The reading of data of type `D`. A reader without a data type ignores them.
pub(crate) struct DataReader<D>(Option<Arc<OtherData<D>>>);

/// Reads data that do not decode as `D`, as the application has defined it.
type OtherData<D> = dyn Fn(&[u8]) -> Option<D> + Send + Sync;

impl<D> DataReader<D> {
    /// Reads data that do not decode as `D` by `other`.
    pub(crate) fn or_else(other: impl Fn(&[u8]) -> Option<D> + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(other)))
    }

    /// Returns this reader, or `other` if the application has not defined this one.
    pub(crate) fn or(self, other: &Self) -> Self {
        Self(self.0.or_else(|| other.0.clone()))
    }
}

impl<D: DeserializeOwned + 'static> DataReader<D> {
    /// Reads data.
    ///
    /// # Errors
    ///
    /// *Unreadable*, without the login.
    #[inline]
    pub(crate) fn read<'a>(&self, json: impl FnOnce() -> Option<&'a [u8]>) -> Result<D> {
        self.read_by(json, |json| json, |json| serde_json::from_slice(json))
    }

    /// Reads data that are known to be UTF-8 without validating them again. The validation took 3 %
    /// of verifying a token with data.
    #[inline]
    pub(crate) fn read_text(&self, json: Option<&str>) -> Result<D> {
        self.read_by(|| json, str::as_bytes, |json| serde_json::from_str(json))
    }

    #[inline]
    fn read_by<'a, J: ?Sized + 'a>(
        &self,
        json: impl FnOnce() -> Option<&'a J>,
        bytes: impl FnOnce(&'a J) -> &'a [u8],
        parse: impl FnOnce(&'a J) -> serde_json::Result<D>,
    ) -> Result<D> {
        let json = if is_none::<D>() { None } else { json() };
        let read = match json {
            Some(json) => parse(json).ok(),
            // As for `null`, without a parser.
            None => D::deserialize(UnitDeserializer::<serde::de::value::Error>::new()).ok(),
        };
        match read {
            Some(data) => Ok(data),
            None => self.read_other(json.map_or(NULL, bytes)),
        }
    }

    #[cold]
    fn read_other(&self, json: &[u8]) -> Result<D> {
        let read = self.0.as_ref().and_then(|other| other(json));
        read.ok_or_else(Error::unreadable)
    }
}

impl<D> Clone for DataReader<D> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<D> Default for DataReader<D> {
    fn default() -> Self {
        Self(None)
    }
}
