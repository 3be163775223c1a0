//! Rows of sqlx, in and out.

/// Binds the columns of a record, in the order of `COLUMNS`.
macro_rules! bind_columns {
    ($query:expr, $columns:expr) => {{
        let columns = &$columns;
        $query
            .bind(columns.format)
            .bind(&columns.handle[..])
            .bind(columns.version)
            .bind(columns.generation)
            .bind(columns.created_at)
            .bind(columns.authenticated_at)
            .bind(columns.deadline)
            .bind(columns.rotated_at)
            .bind(columns.last_seen)
            .bind(columns.idle)
            .bind(columns.confirmed)
            .bind(columns.renewal_wanted)
            .bind(&columns.current[..])
            .bind(&columns.previous[..])
            .bind(&columns.family[..])
            .bind(&columns.seed[..])
            .bind(columns.stamp.as_ref().map(|stamp| &stamp[..]))
            .bind(columns.fields)
    }};
}

/// Binds what a swap sets and then what it compares, in the order of `swap`.
macro_rules! bind_swap {
    ($query:expr, $from:expr, $to:expr) => {{
        let (from, to) = (&$from, &$to);
        $query
            .bind(to.version)
            .bind(to.generation)
            .bind(to.rotated_at)
            .bind(to.last_seen)
            .bind(to.idle)
            .bind(to.confirmed)
            .bind(to.renewal_wanted)
            .bind(&to.current[..])
            .bind(&to.previous[..])
            .bind(&to.seed[..])
            .bind(to.stamp.as_ref().map(|stamp| &stamp[..]))
            .bind(to.fields)
            .bind(&from.handle[..])
            .bind(from.version)
            .bind(from.generation)
            .bind(from.confirmed)
            .bind(&from.current[..])
    }};
}

/// Reads a record from a row with the columns of `COLUMNS`.
macro_rules! read_columns {
    ($row:expr) => {{
        use crate::store::sql::{Columns, fixed};
        use sqlx::Row as _;

        let row = $row;
        let read = || -> Result<Columns<'_>, sqlx::Error> {
            let bytes = |at: usize| row.try_get::<&[u8], _>(at);
            let number = |at: usize| row.try_get::<i64, _>(at);
            let key = |at: usize| fixed(bytes(at)?).map_err(|_| sqlx::Error::RowNotFound);
            let stamp = row.try_get::<Option<&[u8]>, _>(16)?;
            let stamp = stamp.map(fixed).transpose();
            Ok(Columns {
                format: number(0)?,
                handle: key(1)?,
                version: number(2)?,
                generation: number(3)?,
                created_at: number(4)?,
                authenticated_at: number(5)?,
                deadline: number(6)?,
                rotated_at: number(7)?,
                last_seen: number(8)?,
                idle: number(9)?,
                confirmed: row.try_get(10)?,
                renewal_wanted: row.try_get(11)?,
                current: key(12)?,
                previous: key(13)?,
                family: key(14)?,
                seed: key(15)?,
                stamp: stamp.map_err(|_| sqlx::Error::RowNotFound)?,
                fields: bytes(17)?,
            })
        };
        // Whatever is not as it was written does not decode.
        read()
            .map_err(|_| crate::error::Error::unreadable())
            .and_then(|columns| columns.record())
    }};
}

pub(crate) use {bind_columns, bind_swap, read_columns};
