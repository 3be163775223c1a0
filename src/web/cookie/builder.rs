//! Attributes of a cookie, and the checks of their combinations.

use std::fmt::Write as _;
use std::time::Duration;

use crate::error::{Error, Result};
use crate::login::preset::Preset;
use crate::web::headers::is_token_byte;

use super::{Cookie, DEFAULT_PAIR_BYTES, MAX_AGE_SECS, MAX_PAIR_BYTES, SameSite};

/// Maximum length of an attribute's value (RFC 6265bis, section 5.6).
const MAX_ATTRIBUTE_BYTES: usize = 1024;
/// Maximum length of a domain (RFC 1035, section 2.3.4, without the length bytes).
const MAX_DOMAIN_BYTES: usize = 253;
/// Maximum length of a domain's label (RFC 1035, section 2.3.4).
const MAX_LABEL_BYTES: usize = 63;
/// Length of a session credential. A name that leaves no room for it is refused.
const SESSION_CREDENTIAL_BYTES: usize = 64;

/// Builder of a [`Cookie`]. [`build`](Self::build) refuses contradictory attributes, so that the
/// service fails at start and not when the first user logs in.
///
/// ```
/// use statewise::web::Cookie;
///
/// let shared = Cookie::builder().domain("example.com").build()?;
/// assert_eq!(shared.name(), "__Secure-id");
///
/// // `__Host-` excludes a domain, and a name without a prefix needs `unprefixed`.
/// assert!(Cookie::builder().domain("example.com").name("__Host-id").build().is_err());
/// assert!(Cookie::builder().name("session").build().is_err());
/// # Ok::<(), statewise::Error>(())
/// ```
///
/// # Defaults
///
/// | setting | default | source |
/// |---|---|---|
/// | [`name`](Self::name) | `__Host-id`; `__Secure-id` with a domain or path; `id` if insecure or unprefixed | OWASP ASVS 3.3.1, 3.3.3 |
/// | [`domain`](Self::domain) | the host that set the cookie, without hosts below it | RFC 6265bis, section 5.7 |
/// | [`path`](Self::path) | `/` | |
/// | [`same_site`](Self::same_site) | `Lax` | OWASP ASVS 3.3.2 |
/// | [`max_age`](Self::max_age) | until the browser's session ends, or the deadline of a remembered login; at most 400 days | RFC 6265bis, section 4.1.2.2 |
/// | [`partitioned`](Self::partitioned) | no | |
/// | [`max_bytes`](Self::max_bytes) | 3584 bytes | default buffers of nginx |
/// | [`insecure`](Self::insecure) | no: the cookie is `Secure` | OWASP ASVS 3.3.1 |
/// | [`unprefixed`](Self::unprefixed) | no: the name has a prefix | OWASP ASVS 3.3.1, 3.3.3 |
/// | [`preset`](Self::preset) | none | |
/// | `HttpOnly` | always | OWASP ASVS 3.3.4 |
#[must_use = "a builder does nothing until it builds"]
#[derive(Clone, Debug, Default)]
pub struct CookieBuilder {
    name: Option<String>,
    domain: Option<String>,
    path: Option<String>,
    same_site: SameSite,
    max_age: Option<Duration>,
    partitioned: bool,
    insecure: bool,
    unprefixed: bool,
    max_bytes: Option<usize>,
    preset: Option<Preset>,
}

impl CookieBuilder {
    /// Sets the name, including its prefix (OWASP ASVS 3.3.1, 3.3.3): `__Host-`, `__Secure-`, or
    /// `__Http-` or `__Host-Http-` from the draft of layered cookies.
    ///
    /// The default is `id` after the strictest prefix that the other attributes allow. A generic
    /// name does not reveal which software runs here.
    ///
    /// If you change the name of a cookie that is in use, add the old one with
    /// [`Transport::formerly`](crate::web::Transport::formerly). Otherwise all users log in again.
    ///
    /// ```
    /// use statewise::web::Cookie;
    ///
    /// // A name for each service of one host, because cookies do not tell ports apart.
    /// let cookie = Cookie::builder().name("__Host-shop").build()?;
    /// assert_eq!(cookie.name(), "__Host-shop");
    /// assert!(Cookie::builder().name("shop").build().is_err());
    /// # Ok::<(), statewise::Error>(())
    /// ```
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Sends the cookie to this domain and to all hosts below it. Each of them can then read and
    /// replace it (RFC 6265bis, section 8.6). Contradicts `__Host-`.
    ///
    /// Single labels (`com`) are refused here. Browsers also refuse public suffixes such as
    /// `co.uk`, of which this crate has no list.
    ///
    /// If you add, change or remove the domain of a cookie that is in use, give the
    /// new cookie another name, and add the old one with
    /// [`Transport::formerly`](crate::web::Transport::formerly). Browsers keep both cookies, and
    /// send both under the same name.
    ///
    /// ```
    /// use statewise::web::Cookie;
    ///
    /// // One login for shop.example.com and forum.example.com.
    /// let cookie = Cookie::builder().domain("example.com").build()?;
    /// assert_eq!(
    ///     cookie.remove(),
    ///     "__Secure-id=; Domain=example.com; Path=/; Max-Age=0; Secure; HttpOnly; SameSite=Lax",
    /// );
    /// # Ok::<(), statewise::Error>(())
    /// ```
    pub fn domain(mut self, domain: impl Into<String>) -> Self {
        self.domain = Some(domain.into());
        self
    }

