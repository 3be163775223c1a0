//! The claims in the one order in which we write them: written and read without a detour.

use crate::base::public_id::{decode_16, encode_16};
use crate::clock::Timestamp;
use crate::login::handle::Handle;
use crate::login::stamp::Stamp;
use crate::token::claims::{Claims, WRITTEN};
use crate::token::json::{self, NumericDate, Text};
use crate::token::payload::Payload;

/// What a token is to say.
pub(crate) struct Draft<'a> {
    pub(crate) expires_at: Timestamp,
    pub(crate) issued_at: Timestamp,
    /// Only if it is not `issued_at`.
    pub(crate) authenticated_at: Option<Timestamp>,
    /// Only if it is not `expires_at`.
    pub(crate) deadline: Option<Timestamp>,
    pub(crate) handle: Handle,
    pub(crate) subject: &'a [u8],
    pub(crate) device: Option<&'a [u8]>,
    pub(crate) acr: Option<&'a [u8]>,
    pub(crate) stamp: Option<Stamp>,
}

/// The beginning of every payload: issuer and audience, up to the value of `exp`.
pub(crate) fn prefix(issuer: &str, audience: &str) -> String {
    let mut prefix = Payload::new();
    prefix.push(b"{\"iss\":");
    push_text(&mut prefix, issuer.as_bytes());
    prefix.push(b",\"aud\":");
    push_text(&mut prefix, audience.as_bytes());
    prefix.push(b",\"exp\":");
    String::from_utf8_lossy(prefix.as_bytes()).into_owned()
}

/// Writes a payload up to where the data goes, without the closing brace.
pub(crate) fn write<'a>(
    json: &mut Payload,
    prefix: &str,
    draft: &Draft<'_>,
    roles: impl Iterator<Item = &'a [u8]>,
) {
    json.push(prefix.as_bytes());
    push_number(json, draft.expires_at);
    json.push(b",\"iat\":");
    push_number(json, draft.issued_at);
    if let Some(authenticated_at) = draft.authenticated_at {
        json.push(b",\"auth_time\":");
        push_number(json, authenticated_at);
    }
    if let Some(deadline) = draft.deadline {
        json.push(b",\"abs\":");
        push_number(json, deadline);
    }
    json.push(b",\"sid\":\"");
    json.push(&encode_16(draft.handle.as_bytes()));
    json.push(b"\",\"sub\":");
    push_text(json, draft.subject);
    let mut open = false;
    for role in roles {
        json.push(if open { &b","[..] } else { b",\"roles\":[" });
        open = true;
        push_text(json, role);
    }
    if open {
        json.push(b"]");
    }
    if let Some(device) = draft.device {
        json.push(b",\"device\":");
        push_text(json, device);
    }
    if let Some(acr) = draft.acr {
        json.push(b",\"acr\":");
        push_text(json, acr);
    }
    if let Some(stamp) = draft.stamp {
        json.push(b",\"rev\":\"");
        json.push(&encode_16(&stamp.to_bytes()));
        json.push(b"\"");
    }
}

/// Copies the claims of `claims_set` that this version does not write: what a later version added
/// is not lost when this one refreshes.
pub(crate) fn carry_unknown(claims_set: &str, json: &mut Payload) {
    // It was read before, so that it is one object.
    let _ = json::object(claims_set, |name, _, raw| {
        if !WRITTEN.iter().any(|written| name.is(written)) {
            json.push(b",");
            push_text(json, name.decode().as_bytes());
            json.push(b":");
            json.push(raw.as_bytes());
        }
        Ok(())
    });
}

/// Before the data of a payload.
pub(crate) const DATA: &[u8] = b",\"data\":";

/// Reads what [`write()`] wrote, with data and closing brace behind it. `None` for anything else,
/// which may be as good and is to be read in general.
#[inline(always)]
pub(crate) fn read<'a>(prefix: &str, json: &'a str) -> Option<Claims<'a>> {
    let mut rest = Rest(json.strip_prefix(prefix)?);
    let mut claims = Claims {
        addressed: true,
        exp: Some(rest.number()?),
        ..Claims::default()
    };
    rest.expect(",\"iat\":")?;
    claims.iat = Some(rest.number()?);
    if rest.take(",\"auth_time\":") {
        claims.auth_time = Some(rest.number()?);
    }
    if rest.take(",\"abs\":") {
        claims.abs = Some(rest.number()?);
    }
    rest.expect(",\"sid\":")?;
    claims.sid = Some(Handle::from_bytes(rest.sixteen()?));
    rest.expect(",\"sub\":")?;
    claims.sub = Some(rest.text()?);
    if rest.take(",\"roles\":") {
        claims.roles = Some(rest.texts()?);
    }
    if rest.take(",\"device\":") {
        claims.device = Some(rest.text()?);
    }
    if rest.take(",\"acr\":") {
        claims.acr = Some(rest.text()?);
    }
    if rest.take(",\"rev\":") {
        claims.rev = Some(Stamp::from_bytes(rest.sixteen()?));
    }
    if rest.take(",\"data\":") {
        let data = rest.0.strip_suffix('}')?;
        if !is_flat(data) && !json::is_value(data) {
            return None;
        }
        claims.data = Some(data);
        return Some(claims);
    }
    (rest.0 == "}").then_some(claims)
}

