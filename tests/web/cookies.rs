//! Cookies: built, set and found.

use std::cell::Cell;
use std::time::{Duration, Instant};

use statewise::web::{Cookie, CookieBuilder, Found, SameSite};
use statewise::{Credential, Refusal};

fn credential(text: &str) -> Credential {
    Credential::new(text.to_owned())
}

fn emitted(builder: CookieBuilder) -> String {
    builder.build().unwrap().set(&credential("v")).unwrap()
}

#[test]
fn attributes_have_a_fixed_order() {
    let new = Cookie::builder;
    assert_eq!(new().build().unwrap(), Cookie::default());
    assert_eq!(
        emitted(new()),
        "__Host-id=v; Path=/; Secure; HttpOnly; SameSite=Lax"
    );
    let full = new()
        .domain("Example.COM")
        .path("/auth")
        .max_age(Duration::from_secs(60))
        .same_site(SameSite::None)
        .partitioned();
    assert_eq!(
        emitted(full.clone()),
        "__Secure-id=v; Domain=example.com; Path=/auth; Max-Age=60; Secure; HttpOnly; \
         SameSite=None; Partitioned"
    );
    assert_eq!(
        full.build().unwrap().remove(),
        "__Secure-id=; Domain=example.com; Path=/auth; Max-Age=0; Secure; HttpOnly; \
         SameSite=None; Partitioned"
    );
    assert_eq!(
        emitted(new().insecure().same_site(SameSite::Strict)),
        "id=v; Path=/; HttpOnly; SameSite=Strict"
    );
    assert_eq!(
        emitted(new().unprefixed()),
        "id=v; Path=/; Secure; HttpOnly; SameSite=Lax"
    );
    let path = new().path("/a").build().unwrap();
    assert_eq!((path.name(), path.path()), ("__Secure-id", "/a"));
    let forever = new().max_age(Duration::MAX);
    assert!(emitted(forever).contains("; Max-Age=34560000;"));
}

#[test]
fn contradictory_attributes_are_refused_at_build() {
    let new = Cookie::builder;
    let long = |length: usize| format!("__Host-{}", "n".repeat(length - 7));
    let domain = |length: usize| format!("{}.example", "a.".repeat(126)[..length - 8].to_owned());
    let refused = [
        new().name("__Host-id").domain("example.com"),
        new().name("__HOST-id").domain("example.com"),
        new().name("__host-http-id").path("/a"),
        new().name("__Host-id").insecure(),
        new().name("__Host-id").unprefixed().path("/a"),
        new().name("__secure-id").insecure(),
        new().name("__Http-id").insecure(),
        new().name("id"),
        new().name("_Host-id"),
        new().name("x__Host-id"),
        new().name("").unprefixed(),
        new().name("__Host-a b"),
        new().name("__Host-a;b"),
        new().name("__Host-\u{e9}"),
        new().name("\u{e9}\u{e9}\u{e9}\u{e9}").insecure(),
        new().name(long(3521)),
        new().name(long(4033)).max_bytes(4096),
        new().max_bytes(63),
        new().max_bytes(4097),
        new().same_site(SameSite::None).insecure(),
        new().partitioned().insecure(),
        new().max_age(Duration::ZERO),
        new().max_age(Duration::from_millis(999)),
        new().domain(""),
        new().domain("."),
        new().domain(".example.com"),
        new().domain("example.com."),
        new().domain("com"),
        new().domain("localhost"),
        new().domain("127.0.0.1"),
        new().domain("1.2.3.0x7f"),
        new().domain("[::1]"),
        new().domain("::1"),
        new().domain("a_b.example"),
        new().domain("-a.example"),
        new().domain("a-.example"),
        new().domain("a..example"),
        new().domain("ex\u{e4}mple.com"),
        new().domain("a.example; Secure"),
        new().domain(format!("{}.example", "a".repeat(64))),
        new().domain(domain(255)),
        new().path(""),
        new().path("a"),
        new().path("/a;b"),
        new().path("/a b"),
        new().path("/a\r\nSet-Cookie: b=c"),
        new().path("/\u{e9}"),
        new().path(format!("/{}", "a".repeat(1024))),
    ];
    for builder in refused {
        let shown = format!("{builder:?}");
        assert!(builder.build().unwrap_err().is_misuse(), "{shown:.200}");
    }
    let taken = [
        new().name("__Host-Http-id"),
        new().name("__Secure-id").domain("a-b.example.com"),
        new().name("__Http-id").domain("example.com").path("/a"),
        new().name("id").unprefixed(),
        new().name("id").insecure(),
        new().name("__Host-id").unprefixed(),
        new().name(long(3520)),
        new().name(long(4032)).max_bytes(4096),
        new().domain(format!("{}.example", "a".repeat(63))),
        new().domain("0x7g.a1"),
        new().domain(domain(253)),
        new().path(format!("/{}", "a".repeat(1023))),
        new().max_age(Duration::from_secs(1)),
    ];
    for builder in taken {
        let shown = format!("{builder:?}");
        assert!(builder.build().is_ok(), "{shown:.200}");
    }
}

