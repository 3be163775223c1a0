//! The name of a table, checked before it becomes part of a statement.

use std::fmt;

#[cfg(any(
    feature = "sqlx-mysql",
    feature = "sqlx-postgres",
    feature = "tokio-postgres"
))]
use crate::base::sha256;
use crate::error::{Error, Result};

/// Characters of a name: with the longest suffix, it fits what every database allows.
const LONGEST: usize = 41;

/// A table, and the names of what belongs to it. Nothing in it needs quoting, but for words that
/// the database reserves: therefore every name is quoted.
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
                "the table name is not of the form `name` or `schema.name`, each of at most 41 \
                 lower case letters, digits and underscores that do not begin with a digit",
            ));
        }
        Ok(Self {
            schema: schema.map(str::to_owned),
            name: name.to_owned(),
        })
    }

    /// The name without the schema.
    #[cfg(feature = "sqlx-mysql")]
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// The schema, if it was named.
    #[cfg(any(feature = "sqlx-mysql", feature = "sqlx-sqlite"))]
    pub(crate) fn schema(&self) -> Option<&str> {
        self.schema.as_deref()
    }

    /// The table, or what stands beside it under its name and `suffix`, as a statement has it.
    pub(crate) fn quoted(&self, suffix: &str, quote: char) -> String {
        let local = self.local(suffix, quote);
        match &self.schema {
            Some(schema) => format!("{quote}{schema}{quote}.{local}"),
            None => local,
        }
    }

    /// The same without the schema, for where the database wants none: the name of an index.
    pub(crate) fn local(&self, suffix: &str, quote: char) -> String {
        format!("{quote}{}{suffix}{quote}", self.name)
    }
}

impl Table {
    /// Bytes by which a lock on this table, or on a part of it, is named.
    #[cfg(any(
        feature = "sqlx-mysql",
        feature = "sqlx-postgres",
        feature = "tokio-postgres"
    ))]
    pub(crate) fn lock(&self, part: &str) -> [u8; 32] {
        sha256::hash(format!("statewise {self} {part}").as_bytes())
    }
}

fn is_name(text: &str) -> bool {
    let starts = |byte: u8| byte.is_ascii_lowercase() || byte == b'_';
    let goes_on = |byte: u8| starts(byte) || byte.is_ascii_digit();
    text.len() <= LONGEST && text.bytes().next().is_some_and(starts) && text.bytes().all(goes_on)
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
    fn quotes_what_it_takes() {
        let table = Table::parse("app.order").unwrap();
        assert_eq!(table.quoted("", '"'), r#""app"."order""#);
        assert_eq!(table.quoted("_create", '`'), "`app`.`order_create`");
        assert_eq!(table.local("_subject", '"'), r#""order_subject""#);
        assert_eq!(table.to_string(), "app.order");
        assert!(Table::parse(&"a".repeat(41)).is_ok());
        assert!(Table::parse("_9").is_ok());
    }

    #[test]
    fn refuses_what_could_escape() {
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
}
