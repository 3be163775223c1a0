//! A strict reader of JSON objects (RFC 8259): what two readers might understand differently is
//! refused.
//!
//! Independent of the features of any JSON library, so that nobody's dependency changes what a
//! token may say. Refuses duplicate names at the top level, also behind escapes; depths beyond 32;
//! numbers beyond a double; lone surrogates. Looks at each byte once and allocates nothing, unless
//! an object has very many members.

use std::borrow::Cow;
use std::collections::HashSet;

use crate::clock::Timestamp;

/// How deep values may nest, the outermost included.
const DEPTH: usize = 32;
/// Names that are compared one by one; beyond that they are hashed.
const FEW: usize = 24;

/// What is not acceptable JSON. Why does not matter to anybody who may know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Invalid;

type Result<T> = std::result::Result<T, Invalid>;

/// A string between its quotes.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Text<'a> {
    raw: &'a str,
    escaped: bool,
}

/// A value, checked but not converted.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Value<'a> {
    Text(Text<'a>),
    Number(&'a str),
    /// An array with its brackets.
    Array(&'a str),
    Object,
    Bool,
    Null,
}

/// Seconds since 1970 (RFC 7519, section 2, "NumericDate").
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NumericDate {
    seconds: u64,
    fraction: bool,
}

impl NumericDate {
    /// A whole number of seconds, if a calendar has it.
    pub(crate) fn whole(seconds: u64) -> Option<Self> {
        (seconds <= Timestamp::MAX.unix()).then_some(Self {
            seconds,
            fraction: false,
        })
    }

    /// The last whole second that is not after it.
    pub(crate) fn floor(self) -> Timestamp {
        Timestamp::from_unix(self.seconds)
    }

    /// The first whole second that is not before it.
    pub(crate) fn ceil(self) -> Timestamp {
        Timestamp::from_unix(self.seconds + u64::from(self.fraction))
    }
}

impl<'a> Text<'a> {
    /// Text that is known to hold no escapes.
    #[inline]
    pub(crate) fn plain(raw: &'a str) -> Self {
        Self {
            raw,
            escaped: false,
        }
    }

    #[inline]
    pub(crate) fn is(self, other: &str) -> bool {
        if self.escaped {
            self.decode() == other
        } else {
            self.raw == other
        }
    }

    /// Its length and its first seven bytes.
    fn beginning(self) -> u64 {
        let text = self.decode();
        let bytes = text.bytes().take(7);
        bytes.fold(text.len() as u64, |beginning, byte| {
            beginning << 8 | u64::from(byte)
        })
    }

    #[inline(always)]
    pub(crate) fn decode(self) -> Cow<'a, str> {
        if self.escaped {
            Cow::Owned(unescape(self.raw))
        } else {
            Cow::Borrowed(self.raw)
        }
    }
}

impl<'a> Value<'a> {
    pub(crate) fn text(self) -> Result<Text<'a>> {
        match self {
            Self::Text(text) => Ok(text),
            _ => Err(Invalid),
        }
    }

    pub(crate) fn date(self) -> Result<NumericDate> {
        match self {
            Self::Number(number) => date(number),
            _ => Err(Invalid),
        }
    }
}

/// Visits the members of the one object that `json` is, in order, with name, value, and the value
/// as it is written.
pub(crate) fn object<'a>(
    json: &'a str,
    mut visit: impl FnMut(Text<'a>, Value<'a>, &'a str) -> Result<()>,
) -> Result<()> {
    let mut names = Names::default();
    let mut reader = Reader::new(json);
    reader.white();
    reader.expect(b'{')?;
    reader.white();
    if !reader.take(b'}') {
        loop {
            let name = reader.text()?;
            names.add(name)?;
            reader.white();
            reader.expect(b':')?;
            reader.white();
            let start = reader.at;
            let value = reader.value(1)?;
            visit(name, value, reader.since(start))?;
            reader.white();
            if reader.take(b'}') {
                break;
            }
            reader.expect(b',')?;
            reader.white();
        }
    }
    reader.white();
    reader.end()
}

