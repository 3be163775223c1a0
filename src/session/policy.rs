//! The rules of a service about its sessions, checked by the builder.

use crate::session::judge::Windows;
use crate::session::lifetime::Lifetime;
use crate::store::ask::Limit;

/// How long sessions last, how they are rotated, and how many there may be.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Policy {
    pub(crate) lifetime: Lifetime,
    pub(crate) windows: Windows,
    pub(crate) rotate_after: Option<u64>,
    pub(crate) reject_orphaned: bool,
    pub(crate) limit: Limit,
    pub(crate) max_data: usize,
}
