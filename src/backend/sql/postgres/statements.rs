//! Statements of sessions.

use crate::backend::sql::columns::{COLUMNS, COMPARED, SWAPPED};
use crate::backend::sql::postgres::check;
use crate::backend::sql::postgres::driver::{Query, WRITABLE};
use crate::backend::sql::postgres::schema::CREATE;
use crate::backend::sql::table::{HEAD, Tables};
use crate::store::record::FORMAT;

/// A statement of sessions, and its parameters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SessionQuery {
    /// Handle. No row if there is no such login.
    Load,
    /// Handle. Answers about a login that does not exist too.
    LoadAny,
    /// Handle, now. Removes an expired row.
    RemoveExpired,
    /// Handle, presented proof, generation, next proof, seed, overlap, idle timeout as stored, idle
    /// timeout as compared, now.
    Rotate,
    /// Those of [`swap_values`](crate::backend::sql::columns::swap_values), now.
    Swap,
    /// Handle, generation, now.
    Confirm,
    /// Handles, times.
    Touch,
    /// Handle, true.
    Remove,
    /// Subject, handle to keep, first and last stamp to keep.
    RemoveSubject,
    /// Subject, deadline and handle of the last listed row, now, maximum number of rows.
    List,
    /// The columns, subject.
    Insert,
    /// Now, limit, kind of eviction, lock, the columns, subject.
    Create,
    /// Handle of the last row seen, maximum number of rows, now.
    Sweep,
    /// Now.
    CountLive,
    /// None.
    Time,
    /// None.
    Durability,
    /// None.
    IsMigrated,
    /// True if the connections set their isolation.
    Check,
}

