//! Statements of revocations.

use std::sync::Arc;

use crate::backend::sql::generic::driver::Dialect;
use crate::backend::sql::log::NOTHING;
use crate::backend::sql::table::{HEAD, Table};

/// Sizes of an insertion, in entries.
pub(crate) const SIZES: [usize; 3] = [256, 16, 1];

/// Statements of a log. They are shared, so that the client finds them in its cache of prepared
/// statements, and a call copies nothing.
#[derive(Debug)]
pub(crate) struct LogStatements {
    /// Inserts the counter. Values: incarnation, nonce.
    pub(crate) begin: Arc<str>,
    /// Removes all entries.
    pub(crate) clear: Arc<str>,
    /// Locks the counter. Returns position, incarnation, first position, time, and the time until
    /// which the first entry is kept.
    pub(crate) count: Arc<str>,
    /// Finds the first entries, and the time until which each is kept. Values: position, maximum
    /// number of entries.
    pub(crate) front: Arc<str>,
    /// Removes the entries before a position. Value: the position.
    pub(crate) trim: Arc<str>,
    /// Inserts as many entries as [`SIZES`] has at the same index. Values of each: position, nonce,
    /// fact, lifetime, seconds to keep it.
    pub(crate) insert: [Arc<str>; SIZES.len()],
    /// Advances the counter. Values: position, nonce, first position.
    pub(crate) advance: Arc<str>,
    /// Reads the counter.
    pub(crate) head: Arc<str>,
    /// Reads the counter, and entries from a position on. Values: the time if the database does not
    /// provide it, else zero; the position; the maximum number of entries.
    pub(crate) read: Arc<str>,
    /// Writes to the counter.
    pub(crate) fence: Arc<str>,
}

impl LogStatements {
    pub(crate) fn of(table: &Table, dialect: &Dialect) -> Self {
        let q = dialect.quote;
        let (log, head) = (table.quoted("", q), table.quoted(HEAD, q));
        let Dialect {
            for_update,
            is_fit,
            is_fit_within,
            ..
        } = dialect;
        let clock = dialect.clock.unwrap_or("0");
        let [
            id,
            position,
            incarnation,
            nonce,
            first,
            fenced,
            fact,
            life,
            until,
        ] = [
            "id",
            "position",
            "incarnation",
            "nonce",
            "first",
            "fenced",
            "fact",
            "life",
            "stays_until",
        ]
        .map(|name| format!("{q}{name}{q}"));
        let insert = |size| {
            let row = format!("(?, ?, ?, ?, {clock} + ?)");
            let rows = vec![row; size].join(", ");
            let text = format!(
                "INSERT INTO {log} ({position}, {nonce}, {fact}, {life}, {until}) VALUES {rows}"
            );
            text.into()
        };
        let counted = format!(
            "SELECT 0 AS {q}is_entry{q}, h.{position}, h.{incarnation} AS {q}number{q}, h.{first}, \
             h.{nonce}, h.{nonce} AS {fact}, h.{fenced} FROM {head} AS h \
             WHERE h.{id} = 1 AND {is_fit}"
        );
        let read = format!(
            "{counted} UNION ALL SELECT * FROM ( \
                SELECT 1, l.{position}, l.{life}, 0 AS {first}, l.{nonce}, \
                CASE WHEN l.{until} > {clock} + ? THEN l.{fact} ELSE X'{NOTHING}' END AS {fact}, 0 AS {fenced} \
                FROM {log} AS l \
                WHERE l.{position} >= ? AND l.{position} >= (SELECT h.{first} FROM {head} AS h WHERE h.{id} = 1) \
                ORDER BY l.{position} LIMIT ? \
             ) AS e ORDER BY 1, 2"
        );
        Self {
            begin: format!(
                "INSERT INTO {head} ({id}, {position}, {incarnation}, {nonce}, {first}, {fenced}) \
                 VALUES (1, 0, ?, ?, 1, 0)"
            )
            .into(),
            clear: format!("DELETE FROM {log}").into(),
            count: format!(
                "SELECT h.{position}, h.{incarnation}, h.{first}, {clock}, COALESCE( \
                    (SELECT l.{until} FROM {log} AS l WHERE l.{position} = h.{first}), \
                    9223372036854775807) \
                 FROM {head} AS h WHERE h.{id} = 1 AND {is_fit_within}{for_update}"
            )
            .into(),
            front: format!(
                "SELECT {position}, {until} FROM {log} WHERE {position} >= ? \
                 ORDER BY {position} LIMIT ?"
            )
            .into(),
            trim: format!("DELETE FROM {log} WHERE {position} < ?").into(),
            insert: SIZES.map(insert),
            advance: format!(
                "UPDATE {head} SET {position} = ?, {nonce} = ?, {first} = ? WHERE {id} = 1"
            )
            .into(),
            head: counted.into(),
            read: read.into(),
            fence: format!("UPDATE {head} SET {fenced} = {fenced} + 1 WHERE {id} = 1 AND {is_fit}")
                .into(),
        }
    }

    /// Returns all of them.
    pub(crate) fn all(&self) -> Vec<Arc<str>> {
        let Self {
            begin,
            clear,
            count,
            front,
            trim,
            insert,
            advance,
            head,
            read,
            fence,
        } = self;
        let others = [begin, clear, count, front, trim, advance, head, read, fence];
        insert.iter().chain(others).map(Arc::clone).collect()
    }
}