/// Whether `data` are an object of plain texts and short whole numbers, as data mostly are.
///
/// The general check, which knows all of JSON, takes 5 % of a verification longer.
#[inline(always)]
fn is_flat(data: &str) -> bool {
    let mut rest = Rest(data);
    let mut object = || {
        rest.expect("{")?;
        loop {
            rest.text()?;
            rest.expect(":")?;
            if rest.0.starts_with('"') {
                rest.text()?;
            } else {
                rest.number()?;
            }
            if !rest.take(",") {
                return rest.expect("}");
            }
        }
    };
    object().is_some() && rest.0.is_empty()
}

/// What is left to read.
struct Rest<'a>(&'a str);

impl<'a> Rest<'a> {
    #[inline(always)]
    fn take(&mut self, expected: &str) -> bool {
        match self.0.strip_prefix(expected) {
            Some(rest) => {
                self.0 = rest;
                true
            }
            None => false,
        }
    }

    #[inline(always)]
    fn expect(&mut self, expected: &str) -> Option<()> {
        self.take(expected).then_some(())
    }

    /// Splits after `length` bytes, which end a character.
    #[inline(always)]
    fn split(&mut self, length: usize) -> Option<&'a str> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    /// A whole number as we write it: up to twelve digits, and no zero in front.
    #[inline(always)]
    fn number(&mut self) -> Option<NumericDate> {
        let bytes = self.0.as_bytes();
        let (mut seconds, mut digits) = (0, 0);
        while let Some(digit @ b'0'..=b'9') = bytes.get(digits) {
            seconds = seconds * 10 + u64::from(digit - b'0');
            digits += 1;
            if digits > 12 {
                return None;
            }
        }
        if digits == 0 || (digits > 1 && bytes[0] == b'0') {
            return None;
        }
        self.split(digits)?;
        NumericDate::whole(seconds)
    }

    /// A string without escapes.
    #[inline(always)]
    fn text(&mut self) -> Option<Text<'a>> {
        self.expect("\"")?;
        let length = json::plain(self.0.as_bytes())?;
        let text = self.split(length)?;
        self.expect("\"")?;
        Some(Text::plain(text))
    }

    /// A string of sixteen bytes in their one spelling.
    #[inline(always)]
    fn sixteen(&mut self) -> Option<[u8; 16]> {
        self.expect("\"")?;
        let sixteen = decode_16(self.0.as_bytes().first_chunk()?)?;
        self.split(22)?;
        self.expect("\"")?;
        Some(sixteen)
    }

    /// An array of strings without escapes, and not empty.
    #[inline(always)]
    fn texts(&mut self) -> Option<&'a str> {
        let whole = self.0;
        self.expect("[")?;
        loop {
            self.text()?;
            if !self.take(",") {
                self.expect("]")?;
                return whole.get(..whole.len() - self.0.len());
            }
        }
    }
}

fn push_number(json: &mut Payload, time: Timestamp) {
    // Ten digits, as the dates of three centuries have. How many there are being known, issuing a
    // token takes 3 % less.
    let mut digits = [0; 10];
    let mut number = time.unix();
    if !(1_000_000_000..10_000_000_000).contains(&number) {
        json.push(number.to_string().as_bytes());
        return;
    }
    // Two at a time, as each division waits for the one before.
    for pair in digits.as_chunks_mut::<2>().0.iter_mut().rev() {
        let two = (number % 100) as u8;
        number /= 100;
        *pair = [b'0' + two / 10, b'0' + two % 10];
    }
    json.push(&digits);
}

