//! Names of tables, checked before they become part of a statement.

use std::fmt;

#[cfg(any(feature = "sqlx-postgres", feature = "tokio-postgres"))]
use crate::base::sha256;
use crate::error::{Error, Result};

/// Default name of the table of sessions.
pub(crate) const SESSIONS: &str = "statewise_sessions";
/// Default name of the table of revocations.
pub(crate) const REVOCATIONS: &str = "statewise_revocations";
/// Suffix of the counter table of a log.
pub(crate) const HEAD: &str = "_head";
/// Suffix of the table of locks that serialize the logins of a subject (MySQL).
pub(crate) const LIMIT: &str = "_limit";
/// Suffix of the index of subjects (Postgres, SQLite).
pub(crate) const SUBJECT: &str = "_subject";

/// Maximum number of characters of a name. With the longest suffix, it fits the limit of every
/// database.
const MAX_NAME_LEN: usize = 41;

/// Name of a table. It contains no character that needs quoting, but it may be a reserved word, so
/// statements quote every name.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Table {
    schema: Option<String>,
    name: String,
}

impl Table {
    /// Reads `name`, or `schema.name`.
    ///
    /// # Errors
    ///
    /// *Misuse* for anything that could escape a statement.
    pub(crate) fn parse(text: &str) -> Result<Self> {
        let (schema, name) = match text.split_once('.') {
            Some((schema, name)) => (Some(schema), name),
            None => (None, text),
        };
        if !schema.is_none_or(is_name) || !is_name(name) {
            return Err(Error::misuse(
                "the table name is not of the form `name` or `schema.name`: use at most 41 lower \
                 case letters, digits and underscores for each, and begin with no digit",
            ));
        }
        Ok(Self {
            schema: schema.map(str::to_owned),
            name: name.to_owned(),
        })
    }

    /// Returns the name without the schema.
    #[cfg(feature = "sqlx-mysql")]
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Returns the schema, if the name has one.
    pub(crate) fn schema(&self) -> Option<&str> {
        self.schema.as_deref()
    }

    /// Returns the quoted name with `suffix`, qualified by the schema.
    pub(crate) fn quoted(&self, suffix: &str, quote: char) -> String {
        let local = self.local(suffix, quote);
        match &self.schema {
            Some(schema) => format!("{quote}{schema}{quote}.{local}"),
            None => local,
        }
    }

    /// Returns the quoted name with `suffix`, without the schema.
    pub(crate) fn local(&self, suffix: &str, quote: char) -> String {
        format!("{quote}{}{suffix}{quote}", self.name)
    }

    /// Returns the id of a lock on this table, or on a part of it.
    #[cfg(any(feature = "sqlx-postgres", feature = "tokio-postgres"))]
    pub(crate) fn lock(&self, part: &str) -> [u8; 32] {
        sha256::hash(format!("statewise {self} {part}").as_bytes())
    }
}

/// The tables of sessions and of revocations.
#[derive(Clone, Debug)]
pub(crate) struct Tables {
    pub(crate) sessions: Table,
    pub(crate) log: Table,
}

impl Tables {
    /// Returns the schemas of the tables, each once. `None`: the search path of the user decides.
    #[cfg(any(feature = "sqlx-postgres", feature = "tokio-postgres"))]
    pub(crate) fn schemas(&self) -> Vec<Option<&str>> {
        let mut schemas = vec![self.sessions.schema(), self.log.schema()];
        schemas.dedup();
        schemas
    }

    /// Reads both names.
    ///
    /// # Errors
    ///
    /// *Misuse* for a name that could escape a statement, or if the two would share a table or an
    /// index.
    pub(crate) fn parse(sessions: &str, log: &str) -> Result<Self> {
        let (sessions, log) = (Table::parse(sessions)?, Table::parse(log)?);
        let taken = ["", LIMIT, SUBJECT].map(|suffix| sessions.quoted(suffix, '"'));
        if ["", HEAD]
            .iter()
            .any(|suffix| taken.contains(&log.quoted(suffix, '"')))
        {
            return Err(Error::misuse(
                "the tables of sessions and of revocations would share a name: choose another \
                 name for one of them",
            ));
        }
        Ok(Self { sessions, log })
    }

    /// Returns a schema of the default names for these names. Quoted names are replaced.
    pub(crate) fn schema(&self, schema: &str, quote: char) -> String {
        let rename = |(at, piece): (usize, &str)| {
            // Every second piece stands between two quotes.
            if at % 2 == 0 {
                return piece.to_owned();
            }
            let of = |default, table: &Table| {
                let suffix = piece.strip_prefix(default)?;
                Some(table.quoted(suffix, quote))
            };
            of(SESSIONS, &self.sessions)
                .or_else(|| of(REVOCATIONS, &self.log))
                .unwrap_or_else(|| format!("{quote}{piece}{quote}"))
        };
        schema.split(quote).enumerate().map(rename).collect()
    }
}

fn is_name(text: &str) -> bool {
    let is_first = |byte: u8| byte.is_ascii_lowercase() || byte == b'_';
    let is_next = |byte: u8| is_first(byte) || byte.is_ascii_digit();
    text.len() <= MAX_NAME_LEN
        && text.bytes().next().is_some_and(is_first)
        && text.bytes().all(is_next)
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(schema) = &self.schema {
            write!(f, "{schema}.")?;
        }
        f.write_str(&self.name)
    }
}

impl fmt::Debug for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accepts_and_quotes_plain_names() {
        let table = Table::parse("app.order").unwrap();
        assert_eq!(table.quoted("", '"'), r#""app"."order""#);
        assert_eq!(table.quoted("_create", '`'), "`app`.`order_create`");
        assert_eq!(table.local("_subject", '"'), r#""order_subject""#);
        assert_eq!(table.to_string(), "app.order");
        assert!(Table::parse(&"a".repeat(41)).is_ok());
        assert!(Table::parse("_9").is_ok());
    }

    #[test]
    fn refuses_names_that_could_escape() {
        let long = "a".repeat(42);
        for name in [
            "",
            ".",
            "a.",
            ".a",
            "a.b.c",
            "9a",
            "a b",
            "a;DROP TABLE b",
            "a\"b",
            "a`b",
            "a'b",
            "a--",
            "a/*",
            "a\0",
            "a\n",
            "a{b}",
            "Sessions",
            "séance",
            "a$1",
            "a?",
            &long,
            &format!("{long}.a"),
        ] {
            let refused = Table::parse(name);
            assert!(refused.is_err_and(|error| error.is_misuse()), "{name:?}");
        }
    }

    #[test]
    fn refuses_names_that_sessions_and_revocations_would_share() {
        for (sessions, log) in [
            ("a", "a"),
            ("a", "a_limit"),
            ("a", "a_subject"),
            ("a_head", "a"),
        ] {
            let refused = Tables::parse(sessions, log);
            assert!(
                refused.is_err_and(|error| error.is_misuse()),
                "{sessions}, {log}"
            );
        }
        assert!(Tables::parse("a", "app.a").is_ok());
    }

    #[test]
    fn renames_each_table_once() {
        let schema = r#""statewise_sessions_limit" "subject" "statewise_revocations_head" none"#;
        let tables = Tables::parse("statewise_revocations", "app.b").unwrap();
        let renamed = tables.schema(schema, '"');
        assert_eq!(
            renamed,
            r#""statewise_revocations_limit" "subject" "app"."b_head" none"#
        );
    }
}
