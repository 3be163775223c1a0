//! Strict reader of JSON objects (RFC 8259): rejects everything that two readers might understand
//! differently.
//!
//! Rejects duplicate names at the top level (also behind escapes), deeper nesting than 32 levels,
//! numbers beyond a double, and lone surrogates. Allocates nothing except for names with escapes
//! and for objects with very many members.
//!
//! `serde_json` with raw values took 1.6 times as long for claims in another order (bench `verify`,
//! 2026-11-28). Besides, no feature that another crate turns on in `serde_json` may change a
//! verdict.

use std::borrow::Cow;
use std::collections::HashSet;

/// Levels to which values may nest, including the outermost object.
const MAX_DEPTH: usize = 32;
/// Number of names that are compared one by one. Further names are hashed.
const COMPARED_NAMES: usize = 24;

/// A checked string: its characters, or the whole literal with its quotes if it has escapes.
/// Characters without escapes contain no quote, so that the first byte tells the two apart.
///
/// With a separate flag, it is returned through memory: reading claims in another order took 6 %
/// longer (bench `verify`, 2026-11-28).
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Text<'a>(&'a str);

/// A checked value, as it is written.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Value<'a> {
    kind: Kind,
    pub(crate) raw: &'a str,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// A string without escapes.
    Plain,
    /// A string with escapes.
    Escaped,
    Number,
    /// An array of strings.
    Texts,
    /// Any other value.
    Other,
}

impl<'a> Text<'a> {
    /// Text without escapes, or as [`spell`] returns it.
    #[inline]
    pub(crate) fn plain(raw: &'a str) -> Self {
        Self(raw)
    }

    #[inline(always)]
    pub(crate) fn decode(self) -> Cow<'a, str> {
        if self.0.starts_with('"') {
            Cow::Owned(unescape(self.0))
        } else {
            Cow::Borrowed(self.0)
        }
    }

    #[inline(always)]
    pub(crate) fn is(self, other: &str) -> bool {
        self.decode() == other
    }

    /// Returns the length and the first seven bytes as one number.
    fn beginning(self) -> u64 {
        let text = self.decode();
        let bytes = text.bytes().take(7);
        bytes.fold(text.len() as u64, |beginning, byte| {
            beginning << 8 | u64::from(byte)
        })
    }
}

impl<'a> Value<'a> {
    /// Returns a string. `None` for any other value.
    #[inline]
    pub(crate) fn text(self) -> Option<Text<'a>> {
        match self.kind {
            Kind::Plain => self.raw.get(1..self.raw.len() - 1).map(Text),
            Kind::Escaped => Some(Text(self.raw)),
            _ => None,
        }
    }

    /// Returns a number. `None` for any other value.
    #[inline]
    pub(crate) fn number(self) -> Option<&'a str> {
        (self.kind == Kind::Number).then_some(self.raw)
    }

    /// Returns an array of strings with its brackets. `None` for any other value.
    #[inline]
    pub(crate) fn texts(self) -> Option<&'a str> {
        (self.kind == Kind::Texts).then_some(self.raw)
    }
}

/// Spells any text as a [`Text`].
pub(crate) fn spell(text: &str) -> String {
    if text.starts_with('"') {
        // Serialising a string cannot fail.
        return serde_json::to_string(text).unwrap_or_default();
    }
    text.to_owned()
}

/// Resolves the escapes of a checked literal.
#[cold]
fn unescape(literal: &str) -> String {
    serde_json::from_str(literal).unwrap_or_default()
}

/// Visits the members of an object, in order. `None` if `json` is not exactly one object that all
/// readers understand in the same way, or if `visit` returns `None`.
pub(crate) fn object<'a>(
    json: &'a str,
    mut visit: impl FnMut(Text<'a>, Value<'a>) -> Option<()>,
) -> Option<()> {
    let mut names = Names::default();
    let mut reader = Reader::new(json);
    reader.skip_white();
    reader.expect(b'{')?;
    reader.skip_white();
    if !reader.take(b'}') {
        loop {
            let name = reader.text()?;
            names.add(name)?;
            reader.skip_white();
            reader.expect(b':')?;
            reader.skip_white();
            let start = reader.at;
            let kind = reader.value(1)?;
            let raw = reader.since(start);
            visit(name, Value { kind, raw })?;
            reader.skip_white();
            if reader.take(b'}') {
                break;
            }
            reader.expect(b',')?;
            reader.skip_white();
        }
    }
    reader.skip_white();
    reader.end()
}

