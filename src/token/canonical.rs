//! Claims in the order in which this service writes them: written and read in one pass.

use crate::base::base64url::{decode_16, encode_16};
use crate::clock::Timestamp;
use crate::login::handle::Handle;
use crate::login::identity::Identity;
use crate::login::stamp::Stamp;
use crate::token::claims::{Claims, NumericDate};
use crate::token::json::{self, Text, plain_length};
use crate::token::payload::Payload;
use crate::token::profile::Profile;

/// Names of the claims that this service writes.
pub(crate) const WRITTEN: [&str; 15] = [
    "iss",
    "aud",
    "exp",
    "iat",
    "auth_time",
    "abs",
    "sid",
    "sub",
    "roles",
    "device",
    "acr",
    "rev",
    "ver",
    "stp",
    "data",
];

/// Returns the beginning of every payload: issuer and audience, up to the value of `exp`.
pub(crate) fn prefix(issuer: &str, audience: &str) -> String {
    let mut prefix = Payload::new();
    prefix.push(b"{\"iss\":");
    push_text(&mut prefix, issuer.as_bytes());
    prefix.push(b",\"aud\":");
    push_text(&mut prefix, audience.as_bytes());
    prefix.push(b",\"exp\":");
    String::from_utf8_lossy(prefix.as_bytes()).into_owned()
}

/// Writes a whole payload: `prefix`, the login, unknown claims of the token that is `refreshed`,
/// the claims of the profile, and `data` as JSON. A token that expires with a step-up has its class
/// as `acr`; others have it as `stp`, which no later token of theirs outlives.
pub(crate) fn write<D>(
    prefix: &str,
    profile: Option<&Profile>,
    expires_with_step: bool,
    login: &Identity<D>,
    refreshed: Option<&str>,
    data: Option<&[u8]>,
) -> Payload {
    let mut json = Payload::new();
    json.push(prefix.as_bytes());
    push_number(&mut json, login.expires_at);
    json.push(b",\"iat\":");
    push_number(&mut json, login.issued_at);
    let step = login.step();
    let (authenticated_at, acr) = match &step {
        Some(step) if expires_with_step => (step.at, Some(step.acr.as_bytes())),
        _ => (login.authenticated_at, login.fields.acr_bytes()),
    };
    if authenticated_at != login.issued_at {
        json.push(b",\"auth_time\":");
        push_number(&mut json, authenticated_at);
    }
    if login.deadline != login.expires_at {
        json.push(b",\"abs\":");
        push_number(&mut json, login.deadline);
    }
    json.push(b",\"sid\":\"");
    json.push(&encode_16(login.handle.as_bytes()));
    json.push(b"\",\"sub\":");
    push_text(&mut json, login.fields.subject_bytes());
    let mut has_roles = false;
    for role in login.fields.roles_bytes() {
        json.push(if has_roles { b"," } else { b",\"roles\":[" });
        has_roles = true;
        push_text(&mut json, role);
    }
    if has_roles {
        json.push(b"]");
    }
    if let Some(device) = login.fields.device_bytes() {
        json.push(b",\"device\":");
        push_text(&mut json, device);
    }
    if let Some(acr) = acr {
        json.push(b",\"acr\":");
        push_text(&mut json, acr);
    }
    if let Some(stamp) = login.stamp {
        json.push(b",\"rev\":\"");
        json.push(&encode_16(&stamp.to_bytes()));
        json.push(b"\"");
    }
    if login.version != 0 {
        json.push(b",\"ver\":");
        json.push(login.version.to_string().as_bytes());
    }
    if let Some(step) = step.filter(|_| !expires_with_step) {
        json.push(b",\"stp\":{\"acr\":");
        push_text(&mut json, step.acr.as_bytes());
        json.push(b",\"at\":");
        push_number(&mut json, step.at);
        json.push(b",\"exp\":");
        push_number(&mut json, step.until);
        json.push(b"}");
    }
    if let Some(refreshed) = refreshed {
        push_unknown(&mut json, refreshed, profile);
    }
    if let Some(profile) = profile {
        profile.push(&mut json, login, data);
    }
    if let Some(data) = data {
        json.push(b",\"data\":");
        json.push(data);
    }
    json.push(b"}");
    json
}

