//! A connection of the pool that is closed unless it is given back in a clean state.

use std::ops::{Deref, DerefMut};

use sqlx::pool::PoolConnection;
use sqlx::{MySql, MySqlConnection};

use crate::backend::sql::failure::Failure;

/// A connection that is closed unless it is given back.
///
/// After a cancelled statement, an answer may be under way, or a transaction may be open that the
/// client does not know of. The next statement would become part of that transaction.
pub(crate) struct Lease {
    connection: PoolConnection<MySql>,
    clean: bool,
}

impl Lease {
    pub(crate) fn new(connection: PoolConnection<MySql>) -> Self {
        Self {
            connection,
            clean: false,
        }
    }

    /// Gives the connection back. Every statement has an answer, and no transaction is open.
    pub(crate) fn give_back(mut self) {
        self.clean = true;
    }

    /// Gives the connection back if the server refused a statement. No transaction is open.
    pub(crate) fn give_back_after(mut self, failure: &Failure) {
        self.clean = matches!(failure, Failure::Refused(_) | Failure::Denied(_));
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if !self.clean {
            self.connection.close_on_drop();
        }
    }
}

impl Deref for Lease {
    type Target = MySqlConnection;

    fn deref(&self) -> &MySqlConnection {
        &self.connection
    }
}

impl DerefMut for Lease {
    fn deref_mut(&mut self) -> &mut MySqlConnection {
        &mut self.connection
    }
}
