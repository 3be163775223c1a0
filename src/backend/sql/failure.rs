//! Failures of a database, without the rows, statements and addresses that an error may quote.

use std::error::Error as StdError;
use std::fmt;

use crate::backend::breaker::{Outage, Outcome, write_cause};
use crate::error::Error;

/// A reason why a database did not answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// The database refused the statement with a code: an SQLSTATE in Postgres, the number of the
    /// error in MySQL and SQLite.
    Refused(String),
    /// The connection broke. It is unknown whether the statement took effect.
    Broken(Cause),
    /// There was no connection to use.
    Unconnected(Cause),
    /// The deadline passed.
    Late(Cause),
    /// The answer does not have the expected shape.
    Unexpected,
    /// The server accepts no writes, so it is not the primary. The statement had no effect.
    #[cfg_attr(
        not(any(
            feature = "sqlx-mysql",
            feature = "sqlx-postgres",
            feature = "tokio-postgres"
        )),
        expect(dead_code, reason = "SQLite is no server")
    )]
    ReadOnly,
    /// SQLite opened its file without the right to write. The statement had no effect.
    #[cfg(feature = "sqlx-sqlite")]
    ReadOnlyFile,
    /// The user of the database lacks a right. The text names it, and its table or function.
    #[cfg_attr(
        not(any(
            feature = "sqlx-mysql",
            feature = "sqlx-postgres",
            feature = "tokio-postgres"
        )),
        expect(dead_code, reason = "SQLite has no rights")
    )]
    Denied(String),
}

/// The root of a failed connection, such as "connection refused", where it is known.
pub(crate) type Cause = Option<String>;

impl Outage for Failure {
    fn outcome(&self) -> Outcome {
        match self {
            Self::Late(cause) => Outcome::Late(cause.clone()),
            Self::Broken(cause) | Self::Unconnected(cause) => Outcome::Lost(cause.clone()),
            // Each statement asks whether the server accepts writes, so all of them fail.
            Self::ReadOnly => Outcome::Lost(Some("it accepts no writes".to_owned())),
            _ => Outcome::Answered,
        }
    }
}

impl Failure {
    /// Returns true if the database undid the work because of another transaction, so that it may
    /// be tried again.
    #[cfg(any(
        feature = "sqlx-mysql",
        feature = "sqlx-postgres",
        feature = "tokio-postgres"
    ))]
    pub(crate) fn is_conflict(&self) -> bool {
        // Postgres: serialization failure, deadlock. MySQL: deadlock, timeout of a lock, row
        // changed since it was read.
        self.has_code(&["40001", "40P01", "1213", "1205", "1020"])
    }

    /// Returns true if a row with the same key exists.
    pub(crate) fn is_duplicate(&self) -> bool {
        // Postgres, MySQL.
        self.has_code(&["23505", "1062"])
    }

    /// Returns true if the next statement needs another connection.
    #[cfg(any(
        feature = "sqlx-mysql",
        feature = "sqlx-postgres",
        feature = "tokio-postgres"
    ))]
    pub(crate) fn ends_connection(&self) -> bool {
        matches!(self, Self::Broken(_) | Self::ReadOnly)
    }

    /// Returns true if SQLite opened its file without the right to write.
    #[cfg(any(feature = "sqlx-mysql", feature = "sqlx-sqlite"))]
    pub(crate) fn is_read_only_file(&self) -> bool {
        #[cfg(feature = "sqlx-sqlite")]
        if matches!(self, Self::ReadOnlyFile) {
            return true;
        }
        false
    }

    /// Returns the meaning of an SQLSTATE of Postgres.
    #[cfg(any(feature = "sqlx-postgres", feature = "tokio-postgres"))]
    pub(crate) fn of_state(code: &str) -> Self {
        match code {
            // A standby, or a former primary.
            "25006" => Self::ReadOnly,
            // The timeout in the server has passed a little before the deadline.
            "57014" => Self::Late(None),
            // Internal error of a server or a pooler; transaction that another user of the
            // connection left behind; prepared statement that another connection owns; result that
            // a migration has changed since the statement was prepared.
            "XX000" | "25P02" | "26000" | "42P05" | "0A000" => Self::Broken(None),
            // The server stops or starts, or an operator ended the connection; the connection or
            // the protocol fails, also in a pooler.
            _ if code.starts_with("57P") || code.starts_with("08") => Self::Broken(None),
            _ => Self::Refused(code.to_owned()),
        }
    }

    /// Returns the meaning of an error of MySQL or MariaDB.
    #[cfg(feature = "sqlx-mysql")]
    fn of_number(number: u16, message: &str) -> Self {
        match number {
            // `read_only`, a read-only transaction, a server or an engine in read-only mode, a
            // table that was opened read-only.
            1290 | 1792 | 1836 | 1874 | 1036 => Self::ReadOnly,
            // The condition in each statement: see `Dialect::is_fit`.
            1690 if message.contains("exp(") => Self::ReadOnly,
            // Another user of the connection left a transaction open.
            1568 => Self::ReadOnly,
            // The server stops, an operator closed the connection, a node has left its cluster, the
            // client was idle for too long.
            1053 | 1927 | 1047 | 4031 => Self::Broken(None),
            // A right of a database, table, column or function, or of the server.
            1044 | 1142 | 1143 | 1370 | 1227 => Self::Denied(denied(message)),
            _ => Self::Refused(number.to_string()),
        }
    }

    /// Returns the cause of a connection that the server refused with a code.
    #[cfg(any(feature = "sqlx-postgres", feature = "tokio-postgres"))]
    pub(crate) fn refusal(code: &str) -> Cause {
        let step = remedy(code).map_or(String::new(), |step| format!(": {step}"));
        Some(format!("error {code}{step}"))
    }

    fn has_code(&self, codes: &[&str]) -> bool {
        matches!(self, Self::Refused(code) if codes.contains(&&**code))
    }
}

