//! Fields of a configuration: their names, their forms, and what serde has read.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use crate::base::secret::REDACTED;
use crate::error::{Error, Result};

/// Form of a value.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    Text,
    /// Text that may be a secret, or contain one.
    Secret,
    /// A number with a unit, such as `30m`.
    Time,
    Flag,
    Count,
    Choice(&'static [&'static str]),
}

use Form::{Choice, Count, Flag, Secret, Text, Time};

/// Each field with its form and its default, which is empty if there is none.
pub(super) const FIELDS: &[(&str, Form, &str)] = &[
    ("strategy", Choice(&["sessions", "tokens", "hybrid"]), ""),
    ("preset", Choice(&["aal1", "aal2", "aal3", "asvs"]), ""),
    ("store", Secret, ""),
    ("store_env", Secret, ""),
    ("store_file", Secret, ""),
    ("capacity", Count, "100000"),
    ("require_durable", Flag, "false"),
    ("idle", Time, ""),
    ("absolute", Time, ""),
    ("remembered_idle", Time, ""),
    ("remembered_absolute", Time, ""),
    ("rotate_after", Time, ""),
    ("limit", Count, ""),
    (
        "limit_reached",
        Choice(&["evict_oldest", "evict_least_recently_used", "reject"]),
        "evict_oldest",
    ),
    ("reject_orphaned", Flag, "false"),
    ("issuer", Text, ""),
    ("audience", Text, ""),
    ("token_lifetime", Time, ""),
    ("key_env", Secret, ""),
    ("key_file", Secret, ""),
    ("key_in_clear", Secret, ""),
    ("verify_key_env", Secret, ""),
    ("verify_key_file", Secret, ""),
    ("algorithm", Choice(&["HS256", "HS384", "HS512"]), "HS256"),
    ("revocations", Text, "5s"),
    ("transport", Choice(&["cookie", "bearer", "both"]), "cookie"),
    ("cookie.name", Text, ""),
    ("cookie.domain", Text, ""),
    ("cookie.path", Text, ""),
    (
        "cookie.same_site",
        Choice(&["Lax", "Strict", "None"]),
        "Lax",
    ),
    ("cookie.max_age", Time, ""),
    ("cookie.partitioned", Flag, "false"),
    ("cookie.insecure", Flag, "false"),
    ("cookie.refresh_path", Text, "/auth"),
];

/// Value of a field, as a file has it.
#[derive(Clone)]
enum Value {
    Text(String),
    /// A number or a flag.
    Bare(String),
    /// Of no form that a field has. The text ends an error.
    Other(&'static str),
}

/// The fields of a configuration by their names. A field of a table has the table's name and a dot
/// before its own.
#[derive(Clone, Default)]
pub(super) struct Fields(BTreeMap<String, Value>);

impl Fields {
    /// Refuses unknown fields, and values of another form. No error contains a value.
    pub(super) fn check(&self) -> Result<()> {
        for (name, value) in &self.0 {
            let Some((_, form, _)) = FIELDS.iter().find(|(known, ..)| known == name) else {
                return Err(unknown(name));
            };
            let is_plain = |text: &str| !text.is_empty();
            let problem = match (form, value) {
                (_, Value::Other(what)) => Some((*what).to_owned()),
                (Text | Secret, Value::Text(text)) if is_plain(text) => None,
                (Text | Secret, _) => {
                    Some("is not a text, or empty: put the value in quotes".into())
                }
                (Time, Value::Text(text)) if duration(text).is_some() => None,
                (Time, Value::Bare(_)) => {
                    Some("has no unit: write \"30m\", \"12h\" or \"14d\"".into())
                }
                (Time, _) => Some("is no time: write \"30m\", \"12h\" or \"14d\"".into()),
                // Sources such as the environment have texts only.
                (Flag, Value::Bare(text) | Value::Text(text)) => {
                    let is_flag = text == "true" || text == "false";
                    (!is_flag).then(|| "is neither true nor false".into())
                }
                (Count, Value::Bare(text) | Value::Text(text)) => {
                    let is_count = text.parse::<u32>().is_ok_and(|count| count > 0);
                    (!is_count).then(|| "is no whole number from 1 on".into())
                }
                (Choice(choices), Value::Text(text)) if choices.contains(&&**text) => None,
                (Choice(choices), _) => Some(format!("is none of: {}", choices.join(", "))),
            };
            if let Some(problem) = problem {
                return Err(Error::misuse(format!("`{name}` {problem}")));
            }
        }
        Ok(())
    }

    /// The text of a field that the file has.
    pub(super) fn given(&self, name: &str) -> Option<&str> {
        match self.0.get(name)? {
            Value::Text(text) | Value::Bare(text) => Some(text),
            Value::Other(_) => None,
        }
    }

    /// The text of a field, or its default.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        let default = || FIELDS.iter().find(|(known, ..)| *known == name);
        let default = || {
            default()
                .map(|(.., text)| *text)
                .filter(|text| !text.is_empty())
        };
        self.given(name).or_else(default)
    }

    /// The text of a field that must be there. `why` says when.
    pub(super) fn required(&self, name: &str, why: &str) -> Result<&str> {
        self.text(name)
            .ok_or_else(|| Error::misuse(format!("`{name}` is missing: {why}")))
    }

    /// Returns the first field that the file has in a table. `table` ends with a dot.
    pub(super) fn first_of(&self, table: &str) -> Option<&str> {
        let mut names = self.0.keys();
        names
            .find(|name| name.starts_with(table))
            .map(String::as_str)
    }

