//! Headers and addresses of a request. The first byte chooses the kind: `C`, lines of `Cookie` after one of
//! `Authorization`; `P`, the path of a redirect; `Q`, a query and a list of protocols that may have a ticket.
//!
//! Oracle: cookies are those that a reader by RFC 6265bis finds, and no credential comes from anywhere else. A local
//! path stays on its origin in the crate `url`, which joins addresses as browsers do.
#![no_main]

use std::sync::OnceLock;
use std::time::Duration;

use libfuzzer_sys::fuzz_target;
use statewise::clock::Timestamp;
use statewise::session::SessionAuthenticator;
use statewise::store::MemoryStore;
use statewise::testkit::{ManualClock, block_on};
use statewise::web::{
    AuthLayer, Cookie, Found, Transport, local_path, ticket_in_protocols, ticket_in_query,
    with_next,
};
use statewise::{Authenticator as _, Login};
use url::Url;

const NAME: &str = "__Host-id";
/// Stands for an issued credential in an input.
const PLACE: &[u8] = b"{}";

struct World {
    layer: AuthLayer,
    credential: String,
}

fn world() -> &'static World {
    static WORLD: OnceLock<World> = OnceLock::new();
    WORLD.get_or_init(|| {
        let clock = ManualClock::at(Timestamp::from_unix(1_700_000_000));
        let auth = SessionAuthenticator::builder(MemoryStore::with_capacity(16).unwrap())
            .idle(Duration::from_secs(600))
            .absolute(Duration::from_secs(3600))
            .clock(clock.clone())
            .build()
            .unwrap();
        let issued = block_on(auth.issue(Login::new("alice"))).unwrap();
        let credential = issued.credential().reveal().to_owned();
        let layer = AuthLayer::new(
            std::sync::Arc::new(auth),
            Transport::both(Cookie::default()),
        );
        World {
            layer: layer.unwrap().clock(clock),
            credential,
        }
    })
}

fuzz_target!(|input: &[u8]| {
    let Some((mode, rest)) = input.split_first() else {
        return;
    };
    match mode {
        b'C' => check_request(rest),
        b'P' => {
            if let Ok(path) = std::str::from_utf8(rest) {
                check_path(path);
            }
        }
        b'Q' => {
            if let Ok(text) = std::str::from_utf8(rest) {
                check_ticket(text);
            }
        }
        _ => {}
    }
});

fn check_request(input: &[u8]) {
    let world = world();
    let mut filled = Vec::new();
    let mut rest = input;
    while let Some(at) = rest.windows(PLACE.len()).position(|part| part == PLACE) {
        filled.extend(&rest[..at]);
        filled.extend(world.credential.as_bytes());
        rest = &rest[at + PLACE.len()..];
    }
    filled.extend(rest);
    let mut lines = filled.split(|byte| *byte == b'\n');
    let authorization = lines.next().unwrap_or_default();
    let cookies: Vec<&[u8]> = lines.collect();
    let mut headers: Vec<(&str, &[u8])> = cookies.iter().map(|line| ("Cookie", *line)).collect();
    if !authorization.is_empty() {
        headers.push(("Authorization", authorization));
    }

    let cookie = Cookie::default();
    for least in [1, 64] {
        let is_ours = |value: &str| value.len() >= least;
        let values = values(&cookies, least);
        let expected = match values[..] {
            [] => Found::Absent,
            [one] => Found::One(one),
            [one, ..] => match values.iter().find(|value| **value != one) {
                None => Found::One(one),
                Some(other) => Found::Ambiguous(one, other),
            },
        };
        let found = cookie.find(&headers, is_ours);
        assert!(found == expected, "another cookie than that of the oracle");
        if let Ok(carried) = Transport::both(cookie.clone()).read(&headers, is_ours) {
            let credential = carried.credential();
            if carried.is_bearer() {
                assert!(expected == Found::Absent, "a bearer token beside a cookie");
                assert_eq!(bearer(authorization), Some(credential.as_bytes()));
            } else {
                assert!(expected == Found::One(credential));
                assert_eq!(
                    bearer(authorization),
                    None,
                    "a cookie beside a bearer token"
                );
            }
        }
    }

    let owned: Vec<(String, Vec<u8>)> = headers
        .iter()
        .map(|(name, line)| ((*name).to_owned(), line.to_vec()))
        .collect();
    let serving = block_on(world.layer.begin("GET", "/", None, &owned));
    let Ok(serving) = serving else { return };
    let verified = block_on(serving.sign_in().verify());
    if let Ok(caller) = verified {
        assert_eq!(caller.subject(), "alice");
        let is_carried = bearer(authorization) == Some(world.credential.as_bytes())
            || values(&cookies, 1).contains(&&*world.credential);
        assert!(is_carried, "authenticated without the credential");
    }
}