/// Lower byte of the codes with which SQLite refuses to write.
#[cfg(feature = "sqlx-sqlite")]
const SQLITE_READONLY: u32 = 8;

/// Returns the right and the table that a message of MySQL names, without the user and the host.
#[cfg(feature = "sqlx-mysql")]
fn denied(message: &str) -> String {
    let named = message.split_once(" command denied to user ");
    match named.and_then(|(right, rest)| Some((right, rest.rsplit_once(" for ")?.1))) {
        Some((right, table)) => {
            format!("the user of the database lacks the right {right} for {table}: grant it")
        }
        None => {
            "the user of the database lacks a right: see the grants that `MySql` needs".to_owned()
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(code) => {
                write!(f, "the database answered with error {code}")?;
                write_cause(f, remedy(code))
            }
            Self::Broken(cause) => {
                f.write_str("the connection to the database broke")?;
                write_cause(f, cause.as_deref())
            }
            Self::Unconnected(cause) => {
                f.write_str("no connection to the database was available")?;
                write_cause(f, cause.as_deref())
            }
            Self::Late(cause) => {
                f.write_str("the database did not answer within the deadline")?;
                let step = "check that the server runs, its address, and locks on its tables";
                write_cause(f, cause.as_deref().or(Some(step)))
            }
            Self::Unexpected => f.write_str("the database sent an answer of an unexpected shape"),
            Self::ReadOnly => f.write_str("the database accepts no writes: connect to the primary"),
            #[cfg(feature = "sqlx-sqlite")]
            Self::ReadOnlyFile => f.write_str(crate::backend::sql::sqlite::schema::READ_ONLY),
            Self::Denied(what) => f.write_str(what),
        }
    }
}

impl StdError for Failure {}

/// Returns the next step after an error that a service meets at its first start.
fn remedy(code: &str) -> Option<&'static str> {
    Some(match code {
        // Postgres: table, function or column. MySQL: table. SQLite: any statement that it cannot
        // prepare.
        "42P01" | "42883" | "42703" | "1146" | "1" => "call `migrate` first",
        // Postgres, MySQL.
        "3D000" | "1049" => "there is no database of this name; create it, or correct the address",
        // Postgres.
        "3F000" => "there is no schema of this name; create it, or correct the table's name",
        // Postgres: password, and user or method. MySQL: both.
        "28P01" | "28000" | "1045" => "correct user and password in the address",
        // SQLite.
        "14" => {
            "the file cannot be opened; correct its path, or set `create_if_missing` of the \
             options of sqlx"
        }
        _ => return None,
    })
}

/// *Misuse* for a missing right, otherwise *unavailable*: the store. A log makes its own error.
impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Denied(what) => Self::misuse(what),
            failure => Self::unavailable(failure),
        }
    }
}

#[cfg(any(
    feature = "sqlx-mysql",
    feature = "sqlx-postgres",
    feature = "sqlx-sqlite"
))]
impl From<sqlx::Error> for Failure {
    fn from(error: sqlx::Error) -> Self {
        Self::from(&error)
    }
}

#[cfg(any(
    feature = "sqlx-mysql",
    feature = "sqlx-postgres",
    feature = "sqlx-sqlite"
))]
impl From<&sqlx::Error> for Failure {
    fn from(error: &sqlx::Error) -> Self {
        match error {
            sqlx::Error::Database(refused) => {
                #[cfg(feature = "sqlx-mysql")]
                if let Some(error) = refused.try_downcast_ref::<sqlx::mysql::MySqlDatabaseError>() {
                    return Self::of_number(error.number(), error.message());
                }
                let code = refused.code().unwrap_or_default();
                #[cfg(feature = "sqlx-postgres")]
                if refused
                    .try_downcast_ref::<sqlx::postgres::PgDatabaseError>()
                    .is_some()
                {
                    return Self::of_state(&code);
                }
                #[cfg(feature = "sqlx-sqlite")]
                if refused
                    .try_downcast_ref::<sqlx::sqlite::SqliteError>()
                    .is_some()
                    && code
                        .parse::<u32>()
                        .is_ok_and(|code| code & 0xff == SQLITE_READONLY)
                {
                    return Self::ReadOnlyFile;
                }
                Self::Refused(code.into_owned())
            }
            sqlx::Error::PoolTimedOut => Self::Late(None),
            sqlx::Error::PoolClosed => Self::Unconnected(None),
            sqlx::Error::ColumnDecode { .. }
            | sqlx::Error::Decode(_)
            | sqlx::Error::ColumnIndexOutOfBounds { .. }
            | sqlx::Error::RowNotFound => Self::Unexpected,
            error => Self::Broken(crate::backend::breaker::io_cause(error)),
        }
    }
}

#[cfg(all(test, any(feature = "sqlx-postgres", feature = "tokio-postgres")))]
mod tests {
    use super::*;

    #[test]
    fn a_code_of_postgres_decides_about_its_connection() {
        for code in [
            "57P01", "57P02", "57P03", "08006", "08P01", "XX000", "25P02", "26000",
        ] {
            assert_eq!(Failure::of_state(code), Failure::Broken(None), "{code}");
            assert!(Failure::of_state(code).ends_connection());
        }
        assert!(Failure::of_state("25006").ends_connection());
        for code in ["57014", "23505", "40001", "40P01", "42501", "42P01"] {
            assert!(!Failure::of_state(code).ends_connection(), "{code}");
        }
        assert!(Failure::of_state("40P01").is_conflict());
    }
}
