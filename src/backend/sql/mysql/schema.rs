//! The schema and the dialect of MySQL.

use crate::backend::sql::generic::driver::Dialect;
use crate::backend::sql::table::Tables;
use crate::error::Result;
use crate::store::record::FORMAT;

/// Schema of the tables `statewise_sessions` and `statewise_revocations`, for a migration tool of
/// your own. [`schema`] returns it for other names. Applying it again changes nothing.
///
/// - `statewise_sessions` holds a row for each session. No index contains a column that a use or a
///   rotation changes. A row holds the SHA-256 hash of its subject: find the sessions of a user
///   with `subject = UNHEX(SHA2('alice', 256))`.
/// - `statewise_sessions_limit` holds at most 4096 rows, each of which is locked while a login of
///   some subjects is counted.
/// - `statewise_revocations` holds the entries of the log, and `statewise_revocations_head` its
///   counter, which the log inserts at its first use. Sessions alone do not need these two.
pub const SCHEMA: &str = "CREATE TABLE IF NOT EXISTS `statewise_sessions` (
    `handle` BINARY(16) NOT NULL PRIMARY KEY,
    `format` BIGINT NOT NULL,
    `version` BIGINT NOT NULL,
    `generation` BIGINT NOT NULL,
    `created_at` BIGINT NOT NULL,
    `authenticated_at` BIGINT NOT NULL,
    `deadline` BIGINT NOT NULL,
    `rotated_at` BIGINT NOT NULL,
    `last_seen` BIGINT NOT NULL,
    `idle` BIGINT NOT NULL,
    `confirmed` BOOLEAN NOT NULL,
    `rotation_wanted` BOOLEAN NOT NULL,
    `current_proof` BINARY(16) NOT NULL,
    `previous_proof` BINARY(16) NOT NULL,
    `family_proof` BINARY(16) NOT NULL,
    `seed` BINARY(16) NOT NULL,
    `stamp` BINARY(16),
    `subject` BINARY(32) NOT NULL,
    `fields` LONGBLOB NOT NULL,
    INDEX `subject` (`subject`, `deadline`, `handle`)
) ENGINE = InnoDB;
CREATE TABLE IF NOT EXISTS `statewise_sessions_limit` (
    `part` SMALLINT NOT NULL PRIMARY KEY
) ENGINE = InnoDB;
CREATE TABLE IF NOT EXISTS `statewise_revocations` (
    `position` BIGINT NOT NULL PRIMARY KEY,
    `nonce` BINARY(16) NOT NULL,
    `fact` BINARY(26) NOT NULL,
    `life` BIGINT NOT NULL,
    `stays_until` BIGINT NOT NULL
) ENGINE = InnoDB;
CREATE TABLE IF NOT EXISTS `statewise_revocations_head` (
    `id` SMALLINT NOT NULL PRIMARY KEY,
    `position` BIGINT NOT NULL,
    `incarnation` BIGINT NOT NULL,
    `nonce` BINARY(16) NOT NULL,
    `first` BIGINT NOT NULL,
    `fenced` BIGINT NOT NULL
) ENGINE = InnoDB;
";

/// Returns the schema for tables of other names, each of which may be qualified as
/// `database.table`.
///
/// # Errors
///
/// *Misuse* if a name does not have at most 41 lower case letters, digits and underscores, or
/// begins with a digit, or if the two tables would share a name.
pub fn schema(table: &str, log_table: &str) -> Result<String> {
    Ok(Tables::parse(table, log_table)?.schema(SCHEMA, '`'))
}

/// The dialect of MySQL. The exponential of 1000 is out of range in every SQL mode, and the server
/// computes it even if no row matches. Only MariaDB runs the comment, because MySQL does not tell
/// whether a transaction is open.
///
/// No clause skips duplicates only: `IGNORE` and `ON DUPLICATE KEY` hide
/// other errors or write to the existing row. A duplicate is therefore an error.
pub(crate) const DIALECT: Dialect = Dialect {
    name: "mysql",
    quote: '`',
    greatest: "greatest",
    on_conflict: "",
    touch,
    remove_subject,
    locks_subject: true,
    for_update: " FOR UPDATE",
    clock: Some("CAST(UNIX_TIMESTAMP() AS SIGNED)"),
    is_fit: "EXP(IF(@@autocommit AND NOT @@global.read_only \
         /*M! AND NOT @@in_transaction */, 0, 1000))",
    is_fit_within: "EXP(IF(@@global.read_only, 1000, 0))",
};

/// Writes the statement that notes `count` uses. The join begins with the uses, so that only their
/// rows are read and locked, in their order.
fn touch(table: &str, count: usize) -> String {
    let mut uses =
        "SELECT CAST(? AS BINARY(16)) AS `handle`, CAST(? AS SIGNED) AS `seen`".to_owned();
    for _ in 1..count {
        uses.push_str(" UNION ALL SELECT CAST(? AS BINARY(16)), CAST(? AS SIGNED)");
    }
    format!(
        "UPDATE ({uses}) AS `u` STRAIGHT_JOIN {table} AS `s` ON `s`.`handle` = `u`.`handle` \
         SET `s`.`last_seen` = `u`.`seen` \
         WHERE `s`.`format` = {FORMAT} AND `u`.`seen` > `s`.`last_seen` AND `s`.`deadline` > `u`.`seen` \
         AND CASE WHEN `s`.`idle` < 0 THEN 1 ELSE `s`.`last_seen` > `u`.`seen` - `s`.`idle` END \
         AND {}",
        DIALECT.is_fit,
    )
}

/// Writes the statement that removes the rows of a subject. The limit keeps the order of the inner
/// rows, which the index alone provides: rows are locked in the order of their handles, as by
/// [`touch`]. Every other order caused a deadlock for each logout during a burst of uses.
fn remove_subject(table: &str, condition: &str) -> String {
    format!(
        "DELETE `s` FROM (SELECT `handle` AS `of_subject` FROM {table} FORCE INDEX (`subject`) \
             WHERE `subject` = ? \
             ORDER BY `handle` LIMIT 18446744073709551615) AS `u` \
         STRAIGHT_JOIN {table} AS `s` ON `s`.`handle` = `u`.`of_subject` WHERE {condition}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_schema_follows_the_names() {
        let same = schema("statewise_sessions", "statewise_revocations");
        assert_eq!(same.unwrap(), SCHEMA);
        let other = schema("app.logins", "app.ended").unwrap();
        for table in ["logins", "logins_limit", "ended", "ended_head"] {
            let create = format!("CREATE TABLE IF NOT EXISTS `app`.`{table}` (");
            assert!(other.contains(&create), "{other}");
        }
        assert!(!other.contains("statewise"));
        assert!(schema("a` (x); DROP TABLE b; --", "b").is_err());
        assert!(schema("a", "b` (x); DROP TABLE b; --").is_err());
    }
}
