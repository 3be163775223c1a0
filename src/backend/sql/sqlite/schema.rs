//! The table, and its statements.

use crate::backend::sql::store::statements::Dialect;
use crate::backend::sql::table::Table;
use crate::store::record::FORMAT;

/// The schema for the default table, `statewise_sessions`, for those who apply their migrations
/// by a tool of their own; [`schema`] has it for a table of another name.
///
/// Applying it again changes nothing. No index is on a column that a use or a rotation changes.
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
    ON "statewise_sessions" ("subject", "deadline", "handle");
"#;

/// The table that [`SCHEMA`] makes.
pub(crate) const TABLE: &str = "statewise_sessions";

/// How SQLite says it.
pub(crate) const DIALECT: Dialect = Dialect {
    quote: '"',
    greater: "max",
    unless_there: " ON CONFLICT DO NOTHING",
    touch,
};

/// The schema for a table called `table`, which may be qualified by the name under which a
/// database is attached.
///
/// # Errors
///
/// *Misuse* if a name is not of at most 41 lower case letters, digits and underscores that do not
/// begin with a digit.
pub fn schema(table: &str) -> crate::error::Result<String> {
    Ok(schema_of(&Table::parse(table)?))
}

/// It is the name of an index that carries the database's, and not that of the table under it.
pub(crate) fn schema_of(table: &Table) -> String {
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
        r#"UPDATE {table} AS "s" SET "last_seen" = "u"."column2" FROM (VALUES {values}) AS "u"
            WHERE "s"."handle" = "u"."column1" AND "s"."format" = {FORMAT}
                AND "u"."column2" > "s"."last_seen" AND "s"."deadline" > "u"."column2"
                AND CASE WHEN "s"."idle" < 0 THEN 1
                    ELSE "s"."last_seen" > "u"."column2" - "s"."idle" END"#
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