/// Proxies buffer less of a response than browsers keep of a cookie.
#[test]
fn name_and_value_have_at_most_3584_bytes_or_the_chosen_number() {
    let largest = Cookie::builder().max_bytes(4096).build().unwrap();
    for (cookie, limit) in [(Cookie::default(), 3584), (largest, 4096)] {
        let room = limit - cookie.name().len();
        for length in [room - 1, room] {
            assert!(cookie.set(&credential(&"v".repeat(length))).is_ok());
        }
        let error = cookie.set(&credential(&"v".repeat(room + 1))).unwrap_err();
        assert_eq!(error.refusal(), Some(Refusal::TooLarge));
    }
}

#[test]
fn values_with_a_byte_that_cookies_cannot_hold_are_neither_set_nor_found() {
    for byte in 0..=255_u8 {
        // Copied from RFC 6265bis, section 4.1.1.
        let octet = matches!(byte, 0x21 | 0x23..=0x2b | 0x2d..=0x3a | 0x3c..=0x5b | 0x5d..=0x7e);
        let mut line = b"\xff=\"\xff; __Host-id=a".to_vec();
        line.extend([byte, b'a']);
        let fields = [("cookie", line)];
        let found = Cookie::default().find(&fields, |_| true);
        // A semicolon ends the value before it.
        let ends = byte == b';' && found == Found::One("a");
        assert_eq!(matches!(found, Found::One(_)), octet || ends, "{byte:#x}");
        if byte.is_ascii() {
            let value = String::from_utf8(vec![b'a', byte, b'a']).unwrap();
            match Cookie::default().set(&credential(&value)) {
                Ok(_) => assert!(octet, "{byte:#x}"),
                Err(error) => assert!(error.is_misuse() && !octet, "{byte:#x}"),
            }
        }
    }
    for value in ["", "\u{e9}", "a\r\nb"] {
        let error = Cookie::default().set(&credential(value)).unwrap_err();
        assert!(error.is_misuse());
    }
}

#[test]
fn two_different_values_of_one_name_are_ambiguous() {
    let find = |lines: &[&str]| {
        let fields: Vec<_> = lines.iter().map(|line| ("Cookie", line)).collect();
        match Cookie::default().find(&fields, |value| value.starts_with('v')) {
            Found::Ambiguous(one, other) => format!("{one}|{other}"),
            Found::One(value) => value.to_owned(),
            other => format!("{other:?}"),
        }
    };
    for (lines, expected) in [
        (&["__Host-id=v1; __Host-id=v1", "\t__Host-id=v1 "][..], "v1"),
        (&["__Host-id=v1; __Host-id=v2"], "v1|v2"),
        (&["__Host-id=v1", "__Host-id=v2"], "v1|v2"),
        (&["__Host-id=v1; __Host-id=v2; __Host-id=v1"], "v1|v2"),
        (&["__Host-id=x; __Host-id=v1; __Host-id=v2"], "v1|v2"),
        // Values of another shape are no credentials, and count as absent.
        (&["__Host-id=x; __Host-id=v1"], "v1"),
        (&["__Host-id=v1; __Host-id="], "v1"),
        (&["__Host-id=v1; __Host-id=deleted"], "v1"),
        (&["__Host-id=v1; __Host-id=\"v1\""], "v1"),
        (&["__Host-id=v1; __Host-id=\u{e9}"], "v1"),
        (&["__Host-id=x; __Host-id=y"], "Absent"),
        (&["__Host-id=x; __Host-id=x"], "Absent"),
        (&["__Host-id=; __Host-id"], "Absent"),
        (&["__Host-id =v1; __Host-id= v1"], "Absent"),
        (&["=__Host-id=v1; =v1; v1"], "Absent"),
        (&["\u{e9}=\u{e9}; __Host-id=v1;;;"], "v1"),
    ] {
        assert_eq!(find(lines), expected, "{lines:?}");
    }
}

