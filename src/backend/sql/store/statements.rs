//! The statements of the stores that compare and swap.

use std::sync::Arc;

use crate::backend::sql::table::Table;
use crate::store::record::FORMAT;

/// The columns of a record, in the order in which they are bound and read.
const COLUMNS: [&str; 18] = [
    "handle",
    "format",
    "version",
    "generation",
    "created_at",
    "authenticated_at",
    "deadline",
    "rotated_at",
    "last_seen",
    "idle",
    "confirmed",
    "rotation_wanted",
    "current_proof",
    "previous_proof",
    "family_proof",
    "seed",
    "stamp",
    "fields",
];

/// In which databases differ.
pub(crate) struct Dialect {
    /// Around a name.
    pub(crate) quote: char,
    /// The function that answers the larger of two numbers.
    pub(crate) greater: &'static str,
    /// Behind an insertion, so that a handle that is there already is answered and not failed,
    /// where a clause for that overlooks nothing else.
    pub(crate) unless_there: &'static str,
    /// Notes as many uses in a table. Values: a handle and a time for each.
    pub(crate) touch: fn(table: &str, count: usize) -> String,
}

/// The statements of a store. Shared, so that the client finds them in its cache of prepared
/// statements and nothing is copied for a call.
#[derive(Debug)]
pub(crate) struct Statements {
    pub(crate) insert: Arc<str>,
    pub(crate) find: Arc<str>,
    pub(crate) swap: Arc<str>,
    pub(crate) end: Arc<str>,
    pub(crate) confirm: Arc<str>,
    pub(crate) touch: [Arc<str>; SIZES.len()],
    pub(crate) remove: Arc<str>,
    pub(crate) remove_subject: Arc<str>,
    pub(crate) remove_subject_before: Arc<str>,
    pub(crate) list: Arc<str>,
    pub(crate) count: Arc<str>,
    pub(crate) oldest: Arc<str>,
    pub(crate) look: Arc<str>,
    pub(crate) purge: [Arc<str>; SIZES.len()],
}

impl Statements {
    pub(crate) fn of(table: &Table, dialect: &Dialect) -> Self {
        let writer = Writer { table, dialect };
        let touch = |size| (dialect.touch)(&writer.table(), size).into();
        Self {
            insert: writer.insert().into(),
            find: writer.find().into(),
            swap: writer.swap().into(),
            end: writer.end().into(),
            confirm: writer.confirm().into(),
            touch: SIZES.map(touch),
            remove: writer.remove().into(),
            remove_subject: writer.remove_subject(false).into(),
            remove_subject_before: writer.remove_subject(true).into(),
            list: writer.list().into(),
            count: writer.count().into(),
            oldest: writer.oldest().into(),
            look: writer.look().into(),
            purge: SIZES.map(|size| writer.purge(size).into()),
        }
    }
}

/// Writes statements for one table, with `?` for each value.
struct Writer<'t> {
    table: &'t Table,
    dialect: &'t Dialect,
}

