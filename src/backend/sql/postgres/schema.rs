//! The schema of Postgres.

use crate::backend::sql::table::{SUBJECT, Tables};
use crate::error::Result;

/// Schema of the tables `statewise_sessions` and `statewise_revocations`, for a migration tool of
/// your own. [`schema()`] returns it for other names. Applying it again changes nothing.
///
/// - `statewise_sessions` holds a row for each session. No index contains a column that a use or a
///   rotation changes, and pages are filled to 80 percent, so that these updates stay within their
///   page (HOT). A row holds the SHA-256 hash of its subject: find the sessions of a user with
///   `subject = sha256('alice')`.
/// - `statewise_sessions_create_1` is the function that creates a login within a limit.
/// - `statewise_revocations` holds the entries of the log, and `statewise_revocations_head` its
///   counter, which the log inserts at its first use. Its page is kept nearly empty, so that
///   updates stay within it. Sessions alone do not need these two.
pub const SCHEMA: &str = r#"CREATE TABLE IF NOT EXISTS "statewise_sessions" (
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
    rotation_wanted  boolean NOT NULL,
    current_proof    bytea   NOT NULL,
    previous_proof   bytea   NOT NULL,
    family_proof     bytea   NOT NULL,
    seed             bytea   NOT NULL,
    stamp            bytea,
    subject          bytea   NOT NULL,
    fields           bytea   NOT NULL
) WITH (fillfactor = 80);

CREATE INDEX IF NOT EXISTS statewise_sessions_subject
    ON "statewise_sessions" (subject, deadline, handle);

CREATE OR REPLACE FUNCTION "statewise_sessions_create_1"(
    p_now bigint, p_max bigint, p_evicts bigint, p_lock bigint,
    p_handle bytea, p_format bigint, p_version bigint, p_generation bigint,
    p_created_at bigint, p_authenticated_at bigint, p_deadline bigint, p_rotated_at bigint,
    p_last_seen bigint, p_idle bigint, p_confirmed boolean, p_rotation_wanted boolean,
    p_current_proof bytea, p_previous_proof bytea, p_family_proof bytea, p_seed bytea,
    p_stamp bytea, p_fields bytea, p_subject bytea,
    OUT outcome bigint, OUT evicted bytea
) LANGUAGE plpgsql VOLATILE AS $statewise$
DECLARE
    alive bytea[];
    excess integer;
BEGIN
    evicted := '';
    -- Under another isolation, the count below would not see what was committed before the lock.
    IF current_setting('transaction_isolation') <> 'read committed' THEN
        outcome := 3;
        RETURN;
    END IF;
    PERFORM pg_advisory_xact_lock(p_lock);
    IF EXISTS (SELECT FROM "statewise_sessions" AS s WHERE s.handle = p_handle) THEN
        outcome := 1;
        RETURN;
    END IF;
    alive := ARRAY(
        SELECT s.handle FROM "statewise_sessions" AS s
        WHERE s.subject = p_subject AND s.deadline > p_now
            AND CASE WHEN s.idle < 0 THEN TRUE ELSE s.last_seen > p_now - s.idle END
        ORDER BY CASE WHEN p_evicts = 2 THEN s.last_seen ELSE 0 END, s.deadline, s.handle
    );
    excess := least(cardinality(alive) + 1 - p_max, cardinality(alive));
    IF cardinality(alive) >= p_max AND p_evicts = 0 THEN
        outcome := 2;
        RETURN;
    END IF;
    IF excess > 0 THEN
        -- In the order in which every statement locks rows.
        PERFORM FROM "statewise_sessions" AS s
        WHERE s.handle = ANY (alive[1:excess]) ORDER BY s.handle FOR UPDATE;
        WITH gone AS (
            DELETE FROM "statewise_sessions" AS s
            WHERE s.handle = ANY (alive[1:excess]) RETURNING s.handle
        )
        SELECT coalesce(string_agg(gone.handle, ''), '') INTO evicted FROM gone;
    END IF;
    -- Fails as a whole if a login without a limit inserts the same handle now.
    INSERT INTO "statewise_sessions" (
        handle, format, version, generation, created_at, authenticated_at, deadline, rotated_at,
        last_seen, idle, confirmed, rotation_wanted, current_proof, previous_proof, family_proof,
        seed, stamp, fields, subject
    ) VALUES (
        p_handle, p_format, p_version, p_generation, p_created_at, p_authenticated_at, p_deadline,
        p_rotated_at, p_last_seen, p_idle, p_confirmed, p_rotation_wanted, p_current_proof,
        p_previous_proof, p_family_proof, p_seed, p_stamp, p_fields, p_subject
    );
    outcome := 0;
END
$statewise$;

CREATE TABLE IF NOT EXISTS "statewise_revocations" (
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

/// Suffix of the function that creates a login within a limit. Its number changes with its
/// parameters and its effect, so that nodes of different versions do not replace each other's.
pub(crate) const CREATE: &str = "_create_1";

/// Returns the schema for tables of other names, each of which may be qualified as `schema.table`.
///
/// # Errors
///
/// *Misuse* if a name does not have at most 41 lower case letters, digits and underscores, or
/// begins with a digit, or if the two tables would share a name.
pub fn schema(table: &str, log_table: &str) -> Result<String> {
    Ok(schema_of(&Tables::parse(table, log_table)?))
}

pub(crate) fn schema_of(tables: &Tables) -> String {
    // Postgres does not qualify the name of an index: it is in the schema of its table.
    let index = format!(" {}\n", tables.sessions.local(SUBJECT, '"'));
    tables
        .schema(SCHEMA, '"')
        .replace(" statewise_sessions_subject\n", &index)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_schema_follows_the_names() {
        let same = schema("statewise_sessions", "statewise_revocations").unwrap();
        assert_eq!(same.replace('"', ""), SCHEMA.replace('"', ""));
        let other = schema("app.order", "app.ended").unwrap();
        for table in ["order", "ended", "ended_head"] {
            let create = format!(r#"CREATE TABLE IF NOT EXISTS "app"."{table}" ("#);
            assert!(other.contains(&create), "{other}");
        }
        let index = "INDEX IF NOT EXISTS \"order_subject\"\n    ON \"app\".\"order\" (";
        assert!(other.contains(index), "{other}");
        assert!(other.contains(r#"FUNCTION "app"."order_create_1"("#));
        assert!(!other.replace("$statewise$", "").contains("statewise"));
        assert!(schema("a;b", "c").is_err() && schema("a", "b;c").is_err());
    }
}
