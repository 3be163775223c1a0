//! Statements about the server itself: schema, rights and settings.

use crate::backend::sql::postgres::schema::CREATE;
use crate::backend::sql::postgres::statements::create_types;
use crate::backend::sql::table::{HEAD, SUBJECT, Table, Tables};

/// Returns the function that creates a login within a limit, with the types of its parameters.
fn function(tables: &Tables) -> String {
    let function = tables.sessions.quoted(CREATE, '"');
    format!("to_regprocedure('{function}({})')", create_types())
}

/// Writes the statement that returns whether a migration has nothing to do.
pub(crate) fn is_migrated(tables: &Tables) -> String {
    let (sessions, log) = (&tables.sessions, &tables.log);
    let relations = [(sessions, ""), (sessions, SUBJECT), (log, ""), (log, HEAD)];
    let exist = relations.map(|(table, suffix)| {
        let name = table.quoted(suffix, '"');
        format!("to_regclass('{name}') IS NOT NULL AND ")
    });
    format!("SELECT {}{} IS NOT NULL", exist.concat(), function(tables))
}

/// Writes the statement that returns a text for each problem. A standby gives no text: it is
/// *unavailable*.
pub(crate) fn problems(tables: &Tables) -> String {
    let (sessions, log) = (&tables.sessions, &tables.log);
    let table = |table: &Table, suffix, rights| {
        let quoted = name(table, suffix);
        format!("('{quoted}', to_regclass('{quoted}'), '{rights}')")
    };
    format!(
        "WITH wanted (name, id, rights) AS (VALUES {}, {}, {}), created (id) AS (SELECT {})
        SELECT convert_to(problem, 'UTF8') FROM (
            {schemas}
            SELECT 'the table ' || name || ' does not exist on the search path: call `migrate`'
            FROM wanted WHERE id IS NULL
            UNION ALL
            SELECT 'the user of the database lacks ' || r || ' on the table ' || name
            FROM wanted, unnest(string_to_array(rights, ' ')) AS r
            WHERE id IS NOT NULL AND NOT has_table_privilege(id, r)
            UNION ALL
            SELECT 'row security hides rows of the table ' || name || ' from the user of the \
                database: give it BYPASSRLS, or disable row security for this table'
            FROM wanted WHERE id IS NOT NULL AND row_security_active(id)
            UNION ALL
            SELECT 'the function {function} does not exist in this version: call `migrate`'
            FROM created WHERE id IS NULL
            UNION ALL
            SELECT 'the user of the database lacks EXECUTE on the function {function}'
            FROM created WHERE id IS NOT NULL AND NOT has_function_privilege(id, 'EXECUTE')
            UNION ALL
            SELECT 'the server accepts no writes: connect to the primary, and set \
                `default_transaction_read_only` to off'
            WHERE current_setting('transaction_read_only') = 'on'
            UNION ALL
            SELECT 'behind a pooler, the isolation of the server applies: set \
                `default_transaction_isolation` of the user to `read committed`'
            WHERE NOT $1::boolean AND current_setting('transaction_isolation') <> 'read committed'
        ) AS found (problem)
        UNION ALL SELECT NULL WHERE pg_is_in_recovery()",
        table(sessions, "", "SELECT INSERT UPDATE DELETE"),
        table(log, "", "SELECT INSERT DELETE"),
        table(log, HEAD, "SELECT INSERT UPDATE"),
        function(tables),
        function = name(sessions, CREATE),
        schemas = missing_schemas(tables),
    )
}

/// Writes the part of the statement that finds schemas that do not exist.
fn missing_schemas(tables: &Tables) -> String {
    let missing = tables.schemas().into_iter().map(|schema| match schema {
        Some(schema) => format!(
            "SELECT 'the schema {schema} does not exist: create the schema (`CREATE SCHEMA {schema}`)'
            WHERE to_regnamespace('\"{schema}\"') IS NULL UNION ALL "
        ),
        None => "SELECT 'the user can use no schema on its `search_path`: create the schema, or correct the path'
            WHERE current_schema() IS NULL UNION ALL "
            .to_owned(),
    });
    missing.collect()
}

fn name(table: &Table, suffix: &str) -> String {
    table.quoted(suffix, '"')
}