/// Reads one value, without the white space around it. `None` if it is no JSON, or if readers might
/// understand it differently.
pub(crate) fn value(json: &str) -> Option<&str> {
    let mut reader = Reader::new(json);
    reader.skip_white();
    let start = reader.at;
    reader.value(1)?;
    let value = reader.since(start);
    reader.skip_white();
    reader.end()?;
    Some(value)
}

/// Checks that bytes are one value that all readers understand in the same way.
pub(crate) fn is_value(json: &[u8]) -> bool {
    std::str::from_utf8(json).is_ok_and(|json| value(json).is_some())
}

/// Returns the members of an array of objects, as they are written. `None` for any other value.
#[cfg(feature = "_public")]
pub(crate) fn objects(array: &str) -> Option<Vec<&str>> {
    let mut reader = Reader::new(array);
    let mut objects = Vec::new();
    reader.expect(b'[')?;
    reader.skip_white();
    while reader.peek() == Some(b'{') {
        let start = reader.at;
        reader.value(1)?;
        objects.push(reader.since(start));
        reader.skip_white();
        if !reader.take(b',') {
            break;
        }
        reader.skip_white();
    }
    reader.expect(b']')?;
    reader.end()?;
    Some(objects)
}

/// Iterates over a checked array of strings. Empty text is an empty array.
#[inline]
pub(crate) fn texts(array: &str) -> impl Iterator<Item = Text<'_>> {
    let mut reader = Reader::new(array);
    reader.take(b'[');
    std::iter::from_fn(move || {
        reader.skip_white();
        // Fails at the closing bracket.
        let text = reader.text()?;
        reader.skip_white();
        reader.take(b',');
        Some(text)
    })
}

/// Counts the bytes before the first quote, backslash or control character. `None` without any.
///
/// Reads eight bytes at a time: a verification byte by byte took 5 % longer.
#[inline(always)]
pub(crate) fn plain_length(text: &[u8]) -> Option<usize> {
    const ONES: u64 = u64::from_ne_bytes([1; 8]);
    const TOPS: u64 = ONES << 7;
    // Sets the top bit of each byte that is below `bound`, exactly up to the first such byte.
    let below = |word: u64, bound: u8| word.wrapping_sub(ONES * u64::from(bound)) & !word & TOPS;
    let (words, rest) = text.as_chunks();
    for (at, word) in words.iter().enumerate() {
        let word = u64::from_le_bytes(*word);
        let quotes = below(word ^ (ONES * u64::from(b'"')), 1);
        let backslashes = below(word ^ (ONES * u64::from(b'\\')), 1);
        let ends = quotes | backslashes | below(word, 0x20);
        if ends != 0 {
            return Some(at * 8 + ends.trailing_zeros() as usize / 8);
        }
    }
    let ends = |c: &u8| matches!(*c, b'"' | b'\\' | 0..0x20);
    Some(words.len() * 8 + rest.iter().position(ends)?)
}

/// Names of an object, as far as it has been read.
#[derive(Default)]
struct Names<'a> {
    first: [Text<'a>; COMPARED_NAMES],
    /// The beginning of each of them, in which most names differ.
    beginnings: [u64; COMPARED_NAMES],
    count: usize,
    /// All names, once there are more. The hash has a random key: an attacker cannot choose names
    /// that collide.
    all: HashSet<Cow<'a, str>>,
}

impl<'a> Names<'a> {
    /// Adds a name. `None` for a duplicate.
    #[inline]
    fn add(&mut self, name: Text<'a>) -> Option<()> {
        if self.count >= COMPARED_NAMES {
            return self.add_hashed(name);
        }
        let beginning = name.beginning();
        for at in 0..self.count {
            if self.beginnings[at] == beginning && self.first[at].decode() == name.decode() {
                return None;
            }
        }
        self.first[self.count] = name;
        self.beginnings[self.count] = beginning;
        self.count += 1;
        Some(())
    }

    #[cold]
    fn add_hashed(&mut self, name: Text<'a>) -> Option<()> {
        if self.all.is_empty() {
            self.all.extend(self.first.map(Text::decode));
        }
        self.all.insert(name.decode()).then_some(())
    }
}

struct Reader<'a> {
    json: &'a str,
    at: usize,
}

impl<'a> Reader<'a> {
    fn new(json: &'a str) -> Self {
        Self { json, at: 0 }
    }

    #[inline]
    fn peek(&self) -> Option<u8> {
        self.json.as_bytes().get(self.at).copied()
    }

    #[inline]
    fn take(&mut self, expected: u8) -> bool {
        let taken = self.peek() == Some(expected);
        self.at += usize::from(taken);
        taken
    }

