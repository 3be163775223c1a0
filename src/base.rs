//! Small helpers that know nothing of logins: encodings, hashes, secrets, futures, single-flight,
//! semaphore.

pub(crate) mod base64url;
pub(crate) mod boxed;
pub(crate) mod crc32;
pub(crate) mod erased;
pub(crate) mod join;
pub(crate) mod public_id;
pub(crate) mod secret;
pub(crate) mod semaphore;
pub(crate) mod sha256;
pub(crate) mod single_flight;