impl Query for SessionQuery {
    const ALL: &'static [Self] = &[
        Self::Load,
        Self::LoadAny,
        Self::RemoveExpired,
        Self::Rotate,
        Self::Swap,
        Self::Confirm,
        Self::Touch,
        Self::Remove,
        Self::RemoveSubject,
        Self::List,
        Self::Insert,
        Self::Create,
        Self::Sweep,
        Self::CountLive,
        Self::Time,
        Self::Durability,
        Self::IsMigrated,
        Self::Check,
    ];

    fn index(self) -> usize {
        self as usize
    }

    fn is_read(self) -> bool {
        matches!(
            self,
            Self::Load
                | Self::LoadAny
                | Self::List
                | Self::CountLive
                | Self::Time
                | Self::Durability
                | Self::IsMigrated
                | Self::Check
        )
    }

    /// Every statement that changes a row checks its format, because the columns of another format
    /// may have another meaning.
    fn text(self, tables: &Tables) -> String {
        let t = tables.sessions.quoted("", '"');
        let (columns, others) = (COLUMNS.join(", "), COLUMNS[1..].join(", "));
        match self {
            Self::Load => format!(
                "SELECT CASE WHEN {WRITABLE} THEN s.handle END AS handle, {others}
                FROM {t} AS s WHERE s.handle = $1::bytea"
            ),
            Self::LoadAny => format!(
                "SELECT CASE WHEN {WRITABLE} THEN coalesce(s.handle, ''::bytea) END AS handle, {others}
                FROM (VALUES (1)) AS one (row) LEFT JOIN {t} AS s ON s.handle = $1::bytea"
            ),
            Self::RemoveExpired => format!(
                "DELETE FROM {t} AS s WHERE s.handle = $1::bytea AND NOT {}",
                alive("$2::bigint"),
            ),
            // If a concurrent change wins, the second half returns the row before that change. The
            // caller sees that this row should have advanced, and sends the statement again. A server
            // that accepts no writes refuses the statement, whether or not it would change a row.
            Self::Rotate => format!(
                "WITH rotated AS (
                    UPDATE {t} AS s
                    SET generation = s.generation + 1, previous_proof = s.current_proof,
                        current_proof = $4::bytea, seed = $5::bytea, rotated_at = $9::bigint,
                        last_seen = greatest(s.last_seen, $9::bigint),
                        idle = CASE WHEN $7::bigint < 0 OR (s.idle >= 0 AND s.idle <= $7::bigint)
                            THEN s.idle ELSE $7::bigint END,
                        confirmed = FALSE, rotation_wanted = FALSE
                    WHERE s.handle = $1::bytea AND s.current_proof = $2::bytea
                        AND s.format = {FORMAT}
                        AND s.generation = $3::bigint AND s.generation < {max}
                        AND (s.generation = 0 OR $9::bigint - s.rotated_at >= $6::bigint
                            OR s.rotated_at - $9::bigint >= $6::bigint)
                        AND {alive} AND s.last_seen > $9::bigint - $8::bigint
                        AND {READABLE}
                    RETURNING {columns}
                )
                SELECT {columns}, TRUE FROM rotated
                UNION ALL
                SELECT s.handle, {others}, FALSE FROM {t} AS s
                WHERE s.handle = $1::bytea AND NOT EXISTS (SELECT FROM rotated)",
                max = u32::MAX,
                alive = alive("$9::bigint"),
            ),
            Self::Swap => {
                let sets = assignments(&SWAPPED, 1).map(|(name, value)| match name {
                    // The later of two uses stays.
                    "last_seen" => format!("{name} = greatest(s.{name}, {value})"),
                    _ => format!("{name} = {value}"),
                });
                let compares = assignments(&COMPARED, SWAPPED.len() + 1)
                    .map(|(name, value)| format!("s.{name} = {value}"));
                format!(
                    "UPDATE {t} AS s SET {} WHERE {} AND s.format = {FORMAT} AND {}
                    RETURNING {columns}",
                    sets.collect::<Vec<_>>().join(", "),
                    compares.collect::<Vec<_>>().join(" AND "),
                    alive(&format!("${}::bigint", SWAPPED.len() + COMPARED.len() + 1)),
                )
            }
            Self::Confirm => format!(
                "UPDATE {t} AS s
                SET confirmed = TRUE, rotated_at = greatest(s.rotated_at, $3::bigint)
                WHERE s.handle = $1::bytea AND s.generation = $2::bigint AND NOT s.confirmed
                    AND s.format = {FORMAT} AND {}",
                alive("$3::bigint"),
            ),
            // Locks in the order of handles, so that two batches cannot deadlock.
            Self::Touch => format!(
                "UPDATE {t} AS s SET last_seen = used.seen_at
                FROM (
                    SELECT u.handle, u.seen_at
                    FROM unnest($1::bytea[], $2::bigint[]) AS u (handle, seen_at)
                    JOIN {t} AS l ON l.handle = u.handle
                    ORDER BY l.handle FOR NO KEY UPDATE OF l
                ) AS used
                WHERE s.handle = used.handle AND s.last_seen < used.seen_at
                    AND s.format = {FORMAT} AND {}",
                alive("used.seen_at"),
            ),
            // No other statement has parameters of these types. A pooler that mixes statements up
            // can then never run this one with the values of another one.
            Self::Remove => {
                format!("DELETE FROM {t} WHERE handle = $1::bytea AND $2::boolean")
            }
            // In the order of handles too.
            Self::RemoveSubject => format!(
                "WITH picked AS MATERIALIZED (
                    SELECT s.handle FROM {t} AS s
                    WHERE s.subject = $1::bytea AND ($2::bytea IS NULL OR s.handle <> $2::bytea)
                        AND ($3::bytea IS NULL OR s.stamp IS NULL
                            OR s.stamp < $3::bytea OR s.stamp > $4::bytea)
                    ORDER BY s.handle FOR UPDATE
                )
                DELETE FROM {t} AS s WHERE s.handle IN (SELECT handle FROM picked)"
            ),
            Self::List => format!(
                "(SELECT {columns} FROM {t} AS s
                WHERE s.subject = $1::bytea AND (s.deadline, s.handle) > ($2::bigint, $3::bytea)
                    AND {}
                ORDER BY s.deadline, s.handle LIMIT $5::bigint)
                UNION ALL SELECT {} WHERE NOT {WRITABLE}",
                alive("$4::bigint"),
                [NULL; COLUMNS.len()].join(", "),
            ),
            Self::Insert => format!(
                "INSERT INTO {t} ({columns}, subject) VALUES ({})
                ON CONFLICT (handle) DO NOTHING",
                row_values(1),
            ),
            // The limit of a server that accepts no writes is outdated.
            Self::Create => format!(
                "SELECT CASE WHEN {WRITABLE} THEN evicted END, outcome FROM {}(
                    $1::bigint, $2::bigint, $3::bigint, $4::bigint, {})",
                tables.sessions.quoted(CREATE, '"'),
                row_values(5),
            ),
            // Reads rows after the last one seen, and removes those that have expired. A row that
            // another transaction has locked is left for the next round.
            Self::Sweep => format!(
                "WITH looked AS MATERIALIZED (
                    SELECT s.handle, s.format = {FORMAT} AND NOT {alive} AS has_expired
                    FROM {t} AS s
                    WHERE s.handle > $1::bytea ORDER BY s.handle LIMIT $2::bigint
                ), picked AS MATERIALIZED (
                    SELECT s.handle FROM {t} AS s
                    WHERE s.handle IN (SELECT handle FROM looked WHERE has_expired)
                        AND NOT {alive}
                    ORDER BY s.handle FOR UPDATE SKIP LOCKED
                ), gone AS (
                    DELETE FROM {t} AS s
                    WHERE s.handle IN (SELECT handle FROM picked) AND NOT {alive}
                    RETURNING 1
                )
                SELECT (SELECT count(*) FROM gone), (SELECT count(*) FROM looked),
                    (SELECT handle FROM looked ORDER BY handle DESC LIMIT 1)",
                alive = alive("$3::bigint"),
            ),
            Self::CountLive => format!(
                "SELECT CASE WHEN {WRITABLE} THEN count(*) END, count(DISTINCT s.subject)
                FROM {t} AS s WHERE s.format = {FORMAT} AND {}",
                alive("$1::bigint"),
            ),
            Self::Time => format!(
                "SELECT CASE WHEN {WRITABLE} THEN floor(extract(epoch FROM clock_timestamp()))::bigint END"
            ),
            // `to_regclass` is NULL for a table that does not exist.
            Self::Durability => format!(
                "SELECT count(*) > 0,
                    current_setting('fsync') = 'on' AND current_setting('full_page_writes') = 'on'
                        AND current_setting('synchronous_commit') <> 'off'
                        AND coalesce(bool_and(c.relpersistence = 'p'), FALSE),
                    current_setting('synchronous_commit') IN ('on', 'remote_apply'),
                    current_setting('synchronous_standby_names') <> ''
                FROM pg_catalog.pg_class AS c
                WHERE c.oid IN (to_regclass('{t}'), to_regclass('{}'), to_regclass('{}'))",
                tables.log.quoted("", '"'),
                tables.log.quoted(HEAD, '"'),
            ),
            Self::IsMigrated => check::is_migrated(tables),
            Self::Check => check::problems(tables),
        }
    }

    fn rights(self, tables: &Tables) -> String {
        let table = &tables.sessions;
        let rights = match self {
            Self::Load | Self::LoadAny | Self::List | Self::CountLive => "SELECT",
            Self::Insert => "SELECT and INSERT",
            Self::Rotate | Self::Swap | Self::Confirm | Self::Touch => "SELECT and UPDATE",
            Self::Remove | Self::RemoveExpired => "SELECT and DELETE",
            Self::RemoveSubject | Self::Sweep => "SELECT, UPDATE and DELETE",
            Self::Create => {
                return format!(
                    "EXECUTE on the function {table}{CREATE}, and SELECT, INSERT, UPDATE and \
                     DELETE on {table}"
                );
            }
            Self::Time | Self::Durability | Self::IsMigrated | Self::Check => {
                return format!("all rights on {table} and {}", tables.log);
            }
        };
        format!("{rights} on {table}")
    }
}

