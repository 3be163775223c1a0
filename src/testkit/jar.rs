//! Cookies of a browser under test.

use std::cmp::Reverse;

use crate::clock::Timestamp;

/// Cookie jar of a browser (RFC 6265bis, sections 5.5 to 5.8). It does not read `Expires`.
#[derive(Clone, Default)]
pub(crate) struct CookieJar(Vec<StoredCookie>);

#[derive(Clone)]
struct StoredCookie {
    name: String,
    value: String,
    domain: String,
    is_host_only: bool,
    path: String,
    is_secure: bool,
    is_partitioned: bool,
    expires_at: Option<Timestamp>,
}

/// Address of a request, as far as cookies depend on it.
#[derive(Clone, Copy)]
pub(crate) struct Address<'a> {
    /// The browser trusts the connection: HTTPS, or the own machine.
    pub(crate) is_secure: bool,
    pub(crate) host: &'a str,
    pub(crate) path: &'a str,
}

impl CookieJar {
    /// Stores, replaces or removes the cookie of a line of `Set-Cookie`.
    ///
    /// # Errors
    ///
    /// The rule by which browsers ignore the line.
    pub(crate) fn receive(
        &mut self,
        from: Address<'_>,
        line: &str,
        now: Timestamp,
    ) -> Result<(), &'static str> {
        let mut parts = line.split(';').map(|part| {
            let (key, value) = part.split_once('=').unwrap_or((part, ""));
            (key.trim(), value.trim())
        });
        let (name, value) = parts.next().unwrap_or_default();
        let mut cookie = StoredCookie {
            name: name.to_owned(),
            value: value.to_owned(),
            domain: from.host.to_owned(),
            is_host_only: true,
            path: folder(from.path).to_owned(),
            is_secure: false,
            is_partitioned: false,
            expires_at: None,
        };
        let (mut is_http_only, mut is_cross_site, mut has_path) = (false, false, false);
        for (key, value) in parts {
            match key.to_ascii_lowercase().as_str() {
                "domain" if !value.is_empty() => {
                    let domain = value.strip_prefix('.').unwrap_or(value);
                    cookie.domain = domain.to_ascii_lowercase();
                    cookie.is_host_only = false;
                }
                "path" if value.starts_with('/') => {
                    value.clone_into(&mut cookie.path);
                    has_path = true;
                }
                "max-age" => {
                    let seconds = value.parse::<i64>().map(|age| age.max(0).unsigned_abs());
                    cookie.expires_at = seconds.ok().map(|seconds| now.saturating_add(seconds));
                }
                "secure" => cookie.is_secure = true,
                "httponly" => is_http_only = true,
                "samesite" => is_cross_site = value.eq_ignore_ascii_case("none"),
                "partitioned" => cookie.is_partitioned = true,
                _ => {}
            }
        }
        let lower = name.to_ascii_lowercase();
        let has = |prefix: &str| lower.starts_with(prefix);
        let is_rooted = cookie.is_host_only && has_path && cookie.path == "/";
        let has_secure_prefix = has("__secure-") || has("__host-") || has("__http-");
        let is_everywhere = is_cross_site || cookie.is_partitioned;
        if name.is_empty() || name.len() + value.len() > 4096 {
            return Err("it has no name, or more than 4096 bytes");
        } else if !cookie.is_sent_to_host(from.host) {
            return Err("its `Domain` is not that of the host");
        } else if cookie.is_secure && !from.is_secure {
            return Err(
                "it is `Secure`, and the page uses plain HTTP: test with an https origin, \
                        or build the cookie with `insecure()`",
            );
        } else if !cookie.is_secure && (has_secure_prefix || is_everywhere) {
            return Err("its prefix, `SameSite=None` or `Partitioned` requires `Secure`");
        } else if has("__host-") && !is_rooted {
            return Err("`__Host-` requires `Path=/` and no `Domain`");
        } else if !is_http_only && (has("__http-") || has("__host-http-")) {
            return Err("`__Http-` and `__Host-Http-` require `HttpOnly`");
        }
        self.0.retain(|other| other.key() != cookie.key());
        if cookie.is_alive(now) {
            self.0.push(cookie);
        }
        Ok(())
    }

    /// Returns the value of the field `Cookie` of a request, longer paths first.
    pub(crate) fn line(&self, to: Address<'_>, now: Timestamp) -> Option<String> {
        let mut sent: Vec<_> = self.alive(now).filter(|one| one.is_sent(to)).collect();
        sent.sort_by_key(|cookie| Reverse(cookie.path.len()));
        let pairs = sent.iter().map(|one| format!("{}={}", one.name, one.value));
        (!sent.is_empty()).then(|| pairs.collect::<Vec<_>>().join("; "))
    }

    /// Returns the value of a cookie.
    pub(crate) fn value(&self, name: &str, now: Timestamp) -> Option<&str> {
        let cookie = self.alive(now).find(|cookie| cookie.name == name)?;
        Some(&cookie.value)
    }

    /// Returns the names of all cookies.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|cookie| &*cookie.name)
    }

    fn alive(&self, now: Timestamp) -> impl Iterator<Item = &StoredCookie> {
        self.0.iter().filter(move |cookie| cookie.is_alive(now))
    }
}

impl StoredCookie {
    /// Returns the properties that tell the cookie from others.
    fn key(&self) -> (&str, &str, bool, &str, bool) {
        let (name, domain, path) = (&self.name, &self.domain, &self.path);
        (name, domain, self.is_host_only, path, self.is_partitioned)
    }

    fn is_alive(&self, now: Timestamp) -> bool {
        self.expires_at.is_none_or(|expires_at| now < expires_at)
    }

    fn is_sent(&self, to: Address<'_>) -> bool {
        let rest = to.path.strip_prefix(&*self.path);
        let is_below = rest.is_some_and(|rest| {
            rest.is_empty() || self.path.ends_with('/') || rest.starts_with('/')
        });
        is_below && self.is_sent_to_host(to.host) && (to.is_secure || !self.is_secure)
    }

    fn is_sent_to_host(&self, host: &str) -> bool {
        let rest = host.strip_suffix(&*self.domain);
        rest.is_some_and(|rest| rest.is_empty() || !self.is_host_only && rest.ends_with('.'))
    }
}

/// Returns the path of a cookie without `Path` (RFC 6265bis, section 5.1.4).
fn folder(path: &str) -> &str {
    match path.rfind('/') {
        None | Some(0) => "/",
        Some(end) => &path[..end],
    }
}
