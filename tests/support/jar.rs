//! Cookie jar of a strict browser.

#![allow(dead_code, reason = "each test uses a part of it")]

/// Cookie jar of a browser (RFC 6265bis, sections 5.6 to 5.8). Strict: it panics where a browser
/// would repair a cookie.
#[derive(Clone, Debug, Default)]
pub(crate) struct Jar(pub(crate) Vec<Kept>);

#[derive(Clone, Debug)]
pub(crate) struct Kept {
    pub(crate) name: String,
    pub(crate) value: String,
    domain: String,
    host_only: bool,
    path: String,
    secure: bool,
    partitioned: bool,
}

impl Kept {
    /// Returns what tells the cookie from others.
    pub(crate) fn key(&self) -> (&str, &str, bool, &str, bool) {
        let (name, domain, path) = (&self.name, &self.domain, &self.path);
        (name, domain, self.host_only, path, self.partitioned)
    }
}

impl Jar {
    pub(crate) fn receive(&mut self, host: &str, set_cookie: &str) {
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
            partitioned: false,
        };
        let (mut http_only, mut same_site, mut age) = (false, None, None);
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
                "Partitioned" => kept.partitioned = true,
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
        assert!(kept.secure || !kept.partitioned && same_site != Some("None"));
        assert!(age.is_none_or(|age| age <= 34_560_000));
        self.0.retain(|other| other.key() != kept.key());
        if age != Some(0) {
            self.0.push(kept);
        }
    }

    /// Returns the `Cookie` line of a request.
    pub(crate) fn line(&self, secure: bool, host: &str, path: &str) -> String {
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