/// Copies the claims that this version does not write, so that a refresh loses no claim of a later
/// version.
#[cold]
fn push_unknown(json: &mut Payload, refreshed: &str, profile: Option<&Profile>) {
    let is_written =
        |name: &str| WRITTEN.contains(&name) || profile.is_some_and(|profile| profile.writes(name));
    // Has been read before, so that it is one object.
    let _ = json::object(refreshed, |name, value| {
        let name = name.decode();
        if !is_written(&name) {
            json.push(b",");
            push_text(json, name.as_bytes());
            json.push(b":");
            json.push(value.raw.as_bytes());
        }
        Some(())
    });
}

/// Reads a payload in the form of [`write()`]. `None` for any other form: such a payload may be
/// valid, but has to be read by [`Claims::own`].
#[inline(always)]
pub(crate) fn read<'a>(prefix: &str, json: &'a str) -> Option<Claims<'a>> {
    let mut rest = Rest(json.strip_prefix(prefix)?);
    let mut claims = Claims {
        is_addressed: true,
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
    if rest.take(",\"ver\":") {
        claims.ver = Some(rest.number()?);
    }
    if rest.take(",\"data\":") {
        let data = rest.0.strip_suffix('}')?;
        claims.data = Some(if is_flat(data) {
            data
        } else {
            json::value(data)?
        });
        return Some(claims);
    }
    if rest.0 == "}" {
        return Some(claims);
    }
    after_profile(rest, json, claims)
}

/// Reads the end of the payload `json` with claims of a [`Profile`].
#[cold]
fn after_profile<'a>(
    mut rest: Rest<'a>,
    json: &'a str,
    mut claims: Claims<'a>,
) -> Option<Claims<'a>> {
    claims.json = Some(json);
    for name in [",\"scope\":", ",\"client_id\":", ",\"jti\":"] {
        if rest.take(name) {
            rest.text()?;
        }
    }
    if rest.take(",\"data\":") {
        claims.data = Some(json::value(rest.0.strip_suffix('}')?)?);
        return Some(claims);
    }
    (rest.0 == "}").then_some(claims)
}

/// Checks if `data` is an object of strings without escapes and of short whole numbers, as most
/// data are.
///
/// [`json::value`], which reads all of JSON, takes 5 % of a verification longer.
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

/// Text that is left to read.
struct Rest<'a>(&'a str);

impl<'a> Rest<'a> {
    #[inline(always)]
    fn take(&mut self, expected: &str) -> bool {
        let rest = self.0.strip_prefix(expected);
        self.0 = rest.unwrap_or(self.0);
        rest.is_some()
    }

    #[inline(always)]
    fn expect(&mut self, expected: &str) -> Option<()> {
        self.take(expected).then_some(())
    }

    /// Takes `length` bytes, which end a character.
    #[inline(always)]
    fn split(&mut self, length: usize) -> Option<&'a str> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    /// Takes a whole number of up to twelve digits, without leading zeros.
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

    /// Takes a string without escapes.
    #[inline(always)]
    fn text(&mut self) -> Option<Text<'a>> {
        self.expect("\"")?;
        let length = plain_length(self.0.as_bytes())?;
        let text = self.split(length)?;
        self.expect("\"")?;
        Some(Text::plain(text))
    }

    /// Takes a string of 16 bytes in base64url.
    #[inline(always)]
    fn sixteen(&mut self) -> Option<[u8; 16]> {
        self.expect("\"")?;
        let sixteen = decode_16(self.0.as_bytes().first_chunk()?)?;
        self.split(22)?;
        self.expect("\"")?;
        Some(sixteen)
    }

    /// Takes an array of strings without escapes, which is not empty.
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
    // Dates of three centuries have ten digits. With a fixed length, issuing a token takes 3 %
    // less.
    let mut digits = [0; 10];
    let mut number = time.unix();
    if !(1_000_000_000..10_000_000_000).contains(&number) {
        json.push(number.to_string().as_bytes());
        return;
    }
    // Two digits at a time, because each division waits for the one before.
    for pair in digits.as_chunks_mut::<2>().0.iter_mut().rev() {
        let two = (number % 100) as u8;
        number /= 100;
        *pair = [b'0' + two / 10, b'0' + two % 10];
    }
    json.push(&digits);
}