/// How many bytes there are before a quote, a backslash or a control character. `None` without any.
///
/// Eight at a time: texts are short, but byte by byte each is a branch (a verification took 5 %
/// longer).
#[inline]
pub(crate) fn plain(text: &[u8]) -> Option<usize> {
    const ONES: u64 = u64::from_ne_bytes([1; 8]);
    const TOPS: u64 = ONES << 7;
    // The top bit of each byte that is below `bound`, exact up to the first one.
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

/// The strings of an array of strings that was checked before, or of `[]`.
#[inline]
pub(crate) fn texts(array: &str) -> impl Iterator<Item = Text<'_>> {
    let mut reader = Reader::new(array);
    let mut open = reader.take(b'[');
    std::iter::from_fn(move || {
        reader.white();
        if !open || reader.take(b']') {
            open = false;
            return None;
        }
        let text = reader.text().ok()?;
        reader.white();
        reader.take(b',');
        Some(text)
    })
}

/// Whether an array that was checked before holds strings only.
pub(crate) fn is_texts(array: &str) -> bool {
    let mut reader = Reader::new(array);
    reader.expect(b'[').is_ok() && {
        reader.white();
        reader.take(b']')
            || loop {
                if reader.text().is_err() {
                    break false;
                }
                reader.white();
                if reader.take(b']') {
                    break true;
                }
                if !reader.take(b',') {
                    break false;
                }
                reader.white();
            }
    }
}

/// Whether `json` is one value, within an object.
pub(crate) fn is_value(json: &str) -> bool {
    let mut reader = Reader::new(json);
    reader.value(1).is_ok() && reader.end().is_ok()
}

/// Whether `json` is one value in UTF-8, within an object.
pub(crate) fn is_member(json: &[u8]) -> bool {
    std::str::from_utf8(json).is_ok_and(is_value)
}

/// Any number, as a date with a calendar: not negative, and not beyond the year 9999.
fn date(number: &str) -> Result<NumericDate> {
    let digits = number.len() <= 12 && number.bytes().all(|c| c.is_ascii_digit());
    let (seconds, fraction) = match digits {
        true => (
            number
                .bytes()
                .fold(0, |seconds, digit| seconds * 10 + u64::from(digit - b'0')),
            false,
        ),
        false => {
            let value: f64 = number.parse().map_err(|_| Invalid)?;
            if !(0.0..=Timestamp::MAX.unix() as f64).contains(&value) {
                return Err(Invalid);
            }
            (value as u64, value.fract() > 0.0)
        }
    };
    if seconds > Timestamp::MAX.unix() {
        return Err(Invalid);
    }
    Ok(NumericDate { seconds, fraction })
}

/// The names seen so far.
#[derive(Default)]
struct Names<'a> {
    few: [Text<'a>; FEW],
    /// How each of them begins: most differ in that already.
    beginnings: [u64; FEW],
    count: usize,
    /// Keyed, so that nobody can choose names that collide.
    many: HashSet<Cow<'a, str>>,
}

impl<'a> Names<'a> {
    #[inline]
    fn add(&mut self, name: Text<'a>) -> Result<()> {
        if self.count >= FEW {
            return self.add_to_many(name);
        }
        let beginning = name.beginning();
        for at in 0..self.count {
            if self.beginnings[at] == beginning && self.few[at].decode() == name.decode() {
                return Err(Invalid);
            }
        }
        self.few[self.count] = name;
        self.beginnings[self.count] = beginning;
        self.count += 1;
        Ok(())
    }

    #[cold]
    fn add_to_many(&mut self, name: Text<'a>) -> Result<()> {
        if self.many.is_empty() {
            self.many.extend(self.few.map(Text::decode));
        }
        if self.many.insert(name.decode()) {
            Ok(())
        } else {
            Err(Invalid)
        }
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
    fn expect(&mut self, expected: u8) -> Result<()> {
        if self.take(expected) {
            Ok(())
        } else {
            Err(Invalid)
        }
    }

    fn end(&self) -> Result<()> {
        if self.at == self.json.len() {
            Ok(())
        } else {
            Err(Invalid)
        }
    }

    /// What was read since `start`, which is a place where a value began.
    #[inline]
    fn since(&self, start: usize) -> &'a str {
        self.json.get(start..self.at).unwrap_or_default()
    }

