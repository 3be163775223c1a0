//! `Authorization: Bearer`.

use statewise::web::{Found, bearer};

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
