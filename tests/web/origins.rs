//! Cross-origin protection, compared to a hand-written table of all combinations.

use statewise::web::OriginPolicy;

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
                assert!(policy.allows(method, Some(HOST), &fields), "{method}");
            }
            for method in UNSAFE {
                let allowed = policy.allows(method, Some(HOST), &fields);
                assert_eq!(allowed, passes, "{method:?} with {fields:?}");
            }
        }
    }
}

#[test]
fn an_origin_passes_with_host_and_port_of_the_target() {
    let own = |origin, host| OriginPolicy::new().allows("POST", host, &[("origin", origin)]);
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
        assert!(policy.allows("POST", None, &fields), "{trusted}");
    }
    for refused in [
        "",
        "null",
        "*",
        "https://*",
        "https://*.example.com",
        "app.example.com",
        "https://",
        "https://app.example.com/",
        "https://app.example.com/a",
        "https://app.example.com?a",
        "https://app.example.com#a",
        "https://a@app.example.com",
        "https://a:b@app.example.com",
        "https://app.example.com:",
        "https://app.example.com:0",
        "https://app.example.com:65536",
        " https://app.example.com",
        "https://app.example.com ",
        "https://\u{e9}.example",
        "1://app.example.com",
        "https://[::g]",
    ] {
        assert!(
            OriginPolicy::new().trust(refused).unwrap_err().is_misuse(),
            "{refused}"
        );
    }
}