    pub(super) fn time(&self, name: &str) -> Option<Duration> {
        self.text(name).and_then(duration)
    }

    pub(super) fn flag(&self, name: &str) -> bool {
        self.text(name) == Some("true")
    }

    pub(super) fn count(&self, name: &str) -> Option<u32> {
        self.text(name)?.parse().ok()
    }
}

/// Reads a number with a unit. `None` for another text, and for zero.
pub(super) fn duration(text: &str) -> Option<Duration> {
    let unit = match text.as_bytes().last()? {
        b's' => 1,
        b'm' => 60,
        b'h' => 3600,
        b'd' => 24 * 3600,
        _ => return None,
    };
    let count = &text[..text.len() - 1];
    let is_number = !count.is_empty() && count.bytes().all(|byte| byte.is_ascii_digit());
    let seconds = count.parse::<u64>().ok().filter(|_| is_number)?;
    let seconds = seconds.checked_mul(unit).filter(|seconds| *seconds > 0)?;
    Some(Duration::from_secs(seconds))
}

/// Returns the error of an unknown field: with the nearest known one, and all of them.
fn unknown(name: &str) -> Error {
    let distance = |known: &str| {
        let is_part = known.contains(name) || name.contains(known);
        (!is_part, edits(known, name))
    };
    let known = FIELDS.iter().map(|(known, ..)| *known);
    let nearest = known.clone().min_by_key(|known| distance(known));
    Error::misuse(format!(
        "there is no field `{}`: did you mean `{}`? The fields are {}",
        name.chars().take(40).collect::<String>().escape_debug(),
        nearest.unwrap_or_default(),
        known.collect::<Vec<_>>().join(", "),
    ))
}

/// Number of characters to insert, remove or replace to make one text of the other.
fn edits(one: &str, other: &str) -> usize {
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (at, a) in one.bytes().enumerate() {
        let mut diagonal = at;
        row[0] = at + 1;
        for (column, b) in other.bytes().enumerate() {
            let replaced = diagonal + usize::from(a != b);
            diagonal = row[column + 1];
            row[column + 1] = replaced.min(diagonal + 1).min(row[column] + 1);
        }
    }
    row[other.len()]
}

/// Shows what the file has. A value that may be a secret, and that of an unknown field, is redacted.
impl fmt::Debug for Fields {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = self.0.iter().map(|(name, value)| {
            let form = FIELDS.iter().find(|(known, ..)| known == name);
            let text = match (value, form) {
                (Value::Text(text) | Value::Bare(text), Some((_, form, _))) if *form != Secret => {
                    text
                }
                _ => REDACTED,
            };
            (name, text)
        });
        f.debug_map().entries(shown).finish()
    }
}

/// Reads a table. [`Fields::check`] finds the mistakes in it: an error of serde would come with the line
/// of the file, which may contain a secret.
impl<'de> Deserialize<'de> for Fields {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(TableVisitor)
    }
}

/// A value, or a table of values.
enum Node {
    Value(Value),
    Table(Fields),
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NodeVisitor)
    }
}

struct TableVisitor;

impl<'de> Visitor<'de> for TableVisitor {
    type Value = Fields;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a table of fields")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut table: A) -> Result<Fields, A::Error> {
        let mut fields = BTreeMap::new();
        let mut add = |name: String, value| {
            let twice = |_| Value::Other("is given twice");
            let value = fields.remove(&name).map_or(value, twice);
            fields.insert(name, value);
        };
        while let Some(name) = table.next_key::<String>()? {
            match table.next_value::<Node>()? {
                Node::Value(value) => add(name, value),
                Node::Table(inner) => {
                    let inner = inner.0.into_iter();
                    inner.for_each(|(field, value)| add(format!("{name}.{field}"), value));
                }
            }
        }
        Ok(Fields(fields))
    }
}

struct NodeVisitor;

impl NodeVisitor {
    fn bare<E>(value: impl fmt::Display) -> Result<Node, E> {
        Ok(Node::Value(Value::Bare(value.to_string())))
    }
}

impl<'de> Visitor<'de> for NodeVisitor {
    type Value = Node;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value or a table")
    }

    fn visit_map<A: MapAccess<'de>>(self, table: A) -> Result<Node, A::Error> {
        TableVisitor.visit_map(table).map(Node::Table)
    }

    fn visit_str<E>(self, text: &str) -> Result<Node, E> {
        Ok(Node::Value(Value::Text(text.to_owned())))
    }

    fn visit_bool<E>(self, flag: bool) -> Result<Node, E> {
        Self::bare(flag)
    }

    fn visit_u64<E>(self, number: u64) -> Result<Node, E> {
        Self::bare(number)
    }

    fn visit_i64<E>(self, number: i64) -> Result<Node, E> {
        Self::bare(number)
    }

    fn visit_f64<E>(self, number: f64) -> Result<Node, E> {
        Self::bare(number)
    }

    fn visit_unit<E>(self) -> Result<Node, E> {
        Ok(Node::Value(Value::Other("has no value")))
    }

    fn visit_none<E>(self) -> Result<Node, E> {
        Ok(Node::Value(Value::Other("has no value")))
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Node, D::Error> {
        Node::deserialize(deserializer)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Node, A::Error> {
        while list.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Node::Value(Value::Other("is a list: give one value")))
    }
}
