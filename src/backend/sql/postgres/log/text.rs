//! Every statement, in one place, and the schema that they work on.

use std::sync::Arc;

use crate::backend::sql::log::{HEAD, NOTHING};
use crate::backend::sql::postgres::durability;
use crate::backend::sql::table::Table;

/// The schema for the default table, `statewise_revocations`, for those who apply their migrations
/// by a tool of their own; [`log_schema()`] has it for a table of another name.
///
/// Applying it again changes nothing. The second table holds one row, which counts; the log makes
/// it at its first use. Its page is left empty otherwise, so that updates stay within it (HOT).
pub const LOG_SCHEMA: &str = r#"CREATE TABLE IF NOT EXISTS "statewise_revocations" (
    position    bigint NOT NULL PRIMARY KEY,
    nonce       bytea  NOT NULL,
    fact        bytea  NOT NULL,
    life        bigint NOT NULL,
    stays_until bigint NOT NULL
);
CREATE TABLE IF NOT EXISTS "statewise_revocations_head" (
    id          smallint NOT NULL PRIMARY KEY CHECK (id = 1),
    position    bigint   NOT NULL,
    incarnation bigint   NOT NULL,
    nonce       bytea    NOT NULL,
    first       bigint   NOT NULL,
    fenced      bigint   NOT NULL
) WITH (fillfactor = 10);
"#;

/// The schema for a table called `table`, which may be qualified as `schema.table`.
///
/// # Errors
///
/// *Misuse* if the name, or that of the schema, is not of at most 41 lower case letters, digits
/// and underscores that do not begin with a digit.
pub fn log_schema(table: &str) -> crate::error::Result<String> {
    Ok(schema_of(&Table::parse(table)?))
}

pub(crate) fn schema_of(table: &Table) -> String {
    LOG_SCHEMA
        .replace(r#""statewise_revocations""#, &table.quoted("", '"'))
        .replace(r#""statewise_revocations_head""#, &table.quoted(HEAD, '"'))
}

/// A statement of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Query {
    /// `nonces, facts, lives, stays, last nonce, entries to let go`
    Append,
    /// Nothing.
    Head,
    /// `position, entries`
    Read,
    /// Nothing.
    Fence,
    /// `incarnation, nonce`
    Begin,
    /// Nothing.
    Durability,
}

impl Query {
    const COUNT: usize = Self::Durability as usize + 1;

    /// Whether it may be sent a second time if its answer was lost.
    pub(crate) fn is_read(self) -> bool {
        matches!(self, Self::Head | Self::Read | Self::Durability)
    }
}

/// The texts of all statements, for one table.
pub(crate) fn texts(table: &Table) -> Arc<[Arc<str>]> {
    let texts = (0..Query::COUNT).map(|query| text(table, query).into());
    texts.collect()
}

/// The time of the server, and not that of the beginning of a statement that has waited.
const CLOCK: &str = "floor(extract(epoch FROM clock_timestamp()))::bigint";

fn text(table: &Table, query: usize) -> String {
    const APPEND: usize = Query::Append as usize;
    const HEAD_ONLY: usize = Query::Head as usize;
    const READ: usize = Query::Read as usize;
    const FENCE: usize = Query::Fence as usize;
    const BEGIN: usize = Query::Begin as usize;

    let (log, head) = (table.quoted("", '"'), table.quoted(HEAD, '"'));
    let counted = format!(
        "SELECT 0::bigint AS is_entry, h.position, h.incarnation AS number, h.first, h.nonce,
            ''::bytea AS fact
        FROM {head} AS h WHERE h.id = 1 AND NOT pg_is_in_recovery()"
    );
    match query {
        // The update waits for whoever else appends, and then counts from what they left. Of the
        // entries, the statement sees those of before it waited, without the last ones: only what
        // it sees is let go.
        APPEND => format!(
            "WITH head AS (
                UPDATE {head} AS h
                SET position = h.position + cardinality($1::bytea[]), nonce = $5::bytea,
                    first = greatest(h.first, coalesce(
                        (SELECT min(l.position) FROM {log} AS l
                        WHERE l.position >= h.first AND l.position < h.first + $6::bigint
                            AND l.stays_until > {CLOCK}),
                        (SELECT max(l.position) + 1 FROM {log} AS l
                        WHERE l.position >= h.first AND l.position < h.first + $6::bigint),
                        h.first))
                WHERE h.id = 1
                RETURNING h.position, h.incarnation, h.first, h.nonce
            ), gone AS (
                DELETE FROM {log} AS l WHERE l.position < (SELECT head.first FROM head)
            ), added AS (
                INSERT INTO {log} (position, nonce, fact, life, stays_until)
                SELECT head.position - cardinality($1::bytea[]) + d.place, d.nonce, d.fact, d.life,
                    {CLOCK} + d.stay
                FROM head, unnest($1::bytea[], $2::bytea[], $3::bigint[], $4::bigint[])
                    WITH ORDINALITY AS d (nonce, fact, life, stay, place)
            )
            SELECT 0::bigint, head.position, head.incarnation, head.first, head.nonce, ''::bytea
            FROM head"
        ),
        HEAD_ONLY => counted,
        READ => format!(
            "{counted} UNION ALL SELECT * FROM (
                SELECT 1::bigint, l.position, l.life, 0::bigint AS first, l.nonce,
                    CASE WHEN l.stays_until > {CLOCK} THEN l.fact
                    ELSE decode('{NOTHING}', 'hex') END AS fact
                FROM {log} AS l
                WHERE l.position >= $1::bigint
                    AND l.position >= (SELECT h.first FROM {head} AS h WHERE h.id = 1)
                ORDER BY l.position LIMIT $2::bigint
            ) AS e ORDER BY 1, 2"
        ),
        FENCE => {
            format!(
                "UPDATE {head} AS h SET fenced = h.fenced + 1 WHERE h.id = 1 RETURNING h.fenced"
            )
        }
        BEGIN => format!(
            "WITH begun AS (
                INSERT INTO {head} (id, position, incarnation, nonce, first, fenced)
                VALUES (1, 0, $1::bigint, $2::bytea, 1, 0)
                ON CONFLICT (id) DO NOTHING RETURNING id
            ), gone AS (
                DELETE FROM {log} WHERE EXISTS (SELECT FROM begun)
            )
            SELECT id::bigint FROM begun"
        ),
        _ => durability::text(table),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_schema_follows_the_name() {
        assert_eq!(log_schema("statewise_revocations").unwrap(), LOG_SCHEMA);
        let other = log_schema("app.ended").unwrap();
        assert!(other.starts_with(r#"CREATE TABLE IF NOT EXISTS "app"."ended" ("#));
        assert!(other.contains(r#"CREATE TABLE IF NOT EXISTS "app"."ended_head" ("#));
        assert!(!other.contains("statewise"));
        assert!(log_schema("a;b").is_err());
    }
}
