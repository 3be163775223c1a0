//! The table, and how MySQL says it.

use std::sync::Arc;

use crate::backend::sql::store::statements::Dialect;
use crate::backend::sql::table::Table;
use crate::store::record::FORMAT;

/// The schema for the default table, `statewise_sessions`, for those who apply their migrations
/// by a tool of their own; [`schema`] has it for a table of another name.
///
/// Applying it again changes nothing. No index is on a column that a use or a rotation changes.
/// The subject is kept as its SHA-256 hash beside the fields: by hand, the logins of a user are
/// found with `subject = UNHEX(SHA2('alice', 256))`. The second table holds a row for every part
/// of the subjects for which there was a limit, to be locked: at most 4096.
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
";

/// The table that [`SCHEMA`] makes.
pub(crate) const TABLE: &str = "statewise_sessions";

/// The schema for a table called `table`, which may be qualified as `database.table`.
///
/// # Errors
///
/// *Misuse* if a name is not of at most 41 lower case letters, digits and underscores that do not
/// begin with a digit.
pub fn schema(table: &str) -> crate::error::Result<String> {
    Ok(schema_of(&Table::parse(table)?))
}

pub(crate) fn schema_of(table: &Table) -> String {
    SCHEMA
        .replace("`statewise_sessions`", &table.quoted("", '`'))
        .replace("`statewise_sessions_limit`", &table.quoted("_limit", '`'))
}

/// How MySQL says it. A duplicate is an error that is looked at: what would overlook it, `IGNORE`
/// and `ON DUPLICATE KEY`, overlooks more than that or writes to a row that is there.
pub(crate) const DIALECT: Dialect = Dialect {
    quote: '`',
    greater: "greatest",
    unless_there: "",
    touch,
};

/// The statements that only MySQL needs.
pub(crate) struct Locks {
    /// Locks what stands for a part of the subjects. Value: the part.
    pub(crate) lock: Arc<str>,
    /// Makes that row. Value: the part.
    pub(crate) make: Arc<str>,
}

impl Locks {
    pub(crate) fn of(table: &Table) -> Self {
        let table = table.quoted("_limit", '`');
        let lock = format!("SELECT `part` FROM {table} WHERE `part` = ? FOR UPDATE");
        let make = format!("INSERT IGNORE INTO {table} (`part`) VALUES (?)");
        Self {
            lock: lock.into(),
            make: make.into(),
        }
    }
}

/// Notes uses. Values: a handle and a time for each. The uses come first in the join, so that
/// only their rows are looked at and locked, and in their order.
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
         AND CASE WHEN `s`.`idle` < 0 THEN 1 ELSE `s`.`last_seen` > `u`.`seen` - `s`.`idle` END"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_schema_follows_the_name() {
        assert_eq!(schema(TABLE).unwrap(), SCHEMA);
        let other = schema("app.logins").unwrap();
        assert!(other.starts_with("CREATE TABLE IF NOT EXISTS `app`.`logins` ("));
        assert!(other.contains("CREATE TABLE IF NOT EXISTS `app`.`logins_limit` ("));
        assert!(!other.contains(TABLE));
        assert!(schema("a` (x); DROP TABLE b; --").is_err());
    }
}
