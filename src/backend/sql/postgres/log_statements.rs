//! Statements of revocations.

use crate::backend::sql::log::{NO_NONCE, NOTHING};
use crate::backend::sql::postgres::driver::{Query, WRITABLE};
use crate::backend::sql::table::{HEAD, Table, Tables};

/// A statement of revocations, and its parameters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LogQuery {
    /// Nonces, facts, lifetimes, seconds to keep each, last nonce, maximum number of entries to
    /// remove.
    Append,
    /// None.
    Head,
    /// Position, maximum number of entries.
    Read,
    /// None.
    Fence,
    /// Incarnation, nonce.
    Begin,
}

/// Time of the server at this moment: a statement may have waited since it began.
const CLOCK: &str = "floor(extract(epoch FROM clock_timestamp()))::bigint";

impl Query for LogQuery {
    const ALL: &'static [Self] = &[
        Self::Append,
        Self::Head,
        Self::Read,
        Self::Fence,
        Self::Begin,
    ];

    fn index(self) -> usize {
        self as usize
    }

    fn is_read(self) -> bool {
        matches!(self, Self::Head | Self::Read)
    }

    fn text(self, tables: &Tables) -> String {
        let (log, head) = (tables.log.quoted("", '"'), tables.log.quoted(HEAD, '"'));
        // NULL on a server that accepts no writes: see `of_primary`. A row that is left out would leave
        // its entries without a counter.
        let counter = format!(
            "SELECT CASE WHEN {WRITABLE} THEN 0::bigint END AS is_entry, h.position,
                h.incarnation AS number, h.first, h.nonce, ''::bytea AS fact, h.fenced
            FROM {head} AS h WHERE h.id = 1"
        );
        match self {
            // The update waits for a concurrent append, and then counts from its result. The
            // statement sees the entries as they were before it waited, without those of that
            // append, and removes only entries that it sees.
            Self::Append => format!(
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
                    SELECT head.position - cardinality($1::bytea[]) + d.place, d.nonce, d.fact,
                        d.life, {CLOCK} + d.stay
                    FROM head, unnest($1::bytea[], $2::bytea[], $3::bigint[], $4::bigint[])
                        WITH ORDINALITY AS d (nonce, fact, life, stay, place)
                )
                SELECT 0::bigint, head.position, head.incarnation, head.first, head.nonce,
                    ''::bytea, 0::bigint
                FROM head"
            ),
            Self::Head => counter,
            // NULL is the last row of an answer.
            Self::Read => format!(
                "{counter} UNION ALL SELECT * FROM (
                    SELECT 1::bigint, l.position, l.life, 0::bigint AS first, l.nonce,
                        CASE WHEN l.stays_until > {CLOCK} THEN l.fact
                        ELSE decode('{NOTHING}', 'hex') END AS fact, 0::bigint AS fenced
                    FROM {log} AS l
                    WHERE l.position >= $1::bigint
                        AND l.position >= (SELECT h.first FROM {head} AS h WHERE h.id = 1)
                    ORDER BY l.position LIMIT $2::bigint
                ) AS e ORDER BY 1 NULLS LAST, 2"
            ),
            Self::Fence => format!(
                "UPDATE {head} AS h SET fenced = h.fenced + 1 WHERE h.id = 1 RETURNING h.fenced"
            ),
            Self::Begin => begin(&tables.log, "$1", "$2"),
        }
    }

    fn rights(self, tables: &Tables) -> String {
        let log = &tables.log;
        if self.is_read() {
            return format!("SELECT on {log}{HEAD} and on {log}");
        }
        format!("SELECT, INSERT and UPDATE on {log}{HEAD}, SELECT, INSERT and DELETE on {log}")
    }
}

/// Writes the statement that creates the counter and removes the entries of a former log, unless
/// there is a counter.
fn begin(log: &Table, incarnation: &str, nonce: &str) -> String {
    format!(
        "WITH begun AS (
            INSERT INTO {} (id, position, incarnation, nonce, first, fenced)
            VALUES (1, 0, {incarnation}::bigint, {nonce}::bytea, 1, 0)
            ON CONFLICT (id) DO NOTHING RETURNING id
        ), gone AS (
            DELETE FROM {} WHERE EXISTS (SELECT FROM begun)
        )
        SELECT id::bigint FROM begun",
        log.quoted(HEAD, '"'),
        log.quoted("", '"'),
    )
}

/// Writes the same statement without parameters, for a migration.
pub(crate) fn begin_now(log: &Table, incarnation: i64) -> String {
    let nonce: String = NO_NONCE.iter().map(|byte| format!("{byte:02x}")).collect();
    begin(log, &format!("'{incarnation}'"), &format!("'\\x{nonce}'"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_statement_is_at_its_index() {
        for (at, query) in LogQuery::ALL.iter().enumerate() {
            assert_eq!(query.index(), at);
        }
        assert_eq!(LogQuery::ALL.last(), Some(&LogQuery::Begin));
    }
}
