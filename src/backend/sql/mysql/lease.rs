//! A connection on loan from the pool, which gets it back only in a state fit for others.

use std::ops::{Deref, DerefMut};

use sqlx::pool::PoolConnection;
use sqlx::{MySql, MySqlConnection};

/// A connection that is closed unless it is given back.
///
/// One whose statement was given up has an answer on its way, or has begun a transaction of which
/// the client does not know: what is done on it next would be part of that, and undone with it.
pub(crate) struct Lease {
    connection: PoolConnection<MySql>,
    fit: bool,
}

impl Lease {
    pub(crate) fn new(connection: PoolConnection<MySql>) -> Self {
        Self {
            connection,
            fit: false,
        }
    }

    /// Gives it back: every statement has been answered, and no transaction is open.
    pub(crate) fn give_back(mut self) {
        self.fit = true;
    }

    /// Gives it back if the server itself said what was wrong, outside of a transaction.
    pub(crate) fn give_back_after(mut self, error: &sqlx::Error) {
        self.fit = error.as_database_error().is_some();
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if !self.fit {
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
