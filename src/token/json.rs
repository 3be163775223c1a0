//! Strict reading of JSON objects (RFC 8259): rejects everything that two readers might understand
//! differently.
//!
//! `serde_json` checks the grammar, and hands values out as they are written. The rest is checked
//! here, so that no feature that another crate turns on in `serde_json` changes a verdict:
//! duplicate names (also behind escapes), nesting, numbers beyond a double, lone surrogates.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

/// Levels to which values may nest, including the outermost object.
const MAX_DEPTH: usize = 32;

/// A member of an object: its name, and its value as it is written.
pub(crate) type Member<'a> = (Cow<'a, str>, &'a str);

/// Reads the members of an object, in order. `None` if `json` is not exactly one object, has a
/// duplicate name, or has a value that [`value`] rejects.
pub(crate) fn members(json: &str) -> Option<Vec<Member<'_>>> {
    let Raw(members) = serde_json::from_str(json).ok()?;
    let members: Vec<Member<'_>> = members
        .into_iter()
        .map(|(name, value)| Some((decoded(name)?, value)))
        .collect::<Option<_>>()?;
    let mut names = BTreeSet::new();
    members
        .iter()
        .all(|(name, value)| names.insert(&**name) && is_portable(value))
        .then_some(members)
}

/// Reads one value, without the white space around it. `None` if it is no JSON, or if readers might
/// understand it differently.
pub(crate) fn value(json: &str) -> Option<&str> {
    let value: &RawValue = serde_json::from_str(json).ok()?;
    Some(value.get()).filter(|value| is_portable(value))
}

/// Checks that bytes are one value that all readers understand in the same way.
pub(crate) fn is_value(json: &[u8]) -> bool {
    std::str::from_utf8(json).is_ok_and(|json| value(json).is_some())
}

/// A string without its quotes, as it is written. Its escapes have been checked.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Text<'a> {
    raw: &'a str,
    is_escaped: bool,
}

impl<'a> Text<'a> {
    /// Text without escapes.
    #[inline]
    pub(crate) fn plain(raw: &'a str) -> Self {
        Self {
            raw,
            is_escaped: false,
        }
    }

    /// Reads a checked value. `None` if it is no string.
    pub(crate) fn read(value: &'a str) -> Option<Self> {
        let raw = value.strip_prefix('"')?.strip_suffix('"')?;
        Some(Self {
            raw,
            is_escaped: raw.contains('\\'),
        })
    }

    #[inline(always)]
    pub(crate) fn decode(self) -> Cow<'a, str> {
        if self.is_escaped {
            Cow::Owned(unescape(self.raw).unwrap_or_default())
        } else {
            Cow::Borrowed(self.raw)
        }
    }

    #[inline]
    pub(crate) fn is(self, other: &str) -> bool {
        self.decode() == other
    }
}

/// Resolves escapes. `None` for a lone surrogate.
#[cold]
fn unescape(raw: &str) -> Option<String> {
    serde_json::from_str(&["\"", raw, "\""].concat()).ok()
}

/// Reads an array of strings. `None` for any other value.
pub(crate) fn texts(value: &str) -> Option<Vec<Text<'_>>> {
    let values: Vec<&RawValue> = serde_json::from_str(value).ok()?;
    values.iter().map(|value| Text::read(value.get())).collect()
}

/// Decodes a string that has not been checked yet.
fn decoded(value: &str) -> Option<Cow<'_, str>> {
    let text = Text::read(value)?;
    if text.is_escaped {
        return unescape(text.raw).map(Cow::Owned);
    }
    Some(Cow::Borrowed(text.raw))
}

/// Checks a member's value: no reader of JSON may see another value or refuse it.
fn is_portable(value: &str) -> bool {
    let mut depth = 1;
    let mut rest = value;
    while let Some(first) = rest.bytes().next() {
        let length = match first {
            b'"' => string_length(rest),
            b'-' | b'0'..=b'9' => rest
                .find([',', ']', '}', ' ', '\t', '\n', '\r'])
                .unwrap_or(rest.len()),
            _ => 1,
        };
        let Some((token, after)) = rest.split_at_checked(length) else {
            return false;
        };
        rest = after;
        let is_portable = match first {
            b'"' => decoded(token).is_some(),
            b'-' | b'0'..=b'9' => token.parse().is_ok_and(f64::is_finite),
            b'[' | b'{' => {
                depth += 1;
                depth <= MAX_DEPTH
            }
            b']' | b'}' => {
                depth -= 1;
                true
            }
            _ => true,
        };
        if !is_portable {
            return false;
        }
    }
    true
}

/// Returns the length of the string at the beginning of `json`, with its quotes.
fn string_length(json: &str) -> usize {
    let mut is_escaped = true;
    let end = json.bytes().position(|byte| {
        let is_end = byte == b'"' && !is_escaped;
        is_escaped = byte == b'\\' && !is_escaped;
        is_end
    });
    end.map_or(json.len(), |end| end + 1)
}

/// Members of an object, with names and values as they are written.
struct Raw<'a>(Vec<(&'a str, &'a str)>);

impl<'de> Deserialize<'de> for Raw<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(RawVisitor)
    }
}

struct RawVisitor;

impl<'de> Visitor<'de> for RawVisitor {
    type Value = Raw<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Raw<'de>, A::Error> {
        let mut members = Vec::new();
        while let Some((name, value)) = map.next_entry::<&RawValue, &RawValue>()? {
            members.push((name.get(), value.get()));
        }
        Ok(Raw(members))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accepts(json: &str) -> bool {
        members(json).is_some()
    }

