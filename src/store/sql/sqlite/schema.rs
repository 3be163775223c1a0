//! The table, and its statements.

use std::sync::Arc;

use crate::store::sql::Table;
use crate::store::sql::statements::{SIZES, Writer};

/// The schema for the default table, `statewise_sessions`, for those who apply their migrations
/// by a tool of their own; [`schema`] has it for a table of another name.
///
/// Applying it again changes nothing. No index is on a column that a use or a renewal changes.
/// The subject is kept as its SHA-256 hash beside the fields.
/// Write-ahead logging is a matter of the connections: see
/// [`SqliteStore`](crate::store::SqliteStore).
pub const SCHEMA: &str = r#"CREATE TABLE IF NOT EXISTS "statewise_sessions" (
    "handle" BLOB NOT NULL PRIMARY KEY,
    "format" INTEGER NOT NULL,
    "version" INTEGER NOT NULL,
    "generation" INTEGER NOT NULL,
    "created_at" INTEGER NOT NULL,
    "authenticated_at" INTEGER NOT NULL,
    "deadline" INTEGER NOT NULL,
    "rotated_at" INTEGER NOT NULL,
    "last_seen" INTEGER NOT NULL,
    "idle" INTEGER NOT NULL,
    "confirmed" INTEGER NOT NULL,
    "renewal_wanted" INTEGER NOT NULL,
    "current_proof" BLOB NOT NULL,
    "previous_proof" BLOB NOT NULL,
    "family_proof" BLOB NOT NULL,
    "seed" BLOB NOT NULL,
    "stamp" BLOB,
    "subject" BLOB NOT NULL,
    "fields" BLOB NOT NULL
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS "statewise_sessions_subject"
    ON "statewise_sessions" ("subject", "deadline", "handle");
"#;

/// The table that [`SCHEMA`] makes.
pub(super) const TABLE: &str = "statewise_sessions";

/// The statements of a store. Shared, so that the client finds them in its cache of prepared
/// statements and nothing is copied for a call.
#[derive(Debug)]
pub(super) struct Statements {
    pub(super) migrate: Arc<str>,
    pub(super) insert: Arc<str>,
    pub(super) find: Arc<str>,
    pub(super) swap: Arc<str>,
    pub(super) end: Arc<str>,
    pub(super) confirm: Arc<str>,
    pub(super) touch: [Arc<str>; SIZES.len()],
    pub(super) remove: Arc<str>,
    pub(super) remove_subject: Arc<str>,
    pub(super) remove_subject_before: Arc<str>,
    pub(super) list: Arc<str>,
    pub(super) count: Arc<str>,
    pub(super) oldest: Arc<str>,
    pub(super) look: Arc<str>,
    pub(super) purge: [Arc<str>; SIZES.len()],
}

impl Statements {
    pub(super) fn of(table: &Table) -> Self {
        let writer = Writer {
            table,
            quote: '"',
            greater: "max",
        };
        let insert = format!("{} ON CONFLICT DO NOTHING", writer.insert());
        Self {
            migrate: schema_of(table).into(),
            insert: insert.into(),
            find: writer.find().into(),
            swap: writer.swap().into(),
            end: writer.end().into(),
            confirm: writer.confirm().into(),
            touch: SIZES.map(|size| touch(&writer.table(), size).into()),
            remove: writer.remove().into(),
            remove_subject: writer.remove_subject(false).into(),
            remove_subject_before: writer.remove_subject(true).into(),
            list: writer.list().into(),
            count: writer.count().into(),
            oldest: writer.oldest().into(),
            look: writer.look().into(),
            purge: SIZES.map(|size| writer.purge(size).into()),
        }
    }
}

/// The schema for a table called `table`, which may be qualified by the name under which a
/// database is attached.
///
/// # Errors
///
/// *Misuse* if a name is not of at most 41 lower case letters, digits and underscores that do not
/// begin with a digit.
pub fn schema(table: &str) -> crate::Result<String> {
    Ok(schema_of(&Table::parse(table)?))
}

/// It is the name of an index that carries the database's, and not that of the table under it.
fn schema_of(table: &Table) -> String {
    SCHEMA
        .replace(
            r#"ON "statewise_sessions""#,
            &format!("ON {}", table.local("", '"')),
        )
        .replace(
            r#""statewise_sessions_subject""#,
            &table.quoted("_subject", '"'),
        )
        .replace(
            r#" "statewise_sessions" ("#,
            &format!(" {} (", table.quoted("", '"')),
        )
}

/// Notes uses. Values: a handle and a time for each.
fn touch(table: &str, size: usize) -> String {
    let values = vec!["(?, ?)"; size].join(", ");
    format!(
        r#"UPDATE {table} AS "s" SET "last_seen" = "u"."column2" FROM (VALUES {values}) AS "u" WHERE "s"."handle" = "u"."column1" AND "u"."column2" > "s"."last_seen" AND "s"."deadline" > "u"."column2" AND CASE WHEN "s"."idle" < 0 THEN 1 ELSE "s"."last_seen" > "u"."column2" - "s"."idle" END"#
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_schema_follows_the_name() {
        assert_eq!(schema(TABLE).unwrap(), SCHEMA);
        let other = schema("app.logins").unwrap();
        assert!(other.starts_with(r#"CREATE TABLE IF NOT EXISTS "app"."logins" ("#));
        let index = r#"INDEX IF NOT EXISTS "app"."logins_subject"
    ON "logins" ("subject", "deadline", "handle");"#;
        assert!(other.contains(index), "{other}");
        assert!(!other.contains(TABLE));
        assert!(schema("a\" (x); DROP TABLE b; --").is_err());
    }
}