/// Values of the default cookie in a line, separated byte by byte.
fn naive_values(line: &[u8]) -> Vec<&[u8]> {
    let is_space = |byte: &u8| matches!(byte, b' ' | b'\t');
    line.split(|byte| *byte == b';')
        .filter_map(|pair| {
            let start = pair.iter().position(|byte| !is_space(byte))?;
            let end = pair.iter().rposition(|byte| !is_space(byte))?;
            pair[start..=end].strip_prefix(b"__Host-id=")
        })
        .collect()
}

#[test]
fn pairs_are_separated_as_byte_by_byte_in_lines_that_are_text_and_in_others() {
    // The last two are a byte that differs from `;` in its first bit, and one that ends no text.
    let pieces: [&[u8]; 8] = [
        b";",
        b"; ",
        b"__Host-id=1",
        b"__Host-id=2",
        b"\t",
        "\u{e9}".as_bytes(),
        b"\xbb",
        b"\xc3",
    ];
    let cookie = Cookie::default();
    let (mut texts, mut found) = (0, 0);
    for number in 0..8usize.pow(5) {
        // Separators at all places of a word, and behind others' cookies.
        let mut line = vec![b'x'; number % 19];
        (0..5).for_each(|digit| line.extend(pieces[number >> (3 * digit) & 7]));
        texts += usize::from(str::from_utf8(&line).is_ok());
        let values = naive_values(&line);
        let is_text = |value: &&[u8]| !value.is_empty() && value.iter().all(u8::is_ascii_graphic);
        let ours: Vec<&[u8]> = values.iter().copied().filter(is_text).collect();
        let differs = |value: &&&[u8]| **value != ours[0];
        let request = [("cookie", &line)];
        match cookie.find(&request, |_| true) {
            Found::Absent => assert!(ours.is_empty(), "{line:?}"),
            Found::One(one) => {
                found += 1;
                let other = ours.iter().find(differs);
                assert!(ours[0] == one.as_bytes() && other.is_none(), "{line:?}");
            }
            Found::Ambiguous(one, other) => {
                assert_eq!(ours[0], one.as_bytes());
                assert_eq!(ours.iter().find(differs), Some(&other.as_bytes()));
            }
            other => panic!("{other:?}"),
        }
    }
    assert!(
        found > 1_000 && (5_000..20_000).contains(&texts),
        "{found} {texts}"
    );
}

#[test]
fn the_time_to_find_a_cookie_is_linear() {
    let checks = Cell::new(0);
    let line = "__Host-id=v; ".repeat(1_000) + &"__Host-id=w; ".repeat(1_000);
    let fields = [("cookie", &line)];
    let found = Cookie::default().find(&fields, |_| {
        checks.set(checks.get() + 1);
        true
    });
    assert_eq!(found, Found::Ambiguous("v", "w"));
    assert!(checks.get() <= 2_000, "{} checks", checks.get());

    let fastest = |pairs: usize| {
        let fields = [("cookie", "a=b; __Host-id2=v; ".repeat(pairs))];
        let once = || {
            let started = Instant::now();
            assert_eq!(Cookie::default().find(&fields, |_| true), Found::Absent);
            started.elapsed()
        };
        (0..9).map(|_| once()).min().unwrap()
    };
    // 16 times as many cookies: quadratic time would be 256 times as long.
    let (few, many) = (fastest(1_000), fastest(16_000));
    assert!(many < few * 80, "{few:?} and {many:?}");
}
