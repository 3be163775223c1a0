//! An authenticator from a configuration file, in any format that serde reads.
//!
//! ```toml
//! strategy = "hybrid"              # or "sessions", or "tokens": nothing else here changes
//! preset = "aal2"
//!
//! store_env = "DATABASE_URL"       # redis://.., postgres://.., mysql://..; or store = "memory"
//!
//! idle = "45m"
//! absolute = "12h"
//! # limit = 5                      # sessions and the hybrid only: tokens cannot count logins
//!
//! issuer = "https://auth.example"
//! audience = "api"
//! token_lifetime = "10m"
//! key_env = "TOKEN_KEY"            # `cargo run --example key` prints one
//! revocations = "5s"
//!
//! transport = "cookie"
//! [cookie]
//! same_site = "Strict"
//! refresh_path = "/auth"
//! ```
//!
//! The program does not know which strategy it is:
//!
//! ```
//! use std::sync::Arc;
//! use statewise::config::Config;
//! use statewise::{Authenticator, Login};
//!
//! # async fn sleep(_: std::time::Duration) {}
//! # mod tokio { pub fn spawn(_: impl Future + Send + 'static) {} }
//! # async fn example(text: &str) -> Result<(), Box<dyn std::error::Error>> {
//! // With the crate toml: `let config: Config = toml::from_str(&text)?;`
//! let config: Config = serde_json::from_str(text)?;
//! let auth = config.build::<()>().await?;
//! tokio::spawn(auth.upkeep().run(sleep));
//! // With axum: Router::new().route(..).layer(layer)
//! let layer = config.layer(Arc::clone(&auth))?;
//! let issued = auth.issue(Login::new("alice")).await?;
//! # let _ = (layer, issued);
//! # Ok(())
//! # }
//! ```
//!
//! # Fields
//!
//! Fields of a strategy that is not chosen are checked and have no effect, so that one file serves all
//! three. A field that promises what the chosen strategy or transport cannot honour is refused. Times are
//! texts with a unit: `s`, `m`, `h` or `d`.
//!
//! | field | default | meaning |
//! |---|---|---|
//! | `strategy` | required | `sessions`, `tokens` or `hybrid` |
//! | `preset` | none | `aal1`, `aal2`, `aal3` or `asvs`: a [`Preset`], also for the cookie |
//! | `store`, `store_env`, `store_file` | one is required, except for tokens without `revocations` | address of the store and of the revocation log, or the variable or the file that contains it |
//! | `capacity` | 100000 | sessions in memory |
//! | `require_durable` | false | refuse a store that can lose acknowledged changes in a crash |
//! | `idle` | required, or that of the preset | idle timeout. `token_lifetime` must not be longer, and for the hybrid at most half |
//! | `absolute` | required, or that of the preset | absolute timeout; tokens: maximum lifetime of a login |
//! | `remembered_idle`, `remembered_absolute` | as all other logins | timeouts of remembered logins, both or neither; tokens have no idle one |
//! | `rotate_after` | never, or that of the preset | sessions: age at which a credential is replaced |
//! | `limit` | unlimited, or that of the preset | logins per subject; refused for tokens |
//! | `limit_reached` | evict_oldest | or `evict_least_recently_used`, `reject`; refused without `limit`, and for tokens |
//! | `reject_orphaned` | false | treat an orphaned credential as stolen; refused for tokens |
//! | `issuer`, `audience` | required for tokens and the hybrid | claims `iss` and `aud` |
//! | `token_lifetime` | required for tokens and the hybrid | lifetime of one token |
//! | `key_env`, `key_file` | one is required for tokens and the hybrid | the variable or the file that contains the key: the text of a [`Key`] or of a [`MasterKey`], or with a feature for public keys a private key in PEM |
//! | `key_in_clear` | none | the key itself, for tests: each reader of the file can log in as anyone |
//! | `verify_key_env`, `verify_key_file` | none | another key, which verifies and does not sign: the next one before a rotation, the previous one after it |
//! | `algorithm` | HS256 | or `HS384`, `HS512`: of a [`Key`] or [`MasterKey`] |
//! | `revocations` | 5s | tokens and the hybrid: time within which a logout counts on every node; `none` lets tokens live until they expire |
//! | `transport` | cookie | or `bearer`, `both`; all of `cookie` is refused with `bearer` |
//! | `cookie.name`, `cookie.domain`, `cookie.path`, `cookie.max_age` | those of [`CookieBuilder`] | |
//! | `cookie.same_site` | Lax | or `Strict`, `None` |
//! | `cookie.partitioned` | false | |
//! | `cookie.insecure` | false | a cookie for development over plain HTTP |
//! | `cookie.refresh_path` | /auth | hybrid: the browser sends the refresh cookie below this path. Put login and logout there. A navigation with an expired access token is redirected to the refresh page below it, `/auth/refresh`, and back |
//!
//! # Stores
//!
//! | address | feature |
//! |---|---|
//! | `memory` | |
//! | `redis://..`, `rediss://..`, `redis+unix://..` | `redis` |
//! | `postgres://..` | `sqlx-postgres` |
//! | `mysql://..`, `mariadb://..` | `sqlx-mysql` |
//! | `sqlite:` and a path | `sqlx-sqlite` |
//! | `redb:` and a path | `redb` |
//!
//! [`Config::build`] opens the connections, creates missing tables, and checks rights and settings. It
//! needs tokio for all but `memory` and `redb`. TLS is a feature of the client, which your
//! application enables.
//!
//! # Settings without a field
//!
//! Prefixes of keys and names of tables, a cache, several issuers, readers of other data, `reload`, and
//! a list of a user's sessions need the builders of [`session`](crate::session),
//! [`token`](crate::token) and [`hybrid`](crate::hybrid), which this module calls.

