//! Every statement, in one place, and the schema that they work on.

use std::sync::Arc;

use crate::backend::sql::postgres::durability;
use crate::backend::sql::table::Table;
use crate::store::record::FORMAT;

/// The schema of a table and of what belongs to it.
macro_rules! schema {
    ($table:literal, $create:literal, $index:literal) => {
        concat!(
            "CREATE TABLE IF NOT EXISTS ",
            $table,
            " (
    handle           bytea   NOT NULL PRIMARY KEY CHECK (octet_length(handle) = 16),
    format           bigint  NOT NULL,
    version          bigint  NOT NULL,
    generation       bigint  NOT NULL,
    created_at       bigint  NOT NULL,
    authenticated_at bigint  NOT NULL,
    deadline         bigint  NOT NULL,
    rotated_at       bigint  NOT NULL,
    last_seen        bigint  NOT NULL,
    idle             bigint  NOT NULL,
    confirmed        boolean NOT NULL,
    rotation_wanted   boolean NOT NULL,
    current_proof    bytea   NOT NULL,
    previous_proof   bytea   NOT NULL,
    family_proof     bytea   NOT NULL,
    seed             bytea   NOT NULL,
    stamp            bytea,
    subject          bytea   NOT NULL,
    fields           bytea   NOT NULL
) WITH (fillfactor = 80);

CREATE INDEX IF NOT EXISTS ",
            $index,
            " ON ",
            $table,
            " (subject, deadline, handle);

CREATE OR REPLACE FUNCTION ",
            $create,
            "(
    p_now bigint, p_most bigint, p_evicts boolean, p_lock bigint, p_subject bytea,
    p_format bigint, p_handle bytea, p_version bigint, p_generation bigint,
    p_created_at bigint, p_authenticated_at bigint, p_deadline bigint, p_rotated_at bigint,
    p_last_seen bigint, p_idle bigint, p_confirmed boolean, p_rotation_wanted boolean,
    p_current_proof bytea, p_previous_proof bytea, p_family_proof bytea, p_seed bytea,
    p_stamp bytea, p_fields bytea,
    OUT outcome bigint, OUT evicted bytea[]
) LANGUAGE plpgsql VOLATILE AS $statewise$
DECLARE
    alive bytea[];
    excess integer;
BEGIN
    evicted := '{}';
    -- Else the count below would be of a moment before the lock.
    IF current_setting('transaction_isolation') <> 'read committed' THEN
        outcome := 3;
        RETURN;
    END IF;
    PERFORM pg_advisory_xact_lock(p_lock);
    IF EXISTS (SELECT FROM ",
            $table,
            " AS s WHERE s.handle = p_handle) THEN
        outcome := 1;
        RETURN;
    END IF;
    alive := ARRAY(
        SELECT s.handle FROM ",
            $table,
            " AS s
        WHERE s.subject = p_subject AND s.deadline > p_now
            AND CASE WHEN s.idle < 0 THEN TRUE ELSE s.last_seen > p_now - s.idle END
        ORDER BY s.deadline, s.handle
    );
    excess := least(cardinality(alive) + 1 - p_most, cardinality(alive));
    IF cardinality(alive) >= p_most AND NOT p_evicts THEN
        outcome := 2;
        RETURN;
    END IF;
    IF excess > 0 THEN
        -- In the order in which all others lock rows.
        PERFORM FROM ",
            $table,
            " AS s WHERE s.handle = ANY (alive[1:excess]) ORDER BY s.handle FOR UPDATE;
        WITH gone AS (
            DELETE FROM ",
            $table,
            " AS s WHERE s.handle = ANY (alive[1:excess]) RETURNING s.handle
        )
        SELECT coalesce(array_agg(gone.handle), '{}') INTO evicted FROM gone;
    END IF;
    -- One without a limit may insert the same handle now: the whole call then fails.
    INSERT INTO ",
            $table,
            " (
        subject, format, handle, version, generation, created_at, authenticated_at, deadline,
        rotated_at, last_seen, idle, confirmed, rotation_wanted, current_proof, previous_proof,
        family_proof, seed, stamp, fields
    ) VALUES (
        p_subject, p_format, p_handle, p_version, p_generation, p_created_at,
        p_authenticated_at, p_deadline, p_rotated_at, p_last_seen, p_idle, p_confirmed,
        p_rotation_wanted, p_current_proof, p_previous_proof, p_family_proof, p_seed, p_stamp,
        p_fields
    );
    outcome := 0;
END
$statewise$;
"
        )
    };
}

/// The schema for the default table, `statewise_sessions`, for those who apply their migrations
/// by a tool of their own; [`schema()`] has it for a table of another name.
///
/// Applying it again changes nothing. No index is on a column that a use or a rotation changes,
/// and pages are filled to 80 percent, so that these updates stay within their page (HOT). The
/// subject is kept as its SHA-256 hash beside the fields: by hand, the logins of a user are found
/// with `subject = sha256('alice')`.
pub const SCHEMA: &str = schema!(
    "statewise_sessions",
    "statewise_sessions_create_1",
    "statewise_sessions_subject"
);