    /// Sends the cookie below this path only. Contradicts `__Host-`. It keeps other requests small,
    /// but is no protection: pages of other paths of the host can get the cookie (RFC 6265bis,
    /// section 8.5).
    ///
    /// If you change the path of a cookie that is in use, give the new cookie another
    /// name, and add the old one with [`Transport::formerly`](crate::web::Transport::formerly):
    /// browsers keep both.
    pub fn path(mut self, path: impl Into<String>) -> Self {
        self.path = Some(path.into());
        self
    }

    /// Selects the requests from other sites that carry the cookie. Default: [`SameSite::Lax`].
    ///
    /// ```
    /// use statewise::web::{Cookie, SameSite};
    ///
    /// // For an application that other sites embed. Add an `OriginPolicy` that trusts them.
    /// let cookie = Cookie::builder().same_site(SameSite::None).partitioned().build()?;
    /// # let _ = cookie;
    /// # Ok::<(), statewise::Error>(())
    /// ```
    pub fn same_site(mut self, same_site: SameSite) -> Self {
        self.same_site = same_site;
        self
    }

    /// Sets how long the browser keeps the cookie, in whole seconds and at most 400 days. Default:
    /// until the browser's session ends.
    ///
    /// The cookie of a [remembered](crate::Login::remember) login stays until the deadline of the login
    /// instead. For a box "keep me signed in", leave this out: the cookie of others then ends with the
    /// browser's session.
    ///
    /// The cookie is set again only when its credential is rotated or refreshed. Without rotation,
    /// or with a `rotate_after` that is longer than this, the browser drops the cookie this long
    /// after the login, even if the user is active all the time. So set a shorter `rotate_after`
    /// too.
    ///
    /// The authenticator has its own settings for how long the server accepts the credential.
    ///
    /// ```
    /// use std::time::Duration;
    /// use statewise::session::SessionAuthenticator;
    /// use statewise::store::MemoryStore;
    /// use statewise::web::Cookie;
    ///
    /// const DAY: Duration = Duration::from_secs(24 * 60 * 60);
    ///
    /// let cookie = Cookie::builder().max_age(7 * DAY).build()?;
    /// let sessions = SessionAuthenticator::builder(MemoryStore::with_capacity(1_000)?)
    ///     .idle(7 * DAY)
    ///     .absolute(30 * DAY)
    ///     .rotate_after(DAY)
    ///     .build()?;
    /// # let _ = (cookie, sessions);
    /// # Ok::<(), statewise::Error>(())
    /// ```
    pub fn max_age(mut self, max_age: Duration) -> Self {
        self.max_age = Some(max_age);
        self
    }

    /// Makes the browser keep one cookie per site that embeds this one (CHIPS).
    ///
    /// If you add or remove it for a cookie that is in use, give the new cookie
    /// another name, and add the old one with
    /// [`Transport::formerly`](crate::web::Transport::formerly): browsers keep both.
    pub fn partitioned(mut self) -> Self {
        self.partitioned = true;
        self
    }

    /// Omits `Secure` and the prefix. Use it for development over plain HTTP only: an attacker on
    /// the network path reads the credential.
    ///
    /// Not every client sends `Secure` cookies over plain HTTP to its own machine: Node's
    /// `tough-cookie` does, but Python's `requests` stores them and never sends them.
    ///
    /// ```
    /// use statewise::web::Cookie;
    ///
    /// let cookie = Cookie::builder().insecure().build()?;
    /// assert_eq!(cookie.remove(), "id=; Path=/; Max-Age=0; HttpOnly; SameSite=Lax");
    /// # Ok::<(), statewise::Error>(())
    /// ```
    pub fn insecure(mut self) -> Self {
        self.insecure = true;
        self
    }

    /// Allows a name without a prefix, and omits the prefix of the default name.
    ///
    /// A page of a sibling host, or an attacker on the path of a plain HTTP request, can then plant
    /// a cookie of this name.
    pub fn unprefixed(mut self) -> Self {
        self.unprefixed = true;
        self
    }