impl Writer<'_> {
    fn table(&self) -> String {
        self.table.quoted("", self.dialect.quote)
    }

    fn column(&self, name: &str) -> String {
        format!("{0}{name}{0}", self.dialect.quote)
    }

    fn columns(&self) -> String {
        COLUMNS.map(|name| self.column(name)).join(", ")
    }

    /// Whether a row is alive. Values: now, now.
    fn alive(&self) -> String {
        let [deadline, idle, last_seen] =
            ["deadline", "idle", "last_seen"].map(|name| self.column(name));
        // A CASE decides in order, so that an endless idle time is never subtracted.
        format!("{deadline} > ? AND CASE WHEN {idle} < 0 THEN 1 ELSE {last_seen} > ? - {idle} END")
    }

    /// Whether a row is over. Values: now, now.
    fn over(&self) -> String {
        format!("{} AND NOT ({})", self.known(), self.alive())
    }

    /// Whether a row is of the format of this version: the columns of a newer one may mean
    /// something else. Asked by whatever changes a row.
    fn known(&self) -> String {
        format!("{} = {FORMAT}", self.column("format"))
    }

    /// Adds a row. Values: the columns of a record, the key of its subject.
    fn insert(&self) -> String {
        let (table, columns, subject) = (self.table(), self.columns(), self.column("subject"));
        let values = ["?"; COLUMNS.len() + 1].join(", ");
        let unless_there = self.dialect.unless_there;
        format!("INSERT INTO {table} ({columns}, {subject}) VALUES ({values}){unless_there}")
    }

    /// The row of a handle.
    fn find(&self) -> String {
        let (columns, table) = (self.columns(), self.table());
        let handle = self.column("handle");
        format!("SELECT {columns} FROM {table} WHERE {handle} = ?")
    }

    /// Replaces a row by another, if it is the one that was read. Values: what changes, of the
    /// new row; then handle, version, generation, confirmed and current proof of the old one. All
    /// else changes only together with one of these, but for the last use, which the later wins.
    fn swap(&self) -> String {
        let [last_seen, handle, current] =
            ["last_seen", "handle", "current_proof"].map(|name| self.column(name));
        let sets = [
            "version",
            "generation",
            "rotated_at",
            "last_seen",
            "idle",
            "confirmed",
            "rotation_wanted",
            "current_proof",
            "previous_proof",
            "seed",
            "stamp",
            "fields",
        ]
        .map(|name| match name {
            "last_seen" => format!("{last_seen} = {}({last_seen}, ?)", self.dialect.greater),
            name => format!("{} = ?", self.column(name)),
        });
        let compares = ["version", "generation", "confirmed"];
        let compares = compares.map(|name| format!("{} = ?", self.column(name)));
        format!(
            "UPDATE {} SET {} WHERE {handle} = ? AND {} AND {current} = ? AND {}",
            self.table(),
            sets.join(", "),
            compares.join(" AND "),
            self.known(),
        )
    }

    /// Removes the row of a handle if it is over. Values: handle, now, now.
    fn end(&self) -> String {
        let handle = self.column("handle");
        format!(
            "DELETE FROM {} WHERE {handle} = ? AND {}",
            self.table(),
            self.over(),
        )
    }

    /// Notes that a credential was used. Values: now, now, handle, generation, now, now.
    fn confirm(&self) -> String {
        let [confirmed, rotated, handle, generation] =
            ["confirmed", "rotated_at", "handle", "generation"].map(|name| self.column(name));
        format!(
            "UPDATE {} SET {confirmed} = 1, \
             {rotated} = CASE WHEN {rotated} < ? THEN ? ELSE {rotated} END \
             WHERE {handle} = ? AND {generation} = ? AND {confirmed} = 0 AND {} AND {}",
            self.table(),
            self.known(),
            self.alive(),
        )
    }

    /// Removes the row of a handle.
    fn remove(&self) -> String {
        format!(
            "DELETE FROM {} WHERE {} = ?",
            self.table(),
            self.column("handle")
        )
    }

    /// Removes rows of a subject. Values: the key of the subject, the handle to keep or one that
    /// no row has; then, with `before`, the first and the last stamp to keep.
    fn remove_subject(&self, before: bool) -> String {
        let [subject, handle, stamp] = ["subject", "handle", "stamp"].map(|name| self.column(name));
        let before = if before {
            format!(" AND ({stamp} IS NULL OR {stamp} < ? OR {stamp} > ?)")
        } else {
            String::new()
        };
        format!(
            "DELETE FROM {} WHERE {subject} = ? AND {handle} <> ?{before}",
            self.table()
        )
    }

    /// The live rows of a subject behind a place in their list. Values: the key of the subject,
    /// now, now, a deadline twice, a handle, how many.
    fn list(&self) -> String {
        let [subject, deadline, handle] =
            ["subject", "deadline", "handle"].map(|name| self.column(name));
        format!(
            "SELECT {} FROM {} WHERE {subject} = ? AND {} \
             AND ({deadline} > ? OR ({deadline} = ? AND {handle} > ?)) \
             ORDER BY {deadline}, {handle} LIMIT ?",
            self.columns(),
            self.table(),
            self.alive(),
        )
    }

    /// Whether the handle is there, and how many live rows its subject has. Values: handle, the
    /// key of the subject, now, now.
    fn count(&self) -> String {
        let (table, handle, subject) =
            (self.table(), self.column("handle"), self.column("subject"));
        format!(
            "SELECT (SELECT count(*) FROM {table} WHERE {handle} = ?), \
             (SELECT count(*) FROM {table} WHERE {subject} = ? AND {})",
            self.alive(),
        )
    }

    /// The oldest live rows of a subject. Values: the key of the subject, now, now, how many.
    fn oldest(&self) -> String {
        let [subject, deadline, handle] =
            ["subject", "deadline", "handle"].map(|name| self.column(name));
        format!(
            "SELECT {handle} FROM {} WHERE {subject} = ? AND {} \
             ORDER BY {deadline}, {handle} LIMIT ?",
            self.table(),
            self.alive(),
        )
    }

    /// The handles behind one, and whether their rows are over. Values: now, now, a handle, how
    /// many.
    fn look(&self) -> String {
        let handle = self.column("handle");
        format!(
            "SELECT {handle}, {} FROM {} WHERE {handle} > ? ORDER BY {handle} LIMIT ?",
            self.over(),
            self.table(),
        )
    }

    /// Removes those of `count` handles whose rows are over. Values: the handles, now, now.
    fn purge(&self, count: usize) -> String {
        let handles = vec!["?"; count].join(", ");
        format!(
            "DELETE FROM {} WHERE {} IN ({handles}) AND {}",
            self.table(),
            self.column("handle"),
            self.over(),
        )
    }
}

/// In how many sizes statements with a list of values are written, so that the client's cache of
/// prepared statements holds them all: a list is filled up with its last value.
pub(crate) const SIZES: [usize; 3] = [1, 16, 128];

/// The least size that holds `count` values, and its place among [`SIZES`].
pub(crate) fn size_for(count: usize) -> usize {
    let fits = SIZES.iter().position(|size| *size >= count);
    fits.unwrap_or(SIZES.len() - 1)
}

/// The values, and the last of them again until there are `size`.
pub(crate) fn filled<T>(values: &[T], size: usize) -> impl Iterator<Item = &T> {
    let last = values.last();
    values.iter().chain(last.into_iter().cycle()).take(size)
}