/// The default name of the table.
pub(crate) const TABLE: &str = "statewise_sessions";

/// The schema for a table called `table`, which may be qualified as `schema.table`.
///
/// # Errors
///
/// *Misuse* if the name, or that of the schema, is not of at most 41 lower case letters, digits
/// and underscores that do not begin with a digit.
pub fn schema(table: &str) -> crate::error::Result<String> {
    Ok(schema_of(&Table::parse(table)?))
}

/// What stands beside the table. The number changes with what the function takes or does, so that
/// nodes of an older and of a newer version of this crate do not replace each other's.
const CREATE: &str = "_create_1";

pub(crate) fn schema_of(table: &Table) -> String {
    schema!("{table}", "{create}", "{index}")
        .replace("{table}", &table.quoted("", '"'))
        .replace("{create}", &table.quoted(CREATE, '"'))
        .replace("{index}", &table.local("_subject", '"'))
}

/// A statement of the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Query {
    /// `handle`
    Load,
    /// `handle, now`: removes a row that is over.
    Bury,
    /// `handle, presented, generation, next, seed, overlap, idle, idle time, now`
    Rotate,
    /// `handle, version, generation, confirmed` of the row that was read; what changes, of the
    /// next one; `now`
    Swap,
    /// `handle, generation, now`
    Confirm,
    /// `handles, times`
    Touch,
    /// `handle`
    Remove,
    /// `subject, kept handle, first kept stamp, last kept stamp`
    RemoveSubject,
    /// `subject, deadline and handle of the last one listed, now, limit`
    List,
    /// `subject`, then the columns
    Insert,
    /// `now, limit, evicts, lock, subject`, then the columns
    Create,
    /// `handle of the last one seen, rows, now`
    Sweep,
    /// Nothing.
    Durability,
}

impl Query {
    const COUNT: usize = Self::Durability as usize + 1;

    /// Whether it may be sent a second time if its answer was lost.
    pub(crate) fn is_read(self) -> bool {
        matches!(self, Self::Load | Self::List | Self::Durability)
    }
}

/// The columns in the order in which they are read and written.
const COLUMNS: &str = "format, handle, version, generation, created_at, authenticated_at, \
    deadline, rotated_at, last_seen, idle, confirmed, rotation_wanted, current_proof, \
    previous_proof, family_proof, seed, stamp, fields";

/// The texts of all statements, for one table.
pub(crate) fn texts(table: &Table) -> Arc<[Arc<str>]> {
    (0..Query::COUNT)
        .map(|query| text(table, query).into())
        .collect()
}

/// Whether a row is alive at the time of a parameter; the same as `Record::is_alive`.
fn alive(now: &str) -> String {
    format!(
        "(s.deadline > {now} AND CASE WHEN s.idle < 0 THEN TRUE ELSE s.last_seen > {now} - s.idle END)"
    )
}