    #[inline]
    fn expect(&mut self, expected: u8) -> Option<()> {
        self.take(expected).then_some(())
    }

    fn end(&self) -> Option<()> {
        (self.at == self.json.len()).then_some(())
    }

    /// Returns the text from `start`, where a value begins, to here.
    #[inline]
    fn since(&self, start: usize) -> &'a str {
        self.json.get(start..self.at).unwrap_or_default()
    }

    #[inline]
    fn skip_white(&mut self) {
        while let Some(b' ' | b'\t' | b'\n' | b'\r') = self.peek() {
            self.at += 1;
        }
    }

    /// Reads a value inside of `depth` others.
    fn value(&mut self, depth: usize) -> Option<Kind> {
        match self.peek()? {
            b'"' => self.literal(),
            b'-' | b'0'..=b'9' => self.number(),
            b'[' => self.members(depth, b']', |_| Some(())),
            b'{' => {
                self.members(depth, b'}', |reader| {
                    reader.literal()?;
                    reader.skip_white();
                    reader.expect(b':')?;
                    reader.skip_white();
                    Some(())
                })?;
                Some(Kind::Other)
            }
            b't' => self.word("true"),
            b'f' => self.word("false"),
            b'n' => self.word("null"),
            _ => None,
        }
    }

    fn word(&mut self, word: &str) -> Option<Kind> {
        let rest = self.json.as_bytes().get(self.at..)?;
        self.at += word.len();
        rest.starts_with(word.as_bytes()).then_some(Kind::Other)
    }

    /// Reads an array or object, with `name` in front of each value. Returns the kind of an array.
    fn members(
        &mut self,
        depth: usize,
        close: u8,
        name: impl Fn(&mut Self) -> Option<()>,
    ) -> Option<Kind> {
        if depth >= MAX_DEPTH {
            return None;
        }
        self.at += 1;
        self.skip_white();
        let mut kind = Kind::Texts;
        if self.take(close) {
            return Some(kind);
        }
        loop {
            name(self)?;
            if !matches!(self.value(depth + 1)?, Kind::Plain | Kind::Escaped) {
                kind = Kind::Other;
            }
            self.skip_white();
            if self.take(close) {
                return Some(kind);
            }
            self.expect(b',')?;
            self.skip_white();
        }
    }

    /// Reads a number (RFC 8259, section 6) that is not beyond a double.
    fn number(&mut self) -> Option<Kind> {
        let start = self.at;
        self.take(b'-');
        if !self.take(b'0') {
            self.digits()?;
        }
        if self.take(b'.') {
            self.digits()?;
        }
        let has_exponent = self.take(b'e') || self.take(b'E');
        if has_exponent {
            let _ = self.take(b'+') || self.take(b'-');
            self.digits()?;
        }
        let number = self.since(start);
        // Fewer digits without an exponent always fit.
        let is_finite =
            (!has_exponent && number.len() <= 300) || number.parse().is_ok_and(f64::is_finite);
        is_finite.then_some(Kind::Number)
    }

    fn digits(&mut self) -> Option<()> {
        let start = self.at;
        while let Some(b'0'..=b'9') = self.peek() {
            self.at += 1;
        }
        (self.at > start).then_some(())
    }

    /// Reads a string.
    #[inline(always)]
    fn text(&mut self) -> Option<Text<'a>> {
        let start = self.at;
        let rest = self.json.as_bytes().get(start..)?;
        if let [b'"', rest @ ..] = rest
            && let length = plain_length(rest)?
            && rest.get(length) == Some(&b'"')
        {
            self.at += length + 2;
            return self.json.get(start + 1..start + 1 + length).map(Text);
        }
        // With escapes, or no string.
        self.literal()?;
        Some(Text(self.since(start)))
    }

    /// Reads a string (RFC 8259, section 7) without lone surrogates.
    #[inline]
    fn literal(&mut self) -> Option<Kind> {
        self.expect(b'"')?;
        let mut kind = Kind::Plain;
        loop {
            self.at += plain_length(self.json.as_bytes().get(self.at..)?)?;
            self.at += 1;
            match self.json.as_bytes().get(self.at - 1)? {
                b'"' => return Some(kind),
                b'\\' => {
                    kind = Kind::Escaped;
                    self.escape()?;
                }
                _ => return None,
            }
        }
    }

    /// Reads an escape, after its backslash.
    fn escape(&mut self) -> Option<()> {
        let kind = self.peek()?;
        self.at += 1;
        match kind {
            b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => Some(()),
            b'u' => match self.unit()? {
                0xd800..0xdc00 => {
                    self.expect(b'\\')?;
                    self.expect(b'u')?;
                    matches!(self.unit()?, 0xdc00..0xe000).then_some(())
                }
                0xdc00..0xe000 => None,
                _ => Some(()),
            },
            _ => None,
        }
    }

    /// Reads the four digits of a UTF-16 code unit.
    fn unit(&mut self) -> Option<u16> {
        let digits = self.json.get(self.at..self.at + 4)?;
        if !digits.bytes().all(|c| c.is_ascii_hexdigit()) {
            return None;
        }
        self.at += 4;
        u16::from_str_radix(digits, 16).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accepts(json: &str) -> bool {
        object(json, |_, _| Some(())).is_some()
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
        let text = Text(r#""a\"\\\/\b\f\n\r\t\u0000\u00e9\ud83d\ude00z""#);
        assert_eq!(text.decode(), "a\"\\/\u{8}\u{c}\n\r\t\0é😀z");
        let roles = r#"[ "a" , "\u0062" ]"#;
        assert!(texts(roles).map(Text::decode).eq(["a", "b"]));
        for empty in ["", "[]", "[ ]"] {
            assert_eq!(texts(empty).count(), 0, "{empty}");
        }
        assert!(!Text::plain("\\u0062").is("b"));
    }

    #[test]
    fn values_have_their_type() {
        let read = |json: &str| {
            let (mut is_text, mut is_texts) = (false, false);
            let json = format!("{{\"a\":{json}}}");
            object(&json, |_, value| {
                (is_text, is_texts) = (value.text().is_some(), value.texts().is_some());
                Some(())
            })
            .map(|()| (is_text, is_texts))
        };
        assert_eq!(read("\"a\""), Some((true, false)));
        for texts in ["[]", "[ ]", r#"["a"]"#, r#"[ "a" ,"b"]"#] {
            assert_eq!(read(texts), Some((false, true)), "{texts}");
        }
        for other in [
            "1",
            "null",
            "true",
            "{}",
            "[1]",
            r#"["a",1]"#,
            r#"["a",[]]"#,
        ] {
            assert_eq!(read(other), Some((false, false)), "{other}");
        }
    }

    /// Each `~` is a place for white space (RFC 8259, section 2).
    const SPACED: &str =
        r#"~{~"a"~:~[~12~,~"b c"~]~,~"d"~:~{~"e"~:~null~}~,~"f"~:~[~]~,~"g"~:~{~}~}~"#;

    #[test]
    fn white_space_is_accepted_between_tokens_only() {
        let compact = SPACED.replace('~', "");
        assert!(accepts(&compact) && accepts(&SPACED.replace('~', " \t\r\n")));
        let (mut at, mut places) = (0, vec![false; compact.len() + 1]);
        for c in SPACED.chars() {
            places[at] |= c == '~';
            at += usize::from(c != '~');
        }
        for (at, may_stand) in places.into_iter().enumerate() {
            let is_in_string = compact[..at].matches('"').count() % 2 == 1;
            for white in [" ", "\t", "\r", "\n", "\r\n"] {
                let [front, back] = [&compact[..at], &compact[at..]];
                let json = [front, white, back].concat();
                let is_accepted = may_stand || (is_in_string && white == " ");
                assert_eq!(accepts(&json), is_accepted, "{json:?}");
            }
            for other in [
                "\0", "\u{b}", "\u{c}", "\u{1c}", "\u{85}", "\u{a0}", "\u{2003}", "\u{2028}",
                "\u{3000}", "\u{feff}",
            ] {
                let json = [&compact[..at], other, &compact[at..]].concat();
                let is_accepted = is_in_string && other > "\u{1f}";
                assert_eq!(accepts(&json), is_accepted, "{json:?}");
            }
        }
    }

    #[test]
    fn a_value_is_read_without_the_white_space_around_it() {
        assert_eq!(value(" [1 ] \n"), Some("[1 ]"));
        assert!(value("1 2").is_none() && value("").is_none());
        for json in ["1", "null", "\"a\"", "[]", "{\"a\": 1 }"] {
            assert_eq!(value(json), Some(json));
            for white in [" ", "\t", "\r", "\n"] {
                let spaced = [white, json, white].concat();
                assert_eq!(value(&spaced), Some(json));
                assert!(is_value(spaced.as_bytes()));
            }
            for other in ["\u{b}", "\u{c}", "\u{a0}", "\u{feff}", "\0", ","] {
                let (before, after) = ([other, json].concat(), [json, other].concat());
                assert!(
                    value(&before).is_none() && value(&after).is_none(),
                    "{after:?}"
                );
            }
        }
    }
}
