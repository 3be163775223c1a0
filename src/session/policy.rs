//! The rules of a service about its sessions, checked by the builder.

use crate::session::judge::Windows;
use crate::session::lifetime::Lifetime;
use crate::store::ask::Limit;

/// How long sessions last, how they are renewed, and how many there may be.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Policy {
    pub(crate) lifetime: Lifetime,
    pub(crate) windows: Windows,
    pub(crate) renew_after: Option<u64>,
    pub(crate) strict_orphans: bool,
    pub(crate) limit: Limit,
    pub(crate) max_data: usize,
}
