//! `Authorization: Bearer`.

use statewise::web::{Cookie, Denial, Found, Transport, bearer};

fn of(lines: &[&str]) -> String {
    let fields: Vec<_> = lines.iter().map(|line| ("AUTHORIZATION", line)).collect();
    match bearer(&fields) {
        Found::One(token) => token.to_owned(),
        other => format!("{other:?}"),
    }
}

#[test]
fn exactly_one_line_with_one_token_is_accepted() {
    for (line, expected) in [
        ("Bearer a", "a"),
        ("\t Bearer   a== \t", "a=="),
        ("Bearer", "Malformed"),
        ("Bearer\ta", "Malformed"),
        ("Bearer a b", "Malformed"),
        ("Bearer a,b", "Malformed"),
        ("Bearer ==", "Malformed"),
        ("Bearer a=b", "Malformed"),
        ("Bearer \u{e9}", "Malformed"),
        ("Bearer,a", "Malformed"),
        ("Bearer/a", "Malformed"),
        ("Bearer-a b", "Absent"),
        ("Bearers a", "Absent"),
        ("Bear er a", "Absent"),
        ("\"Bearer\" a", "Absent"),
        (" \t", "Absent"),
        ("Basic YTpi", "Absent"),
    ] {
        assert_eq!(of(&[line]), expected, "{line:?}");
    }
    assert_eq!(of(&[]), "Absent");
    assert_eq!(of(&["Bearer a", "Bearer a"]), "Malformed");
    assert_eq!(of(&["Basic YTpi", "Digest b"]), "Malformed");
    assert_eq!(of(&["", ""]), "Malformed");
}

#[test]
fn a_token_has_at_most_8192_bytes() {
    for (length, accepted) in [(8191, true), (8192, true), (8193, false)] {
        let line = format!("Bearer   {}", "a".repeat(length));
        assert_eq!(of(&[&line]).len() == length, accepted, "{length}");
    }
}

#[test]
fn debug_output_shows_no_credential() {
    for found in [
        Found::One("hush"),
        Found::Ambiguous("hush", "hushed"),
        Found::Ambiguous("", "hush"),
    ] {
        assert!(!format!("{found:?}").contains("hush"));
    }
}

#[test]
fn a_transport_reads_tokens_under_another_scheme() {
    let transport = Transport::bearer().scheme("Token").unwrap();
    let read = |line: &str| match transport.read(&[("Authorization", line)], |_| true) {
        Ok(carried) => carried.credential().to_owned(),
        Err(denial) => format!("{denial:?}"),
    };
    for (line, expected) in [
        ("Token a.b", "a.b"),
        ("token   a.b", "a.b"),
        ("Token", "Malformed"),
        ("Token token=\"a\"", "Malformed"),
        ("Bearer a.b", "Absent"),
        ("Tokens a.b", "Absent"),
    ] {
        assert_eq!(read(line), expected, "{line}");
    }
    let answer = Denial::Absent.answer(&transport);
    let challenge = answer
        .fields()
        .find(|(name, _)| *name == "www-authenticate");
    assert_eq!(challenge.unwrap().1, "Token realm=\"api\"");
    for scheme in ["", "a b", "T\u{e9}", "basic", "Digest"] {
        assert!(Transport::bearer().scheme(scheme).unwrap_err().is_misuse());
    }
    let cookies = Transport::cookie(Cookie::default());
    assert!(cookies.scheme("Token").unwrap_err().is_misuse());
}
