//! What a server of Postgres says about what it keeps.

use crate::backend::durability::{Durability, Survives};
use crate::backend::sql::postgres::driver::{Failure, Row};
use crate::backend::sql::table::Table;

/// Asks what the server keeps, for this connection and a table: no row if there is no such table.
pub(crate) fn text(table: &Table) -> String {
    format!(
        "SELECT current_setting('fsync') = 'on' AND current_setting('full_page_writes') = 'on'
                AND current_setting('synchronous_commit') <> 'off'
                AND c.relpersistence = 'p',
            current_setting('synchronous_standby_names') <> '',
            current_setting('synchronous_commit') IN ('on', 'remote_apply')
        FROM pg_catalog.pg_class AS c WHERE c.oid = to_regclass('{}')",
        table.quoted("", '"')
    )
}

/// What was answered.
pub(crate) fn durability(rows: &[impl Row]) -> Result<Durability, Failure> {
    let Some(row) = rows.first() else {
        // No such table yet.
        return Ok(Durability::new(Survives::Unknown, Survives::Unknown));
    };
    let (synced, standbys, waits) = (row.flag(0)?, row.flag(1)?, row.flag(2)?);
    let crash = if synced {
        Survives::All
    } else {
        Survives::NotAll
    };
    let failover = match (synced && waits, standbys) {
        (false, _) => Survives::NotAll,
        (true, true) => Survives::All,
        (true, false) => Survives::Unknown,
    };
    Ok(Durability::new(crash, failover))
}
