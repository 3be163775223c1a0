//! The application's data in their stored form: JSON, and nothing where they are `null`.

use std::any::TypeId;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::{Error, Rejection, Result};

/// What an absent value is read as.
pub(crate) const NULL: &[u8] = b"null";

/// Appends data to `json`.
pub(crate) fn write<D: Serialize>(data: &D, json: &mut Vec<u8>) -> Result<()> {
    serde_json::to_writer(json, data).map_err(|_| {
        Error::misuse("the data of a login does not serialise to JSON: see its Serialize")
    })
}

/// Reads data. Who wants none is not hindered by any.
pub(crate) fn read<D: DeserializeOwned + 'static>(json: Option<&[u8]>) -> Result<D> {
    let wants_none = TypeId::of::<D>() == TypeId::of::<()>();
    let json = json.filter(|_| !wants_none).unwrap_or(NULL);
    serde_json::from_slice(json).map_err(|_| Rejection::Unreadable.into())
}
