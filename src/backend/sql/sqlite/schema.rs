//! The schema and the dialect of SQLite.

use crate::backend::sql::generic::driver::Dialect;
use crate::backend::sql::table::Tables;
use crate::error::Result;
use crate::store::record::FORMAT;

/// Schema of the tables `statewise_sessions` and `statewise_revocations`, for a migration tool of
/// your own. [`schema`] returns it for other names. Applying it again changes nothing.
///
/// - `statewise_sessions` holds a row for each session, with the SHA-256 hash of its subject. No
///   index contains a column that a use or a rotation changes.
/// - `statewise_revocations` holds the entries of the log, and `statewise_revocations_head` its
///   counter, which the log inserts at its first use. Sessions alone do not need these two.
///
/// The schema does not set the write-ahead log: see [`Sqlite`](crate::store::Sqlite).
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
    "rotation_wanted" INTEGER NOT NULL,
    "current_proof" BLOB NOT NULL,
    "previous_proof" BLOB NOT NULL,
    "family_proof" BLOB NOT NULL,
    "seed" BLOB NOT NULL,
    "stamp" BLOB,
    "subject" BLOB NOT NULL,
    "fields" BLOB NOT NULL
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS "statewise_sessions_subject"
    ON statewise_sessions ("subject", "deadline", "handle");
CREATE TABLE IF NOT EXISTS "statewise_revocations" (
    "position" INTEGER NOT NULL PRIMARY KEY,
    "nonce" BLOB NOT NULL,
    "fact" BLOB NOT NULL,
    "life" INTEGER NOT NULL,
    "stays_until" INTEGER NOT NULL
);
CREATE TABLE IF NOT EXISTS "statewise_revocations_head" (
    "id" INTEGER NOT NULL PRIMARY KEY CHECK ("id" = 1),
    "position" INTEGER NOT NULL,
    "incarnation" INTEGER NOT NULL,
    "nonce" BLOB NOT NULL,
    "first" INTEGER NOT NULL,
    "fenced" INTEGER NOT NULL
);
"#;

/// Returns the schema for tables of other names, each of which may be qualified by the name of an
/// attached database.
///
/// # Errors
///
/// *Misuse* if a name does not have at most 41 lower case letters, digits and underscores, or
/// begins with a digit, or if the two tables would share a name.
pub fn schema(table: &str, log_table: &str) -> Result<String> {
    Ok(schema_of(&Tables::parse(table, log_table)?))
}

pub(crate) fn schema_of(tables: &Tables) -> String {
    // SQLite qualifies the name of an index, and not that of its table.
    let indexed = format!(" ON {} (", tables.sessions.local("", '"'));
    tables
        .schema(SCHEMA, '"')
        .replace(" ON statewise_sessions (", &indexed)
}

pub(crate) const READ_ONLY: &str = "the database accepts no writes: open it without `read_only`, set the pragma `query_only` to 0, \
     and give the process the right to write to the file and its folder";

/// The dialect of SQLite. A transaction is the only writer, so nothing needs a lock.
pub(crate) const DIALECT: Dialect = Dialect {
    name: "sqlite",
    quote: '"',
    greatest: "max",
    on_conflict: " ON CONFLICT DO NOTHING",
    touch,
    remove_subject,
    locks_subject: false,
    for_update: "",
    clock: None,
    is_fit: "TRUE",
    is_fit_within: "TRUE",
};

/// Writes the statement that notes `size` uses.
fn touch(table: &str, size: usize) -> String {
    let values = vec!["(?, ?)"; size].join(", ");
    format!(
        r#"UPDATE {table} AS "s" SET "last_seen" = "u"."column2" FROM (VALUES {values}) AS "u"
            WHERE "s"."handle" = "u"."column1" AND "s"."format" = {FORMAT}
                AND "u"."column2" > "s"."last_seen" AND "s"."deadline" > "u"."column2"
                AND CASE WHEN "s"."idle" < 0 THEN 1
                    ELSE "s"."last_seen" > "u"."column2" - "s"."idle" END"#
    )
}

/// Writes the statement that removes the rows of a subject.
fn remove_subject(table: &str, condition: &str) -> String {
    format!(r#"DELETE FROM {table} WHERE "subject" = ? AND {condition}"#)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_schema_follows_the_names() {
        let same = schema("statewise_sessions", "statewise_revocations").unwrap();
        assert_eq!(same.replace('"', ""), SCHEMA.replace('"', ""));
        let other = schema("app.logins", "app.ended").unwrap();
        for table in ["logins", "ended", "ended_head"] {
            let create = format!(r#"CREATE TABLE IF NOT EXISTS "app"."{table}" ("#);
            assert!(other.contains(&create), "{other}");
        }
        let index = r#"INDEX IF NOT EXISTS "app"."logins_subject"
    ON "logins" ("subject", "deadline", "handle");"#;
        assert!(other.contains(index), "{other}");
        assert!(!other.contains("statewise"));
        assert!(schema("a\" (x); DROP TABLE b; --", "b").is_err());
        assert!(schema("a", "b\" (x); DROP TABLE b; --").is_err());
    }
}
