//! Statements of sessions.

use std::sync::Arc;

use crate::backend::sql::columns::{COLUMNS, COMPARED, SWAPPED};
use crate::backend::sql::generic::driver::Dialect;
use crate::backend::sql::table::{LIMIT, Table};
use crate::store::record::FORMAT;

/// Statements of a store. They are shared, so that the client finds them in its cache of prepared
/// statements, and a call copies nothing.
#[derive(Debug)]
pub(crate) struct Statements {
    pub(crate) insert: Arc<str>,
    pub(crate) insert_within: Arc<str>,
    pub(crate) find: Arc<str>,
    pub(crate) swap: Arc<str>,
    pub(crate) end: Arc<str>,
    pub(crate) confirm: Arc<str>,
    pub(crate) touch: [Arc<str>; BATCHES.len()],
    pub(crate) remove: Arc<str>,
    pub(crate) remove_within: Arc<str>,
    pub(crate) remove_subject: Arc<str>,
    pub(crate) remove_subject_before: Arc<str>,
    pub(crate) list: Arc<str>,
    pub(crate) count: Arc<str>,
    pub(crate) count_live: Arc<str>,
    pub(crate) oldest: Arc<str>,
    pub(crate) look: Arc<str>,
    /// Returns the time of the server, if the database has one.
    pub(crate) time: Option<Arc<str>>,
    pub(crate) purge: [Arc<str>; BATCHES.len()],
    /// Locks the row that stands for a part of the subjects, where the dialect needs it. Value: the
    /// part.
    pub(crate) lock: Option<Arc<str>>,
    /// Inserts that row. Value: the part.
    pub(crate) make_lock: Arc<str>,
}

impl Statements {
    pub(crate) fn of(table: &Table, dialect: &Dialect) -> Self {
        let writer = Writer { table, dialect };
        let touch = |size| (dialect.touch)(&writer.table(), size).into();
        let (limit, part) = (table.quoted(LIMIT, dialect.quote), writer.column("part"));
        let lock = format!(
            "SELECT {part} FROM {limit} WHERE {part} = ? AND {} FOR UPDATE",
            dialect.is_fit_within
        );
        Self {
            insert: writer.insert(dialect.is_fit).into(),
            insert_within: writer.insert(dialect.is_fit_within).into(),
            find: writer.find().into(),
            swap: writer.swap().into(),
            end: writer.end().into(),
            confirm: writer.confirm().into(),
            touch: BATCHES.map(touch),
            remove: writer.remove(dialect.is_fit).into(),
            remove_within: writer.remove(dialect.is_fit_within).into(),
            remove_subject: writer.remove_subject(false).into(),
            remove_subject_before: writer.remove_subject(true).into(),
            list: writer.list().into(),
            count: writer.count().into(),
            count_live: writer.count_live().into(),
            oldest: writer.oldest().into(),
            look: writer.look().into(),
            time: dialect.clock.map(|clock| {
                let is_fit = dialect.is_fit;
                format!("SELECT {clock} FROM DUAL WHERE {is_fit}").into()
            }),
            purge: BATCHES.map(|size| writer.purge(size).into()),
            lock: dialect.locks_subject.then(|| lock.into()),
            make_lock: format!("INSERT IGNORE INTO {limit} ({part}) VALUES (?)").into(),
        }
    }
}

impl Statements {
    /// Returns all of them.
    pub(crate) fn all(&self) -> Vec<Arc<str>> {
        let Self {
            insert,
            insert_within,
            find,
            swap,
            end,
            confirm,
            touch,
            remove,
            remove_within,
            remove_subject,
            remove_subject_before,
            list,
            count,
            count_live,
            oldest,
            look,
            time,
            purge,
            lock,
            make_lock,
        } = self;
        let others = [
            insert,
            insert_within,
            find,
            swap,
            end,
            confirm,
            remove,
            remove_within,
            remove_subject,
            remove_subject_before,
            list,
            count,
            count_live,
            oldest,
            look,
        ];
        let locks = lock.iter().flat_map(|lock| [lock, make_lock]);
        let all = others.into_iter().chain(touch).chain(purge);
        let all = all.chain(locks).chain(time);
        all.map(Arc::clone).collect()
    }
}