/// Writes a string.
///
/// Not inlined: with a copy for each text, issuing a token took 3 % longer (2026-11-28).
#[inline(never)]
pub(crate) fn push_text(json: &mut Payload, text: &[u8]) {
    if plain_length(text).is_some() {
        let text = String::from_utf8_lossy(text);
        // Serialising a string cannot fail.
        json.push(&serde_json::to_vec(&text).unwrap_or_default());
        return;
    }
    json.push(b"\"");
    json.push(text);
    json.push(b"\"");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::{Rejection, Result};
    use crate::login::begun::IssuerId;
    use crate::login::fields::FieldsBuilder;
    use crate::login::purpose::Purpose;
    use crate::testkit::{Random, seed};
    use crate::token::issuers::Issuers;
    use crate::token::policy::Policy;

    fn general(json: &str) -> Result<Claims<'_>> {
        Claims::own(json).ok_or(Rejection::InvalidClaims.into())
    }

    fn login(
        subject: &str,
        roles: &[&str],
        device: Option<&str>,
        acr: Option<&str>,
        stamp: Option<Stamp>,
    ) -> Identity {
        let mut fields = FieldsBuilder::new(subject);
        roles.iter().for_each(|role| fields.role(role));
        device.into_iter().for_each(|device| fields.device(device));
        acr.into_iter().for_each(|acr| fields.acr(acr));
        let issued_at = Timestamp::from_unix(1_700_000_000);
        let expires_at = Timestamp::from_unix(1_700_000_900);
        Identity {
            fields: fields.build(),
            handle: Handle::from_bytes([7; 16]),
            issued_at,
            authenticated_at: device.map_or(issued_at, |_| Timestamp::from_unix(0)),
            expires_at,
            deadline: stamp.map_or(expires_at, |_| Timestamp::MAX),
            stamp,
            version: 0,
            refresh_due: false,
            is_stepped: false,
            purpose: Purpose::Login,
            verified_by: IssuerId::NONE,
            data: (),
        }
    }

    /// All claims that other services may expect.
    fn profile() -> Profile {
        Profile {
            has_scope: true,
            client_id: Some("web".to_owned()),
            is_access_token: true,
        }
    }

    fn written(
        prefix: &str,
        profile: Option<&Profile>,
        login: &Identity,
        data: Option<&str>,
    ) -> Vec<u8> {
        let data = data.map(str::as_bytes);
        let written = write(prefix, profile, false, login, None, data);
        written.as_bytes().to_vec()
    }

    fn assert_same(fast: &Claims<'_>, general: &Claims<'_>) {
        let text = |text: Option<Text<'_>>| text.map(|text| text.decode().into_owned());
        let roles = |claims: &Claims<'_>| {
            json::texts(claims.roles.unwrap_or_default())
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
        assert_eq!(roles(fast), roles(general));
        assert!(fast.nbf.is_none() && general.nbf.is_none());
    }

    #[test]
    fn both_readers_agree_on_all_written_payloads() {
        let prefix = prefix("https://a.example/\"x", "api");
        let stamp = Stamp::new(1, 2, 0);
        for subject in ["alice", "é\u{7f}", ""] {
            for (device, acr) in [
                (None, None),
                (Some("phone"), None),
                (None, Some("aal2")),
                (Some("phone"), Some("")),
            ] {
                for (stamp, profile) in [(None, Some(profile())), (Some(stamp), None)] {
                    for roles in [&[][..], &["admin"], &["admin", "editor"]] {
                        for data in [None, Some("{\"a\":[1,{}]}"), Some("7")] {
                            let login = login(subject, roles, device, acr, stamp);
                            let json = written(&prefix, profile.as_ref(), &login, data);
                            let json = String::from_utf8(json).unwrap();
                            let fast =
                                read(&prefix, &json).expect("written payloads are canonical");
                            let read_roles = json::texts(fast.roles.unwrap_or_default());
                            assert!(read_roles.map(Text::decode).eq(roles.iter().copied()));
                            assert_same(&fast, &general(&json).unwrap());
                        }
                    }
                }
            }
        }
    }

    /// Each `~` is a place for white space.
    #[test]
    fn both_readers_take_data_without_the_white_space_around_them() {
        let prefix = prefix("i", "a");
        for data in [
            "~7~",
            "~\" \"~",
            "~[~]~",
            "~{~\"a\"~:~1~,~\"b\"~:~\"c d\"~}~",
        ] {
            let parts: Vec<&str> = data.split('~').collect();
            for place in 1..parts.len() {
                for white in [" ", "\t", "\n", "\r"] {
                    let spaced = [&parts[..place].concat(), white, &parts[place..].concat()];
                    let spaced = spaced.concat();
                    let login = login("al", &["r"], None, None, None);
                    let json = written(&prefix, None, &login, Some(&spaced));
                    let json = String::from_utf8(json).unwrap();
                    let fast = read(&prefix, &json).unwrap();
                    let trimmed = spaced.trim_matches([' ', '\t', '\n', '\r']);
                    assert_eq!(fast.data, Some(trimmed));
                    assert_same(&fast, &general(&json).unwrap());
                }
            }
        }
    }

    #[test]
    fn the_canonical_reader_accepts_nothing_that_the_general_one_rejects() {
        let prefix = prefix("i", "a");
        let stamp = Stamp::new(1, 2, 0);
        let login = login("al", &["r", "s"], Some("d"), Some("c"), Some(stamp));
        let data = Some("{\"a\":1}");
        let [plain, full] =
            [None, Some(&profile())].map(|profile| written(&prefix, profile, &login, data));
        let alphabet = b"\"\\{}[],:0129aez.- \n\x01\x7f";
        let mut canonical = 0;
        let mut check = |bytes: &[u8]| {
            let Ok(json) = std::str::from_utf8(bytes) else {
                return;
            };
            if let Some(fast) = read(&prefix, json) {
                canonical += 1;
                match general(json) {
                    Ok(general) => assert_same(&fast, &general),
                    Err(_) => panic!("only the canonical reader accepts {json}"),
                }
            }
        };
        for json in [plain, full] {
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
        }
        assert!(canonical > 100, "only {canonical} payloads were canonical");
    }

    /// Set `STATEWISE_CASES` to the number of payloads.
    #[test]
    fn both_readers_judge_mutated_payloads_alike() {
        let cases = std::env::var("STATEWISE_CASES").ok();
        let cases = cases.map_or(20_000, |cases| cases.parse().unwrap());
        let seed = seed();
        println!("seed {seed}, {cases} cases");
        let mut random = Random::new(seed);
        let policy = Policy {
            issuer: "i".to_owned(),
            audience: "a".to_owned(),
            prefix: prefix("i", "a"),
            lifetime_secs: 900,
            caps_lifetime: false,
            max_lifetime_secs: [1_000; 2],
            counts_from_issue: [false; 2],
            propagation_secs: 60,
            max_chars: 4096,
            profile: None,
            issuers: Issuers::default(),
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
        let (mut canonical, mut accepted) = (0, 0);
        for case in 0..cases {
            let stamp = Stamp::new(1, 2, 0);
            let roles = [&[][..], &["admin"], &["a", "b"]][random.below(3)];
            let login = login(
                ["alice", "", "é"][random.below(3)],
                roles,
                [None, Some("phone")][random.below(2)],
                [None, Some("aal2")][random.below(2)],
                [None, Some(stamp)][random.below(2)],
            );
            let data = [
                None,
                Some("{\"a\":1}"),
                Some("{\"a\":\"b\",\"c\":20}"),
                Some("\"}\""),
            ];
            let data = data[random.below(data.len())];
            let profile = (random.below(2) == 0).then(profile);
            let mut json = written(&policy.prefix, profile.as_ref(), &login, data);
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
            canonical += 1;
            let general = general(json).unwrap_or_else(|_| panic!("case {case}: {json}"));
            assert_same(&fast, &general);
            let judge = |claims| policy.check(claims, now).map(|claims| claims.expires_at);
            let (fast, general) = (judge(&fast), judge(&general));
            accepted += u64::from(fast.is_ok());
            let cause = |answer: Result<Timestamp>| answer.map_err(|error| error.rejection());
            assert_eq!(cause(fast), cause(general), "case {case}: {json}");
        }
        println!("{canonical} canonical, {accepted} of them accepted");
        assert!(canonical > cases / 5 && accepted > cases / 50);
    }

    #[test]
    fn text_is_escaped_as_serde_json_does() {
        let mut json = Payload::new();
        let text: String = (0..0x80).map(char::from).chain("é😀".chars()).collect();
        push_text(&mut json, text.as_bytes());
        assert_eq!(json.as_bytes(), serde_json::to_vec(&text).unwrap());
    }

    #[test]
    fn dates_are_written_as_numbers() {
        for seconds in [0, 9, 10, 99, 100, 1_700_000_000, 253_402_300_799, u64::MAX] {
            let mut json = Payload::new();
            let time = Timestamp::from_unix(seconds);
            push_number(&mut json, time);
            assert_eq!(json.as_bytes(), time.unix().to_string().as_bytes());
        }
    }
}
