//! Cross-origin protection, compared to a hand-written table of all combinations.

use std::sync::{Arc, Mutex};

use statewise::web::{Cookie, OriginPolicy, Transport};

const HOST: &str = "api.example.com";
const TRUSTED: &str = "https://app.example.com";

const SAFE: [&str; 4] = ["GET", "HEAD", "OPTIONS", "TRACE"];
const UNSAFE: [&str; 9] = [
    "POST", "PUT", "PATCH", "DELETE", "CONNECT", "get", "Head", "PROPFIND", "",
];

const SITES: [&[&str]; 9] = [
    &[],
    &["same-origin"],
    &["none"],
    &["same-site"],
    &["cross-site"],
    &["unknown"],
    &[""],
    &["Same-Origin"],
    &["same-origin", "same-origin"],
];

/// Values of `Origin`, and for each of [`SITES`] whether an unsafe request passes.
#[rustfmt::skip]
const TABLE: [(&[&str], [bool; 9]); 15] = {
    const Y: bool = true;
    const N: bool = false;
    // absent, same-origin, none, same-site, cross-site, unknown, empty, another case, twice
    [
        (&[],                                 [Y, Y, Y, N, N, N, N, N, N]),
        (&["https://api.example.com"],        [Y, Y, Y, N, N, N, N, N, N]),
        (&["https://API.example.com:443"],    [Y, Y, Y, N, N, N, N, N, N]),
        (&["https://api.example.com:8443"],   [N, Y, Y, N, N, N, N, N, N]),
        (&["https://app.example.com"],        [Y, Y, Y, Y, Y, Y, Y, Y, Y]),
        (&["https://app.example.com:8443"],   [N, Y, Y, N, N, N, N, N, N]),
        (&["http://app.example.com"],         [N, Y, Y, N, N, N, N, N, N]),
        (&["https://evil.example"],           [N, Y, Y, N, N, N, N, N, N]),
        (&["https://api.example.com.evil.example"], [N, Y, Y, N, N, N, N, N, N]),
        (&["null"],                           [N, Y, Y, N, N, N, N, N, N]),
        (&[""],                               [N, Y, Y, N, N, N, N, N, N]),
        (&["api.example.com"],                [N, Y, Y, N, N, N, N, N, N]),
        (&["https://api.example.com/"],       [N, Y, Y, N, N, N, N, N, N]),
        (&["https://api.example.com", "https://api.example.com"], [N, Y, Y, N, N, N, N, N, N]),
        (&["https://app.example.com", "https://app.example.com"], [N, Y, Y, N, N, N, N, N, N]),
    ]
};

fn fields<'a>(origin: &[&'a str], site: &[&'a str]) -> Vec<(&'static str, &'a str)> {
    let origins = origin.iter().map(|value| ("Origin", *value));
    let sites = site.iter().map(|value| ("Sec-Fetch-Site", *value));
    origins.chain(sites).collect()
}

#[test]
fn every_combination_is_decided_as_in_the_table() {
    let policy = OriginPolicy::new().trust(TRUSTED).unwrap();
    for (origin, row) in TABLE {
        for (site, passes) in SITES.iter().zip(row) {
            let fields = fields(origin, site);
            for method in SAFE {
                assert!(
                    policy.check(method, "/", Some(HOST), &fields).is_ok(),
                    "{method}"
                );
            }
            for method in UNSAFE {
                let allowed = policy.check(method, "/", Some(HOST), &fields).is_ok();
                assert_eq!(allowed, passes, "{method:?} with {fields:?}");
            }
        }
    }
}

#[test]
fn an_origin_passes_with_host_and_port_of_the_target() {
    let own = |origin, host| {
        let fields = [("origin", origin)];
        OriginPolicy::new()
            .check("POST", "/", host, &fields)
            .is_ok()
    };
    for (origin, host) in [
        ("https://a.example", "A.example"),
        ("https://a.example", "a.example:443"),
        ("http://a.example", "a.example:80"),
        ("http://localhost:3000", "localhost:3000"),
        ("http://[::1]:3000", "[::1]:3000"),
        ("https://[::1]", "[::1]"),
        ("http://127.0.0.1:3000", "127.0.0.1:3000"),
    ] {
        assert!(own(origin, Some(host)), "{origin} at {host}");
        assert!(!own(origin, None), "{origin} without a host");
    }
    for (origin, host) in [
        ("https://a.example", "a.example:80"),
        ("http://a.example", "a.example:443"),
        ("http://localhost:3000", "localhost"),
        ("http://localhost:3000", "localhost:3001"),
        ("https://a.example:+443", "a.example"),
        ("https://a.example:", "a.example"),
        ("https://a.example:0443", "a.example"),
        ("https://a.example:65979", "a.example"),
        ("https://user@a.example", "a.example"),
        ("https://user@a.example", "user@a.example"),
        ("https://", ""),
        ("https://a.example?", "a.example"),
        ("app://a.example", "a.example"),
        ("//a.example", "a.example"),
        ("https://[::1", "[::1"),
        ("https://a.example https://a.example", "a.example"),
    ] {
        assert!(!own(origin, Some(host)), "{origin} at {host}");
    }
}