mod fields;
mod store;

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use serde::de::{Deserialize, DeserializeOwned, Deserializer};

use crate::authenticator::DynAuthenticator;
use crate::clock::{Clock, SystemClock};
use crate::compose::hybrid::HybridAuthenticator;
use crate::error::{Error, Result};
use crate::login::preset::Preset;
use crate::revocation::RevocationView;
use crate::revocation::log::RevocationLog;
use crate::session::{Limit, SessionAuthenticator, SessionBuilder};
use crate::store::session_store::SessionStore;
#[cfg(feature = "_public")]
use crate::token::SigningKey;
use crate::token::{Algorithm, Key, Keyring, MasterKey, RingKey, TokenAuthenticator, TokenBuilder};
use crate::web::{AuthLayer, Cookie, CookieBuilder, SameSite, Transport};
use fields::{FIELDS, Fields};

/// The authenticator that a configuration builds.
type Erased<D> = Arc<dyn DynAuthenticator<D>>;

/// Pairs of times of which the first must not be longer than the second.
const ORDER: [(&str, &str); 7] = [
    ("idle", "absolute"),
    ("idle", "remembered_idle"),
    ("absolute", "remembered_absolute"),
    ("remembered_idle", "remembered_absolute"),
    ("rotate_after", "absolute"),
    ("token_lifetime", "idle"),
    ("token_lifetime", "absolute"),
];

/// Configuration of an authenticator, read by serde: see [the module](self).
///
/// Reading it finds only errors of the format. [`check`](Self::check) and [`build`](Self::build)
/// find all others, so that no error repeats a line of the file, which may contain a secret.
/// `Debug` shows no value that may be one.
///
/// ```
/// use statewise::config::Config;
///
/// let text = r#"{"strategy": "sessions", "store": "memory", "idle": "30m", "absolut": "12h"}"#;
/// let config: Config = serde_json::from_str(text)?;
/// let error = config.check().unwrap_err().to_string();
/// assert!(error.contains("there is no field `absolut`: did you mean `absolute`?"), "{error}");
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone)]
pub struct Config {
    fields: Fields,
    clock: Arc<dyn Clock>,
}

impl<'de> Deserialize<'de> for Config {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Fields::deserialize(deserializer).map(|fields| Self {
            fields,
            clock: Arc::new(SystemClock),
        })
    }
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Config").field(&self.fields).finish()
    }
}

