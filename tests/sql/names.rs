//! Names of tables in an SQL database.

use statewise::Result;

/// Invalid table names.
const HOSTILE: [&str; 14] = [
    "",
    "1a",
    "a b",
    "a;",
    "a\"b",
    "a`b",
    "a'b",
    "a--",
    "a.b.c",
    "A",
    "ä",
    "a\0",
    "logins` (x INT); DROP TABLE users; -- ",
    "logins\" (x); DROP TABLE users; -- ",
];

/// Names that could escape a statement, and one name for both tables, are refused before anything
/// is sent. `build` and `schema` take the names of both tables.
pub(crate) fn hostile_table_names_are_refused(
    build: impl Fn(&str, &str) -> Result<()>,
    schema: impl Fn(&str, &str) -> Result<String>,
) {
    let pairs = HOSTILE.iter().flat_map(|name| [(*name, "b"), ("a", *name)]);
    for (table, log_table) in pairs.chain([("a", "a")]) {
        for refused in [build(table, log_table), schema(table, log_table).map(drop)] {
            assert!(
                refused.is_err_and(|error| error.is_misuse()),
                "{table:?}, {log_table:?}"
            );
        }
    }
    assert!(build("a", "b").is_ok() && schema("a", "b").is_ok());
}