#[test]
fn only_a_plain_origin_can_be_trusted() {
    for (trusted, sent) in [
        ("https://APP.example.com", "https://app.example.com"),
        ("https://app.example.com:443", "https://app.example.com"),
        ("http://app.example.com:8080", "http://app.example.com:8080"),
        ("http://[::1]:3000", "http://[::1]:3000"),
        ("capacitor://localhost", "capacitor://localhost"),
    ] {
        let policy = OriginPolicy::new().trust(trusted).unwrap();
        let fields = [("origin", sent), ("sec-fetch-site", "cross-site")];
        assert!(
            policy.check("POST", "/", None, &fields).is_ok(),
            "{trusted}"
        );
    }
    for (refused, hint) in [
        ("", "scheme or host is missing"),
        ("null", "Referrer-Policy: same-origin"),
        ("NULL", "Referrer-Policy: same-origin"),
        ("*", "trust_subdomains"),
        ("https://*", "trust_subdomains"),
        ("https://*.example.com", "trust_subdomains"),
        ("app.example.com", "scheme or host is missing"),
        ("https://", "scheme or host is missing"),
        ("https://app.example.com/", "remove the last character"),
        ("https://app.example.com/a", "remove the path"),
        ("https://app.example.com/a/", "remove the path"),
        ("https://app.example.com?a", "remove the path"),
        ("https://app.example.com#a", "remove the path"),
        ("https://a@app.example.com", "remove the user name"),
        ("https://a:b@app.example.com", "remove the user name"),
        ("https://app.example.com:", "write a scheme"),
        ("https://app.example.com:0", "write a scheme"),
        ("https://app.example.com:65536", "write a scheme"),
        (" https://app.example.com", "white space"),
        ("https://app.example.com ", "white space"),
        ("https://\u{e9}.example", "Punycode"),
        ("1://app.example.com", "write a scheme"),
        ("https://[::g]", "write a scheme"),
    ] {
        for error in [
            OriginPolicy::new().trust(refused).unwrap_err(),
            OriginPolicy::new().trust_subdomains(refused).unwrap_err(),
        ] {
            let text = error.to_string();
            assert!(error.is_misuse(), "{text}");
            // It names the mistake in this text.
            let given = format!("{:?}", refused.to_ascii_lowercase());
            assert!(text.contains(&given) && text.contains(hint), "{text}");
        }
    }
}

/// Returns whether a page of this origin may send a form.
fn may_post(policy: &OriginPolicy, origin: &str) -> bool {
    let fields = [("origin", origin), ("sec-fetch-site", "cross-site")];
    policy.check("POST", "/", Some(HOST), &fields).is_ok()
}

#[test]
fn trusted_subdomains_have_scheme_and_port_and_a_dot_before_the_domain() {
    let new = OriginPolicy::new;
    let policy = new().trust_subdomains("https://Example.com:443").unwrap();
    for trusted in [
        "https://a.example.com",
        "https://a.b.example.com",
        "https://A.EXAMPLE.com",
        "https://a-1.example.com:443",
    ] {
        assert!(may_post(&policy, trusted), "{trusted}");
    }
    for other in [
        "https://example.com",
        "https://.example.com",
        "https://evilexample.com",
        "https://a.example.com.evil.example",
        "https://a.example.com:8443",
        "http://a.example.com",
        "https://evil.example/.example.com",
        "https://evil.example#.example.com",
        "https://a@b.example.com",
        "https://a.example.com https://a.example.com",
        "null",
        "",
    ] {
        assert!(!may_post(&policy, other), "{other}");
    }
    let local = new().trust_subdomains("http://localhost:3000").unwrap();
    assert!(may_post(&local, "http://app.localhost:3000"));
    assert!(!may_post(&local, "http://app.localhost"));
    for refused in [
        "https://com",
        "https://127.0.0.1",
        "https://[::1]",
        "https://example.com.",
    ] {
        assert!(
            new().trust_subdomains(refused).unwrap_err().is_misuse(),
            "{refused}"
        );
    }
}

#[test]
fn a_rule_is_asked_about_origins_in_the_form_of_browsers_only() {
    let asked = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&asked);
    let policy = OriginPolicy::new().trust_if(move |origin| {
        seen.lock().unwrap().push(origin.to_owned());
        origin == "https://tenant.example"
    });
    assert!(may_post(&policy, "https://Tenant.example:443"));
    assert!(!may_post(&policy, "https://other.example:8443"));
    for malformed in ["null", "", "https://tenant.example/", "tenant.example"] {
        assert!(!may_post(&policy, malformed), "{malformed}");
    }
    let safe = [("origin", "https://third.example")];
    assert!(policy.check("GET", "/", Some(HOST), &safe).is_ok());
    let asked = asked.lock().unwrap();
    assert_eq!(
        *asked,
        ["https://tenant.example", "https://other.example:8443"]
    );
    assert!(!format!("{policy:?}").is_empty());
}