impl Config {
    /// Sets the source of time, for tests. Default: [`SystemClock`].
    #[must_use]
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// Checks the fields, without reading keys and without opening the store.
    ///
    /// # Errors
    ///
    /// *Misuse* that names the field: it is unknown, missing or of another form, contradicts another
    /// one, cannot be honoured by the strategy, or is weaker than the preset requires.
    pub fn check(&self) -> Result<()> {
        let fields = &self.fields;
        fields.check()?;
        let strategy = fields.required("strategy", "name sessions, tokens or hybrid")?;
        for name in ["idle", "absolute"] {
            if self.time(name).is_none() {
                return Err(Error::misuse(format!(
                    "`{name}` is missing: set a time such as \"12h\", or a preset"
                )));
            }
        }
        for (shorter, longer) in ORDER {
            let times = self.time(shorter).zip(self.time(longer));
            if times.is_some_and(|(shorter, longer)| shorter > longer) {
                return Err(Error::misuse(format!(
                    "`{shorter}` is longer than `{longer}`: shorten it"
                )));
            }
        }
        if fields.given("remembered_idle").is_some()
            != fields.given("remembered_absolute").is_some()
        {
            return Err(Error::misuse(
                "`remembered_idle` and `remembered_absolute` need each other: set both or neither",
            ));
        }
        if let (Some(preset), Some(idle), Some(absolute)) =
            (self.preset(), self.time("idle"), self.time("absolute"))
        {
            preset.check(("`idle`", idle), ("`absolute`", absolute))?;
            if let Some((idle, absolute)) = self.remembered() {
                preset.check(
                    ("`remembered_idle`", idle),
                    ("`remembered_absolute`", absolute),
                )?;
            }
        }
        self.check_sources(strategy)?;
        if let (Some(preset), None, true) = (self.preset(), self.bound()?, strategy != "sessions") {
            return Err(preset.weaker(
                "`revocations` is none, so that a logout would not end tokens: set a time such as \"5s\" \
                 (NIST SP 800-63B-4, section 5.1 (SHALL); OWASP ASVS 7.4.1)",
            ));
        }
        if let (Some("bearer"), Some(name)) = (fields.text("transport"), fields.first_of("cookie."))
        {
            return Err(Error::misuse(format!(
                "`{name}` has no effect with the bearer transport: remove it, or choose cookie or both \
                 as `transport`"
            )));
        }
        self.transport()?;
        if strategy != "tokens"
            && fields.given("limit_reached").is_some()
            && fields.given("limit").is_none()
        {
            return Err(Error::misuse(
                "`limit_reached` has no effect without `limit`: set a `limit`, or remove it",
            ));
        }
        if strategy == "sessions" {
            return Ok(());
        }
        for name in ["issuer", "audience", "token_lifetime"] {
            fields.required(name, "tokens and the hybrid need it")?;
        }
        let lives = self.time("token_lifetime").unwrap_or_default();
        if strategy == "hybrid" && self.time("idle").is_none_or(|idle| idle < 2 * lives) {
            return Err(Error::misuse(
                "`idle` is less than twice `token_lifetime`: only a refresh is a use of the login, so \
                 that it would end while its token lives; lengthen `idle`",
            ));
        }
        let unkept = ["limit", "limit_reached", "reject_orphaned"];
        let unkept = unkept.iter().find(|name| match **name {
            "reject_orphaned" => fields.flag("reject_orphaned"),
            name => fields.given(name).is_some(),
        });
        match unkept.filter(|_| strategy == "tokens") {
            Some(name) => Err(Error::misuse(format!(
                "`{name}` cannot be honoured by tokens, of which the server keeps nothing: remove it, \
                 or choose sessions or hybrid as `strategy`"
            ))),
            None => Ok(()),
        }
    }

    /// Builds the authenticator, for logins with data of the type `D`. Opens the store, creates
    /// missing tables, checks rights and settings, and reads the revocation log to its end.
    ///
    /// The result is an [`Authenticator`](crate::Authenticator). Spawn its
    /// [upkeep](crate::Upkeep) once.
    ///
    /// # Errors
    ///
    /// *Misuse* as for [`check`](Self::check), for a key or an address that cannot be read, for a
    /// store that needs another feature of this crate, and for a store that is set up wrongly.
    /// *Unavailable* if the store could not answer.
    ///
    /// # Cancel safety
    ///
    /// May have created tables. Build again.
    pub async fn build<D>(&self) -> Result<Arc<dyn DynAuthenticator<D>>>
    where
        D: Serialize + DeserializeOwned + Send + Sync + 'static,
    {
        self.check()?;
        match self.secret("store", "store")? {
            Some(address) => self.build_over(address.trim()).await,
            // Tokens without revocations: all others are checked to have one.
            None => Ok(Arc::new(self.tokens::<D>(None)?.build()?)),
        }
    }

