//! The statements of the logs that append in a transaction of several.

use std::sync::Arc;

use crate::backend::sql::log::{HEAD, NOTHING};
use crate::backend::sql::table::Table;

/// In which databases differ.
pub(crate) struct Dialect {
    /// Around a name.
    pub(crate) quote: char,
    /// Behind a reading of the row that counts, so that nobody else counts until the commit.
    pub(crate) lock: &'static str,
    /// The time of the database; zero where it goes by that of the caller.
    pub(crate) clock: &'static str,
    /// That time and a value.
    pub(crate) clock_and: &'static str,
    /// Holds where the server is one that takes writes.
    pub(crate) is_primary: &'static str,
}

/// Entries of an insertion.
pub(crate) const SIZES: [usize; 3] = [256, 16, 1];

/// The statements of a log. Shared, so that the client finds them in its cache of prepared
/// statements and nothing is copied for a call.
#[derive(Debug)]
pub(crate) struct Statements {
    /// Makes the row that counts. Values: incarnation, nonce.
    pub(crate) begin: Arc<str>,
    /// Removes all entries.
    pub(crate) clear: Arc<str>,
    /// Answers position, incarnation, first position, time, and until when the first entry stays.
    pub(crate) count: Arc<str>,
    /// The first entries, and until when each stays. Values: position, how many.
    pub(crate) front: Arc<str>,
    /// Removes what is before an entry. Value: its position.
    pub(crate) trim: Arc<str>,
    /// Adds entries. Values: position, nonce, fact, life, stay, for each of as many as [`SIZES`]
    /// says.
    pub(crate) insert: [Arc<str>; SIZES.len()],
    /// Values: position, nonce, first position.
    pub(crate) advance: Arc<str>,
    pub(crate) head: Arc<str>,
    /// Values: the time, where it is not the database's, or else zero; position, how many.
    pub(crate) read: Arc<str>,
    pub(crate) fence: Arc<str>,
}

impl Statements {
    pub(crate) fn of(table: &Table, dialect: &Dialect) -> Self {
        let q = dialect.quote;
        let (log, head) = (table.quoted("", q), table.quoted(HEAD, q));
        let Dialect {
            lock,
            clock,
            clock_and,
            is_primary,
            ..
        } = dialect;
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
            let row = format!("(?, ?, ?, ?, {clock_and})");
            let rows = vec![row; size].join(", ");
            let text = format!(
                "INSERT INTO {log} ({position}, {nonce}, {fact}, {life}, {until}) VALUES {rows}"
            );
            text.into()
        };
        let counted = format!(
            "SELECT 0 AS {q}is_entry{q}, h.{position}, h.{incarnation} AS {q}number{q}, h.{first}, \
             h.{nonce}, h.{nonce} AS {fact} FROM {head} AS h WHERE h.{id} = 1 AND {is_primary}"
        );
        let read = format!(
            "{counted} UNION ALL SELECT * FROM ( \
                SELECT 1, l.{position}, l.{life}, 0 AS {first}, l.{nonce}, \
                CASE WHEN l.{until} > {clock} + ? THEN l.{fact} ELSE X'{NOTHING}' END AS {fact} \
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
                 FROM {head} AS h WHERE h.{id} = 1 AND {is_primary}{lock}"
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
            fence: format!(
                "UPDATE {head} SET {fenced} = {fenced} + 1 WHERE {id} = 1 AND {is_primary}"
            )
            .into(),
        }
    }
}