    #[inline]
    fn white(&mut self) {
        while let Some(b' ' | b'\t' | b'\n' | b'\r') = self.peek() {
            self.at += 1;
        }
    }

    fn word(&mut self, word: &str) -> Result<()> {
        let rest = self.json.as_bytes().get(self.at..).unwrap_or_default();
        if !rest.starts_with(word.as_bytes()) {
            return Err(Invalid);
        }
        self.at += word.len();
        Ok(())
    }

    /// A value inside `depth` others.
    fn value(&mut self, depth: usize) -> Result<Value<'a>> {
        let start = self.at;
        match self.peek().ok_or(Invalid)? {
            b'"' => self.text().map(Value::Text),
            b'-' | b'0'..=b'9' => {
                self.number()?;
                Ok(Value::Number(self.since(start)))
            }
            b'[' => {
                self.members(depth, b']', |_| Ok(()))?;
                Ok(Value::Array(self.since(start)))
            }
            b'{' => {
                self.members(depth, b'}', |reader| {
                    reader.text()?;
                    reader.white();
                    reader.expect(b':')?;
                    reader.white();
                    Ok(())
                })?;
                Ok(Value::Object)
            }
            b't' => self.word("true").map(|()| Value::Bool),
            b'f' => self.word("false").map(|()| Value::Bool),
            b'n' => self.word("null").map(|()| Value::Null),
            _ => Err(Invalid),
        }
    }

    /// What an array or object holds, each value behind what `name` reads.
    fn members(
        &mut self,
        depth: usize,
        close: u8,
        name: impl Fn(&mut Self) -> Result<()>,
    ) -> Result<()> {
        if depth >= DEPTH {
            return Err(Invalid);
        }
        self.at += 1;
        self.white();
        if self.take(close) {
            return Ok(());
        }
        loop {
            name(self)?;
            self.value(depth + 1)?;
            self.white();
            if self.take(close) {
                return Ok(());
            }
            self.expect(b',')?;
            self.white();
        }
    }

    fn digits(&mut self) -> Result<()> {
        let start = self.at;
        while let Some(b'0'..=b'9') = self.peek() {
            self.at += 1;
        }
        if self.at > start {
            Ok(())
        } else {
            Err(Invalid)
        }
    }

    /// RFC 8259, section 6, and not beyond a double.
    fn number(&mut self) -> Result<()> {
        let start = self.at;
        self.take(b'-');
        if !self.take(b'0') {
            self.digits()?;
        }
        if self.take(b'.') {
            self.digits()?;
        }
        let exponent = self.take(b'e') || self.take(b'E');
        if exponent {
            let _ = self.take(b'+') || self.take(b'-');
            self.digits()?;
        }
        let number = self.since(start);
        if exponent || number.len() > 300 {
            let value: f64 = number.parse().map_err(|_| Invalid)?;
            if !value.is_finite() {
                return Err(Invalid);
            }
        }
        Ok(())
    }

    /// RFC 8259, section 7, without lone surrogates.
    #[inline]
    fn text(&mut self) -> Result<Text<'a>> {
        self.expect(b'"')?;
        let start = self.at;
        let mut escaped = false;
        loop {
            let rest = self.json.as_bytes().get(self.at..).ok_or(Invalid)?;
            self.at += plain(rest).ok_or(Invalid)?;
            match self.peek().ok_or(Invalid)? {
                b'"' => break,
                b'\\' => {
                    escaped = true;
                    self.at += 1;
                    self.escape()?;
                }
                _ => return Err(Invalid),
            }
        }
        let raw = self.since(start);
        self.at += 1;
        Ok(Text { raw, escaped })
    }

    fn escape(&mut self) -> Result<()> {
        let kind = self.peek().ok_or(Invalid)?;
        self.at += 1;
        match kind {
            b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => Ok(()),
            b'u' => match self.unit()? {
                0xd800..0xdc00 => {
                    self.expect(b'\\')?;
                    self.expect(b'u')?;
                    match self.unit()? {
                        0xdc00..0xe000 => Ok(()),
                        _ => Err(Invalid),
                    }
                }
                0xdc00..0xe000 => Err(Invalid),
                _ => Ok(()),
            },
            _ => Err(Invalid),
        }
    }

    fn unit(&mut self) -> Result<u16> {
        let digits = self.json.get(self.at..self.at + 4).ok_or(Invalid)?;
        if !digits.bytes().all(|c| c.is_ascii_hexdigit()) {
            return Err(Invalid);
        }
        self.at += 4;
        u16::from_str_radix(digits, 16).map_err(|_| Invalid)
    }
}