    #[test]
    fn accepts_the_grammar() {
        for json in [
            "{}",
            " { \"a\" : [ 1 , -0.5e-3 , true , false , null , \"\\u00e9\\n\\/\" ] } \n",
            r#"{"a":{"a":{"a":1}},"b":123456789012345678901234567890}"#,
            r#"{"":"\ud83d\ude00"}"#,
        ] {
            assert!(accepts(json), "{json}");
        }
    }

    #[test]
    fn rejects_everything_else() {
        for json in [
            "",
            " ",
            "[]",
            "1",
            "\"a\"",
            "null",
            "{",
            "}",
            "{}x",
            "{}{}",
            "{,}",
            "{\"a\"}",
            "{\"a\":}",
            "{\"a\":1,}",
            "{a:1}",
            "{'a':1}",
            "{\"a\":01}",
            "{\"a\":+1}",
            "{\"a\":.5}",
            "{\"a\":1.}",
            "{\"a\":1e}",
            "{\"a\":0x1}",
            "{\"a\":NaN}",
            "{\"a\":-}",
            "{\"a\":1e400}",
            "{\"a\":tru}",
            "{\"a\":\"\n\"}",
            "{\"a\":\"\\x\"}",
            "{\"a\":\"\\u12\"}",
            "{\"a\":\"\\ud800\"}",
            "{\"a\":\"\\udc00\"}",
            "{\"a\":\"\\ud800\\u0041\"}",
            "{\"a\":\"\\u+123\"}",
            "\u{feff}{}",
            "{\"a\":1}\0",
            "{\"a\":[1,]}",
            "{\"a\":[,1]}",
            "{\"a\":[1}",
            "{\"a\":{\"b\"}}",
            "{\u{a0}}",
            "{\"a\":1/*x*/}",
            "{\"a\":\"\\ud800\\\"}",
            "{\"a\":\"",
        ] {
            assert!(!accepts(json), "{json}");
        }
    }

    #[test]
    fn rejects_duplicates_in_every_spelling_and_number() {
        assert!(!accepts(r#"{"exp":1,"exp":2}"#));
        assert!(!accepts(r#"{"exp":1,"\u0065xp":2}"#));
        assert!(!accepts(r#"{"\u0065xp":1,"e\u0078p":2}"#));
        assert!(accepts(r#"{"exp":1,"Exp":2,"a":{"b":1,"b":2}}"#));
        let many = |last: &str| {
            let members: Vec<_> = (0..1000).map(|n| format!("\"c{n}\":0")).collect();
            format!("{{{},\"{last}\":0}}", members.join(","))
        };
        assert!(accepts(&many("c1000")));
        for last in ["c0", "c23", "c24", "c999", "\\u00630"] {
            assert!(!accepts(&many(last)), "{last}");
        }
    }

    #[test]
    fn nests_to_the_limit() {
        let nested = |depth: usize| {
            let (open, close) = ("[".repeat(depth - 1), "]".repeat(depth - 1));
            format!("{{\"a\":{open}{close}}}")
        };
        assert!(accepts(&nested(MAX_DEPTH)));
        assert!(!accepts(&nested(MAX_DEPTH + 1)));
        assert!(!accepts(&nested(100_000)));
        let wide = format!("{{\"a\":[{}[]]}}", "[{},[]],".repeat(100));
        assert!(accepts(&wide));
    }

    /// Numbers of a class that `serde_json` reads in its own way, depending on its features.
    #[test]
    fn numbers_are_bounded_by_a_double() {
        for (number, is_accepted) in [
            ("1e308", true),
            ("-1.7976931348623157e308", true),
            ("1e309", false),
            ("-1e309", false),
            ("1e-400", true),
            ("[1,{\"b\":1e400}]", false),
            (&format!("1{}", "0".repeat(308)), true),
            (&format!("1{}", "0".repeat(309)), false),
        ] {
            assert_eq!(
                accepts(&format!("{{\"a\":{number}}}")),
                is_accepted,
                "{number}"
            );
            assert_eq!(value(number).is_some(), is_accepted, "{number}");
        }
    }

    /// `serde_json` does not check the escapes of a raw value.
    #[test]
    fn lone_surrogates_are_rejected_wherever_they_are() {
        for json in [
            r#"{"a":["\ud800"]}"#,
            r#"{"a":{"\udc00":1}}"#,
            r#"{"\ud800":1}"#,
            r#"{"a":{"b":["\"","\ud800\ue000"]}}"#,
        ] {
            assert!(!accepts(json), "{json}");
        }
        assert!(accepts(r#"{"a":["\\ud800","\ud83d\ude00"]}"#));
    }

    #[test]
    fn names_that_serde_json_uses_itself_are_names() {
        assert!(accepts(
            r#"{"$serde_json::private::Number":"x","b":{"$serde_json::private::RawValue":7}}"#
        ));
        assert!(!accepts(
            r#"{"$serde_json::private::RawValue":1,"$serde_json::private::RawValue":1}"#
        ));
    }

    #[test]
    fn decodes_strings() {
        let escaped = r#""a\"\\\/\b\f\n\r\t\u0000\u00e9\ud83d\ude00z""#;
        let text = Text::read(escaped).unwrap();
        assert_eq!(text.decode(), "a\"\\/\u{8}\u{c}\n\r\t\0é😀z");
        let roles = texts(r#"[ "a" , "\u0062" ]"#).unwrap();
        assert!(roles[0].is("a") && roles[1].is("b") && !roles[1].is("\\u0062"));
        assert!(texts("[]").is_some() && texts(r#"["a" ,"b"]"#).is_some());
        assert!(texts(r#"["a",1]"#).is_none() && texts("{}").is_none());
        assert!(Text::read("1").is_none() && Text::read("null").is_none());
        assert_eq!(value(" [1 ] \n"), Some("[1 ]"));
        assert!(value("1 2").is_none() && value("").is_none());
    }
}