#[test]
fn an_exception_is_one_path() {
    let policy = OriginPolicy::new().except("/callback").unwrap();
    for (path, passes) in [
        ("/callback", true),
        ("/callback/", false),
        ("/callback/more", false),
        ("/callback2", false),
        ("/CALLBACK", false),
        ("/x/callback", false),
        ("//callback", false),
        ("/%63allback", false),
        ("/", false),
    ] {
        for origin in ["https://idp.example", "null"] {
            let fields = [("origin", origin), ("sec-fetch-site", "cross-site")];
            let checked = policy.check("POST", path, Some(HOST), &fields);
            assert_eq!(checked.is_ok(), passes, "{path}");
        }
    }
    for refused in [
        "",
        "callback",
        "https://a.example/",
        "/a?b",
        "/a#b",
        "/a/*",
        "/a/{id}",
    ] {
        let error = OriginPolicy::new().except(refused).unwrap_err();
        assert!(error.is_misuse(), "{refused}");
        assert!(
            error.to_string().contains(&format!("{refused:?}")),
            "{error}"
        );
    }
}

#[test]
fn a_refused_request_is_described() {
    let check = |authority, fields: &[(&str, &str)]| {
        let refused = OriginPolicy::new().check("POST", "/", authority, fields);
        refused.unwrap_err()
    };
    let refused = check(
        None,
        &[("Origin", "http://box.lan:8080"), ("Host", "box.lan")],
    );
    assert_eq!(refused.method(), "POST");
    assert_eq!(refused.origin(), Some("http://box.lan:8080"));
    assert_eq!(refused.host(), Some("box.lan"));
    let text = "POST from origin http://box.lan:8080 to host box.lan";
    assert_eq!(refused.to_string(), text);
    // The authority of the target precedes the field.
    let refused = check(
        Some("a.example"),
        &[("Sec-Fetch-Site", "same-site"), ("Host", "b")],
    );
    assert_eq!(
        (refused.origin(), refused.host()),
        (None, Some("a.example"))
    );
    assert_eq!(
        refused.to_string(),
        "POST from origin unknown to host a.example"
    );
    // A client chooses its own fields.
    let long = format!("https://\u{7}\r\n{}", "a".repeat(1_000));
    let refused = check(None, &[("Origin", &long), ("Origin", "second")]);
    let origin = refused.origin().unwrap();
    assert_eq!(origin.chars().count(), 256);
    assert!(origin.starts_with("https://aaa"), "{origin}");
    let bytes = [("origin", &b"a\xff\xe2\x80\xaeb"[..])];
    let refused = OriginPolicy::new()
        .check("POST", "/", None, &bytes)
        .unwrap_err();
    // Neither a replacement character nor one that turns the direction of text.
    assert_eq!(refused.origin(), Some("ab"));
}

/// Browsers ignore `Secure` cookies of plain HTTP, except from the machine itself.
#[test]
fn a_lost_cookie_is_recognized() {
    let loses = |transport: &Transport, fields: &[(&str, &str)]| transport.loses_cookies(&fields);
    let secure = Transport::cookie(Cookie::default());
    let insecure = Cookie::builder().insecure().build().unwrap();
    for (fields, lost) in [
        (&[("Origin", "http://box.lan")][..], true),
        (&[("Origin", "http://10.0.0.7:8080")], true),
        (&[("Origin", "http://[fe80::1]")], true),
        (&[("Referer", "http://box.lan:8080/login?next=a:b")], true),
        (&[("Origin", "null"), ("Referer", "http://box.lan/")], true),
        (&[("Origin", "http://localhostile.example")], true),
        (
            &[
                ("Origin", "https://box.lan"),
                ("Referer", "https://box.lan/"),
            ],
            false,
        ),
        (&[("Origin", "http://localhost:3000")], false),
        (&[("Origin", "http://app.localhost")], false),
        (&[("Origin", "http://127.0.0.1:3000")], false),
        (&[("Origin", "http://127.1.2.3")], false),
        (&[("Origin", "http://[::1]:3000")], false),
        (&[("Origin", "null")], false),
        (&[], false),
        // The request came over TLS, from a page without it.
        (
            &[
                ("Referer", "http://box.lan/"),
                ("Sec-Fetch-Site", "cross-site"),
            ],
            false,
        ),
    ] {
        assert_eq!(loses(&secure, fields), lost, "{fields:?}");
        assert!(!loses(&Transport::cookie(insecure.clone()), fields));
        assert!(!loses(&Transport::bearer(), fields));
    }
}