fn push_text(json: &mut Payload, text: &[u8]) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    json.push(b"\"");
    let mut rest = text;
    while let Some((run, [special, after @ ..])) =
        json::plain(rest).and_then(|run| rest.split_at_checked(run))
    {
        json.push(run);
        match special {
            b'"' | b'\\' => json.push(&[b'\\', *special]),
            b'\n' => json.push(b"\\n"),
            b'\r' => json.push(b"\\r"),
            b'\t' => json.push(b"\\t"),
            0x08 => json.push(b"\\b"),
            0x0c => json.push(b"\\f"),
            control => {
                let (high, low) = (usize::from(control >> 4), usize::from(control & 15));
                json.push(b"\\u00");
                json.push(&[HEX[high], HEX[low]]);
            }
        }
        rest = after;
    }
    json.push(rest);
    json.push(b"\"");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Result;
    use crate::testkit::{Random, seed};
    use crate::token::policy::Policy;

    fn own(json: &str) -> Result<Claims<'_>> {
        Claims::own(json)
    }

    fn draft<'a>(
        subject: &'a str,
        device: Option<&'a str>,
        acr: Option<&'a str>,
        stamp: Option<Stamp>,
    ) -> Draft<'a> {
        Draft {
            expires_at: Timestamp::from_unix(1_700_000_900),
            issued_at: Timestamp::from_unix(1_700_000_000),
            authenticated_at: device.map(|_| Timestamp::from_unix(0)),
            deadline: stamp.map(|_| Timestamp::MAX),
            handle: Handle::from_bytes([7; 16]),
            subject: subject.as_bytes(),
            device: device.map(str::as_bytes),
            acr: acr.map(str::as_bytes),
            stamp,
        }
    }

    fn written(prefix: &str, draft: &Draft<'_>, roles: &[&str]) -> Vec<u8> {
        let mut json = Payload::new();
        write(
            &mut json,
            prefix,
            draft,
            roles.iter().map(|role| role.as_bytes()),
        );
        json.as_bytes().to_vec()
    }

    fn same(fast: &Claims<'_>, general: &Claims<'_>) {
        let text = |text: Option<Text<'_>>| text.map(|text| text.decode().into_owned());
        let roles = |roles: Option<&str>| {
            json::texts(roles.unwrap_or("[]"))
                .map(|role| role.decode().into_owned())
                .collect::<Vec<_>>()
        };
        assert_eq!(fast.exp, general.exp);
        assert_eq!(fast.iat, general.iat);
        assert_eq!(fast.auth_time, general.auth_time);
        assert_eq!(fast.abs, general.abs);
        assert_eq!(fast.sid, general.sid);
        assert_eq!(fast.rev, general.rev);
        assert_eq!(fast.data, general.data);
        assert_eq!(text(fast.sub), text(general.sub));
        assert_eq!(text(fast.device), text(general.device));
        assert_eq!(text(fast.acr), text(general.acr));
        assert_eq!(roles(fast.roles), roles(general.roles));
        assert!(fast.nbf.is_none() && general.nbf.is_none());
    }

    #[test]
    fn what_is_written_is_read_on_both_ways_alike() {
        let prefix = prefix("https://a.example/\"x", "api");
        let stamp = Stamp::new(1, 2, 0);
        for subject in ["alice", "é\u{7f}", ""] {
            for (device, acr) in [
                (None, None),
                (Some("phone"), None),
                (None, Some("aal2")),
                (Some("phone"), Some("")),
            ] {
                for stamp in [None, Some(stamp)] {
                    for roles in [&[][..], &["admin"], &["admin", "editor"]] {
                        for data in [&b""[..], b",\"data\":{\"a\":[1,{}]}", b",\"data\":7"] {
                            let draft = draft(subject, device, acr, stamp);
                            let mut json = written(&prefix, &draft, roles);
                            json.extend(data);
                            json.push(b'}');
                            let json = String::from_utf8(json).unwrap();
                            let fast = read(&prefix, &json).expect("what we write is read fast");
                            same(&fast, &own(&json).unwrap());
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn the_fast_way_takes_nothing_that_the_general_one_refuses() {
        let prefix = prefix("i", "a");
        let stamp = Stamp::new(1, 2, 0);
        let draft = draft("al", Some("d"), Some("c"), Some(stamp));
        let mut json = written(&prefix, &draft, &["r", "s"]);
        json.extend(b",\"data\":{\"a\":1}}");
        let alphabet = b"\"\\{}[],:0129aez.- \n\x01\x7f";
        let mut fast_taken = 0;
        let mut check = |bytes: &[u8]| {
            let Ok(json) = std::str::from_utf8(bytes) else {
                return;
            };
            if let Some(fast) = read(&prefix, json) {
                fast_taken += 1;
                match own(json) {
                    Ok(general) => same(&fast, &general),
                    Err(_) => panic!("taken by the fast way only: {json}"),
                }
            }
        };
        for at in 0..json.len() {
            for byte in alphabet {
                let mut replaced = json.clone();
                replaced[at] = *byte;
                check(&replaced);
                let mut inserted = json.clone();
                inserted.insert(at, *byte);
                check(&inserted);
            }
            let mut removed = json.clone();
            removed.remove(at);
            check(&removed);
        }
        for tail in ["}", ",\"exp\":1}", ",\"data\":1}", "]}", " }"] {
            let mut longer = json.clone();
            longer.truncate(json.len() - 1);
            longer.extend(tail.as_bytes());
            check(&longer);
        }
        assert!(
            fast_taken > 100,
            "the fast way was taken {fast_taken} times only"
        );
    }

    /// Both ways judge mutated payloads alike. `STATEWISE_CASES` says how many.
    #[test]
    fn both_ways_judge_mutated_payloads_alike() {
        let cases = std::env::var("STATEWISE_CASES").ok();
        let cases = cases.map_or(20_000, |cases| cases.parse().unwrap());
        let seed = seed();
        println!("seed {seed}, {cases} cases");
        let mut random = Random::new(seed);
        let policy = Policy {
            issuer: "i".to_owned(),
            audience: "a".to_owned(),
            prefix: prefix("i", "a"),
            lifetime: 900,
            caps_lifetime: false,
            max_lifetime: 1_000,
            max_length: 4096,
        };
        let now = Timestamp::from_unix(1_700_000_500);
        let pieces: Vec<Vec<u8>> = [
            "\"",
            "\\",
            "\\u0041",
            "\\u00e9",
            "{",
            "}",
            "[",
            "]",
            ",",
            ":",
            "0",
            "1",
            "9",
            "-",
            ".5",
            "e3",
            " ",
            "\n",
            "\u{7f}",
            "é",
            "null",
            "true",
            ",\"exp\":1700000600",
            ",\"nbf\":1700000600",
            ",\"data\":{\"a\":[]}",
            ",\"sub\":\"bob\"",
            ",\"roles\":[]",
            ",\"device\":\"\"",
            ",\"acr\":\"\"",
            ",\"acr\":1",
            ",\"crit\":[]",
            ",\"abs\":1700000550",
            ",\"auth_time\":1699999999",
            ",\"x\":1",
            "\"iss\":\"i\"",
            "\u{0}",
        ]
        .iter()
        .map(|piece| piece.as_bytes().to_vec())
        .chain([vec![0xff], vec![0xc3]])
        .collect();
        let (mut fast_taken, mut accepted) = (0, 0);
        for case in 0..cases {
            let stamp = Stamp::new(1, 2, 0);
            let roles = [&[][..], &["admin"], &["a", "b"]][random.below(3)];
            let draft = draft(
                ["alice", "", "é"][random.below(3)],
                [None, Some("phone")][random.below(2)],
                [None, Some("aal2")][random.below(2)],
                [None, Some(stamp)][random.below(2)],
            );
            let mut json = written(&policy.prefix, &draft, roles);
            let data = [
                &b""[..],
                b",\"data\":{\"a\":1}",
                b",\"data\":{\"a\":\"b\",\"c\":20}",
                b",\"data\":\"}\"",
            ];
            json.extend(data[random.below(data.len())]);
            json.push(b'}');
            for _ in 0..random.below(4) {
                let at = random.below(json.len());
                match random.below(4) {
                    0 => json[at] = pieces[random.below(pieces.len())][0],
                    1 => drop(json.remove(at)),
                    2 => {
                        let piece = &pieces[random.below(pieces.len())];
                        json.splice(at..at, piece.iter().copied());
                    }
                    _ => {
                        let end = at + random.below(json.len() - at).min(40);
                        let part = json[at..end].to_vec();
                        let to = random.below(json.len());
                        json.splice(to..to, part);
                    }
                }
                if json.is_empty() {
                    json.push(b'{');
                }
            }
            let Ok(json) = std::str::from_utf8(&json) else {
                continue;
            };
            let Some(fast) = read(&policy.prefix, json) else {
                continue;
            };
            fast_taken += 1;
            let general = own(json);
            let general = general
                .as_ref()
                .unwrap_or_else(|_| panic!("case {case}: {json}"));
            same(&fast, general);
            let judge = |claims| {
                policy
                    .check(claims, json, now)
                    .map(|facts| facts.expires_at)
            };
            let (fast, general) = (judge(&fast), judge(general));
            accepted += u64::from(fast.is_ok());
            let cause = |answer: Result<Timestamp>| answer.map_err(|error| error.rejection());
            assert_eq!(cause(fast), cause(general), "case {case}: {json}");
        }
        println!("{fast_taken} taken by the fast way, {accepted} of them accepted");
        assert!(fast_taken > cases / 5 && accepted > cases / 50);
    }

    #[test]
    fn text_is_escaped_as_others_do() {
        let mut json = Payload::new();
        let text: String = (0..0x80).map(char::from).chain("é😀".chars()).collect();
        push_text(&mut json, text.as_bytes());
        assert_eq!(json.as_bytes(), serde_json::to_vec(&text).unwrap());
    }

    #[test]
    fn dates_are_written_as_numbers_are() {
        for seconds in [0, 9, 10, 99, 100, 1_700_000_000, 253_402_300_799, u64::MAX] {
            let mut json = Payload::new();
            let time = Timestamp::from_unix(seconds);
            push_number(&mut json, time);
            assert_eq!(json.as_bytes(), time.unix().to_string().as_bytes());
        }
    }
}