/// Writes the statements for one table, with `?` for each value.
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

    /// Condition: the row is alive. Values: now, now.
    fn alive(&self) -> String {
        let [deadline, idle, last_seen] =
            ["deadline", "idle", "last_seen"].map(|name| self.column(name));
        // A CASE is evaluated in order, so that an unlimited idle timeout is never subtracted.
        format!("{deadline} > ? AND CASE WHEN {idle} < 0 THEN 1 ELSE {last_seen} > ? - {idle} END")
    }

    /// Condition: the row has expired. Values: now, now.
    fn expired(&self) -> String {
        format!("{} AND NOT ({})", self.known(), self.alive())
    }

    /// Condition: the row has the format of this version of the crate. Every statement that changes
    /// a row checks it, because the columns of another format may have another meaning.
    fn known(&self) -> String {
        format!("{} = {FORMAT}", self.column("format"))
    }

    /// Inserts a row. Values: the columns of a record, the key of its subject.
    fn insert(&self, is_fit: &str) -> String {
        let (table, columns, subject) = (self.table(), self.columns(), self.column("subject"));
        // An insertion has no condition.
        let value = |name| match name {
            "format" => format!("? * {is_fit}"),
            _ => "?".to_owned(),
        };
        let values = COLUMNS.map(value).join(", ");
        let on_conflict = self.dialect.on_conflict;
        format!("INSERT INTO {table} ({columns}, {subject}) VALUES ({values}, ?){on_conflict}")
    }

    /// Finds a row. Value: the handle.
    fn find(&self) -> String {
        let (columns, table) = (self.columns(), self.table());
        let handle = self.column("handle");
        let is_fit = self.dialect.is_fit;
        format!("SELECT {columns} FROM {table} WHERE {handle} = ? AND {is_fit}")
    }

    /// Replaces a row if it is still the one that was read. Values: those of
    /// [`swap_values`](crate::backend::sql::columns::swap_values).
    fn swap(&self) -> String {
        let sets = SWAPPED.map(|name| match (name, self.column(name)) {
            // The later of two uses stays.
            ("last_seen", column) => format!("{column} = {}({column}, ?)", self.dialect.greatest),
            (_, column) => format!("{column} = ?"),
        });
        let compares = COMPARED.map(|name| format!("{} = ?", self.column(name)));
        format!(
            "UPDATE {} SET {} WHERE {} AND {} AND {}",
            self.table(),
            sets.join(", "),
            compares.join(" AND "),
            self.known(),
            self.dialect.is_fit,
        )
    }

    /// Removes an expired row. Values: handle, now, now.
    fn end(&self) -> String {
        let handle = self.column("handle");
        format!(
            "DELETE FROM {} WHERE {handle} = ? AND {} AND {}",
            self.table(),
            self.expired(),
            self.dialect.is_fit,
        )
    }

    /// Confirms a generation. Values: now, now, handle, generation, now, now.
    fn confirm(&self) -> String {
        let [confirmed, rotated, handle, generation] =
            ["confirmed", "rotated_at", "handle", "generation"].map(|name| self.column(name));
        format!(
            "UPDATE {} SET {confirmed} = 1, \
             {rotated} = CASE WHEN {rotated} < ? THEN ? ELSE {rotated} END \
             WHERE {handle} = ? AND {generation} = ? AND {confirmed} = 0 AND {} AND {} AND {}",
            self.table(),
            self.known(),
            self.alive(),
            self.dialect.is_fit,
        )
    }

    /// Removes a row. Value: the handle.
    fn remove(&self, is_fit: &str) -> String {
        format!(
            "DELETE FROM {} WHERE {} = ? AND {is_fit}",
            self.table(),
            self.column("handle")
        )
    }

    /// Removes rows of a subject. Values: the key of the subject, and the handle to keep, or a
    /// handle that no row has. With `before`, also the first and the last stamp to keep.
    fn remove_subject(&self, before: bool) -> String {
        let [handle, stamp] = ["handle", "stamp"].map(|name| self.column(name));
        let before = if before {
            format!(" AND ({stamp} IS NULL OR {stamp} < ? OR {stamp} > ?)")
        } else {
            String::new()
        };
        let condition = format!("{handle} <> ?{before} AND {}", self.dialect.is_fit);
        (self.dialect.remove_subject)(&self.table(), &condition)
    }

    /// Lists the live rows of a subject after a cursor. Values: the key of the subject, now, now,
    /// the deadline of the cursor twice, its handle, the maximum number of rows.
    fn list(&self) -> String {
        let [subject, deadline, handle] =
            ["subject", "deadline", "handle"].map(|name| self.column(name));
        format!(
            "SELECT {} FROM {} WHERE {subject} = ? AND {} \
             AND ({deadline} > ? OR ({deadline} = ? AND {handle} > ?)) AND {} \
             ORDER BY {deadline}, {handle} LIMIT ?",
            self.columns(),
            self.table(),
            self.alive(),
            self.dialect.is_fit,
        )
    }

    /// Counts the rows of a handle, and the live rows of a subject. Values: handle, key of the
    /// subject, now, now.
    fn count(&self) -> String {
        let (table, handle, subject) =
            (self.table(), self.column("handle"), self.column("subject"));
        format!(
            "SELECT (SELECT count(*) FROM {table} WHERE {handle} = ?), \
             (SELECT count(*) FROM {table} WHERE {subject} = ? AND {})",
            self.alive(),
        )
    }

    /// Counts the live rows, and their subjects. Values: now, now.
    fn count_live(&self) -> String {
        format!(
            "SELECT count(*), count(DISTINCT {}) FROM {} WHERE {} AND {} AND {}",
            self.column("subject"),
            self.table(),
            self.known(),
            self.alive(),
            self.dialect.is_fit,
        )
    }

    /// Finds the oldest live rows of a subject. Values: the key of the subject, now, now, true for
    /// the least recently used ones instead, the maximum number of rows.
    fn oldest(&self) -> String {
        let [subject, deadline, handle, last_seen] =
            ["subject", "deadline", "handle", "last_seen"].map(|name| self.column(name));
        format!(
            "SELECT {handle} FROM {} WHERE {subject} = ? AND {} \
             ORDER BY CASE WHEN ? THEN {last_seen} ELSE 0 END, {deadline}, {handle} LIMIT ?",
            self.table(),
            self.alive(),
        )
    }

    /// Finds the handles after one, and whether each row has expired. Values: now, now, the handle,
    /// the maximum number of rows.
    fn look(&self) -> String {
        let handle = self.column("handle");
        format!(
            "SELECT {handle}, {} FROM {} WHERE {handle} > ? AND {} ORDER BY {handle} LIMIT ?",
            self.expired(),
            self.table(),
            self.dialect.is_fit,
        )
    }

    /// Removes the expired rows among `count` handles. Values: the handles, now, now.
    fn purge(&self, count: usize) -> String {
        let handles = vec!["?"; count].join(", ");
        format!(
            "DELETE FROM {} WHERE {} IN ({handles}) AND {} AND {}",
            self.table(),
            self.column("handle"),
            self.expired(),
            self.dialect.is_fit,
        )
    }
}

/// Sizes of statements that take a list of values. They are few, so that the client's cache of
/// prepared statements holds them all. A shorter list is [padded].
pub(crate) const BATCHES: [usize; 3] = [1, 16, 128];

/// Returns the index in [`BATCHES`] of the smallest size that holds `count` values.
pub(crate) fn batch_for(count: usize) -> usize {
    let fits = BATCHES.iter().position(|size| *size >= count);
    fits.unwrap_or(BATCHES.len() - 1)
}

/// Repeats the last value until there are `size` values.
pub(crate) fn padded<T>(values: &[T], size: usize) -> impl Iterator<Item = &T> {
    let last = values.last();
    values.iter().chain(last.into_iter().cycle()).take(size)
}