const NULL: &str = "NULL";

/// Types of the parameters of the function that creates a login within a limit.
pub(crate) fn create_types() -> String {
    let kinds = [&COLUMNS[..], &["subject"]].concat();
    let kinds = kinds.into_iter().map(kind_of);
    let first = ["bigint", "bigint", "bigint", "bigint"].into_iter();
    first.chain(kinds).collect::<Vec<_>>().join(", ")
}

/// Condition: the row is alive at a time, as in `Record::is_alive`. A CASE is evaluated in order,
/// so that an unlimited idle timeout is never subtracted.
fn alive(now: &str) -> String {
    format!(
        "(s.deadline > {now} AND CASE WHEN s.idle < 0 THEN TRUE ELSE s.last_seen > {now} - s.idle END)"
    )
}

/// Condition: the fields decode, as in `Fields::decode`. Tags from 128 on are those of a later
/// version, which this one must not overlook. A statement that returns the row it has changed would
/// otherwise change it before it is read. A length has at most four digits in base 128, lowest first.
const READABLE: &str = "NOT EXISTS (
    WITH RECURSIVE field (at) AS (
        SELECT 0
        UNION ALL
        SELECT at + CASE
            WHEN a < 128 THEN 2 + a
            WHEN b < 128 THEN 3 + a - 128 + b * 128
            WHEN c < 128 THEN 4 + a - 128 + (b - 128) * 128 + c * 16384
            ELSE 5 + a - 128 + (b - 128) * 128 + (c - 128) * 16384 + d * 2097152
        END
        FROM field,
            LATERAL (SELECT substr(s.fields, at + 2, 4) || decode('00000000', 'hex')) AS length (digits),
            LATERAL (SELECT get_byte(digits, 0), get_byte(digits, 1), get_byte(digits, 2),
                get_byte(digits, 3)) AS digit (a, b, c, d)
        WHERE at < octet_length(s.fields)
    )
    SELECT FROM field WHERE CASE
        WHEN at < octet_length(s.fields) THEN get_byte(s.fields, at) >= 128
        ELSE at > octet_length(s.fields)
    END
)";

/// Returns columns, and a typed parameter for each, counted from `first`.
fn assignments<'c>(
    columns: &'c [&'c str],
    first: usize,
) -> impl Iterator<Item = (&'c str, String)> {
    let typed = |(name, number): (&&'c str, _)| (*name, format!("${number}::{}", kind_of(name)));
    columns.iter().zip(first..).map(typed)
}

/// Returns the type of a column.
fn kind_of(column: &str) -> &'static str {
    match column {
        "confirmed" | "rotation_wanted" => "boolean",
        "handle" | "current_proof" | "previous_proof" | "family_proof" | "seed" | "stamp"
        | "fields" | "subject" => "bytea",
        _ => "bigint",
    }
}

/// Returns the parameters of a new row: the columns and the subject, counted from `first`.
fn row_values(first: usize) -> String {
    let columns = [&COLUMNS[..], &["subject"]].concat();
    let values: Vec<_> = assignments(&columns, first)
        .map(|(_, value)| value)
        .collect();
    values.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_statement_is_at_its_index() {
        for (at, query) in SessionQuery::ALL.iter().enumerate() {
            assert_eq!(query.index(), at);
        }
        assert_eq!(SessionQuery::ALL.last(), Some(&SessionQuery::Check));
    }
}