/// Returns the values of the cookie, by RFC 6265bis, section 4.2.1.
fn values<'h>(lines: &[&'h [u8]], least: usize) -> Vec<&'h str> {
    let pairs = lines
        .iter()
        .flat_map(|line| line.split(|byte| *byte == b';'));
    let values = pairs.filter_map(|pair| {
        let text = std::str::from_utf8(pair).ok()?;
        let (name, value) = text.trim_matches([' ', '\t']).split_once('=')?;
        let is_octet = |c: char| matches!(c, '!' | '#'..='+' | '-'..=':' | '<'..='[' | ']'..='~');
        (name == NAME && value.len() >= least && value.chars().all(is_octet)).then_some(value)
    });
    values.collect()
}

/// Returns the token of a line of `Authorization`, by RFC 6750, section 2.1.
fn bearer(line: &[u8]) -> Option<&[u8]> {
    let line = std::str::from_utf8(line).ok()?.trim_matches([' ', '\t']);
    let (scheme, token) = line.split_once(' ')?;
    let token = token.trim_start_matches(' ');
    let digits = token.trim_end_matches('=');
    let is_digit = |c: char| c.is_ascii_alphanumeric() || "-._~+/".contains(c);
    let is_token = !digits.is_empty() && digits.chars().all(is_digit);
    (scheme.eq_ignore_ascii_case("Bearer") && is_token).then_some(token.as_bytes())
}

fn check_path(path: &str) {
    let page = Url::parse("https://a.example/login?next=/").unwrap();
    let link = with_next("/login?lang=en", path);
    let joined = page
        .join(&link)
        .expect("a link of the library does not parse");
    assert_eq!(joined.origin(), page.origin());
    let next: Vec<_> = joined
        .query_pairs()
        .filter(|(name, _)| name == "next")
        .collect();
    let Some(local) = local_path(path) else {
        assert!(next.is_empty(), "a parameter for a path that is not local");
        return;
    };
    assert_eq!(local, path);
    // Plain text in a header field: no line break, and no character that a proxy might read differently.
    assert!(local.bytes().all(|byte| byte.is_ascii_graphic()));
    let target = page.join(local).expect("a local path does not parse");
    assert_eq!(target.origin(), page.origin(), "{local} leads elsewhere");
    assert!(target.username().is_empty() && target.password().is_none());
    assert!(
        next.len() == 1 && next[0].1 == local,
        "the parameter of {local} is not read back"
    );
}

fn check_ticket(text: &str) {
    let (query, protocols) = text.split_once('\n').unwrap_or((text, ""));
    check_found(ticket_in_query(query, "ticket"), query);
    let headers = [("Sec-WebSocket-Protocol", protocols)];
    check_found(ticket_in_protocols(&headers), protocols);
}

fn check_found(found: Found<'_>, text: &str) {
    let tickets = match found {
        Found::One(one) => vec![one],
        Found::Ambiguous(one, other) => vec![one, other],
        _ => Vec::new(),
    };
    for ticket in tickets {
        let digits = ticket.strip_prefix("tk_").expect("no ticket");
        let is_digit = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
        assert!(
            digits.len() == 64 && digits.bytes().all(is_digit),
            "no ticket: {ticket}"
        );
        assert!(
            text.contains(ticket),
            "a ticket that is not there: {ticket}"
        );
    }
}