    /// Limits name and value together, at most to the 4096 bytes that browsers accept. A longer
    /// credential is refused as too large, which is answered with 500. Default: 3584 bytes.
    ///
    /// With its default buffers, nginx answers 502 if the head of a response exceeds 4096 bytes. Raise
    /// the limit only together with the buffers of your proxies (nginx: `proxy_buffer_size`). Sessions
    /// have 64 bytes; only tokens with many roles or much data become so long.
    ///
    /// ```
    /// use statewise::web::Cookie;
    ///
    /// // For tokens of up to 4000 characters, behind a proxy with buffers of 16 KiB.
    /// let cookie = Cookie::builder().max_bytes(4050).build()?;
    /// assert!(Cookie::builder().max_bytes(5000).build().is_err());
    /// # let _ = cookie;
    /// # Ok::<(), statewise::Error>(())
    /// ```
    pub fn max_bytes(mut self, bytes: usize) -> Self {
        self.max_bytes = Some(bytes);
        self
    }

    /// Enforces the requirements of a standard, which the default attributes meet:
    /// [`build`](Self::build) fails if another attribute is weaker. Default: none. See [`Preset`].
    pub fn preset(mut self, preset: Preset) -> Self {
        self.preset = Some(preset);
        self
    }

    /// Builds the cookie.
    ///
    /// # Errors
    ///
    /// *Misuse* if an attribute violates RFC 6265bis (section 4.1.1), if two attributes contradict
    /// each other (sections 4.1.3 and 5.7), if the name leaves no room for a credential, or if an
    /// attribute is weaker than the [preset](Self::preset) requires.
    pub fn build(mut self) -> Result<Cookie> {
        self.domain = self.domain.as_deref().map(checked_domain).transpose()?;
        check_path(self.path_or_root())?;
        self.check_contradictions()?;
        self.check_preset()?;
        let name = match self.name.take() {
            Some(name) => self.checked_name(name)?,
            None => format!("{}id", self.strictest_prefix()),
        };
        Ok(self.cookie(name))
    }

    fn check_contradictions(&self) -> Result<()> {
        require(
            !self.insecure || self.same_site != SameSite::None,
            "browsers refuse SameSite=None without Secure: remove insecure(), or use Lax",
        )?;
        require(
            !self.insecure || !self.partitioned,
            "browsers refuse Partitioned without Secure: remove insecure() or partitioned()",
        )?;
        require(
            (SESSION_CREDENTIAL_BYTES..=MAX_PAIR_BYTES).contains(&self.pair_limit()),
            "browsers drop a cookie whose name and value exceed 4096 bytes, and a session has 64: \
             set max_bytes to a number between them",
        )?;
        require(
            self.max_age.is_none_or(|age| age.as_secs() > 0),
            "a max_age below one second removes the cookie: omit it to keep the cookie until the \
             browser's session ends",
        )
    }

    /// Refuses attributes that are weaker than the preset requires (NIST SP 800-63B-4, sections 5.1 and 5.1.1;
    /// OWASP ASVS 3.3.1 to 3.3.3).
    fn check_preset(&self) -> Result<()> {
        let Some(preset) = self.preset else {
            return Ok(());
        };
        let weaker = if self.insecure {
            "the cookie is not `Secure`: remove insecure() (NIST SP 800-63B-4, section 5.1.1 (SHALL))"
        } else if self.domain.is_some() {
            "the cookie is sent to other hosts: remove domain() (NIST SP 800-63B-4, section 5.1.1 \
             (SHALL))"
        } else if self.unprefixed {
            "the cookie's name has no prefix: remove unprefixed() (NIST SP 800-63B-4, section 5.1.1 \
             (SHOULD))"
        } else if self.same_site == SameSite::None {
            "requests of all sites carry the cookie: use `Lax` or `Strict` (NIST SP 800-63B-4, \
             section 5.1.1 (SHOULD))"
        } else if self.max_age.is_some() && preset != Preset::Aal1 {
            "the cookie outlives the browser's session: remove max_age() (NIST SP 800-63B-4, \
             section 5.1 (SHOULD))"
        } else {
            return Ok(());
        };
        Err(preset.weaker(weaker))
    }

    fn pair_limit(&self) -> usize {
        self.max_bytes.unwrap_or(DEFAULT_PAIR_BYTES)
    }

    /// Returns whether the attributes allow the prefix `__Host-`.
    fn is_host_only(&self) -> bool {
        !self.insecure && self.domain.is_none() && self.path_or_root() == "/"
    }

    fn path_or_root(&self) -> &str {
        self.path.as_deref().unwrap_or("/")
    }