    /// Checks where the store and the keys come from, without reading them.
    fn check_sources(&self, strategy: &str) -> Result<()> {
        if self.source("store", "store")?.is_none()
            && (strategy != "tokens" || self.bound()?.is_some())
        {
            return Err(Error::misuse(
                "`store` is missing: sessions and the hybrid are kept in it, and so are revocations of \
                 tokens; tokens do without if `revocations` is none",
            ));
        }
        // An address in a variable or a file is checked when it is read.
        if let Some(address) = self.fields.text("store") {
            let is_required = self.fields.flag("require_durable");
            store::refuse_volatile(address.trim(), is_required)?;
        }
        let key = self.source("key", "key_in_clear")?;
        let verifies = self.source("verify_key", "")?;
        if strategy != "sessions" && key.is_none() {
            return Err(no_key());
        }
        match (key, verifies) {
            (Some(Source::Variable(one)), Some(Source::Variable(other))) if one == other => {
                Err(same_key("env"))
            }
            (Some(Source::File(one)), Some(Source::File(other))) if one == other => {
                Err(same_key("file"))
            }
            _ => Ok(()),
        }
    }

    /// Builds the layer of a web service over the authenticator that [`build`](Self::build) has
    /// returned: with the cookie or the bearer token of this configuration and, for the hybrid in
    /// cookies, the cookie and the [page](AuthLayer::refresh_page) that refresh. The page is
    /// `refresh` below `cookie.refresh_path`.
    ///
    /// # Errors
    ///
    /// *Misuse* as for [`check`](Self::check).
    pub fn layer<D: Send + Sync + 'static>(
        &self,
        auth: Arc<dyn DynAuthenticator<D>>,
    ) -> Result<AuthLayer<D>> {
        self.check()?;
        let layer = AuthLayer::new(auth, self.transport()?)?.clock(Arc::clone(&self.clock));
        if !self.has_refresh_cookie() {
            return Ok(layer);
        }
        let path = self.fields.text("cookie.refresh_path").unwrap_or_default();
        layer.refresh_page(format!("{}/refresh", path.trim_end_matches('/')))
    }

    /// Returns each field with the value that counts: the given one, that of the preset, or the
    /// default. A value that may be a secret is `set` or, if it is an address, its scheme. Use it to
    /// document the limits in force (OWASP ASVS 7.1.1).
    ///
    /// ```
    /// use statewise::config::Config;
    ///
    /// let text = r#"{"strategy": "sessions", "store": "redis://:pass@host", "preset": "aal2"}"#;
    /// let config: Config = serde_json::from_str(text)?;
    /// let effective = config.effective();
    /// assert!(effective.contains(&("absolute", "24h".to_owned())));
    /// assert!(effective.contains(&("store", "redis".to_owned())));
    /// # Ok::<(), serde_json::Error>(())
    /// ```
    #[must_use]
    pub fn effective(&self) -> Vec<(&'static str, String)> {
        let of = |name: &'static str, form| {
            let value = match (form, self.fields.text(name)?) {
                (fields::Form::Secret, text) if name == "store" => {
                    store::scheme(text).unwrap_or("set")
                }
                (fields::Form::Secret, _) => "set",
                (_, text) => text,
            };
            Some((name, value.to_owned()))
        };
        let of_preset = |name: &'static str| {
            let minutes = self.time(name)?.as_secs() / 60;
            let text = match minutes % 60 {
                0 => format!("{}h", minutes / 60),
                _ => format!("{minutes}m"),
            };
            Some((name, text))
        };
        let all = FIELDS.iter();
        all.filter_map(|(name, form, _)| of(name, *form).or_else(|| of_preset(name)))
            .collect()
    }

    fn preset(&self) -> Option<Preset> {
        let name = self.fields.text("preset")?;
        Preset::ALL.into_iter().find(|preset| preset.name() == name)
    }

    /// The time of a field, or that of the preset.
    fn time(&self, name: &str) -> Option<Duration> {
        self.fields.time(name).or_else(|| match name {
            "idle" => self.preset().map(Preset::idle),
            "absolute" => self.preset().map(Preset::absolute),
            _ => None,
        })
    }

    fn remembered(&self) -> Option<(Duration, Duration)> {
        self.time("remembered_idle")
            .zip(self.time("remembered_absolute"))
    }

    /// Bound of the revocation log, if there is one.
    fn bound(&self) -> Result<Option<Duration>> {
        match self.fields.text("revocations") {
            None | Some("none") => Ok(None),
            Some(bound) => fields::duration(bound).map(Some).ok_or_else(|| {
                Error::misuse("`revocations` is no time: write \"5s\", or \"none\"")
            }),
        }
    }

    fn has_refresh_cookie(&self) -> bool {
        self.fields.text("strategy") == Some("hybrid")
            && self.fields.text("transport") != Some("bearer")
    }

    fn cookie(&self) -> CookieBuilder {
        let fields = &self.fields;
        let mut cookie = Cookie::builder().same_site(match fields.text("cookie.same_site") {
            Some("Strict") => SameSite::Strict,
            Some("None") => SameSite::None,
            _ => SameSite::Lax,
        });
        if let Some(domain) = fields.text("cookie.domain") {
            cookie = cookie.domain(domain);
        }
        if let Some(max_age) = fields.time("cookie.max_age") {
            cookie = cookie.max_age(max_age);
        }
        if fields.flag("cookie.partitioned") {
            cookie = cookie.partitioned();
        }
        if fields.flag("cookie.insecure") {
            cookie = cookie.insecure();
        }
        match self.preset() {
            Some(preset) => cookie.preset(preset),
            None => cookie,
        }
    }

    fn transport(&self) -> Result<Transport> {
        let fields = &self.fields;
        let named = |error| in_field("cookie", &error);
        let mut access = self.cookie();
        if let Some(name) = fields.text("cookie.name") {
            access = access.name(name);
        }
        if let Some(path) = fields.text("cookie.path") {
            access = access.path(path);
        }
        let access = access.build().map_err(named)?;
        let transport = match fields.text("transport") {
            Some("bearer") => return Ok(Transport::bearer()),
            Some("both") => Transport::both(access),
            _ => Transport::cookie(access),
        };
        if !self.has_refresh_cookie() {
            return Ok(transport);
        }
        let name = match fields.flag("cookie.insecure") {
            true => "refresh",
            false => "__Secure-refresh",
        };
        let path = fields.text("cookie.refresh_path").unwrap_or_default();
        let refresh = self.cookie().name(name).path(path).build();
        let refresh = refresh.map_err(|error| in_field("cookie.refresh_path", &error))?;
        transport.refresh_cookie(refresh).map_err(named)
    }

    /// Builds the authenticator over a store and a log.
    async fn assemble<D>(
        &self,
        store: impl SessionStore,
        log: impl RevocationLog,
    ) -> Result<Erased<D>>
    where
        D: Serialize + DeserializeOwned + Send + Sync + 'static,
    {
        let strategy = self.fields.text("strategy");
        if strategy == Some("sessions") {
            return Ok(Arc::new(self.sessions::<_, D>(store).build()?));
        }
        let view = match self.bound()? {
            Some(bound) => Some(self.view(log, bound)?),
            None => None,
        };
        let tokens = self.tokens::<D>(view.as_ref())?;
        if let Some(view) = &view {
            view.follow().await?;
        }
        Ok(if strategy == Some("tokens") {
            Arc::new(tokens.build()?)
        } else {
            Arc::new(HybridAuthenticator::new(tokens, self.sessions(store))?)
        })
    }

    fn view(&self, log: impl RevocationLog, bound: Duration) -> Result<RevocationView> {
        let longest = ["absolute", "remembered_absolute"].map(|name| self.time(name));
        let longest = longest.into_iter().flatten().max();
        RevocationView::builder(log)
            .max_lifetime(longest.unwrap_or_default())
            .bound(bound)
            .clock(Arc::clone(&self.clock))
            .build()
            .map_err(|error| in_field("revocations", &error))
    }

    fn sessions<S: SessionStore, D>(&self, store: S) -> SessionBuilder<S, D> {
        let fields = &self.fields;
        let mut sessions = SessionAuthenticator::builder(store)
            .idle(self.time("idle").unwrap_or_default())
            .absolute(self.time("absolute").unwrap_or_default())
            .clock(Arc::clone(&self.clock));
        if let Some((idle, absolute)) = self.remembered() {
            sessions = sessions.remembered(idle, absolute);
        }
        if let Some(preset) = self.preset() {
            sessions = sessions.preset(preset);
        }
        // A refresh credential of the hybrid is replaced by each refresh.
        if let (Some("sessions"), Some(age)) =
            (fields.text("strategy"), fields.time("rotate_after"))
        {
            sessions = sessions.rotate_after(age);
        }
        if let Some(count) = fields.count("limit") {
            sessions = sessions.limit(match fields.text("limit_reached") {
                Some("reject") => Limit::Reject(count),
                Some("evict_least_recently_used") => Limit::EvictLeastRecentlyUsed(count),
                _ => Limit::EvictOldest(count),
            });
        }
        if fields.flag("reject_orphaned") {
            sessions = sessions.reject_orphaned();
        }
        sessions.with_data::<D>()
    }

    fn tokens<D>(&self, view: Option<&RevocationView>) -> Result<TokenBuilder<D>> {
        let key = self.key("key", "key_in_clear")?.ok_or_else(no_key)?;
        let mut ring = Keyring::new(key);
        if let Some(other) = self.key("verify_key", "")? {
            ring = ring.verify_with(other);
        }
        let [issuer, audience] = self.names();
        let mut tokens = TokenAuthenticator::builder(ring)
            .issuer(issuer)
            .audience(audience)
            .lifetime(self.time("token_lifetime").unwrap_or_default())
            .clock(Arc::clone(&self.clock));
        if let Some(preset) = self.preset() {
            tokens = tokens.preset(preset);
        }
        // The sessions of a hybrid decide how long a login lasts.
        if self.fields.text("strategy") == Some("tokens") {
            tokens = tokens.max_lifetime(self.time("absolute").unwrap_or_default());
            if let Some((_, absolute)) = self.remembered() {
                tokens = tokens.remembered(absolute);
            }
        }
        if let Some(view) = view {
            tokens = tokens.revocations(view);
        }
        Ok(tokens.with_data::<D>())
    }

    /// Issuer and audience.
    fn names(&self) -> [&str; 2] {
        ["issuer", "audience"].map(|name| self.fields.text(name).unwrap_or_default())
    }

    /// Reads the key of a group of fields. Its text says of which kind it is.
    fn key(&self, group: &str, inline: &str) -> Result<Option<RingKey>> {
        let Some(text) = self.secret(group, inline)? else {
            return Ok(None);
        };
        let algorithm = match self.fields.text("algorithm") {
            Some("HS384") => Algorithm::HS384,
            Some("HS512") => Algorithm::HS512,
            _ => Algorithm::HS256,
        };
        let [issuer, audience] = self.names();
        let key = match text.trim_start() {
            #[cfg(feature = "_public")]
            text if text.starts_with("-----BEGIN ") => {
                SigningKey::from_pem(text).map(RingKey::from)
            }
            text if text.starts_with("master.") => MasterKey::from_text(algorithm, text)
                .and_then(|master| master.key_for(issuer, audience))
                .map(RingKey::from),
            text => Key::from_text(algorithm, text).map(RingKey::from),
        };
        key.map(Some).map_err(|error| in_field(group, &error))
    }

    /// Reads a text that may be a secret.
    fn secret(&self, group: &str, inline: &str) -> Result<Option<String>> {
        let Some(source) = self.source(group, inline)? else {
            return Ok(None);
        };
        let text = match source {
            Source::Inline(text) => text.to_owned(),
            Source::Variable(name) => std::env::var(name).map_err(|_| {
                Error::misuse(format!(
                    "`{group}_env` names a variable of the environment that is not set, or is no \
                     text: set it before the start"
                ))
            })?,
            Source::File(path) => std::fs::read_to_string(Path::new(path)).map_err(|error| {
                Error::misuse(format!(
                    "`{group}_file` names a file that cannot be read: {}",
                    error.kind()
                ))
            })?,
        };
        Ok(Some(text))
    }

    /// Returns where a text that may be a secret is: given itself as `inline`, or in a variable or a
    /// file.
    fn source(&self, group: &str, inline: &str) -> Result<Option<Source<'_>>> {
        let [variable, file] = [format!("{group}_env"), format!("{group}_file")];
        let of = |name: &str| self.fields.text(name);
        match (of(inline), of(&variable), of(&file)) {
            (None, None, None) => Ok(None),
            (Some(text), None, None) => Ok(Some(Source::Inline(text))),
            (None, Some(name), None) => Ok(Some(Source::Variable(name))),
            (None, None, Some(path)) => Ok(Some(Source::File(path))),
            _ => Err(Error::misuse(format!(
                "`{variable}`, `{file}` and the value itself exclude each other: give one of them"
            ))),
        }
    }
}

/// The place of a text that may be secret.
enum Source<'a> {
    Inline(&'a str),
    Variable(&'a str),
    File(&'a str),
}

fn no_key() -> Error {
    Error::misuse(
        "`key_env` is missing: name the variable that contains the key (`cargo run --example key` \
         prints one), or a `key_file`",
    )
}

fn same_key(place: &str) -> Error {
    Error::misuse(format!(
        "`verify_key_{place}` names the key of `key_{place}`: name the next or the previous key, or \
         remove it"
    ))
}

/// Puts the name of a field before a mistake that its value is.
fn in_field(name: &str, error: &Error) -> Error {
    let text = error.to_string();
    let text = text.strip_prefix("misuse: ").unwrap_or(&text);
    Error::misuse(format!("`{name}`: {text}"))
}