/// Resolves escapes that were checked before.
fn unescape(raw: &str) -> String {
    let mut text = String::with_capacity(raw.len());
    let mut units = Vec::new();
    let mut rest = raw.chars();
    while let Some(c) = rest.next() {
        let plain = match c {
            '\\' => match rest.next() {
                Some('b') => '\u{8}',
                Some('f') => '\u{c}',
                Some('n') => '\n',
                Some('r') => '\r',
                Some('t') => '\t',
                Some('u') => {
                    let digits: String = rest.by_ref().take(4).collect();
                    units.push(u16::from_str_radix(&digits, 16).unwrap_or_default());
                    let decoded = char::decode_utf16(units.iter().copied());
                    // Half of a pair waits for the other half.
                    if let Ok(decoded) = decoded.collect::<std::result::Result<String, _>>() {
                        text.push_str(&decoded);
                        units.clear();
                    }
                    continue;
                }
                Some(itself) => itself,
                None => break,
            },
            plain => plain,
        };
        text.push(plain);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accepts(json: &str) -> bool {
        object(json, |_, _, _| Ok(())).is_ok()
    }

    #[test]
    fn takes_what_the_grammar_allows() {
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
    fn refuses_everything_else() {
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
    fn refuses_duplicates_however_they_are_spelled_and_however_many() {
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
        assert!(accepts(&nested(DEPTH)));
        assert!(!accepts(&nested(DEPTH + 1)));
        assert!(!accepts(&nested(100_000)));
    }

    #[test]
    fn reads_dates_without_wrapping() {
        let read = |number: &str| {
            date(number)
                .ok()
                .map(|date| (date.floor().unix(), date.ceil().unix()))
        };
        assert_eq!(read("0"), Some((0, 0)));
        assert_eq!(read("1700000000.5"), Some((1_700_000_000, 1_700_000_001)));
        assert_eq!(read("1.8e9"), Some((1_800_000_000, 1_800_000_000)));
        assert_eq!(read("18E8"), Some((1_800_000_000, 1_800_000_000)));
        assert_eq!(read("-0"), Some((0, 0)));
        assert_eq!(
            read("253402300799"),
            Some((253_402_300_799, 253_402_300_799))
        );
        for absurd in [
            "253402300800",
            "-1",
            "-0.5",
            "1e30",
            "18446744073709551616",
            "9e999",
        ] {
            assert_eq!(read(absurd), None, "{absurd}");
        }
    }

    #[test]
    fn decodes_escapes() {
        let text = Text {
            raw: r#"a\"\\\/\b\f\n\r\t\u0000\u00e9\ud83d\ude00z"#,
            escaped: true,
        };
        assert_eq!(text.decode(), "a\"\\/\u{8}\u{c}\n\r\t\0é😀z");
        let roles: Vec<_> = texts(r#"[ "a" , "\u0062" ]"#)
            .map(|text| text.decode().into_owned())
            .collect();
        assert_eq!(roles, ["a", "b"]);
        assert!(is_texts("[]") && is_texts(r#"["a" ,"b"]"#));
        assert!(!is_texts(r#"["a",1]"#) && !is_texts("{}"));
    }
}