    fn strictest_prefix(&self) -> &'static str {
        if self.insecure || self.unprefixed {
            ""
        } else if self.is_host_only() {
            "__Host-"
        } else {
            "__Secure-"
        }
    }

    fn checked_name(&self, name: String) -> Result<String> {
        require(
            !name.is_empty() && name.as_bytes().iter().all(is_token_byte),
            "a cookie's name has one or more ASCII letters, digits or !#$%&'*+-.^_`|~",
        )?;
        require(
            name.len() + SESSION_CREDENTIAL_BYTES <= self.pair_limit(),
            "name and value of a cookie exceed its max_bytes: use a shorter name",
        )?;
        // Browsers compare prefixes without case (RFC 6265bis, section 5.4).
        let begins = |prefix: &str| {
            name.get(..prefix.len())
                .is_some_and(|begin| begin.eq_ignore_ascii_case(prefix))
        };
        if begins("__Host-") {
            // `__Host-Http-` also demands HttpOnly, which is always set.
            require(
                self.is_host_only(),
                "browsers refuse __Host- with a domain, with another path than / and without \
                 Secure: use the prefix __Secure-, or remove the attribute",
            )?;
        } else if begins("__Secure-") || begins("__Http-") {
            require(
                !self.insecure,
                "browsers refuse __Secure- and __Http- without Secure: remove insecure(), or the \
                 prefix",
            )?;
        } else {
            require(
                self.insecure || self.unprefixed,
                "other hosts can plant a cookie without the prefix __Host- or __Secure-: add the \
                 prefix, or call unprefixed()",
            )?;
        }
        Ok(name)
    }

    /// Builds the cookie from a name and attributes that have been checked.
    pub(super) fn cookie(self, name: String) -> Cookie {
        let (scope, flags) = (self.scope(), self.flags());
        Cookie {
            removal: format!("{name}={scope}; Max-Age=0{flags}"),
            max_age: self.max_age.map(|age| age.as_secs().min(MAX_AGE_SECS)),
            path: self.path_or_root().to_owned(),
            max_bytes: self.pair_limit(),
            scope,
            flags,
            name,
        }
    }

    fn scope(&self) -> String {
        let mut text = String::new();
        if let Some(domain) = &self.domain {
            let _ = write!(text, "; Domain={domain}");
        }
        let _ = write!(text, "; Path={}", self.path_or_root());
        text
    }

    fn flags(&self) -> String {
        let mut text = String::new();
        if !self.insecure {
            text.push_str("; Secure");
        }
        text.push_str(match self.same_site {
            SameSite::Strict => "; HttpOnly; SameSite=Strict",
            SameSite::Lax => "; HttpOnly; SameSite=Lax",
            SameSite::None => "; HttpOnly; SameSite=None",
        });
        if self.partitioned {
            text.push_str("; Partitioned");
        }
        text
    }
}

/// Returns the domain in lower case, if browsers accept it (RFC 6265bis, sections 4.1.2.3 and 5.7).
fn checked_domain(domain: &str) -> Result<String> {
    require(
        !domain.starts_with('.') && !domain.ends_with('.'),
        "a cookie's domain has no dot at its start or end: write example.com, which includes all \
         hosts below it",
    )?;
    let is_label = |label: &str| {
        (1..=MAX_LABEL_BYTES).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    };
    require(
        domain.len() <= MAX_DOMAIN_BYTES && domain.split('.').all(is_label),
        "a cookie's domain has letters, digits and hyphens (other characters in Punycode), at most \
         63 bytes per label and 253 in total: write example.com",
    )?;
    let last = domain.rsplit_once('.').map(|(_, last)| last);
    require(
        last.is_some(),
        "browsers refuse a top-level domain: write example.com, or omit the domain",
    )?;
    require(
        !last.is_some_and(is_number),
        "browsers refuse an IP address as domain: omit it, and the cookie returns to the host that \
         set it",
    )?;
    Ok(domain.to_ascii_lowercase())
}

/// Returns whether a host that ends in this label is an IPv4 address (WHATWG URL, section 3.5).
fn is_number(label: &str) -> bool {
    let hexadecimal = label.strip_prefix("0x").or(label.strip_prefix("0X"));
    match hexadecimal {
        Some(digits) => digits.bytes().all(|byte| byte.is_ascii_hexdigit()),
        None => label.bytes().all(|byte| byte.is_ascii_digit()),
    }
}

fn check_path(path: &str) -> Result<()> {
    let is_allowed = |byte: u8| byte.is_ascii_graphic() && byte != b';';
    require(
        path.starts_with('/') && path.len() <= MAX_ATTRIBUTE_BYTES && path.bytes().all(is_allowed),
        "a cookie's path starts with / and has at most 1024 bytes of printable ASCII without space \
         and semicolon: write these as %20 and %3B",
    )
}

fn require(holds: bool, message: &'static str) -> Result<()> {
    holds.then_some(()).ok_or_else(|| Error::misuse(message))
}