/// What changes a row asks for its format: the columns of a newer one may mean something else.
fn text(table: &Table, query: usize) -> String {
    const LOAD: usize = Query::Load as usize;
    const BURY: usize = Query::Bury as usize;
    const ROTATE: usize = Query::Rotate as usize;
    const SWAP: usize = Query::Swap as usize;
    const CONFIRM: usize = Query::Confirm as usize;
    const TOUCH: usize = Query::Touch as usize;
    const REMOVE: usize = Query::Remove as usize;
    const REMOVE_SUBJECT: usize = Query::RemoveSubject as usize;
    const LIST: usize = Query::List as usize;
    const INSERT: usize = Query::Insert as usize;
    const CREATE_ONE: usize = Query::Create as usize;
    const SWEEP: usize = Query::Sweep as usize;

    let t = table.quoted("", '"');
    match query {
        LOAD => format!("SELECT {COLUMNS} FROM {t} AS s WHERE handle = $1::bytea"),
        BURY => format!(
            "DELETE FROM {t} AS s WHERE s.handle = $1::bytea AND NOT {}",
            alive("$2::bigint"),
        ),
        // Where it loses a race, the second half shows the row of before: its reader sees that
        // this row should have advanced, and asks again.
        ROTATE => format!(
            "WITH rotated AS (
                UPDATE {t} AS s
                SET generation = s.generation + 1, previous_proof = s.current_proof,
                    current_proof = $4::bytea, seed = $5::bytea, rotated_at = $9::bigint,
                    last_seen = greatest(s.last_seen, $9::bigint), idle = $7::bigint,
                    confirmed = FALSE, rotation_wanted = FALSE
                WHERE s.handle = $1::bytea AND s.current_proof = $2::bytea
                    AND s.format = {FORMAT}
                    AND s.generation = $3::bigint AND s.generation < {most}
                    AND (s.generation = 0 OR $9::bigint - s.rotated_at >= $6::bigint
                        OR s.rotated_at - $9::bigint >= $6::bigint)
                    AND {alive} AND s.last_seen > $9::bigint - $8::bigint
                RETURNING {COLUMNS}
            )
            SELECT {COLUMNS}, TRUE FROM rotated
            UNION ALL
            SELECT {COLUMNS}, FALSE FROM {t} AS s
            WHERE s.handle = $1::bytea AND NOT EXISTS (SELECT FROM rotated)",
            most = u32::MAX,
            alive = alive("$9::bigint"),
        ),
        // All else changes only together with one of the columns that are compared, but for the
        // last use, of which the later wins.
        SWAP => format!(
            "UPDATE {t} AS s
            SET version = $5::bigint, generation = $6::bigint, rotated_at = $7::bigint,
                last_seen = greatest(s.last_seen, $8::bigint), idle = $9::bigint,
                confirmed = $10::boolean, rotation_wanted = $11::boolean,
                current_proof = $12::bytea, previous_proof = $13::bytea, seed = $14::bytea,
                stamp = $15::bytea, fields = $16::bytea
            WHERE s.handle = $1::bytea AND s.version = $2::bigint
                AND s.generation = $3::bigint AND s.confirmed = $4::boolean
                AND s.format = {FORMAT} AND {}
            RETURNING {COLUMNS}",
            alive("$17::bigint"),
        ),
        CONFIRM => format!(
            "UPDATE {t} AS s
            SET confirmed = TRUE, rotated_at = greatest(s.rotated_at, $3::bigint)
            WHERE s.handle = $1::bytea AND s.generation = $2::bigint AND NOT s.confirmed
                AND s.format = {FORMAT} AND {}",
            alive("$3::bigint"),
        ),
        // Locks in the order of handles, so that two batches never wait for each other in turn.
        TOUCH => format!(
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
        REMOVE => format!("DELETE FROM {t} WHERE handle = $1::bytea"),
        REMOVE_SUBJECT => format!(
            "DELETE FROM {t} WHERE subject = $1::bytea
                AND ($2::bytea IS NULL OR handle <> $2::bytea)
                AND ($3::bytea IS NULL OR stamp IS NULL
                    OR stamp < $3::bytea OR stamp > $4::bytea)"
        ),
        LIST => format!(
            "SELECT {COLUMNS} FROM {t} AS s
            WHERE s.subject = $1::bytea AND (s.deadline, s.handle) > ($2::bigint, $3::bytea)
                AND {}
            ORDER BY s.deadline, s.handle LIMIT $5::bigint",
            alive("$4::bigint"),
        ),
        INSERT => format!(
            "INSERT INTO {t} (subject, {COLUMNS}) VALUES (
                $1::bytea, $2::bigint, $3::bytea, $4::bigint, $5::bigint, $6::bigint, $7::bigint,
                $8::bigint, $9::bigint, $10::bigint, $11::bigint, $12::boolean, $13::boolean,
                $14::bytea, $15::bytea, $16::bytea, $17::bytea, $18::bytea, $19::bytea)
            ON CONFLICT (handle) DO NOTHING"
        ),
        CREATE_ONE => format!(
            "SELECT outcome, evicted FROM {}(
                $1::bigint, $2::bigint, $3::boolean, $4::bigint, $5::bytea, $6::bigint, $7::bytea,
                $8::bigint, $9::bigint, $10::bigint, $11::bigint, $12::bigint, $13::bigint,
                $14::bigint, $15::bigint, $16::boolean, $17::boolean, $18::bytea, $19::bytea,
                $20::bytea, $21::bytea, $22::bytea, $23::bytea)",
            table.quoted(CREATE, '"'),
        ),
        // Looks at so many rows behind the last one seen, and removes those that are over; what
        // somebody else has in hand is left for the next round.
        SWEEP => format!(
            "WITH looked AS MATERIALIZED (
                SELECT s.handle, s.format = {FORMAT} AND NOT {alive} AS is_over FROM {t} AS s
                WHERE s.handle > $1::bytea ORDER BY s.handle LIMIT $2::bigint
            ), picked AS MATERIALIZED (
                SELECT s.handle FROM {t} AS s
                WHERE s.handle IN (SELECT handle FROM looked WHERE is_over) AND NOT {alive}
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
        _ => durability::text(table),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_constant_is_the_schema_of_the_default_table() {
        let quoted = schema(TABLE).unwrap();
        assert_eq!(quoted.replace('"', ""), SCHEMA);
        let other = schema("app.order").unwrap();
        assert!(!other.contains(TABLE) && !other.contains("{}("));
        assert!(other.contains(r#"CREATE TABLE IF NOT EXISTS "app"."order" ("#));
        assert!(other.contains(r#"INDEX IF NOT EXISTS "order_subject" ON "app"."order" ("#));
        assert!(other.contains(r#"FUNCTION "app"."order_create_1"("#));
        assert!(schema("a;b").is_err());
    }
}
