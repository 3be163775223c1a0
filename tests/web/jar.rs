//! Cookies in a strict browser: stored and sent after they are set, dropped after they are removed.

use std::time::Duration;

use statewise::Credential;
use statewise::web::{Cookie, Found, SameSite};

/// Cookie jar of a browser (RFC 6265bis, sections 5.6 to 5.8). Strict: it panics where a browser
/// would repair a cookie.
#[derive(Default)]
struct Jar(Vec<Kept>);

#[derive(PartialEq)]
struct Kept {
    name: String,
    value: String,
    domain: String,
    host_only: bool,
    path: String,
    secure: bool,
}

impl Jar {
    fn receive(&mut self, host: &str, set_cookie: &str) {
        assert!(set_cookie.bytes().all(|byte| (b' '..=b'~').contains(&byte)));
        let mut parts = set_cookie.split("; ");
        let (name, value) = parts.next().unwrap().split_once('=').unwrap();
        assert!(!name.is_empty() && name.len() + value.len() <= 4096);
        let mut kept = Kept {
            name: name.to_owned(),
            value: value.to_owned(),
            domain: host.to_owned(),
            host_only: true,
            path: String::new(),
            secure: false,
        };
        let (mut http_only, mut same_site, mut partitioned, mut age) = (false, None, false, None);
        let mut seen = Vec::new();
        for part in parts {
            let (key, value) = part.split_once('=').unwrap_or((part, ""));
            assert!(value.len() <= 1024);
            assert!(!seen.contains(&key), "{key} occurs twice");
            seen.push(key);
            match key {
                "Domain" => {
                    assert!(host == value || host.ends_with(&format!(".{value}")));
                    kept.domain = value.to_owned();
                    kept.host_only = false;
                }
                "Path" => kept.path = value.to_owned(),
                "Max-Age" => age = Some(value.parse::<u64>().unwrap()),
                "Secure" => kept.secure = true,
                "HttpOnly" => http_only = true,
                "SameSite" => same_site = Some(value),
                "Partitioned" => partitioned = true,
                other => panic!("{other}"),
            }
        }
        let lower = name.to_ascii_lowercase();
        let begins = |prefix: &str| lower.starts_with(prefix);
        let host_prefix = kept.secure && kept.host_only && kept.path == "/";
        assert!(!begins("__host-") || host_prefix);
        assert!(!begins("__host-http-") || http_only);
        assert!(!begins("__http-") || kept.secure && http_only);
        assert!(!begins("__secure-") || kept.secure);
        assert!(kept.secure || !partitioned && same_site != Some("None"));
        assert!(age.is_none_or(|age| age <= 34_560_000));
        self.0.retain(|other| {
            (&other.name, &other.domain, other.host_only, &other.path)
                != (&kept.name, &kept.domain, kept.host_only, &kept.path)
        });
        if age != Some(0) {
            self.0.push(kept);
        }
    }

    /// Returns the `Cookie` line of a request.
    fn line(&self, secure: bool, host: &str, path: &str) -> String {
        let matches = |kept: &&Kept| {
            let below = |whole: &str, part: &str| {
                whole == part
                    || whole.starts_with(part)
                        && (part.ends_with('/') || whole[part.len()..].starts_with('/'))
            };
            (host == kept.domain || !kept.host_only && host.ends_with(&format!(".{}", kept.domain)))
                && below(path, &kept.path)
                && (secure || !kept.secure)
        };
        let pairs: Vec<_> = self
            .0
            .iter()
            .filter(matches)
            .map(|kept| format!("{}={}", kept.name, kept.value))
            .collect();
        pairs.join("; ")
    }
}

/// Deterministic random generator (SplitMix64).
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((mixed ^ (mixed >> 31)) >> 33).unwrap() % bound
    }

    fn of<'a>(&mut self, choice: &[&'a str]) -> &'a str {
        choice[self.below(choice.len())]
    }

    /// Returns a random valid cookie value.
    fn value(&mut self) -> String {
        let octets: Vec<char> = (0x21..0x7f_u8)
            .filter(|byte| !b"\",;\\".contains(byte))
            .map(char::from)
            .collect();
        (0..=self.below(80))
            .map(|_| octets[self.below(octets.len())])
            .collect()
    }
}

#[test]
fn a_cookie_is_found_until_it_is_removed() {
    const HOST: &str = "www.example.com";
    let (mut built, mut refused) = (0, 0);
    for seed in 0..20_000 {
        let mut random = Random(seed);
        let mut builder = Cookie::builder();
        if random.below(2) == 0 {
            builder = builder.name(random.of(&[
                "id",
                "__Host-id",
                "__hOST-id",
                "__Secure-s",
                "__SECURE-s",
                "__Http-h",
                "__http-h",
                "__Host-Http-h",
                "__Host",
                "!#$%&'*+-.^_`|~",
            ]));
        }
        if random.below(3) == 0 {
            builder = builder.domain(random.of(&["example.com", "WWW.example.com", "com"]));
        }
        if random.below(3) == 0 {
            builder = builder.path(random.of(&["/", "/a", "/a/", "a", "/a/b"]));
        }
        if random.below(3) == 0 {
            builder = builder.max_age(Duration::from_secs(random.below(50_000_000) as u64));
        }
        builder =
            builder.same_site([SameSite::Strict, SameSite::Lax, SameSite::None][random.below(3)]);
        if random.below(4) == 0 {
            builder = builder.partitioned();
        }
        if random.below(4) == 0 {
            builder = builder.insecure();
        }
        if random.below(4) == 0 {
            builder = builder.unprefixed();
        }
        let Ok(cookie) = builder.build() else {
            refused += 1;
            continue;
        };
        built += 1;
        let mut jar = Jar::default();
        jar.receive(
            HOST,
            "__Host-other=1; Path=/; Secure; HttpOnly; SameSite=Lax",
        );
        let path = format!("{}/c", cookie.path().trim_end_matches('/'));
        for _ in 0..2 {
            let value = random.value();
            let set = cookie.set(&Credential::new(value.clone())).unwrap();
            jar.receive(HOST, &set);
            let request = [("cookie", jar.line(true, HOST, &path))];
            let found = cookie.find(&request, |_| true);
            assert!(
                found == Found::One(&value),
                "seed {seed}: {set} in {request:?}"
            );
        }
        jar.receive(HOST, cookie.remove());
        assert_eq!(jar.line(true, HOST, &path), "__Host-other=1", "seed {seed}");
    }
    assert!(
        built > 1_000 && refused > 1_000,
        "{built} built and {refused} refused"
    );
}
