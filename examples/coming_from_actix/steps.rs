//! The steps of the deployment: an authenticator and a cookie for each.

use std::fmt;
use std::sync::Arc;

use actix_session::storage::{SessionKey, SessionStore as _};
use actix_web::cookie::time::{Duration, OffsetDateTime};
use actix_web::cookie::{Cookie as OldCookie, CookieJar, Key};
use statewise::clock::Clock;
use statewise::either::Either;
use statewise::migrating::Migrating;
use statewise::session::SessionAuthenticator;
use statewise::store::MemoryStore;
use statewise::web::{Cookie, Transport};
use statewise::{
    Affected, Authenticator, Credential, DynAuthenticator, EditFn, Error, Identity, Issued, Login,
    Logout, Outcome, Presented, Rejection, Result, Revocation, Upkeep,
};

use crate::after::Profile;
use crate::store::{State, Store};

/// `state_ttl` of the old service.
const IDLE: Duration = Duration::days(1);
/// `login_deadline` of the old service.
const ABSOLUTE: Duration = Duration::days(30);
/// Default name of the cookie of actix-session.
const NAME: &str = "id";
/// Names of the values of actix-identity and of the application.
const USER: &str = "actix_identity.user_id";
const LOGGED_IN_AT: &str = "actix_identity.logged_in_at";
const LANGUAGE: &str = "language";

/// The sessions of actix-session and actix-identity, as a strategy of `Migrating`.
pub struct OldSessions {
    store: Store,
    key: Key,
    clock: Arc<dyn Clock>,
}

impl OldSessions {
    /// Reads and writes the sessions of the old service.
    #[must_use]
    pub fn new(store: Store, key: Key, clock: impl Clock) -> Self {
        let clock = Arc::new(clock);
        Self { store, key, clock }
    }

    fn now(&self) -> Result<OffsetDateTime> {
        let now = self.clock.now();
        Ok(now.ok_or_else(|| Error::unavailable("no time"))?.into())
    }

    /// Decrypts the value of a cookie, as `SessionMiddleware` does. With `CookieContentSecurity::Signed`
    /// call `signed` instead of `private`.
    fn open(&self, credential: &str) -> Result<SessionKey> {
        let cookie = OldCookie::parse_encoded(format!("{NAME}={credential}"));
        let mut jar = CookieJar::new();
        jar.add_original(cookie.map_err(|_| Rejection::Malformed)?.into_owned());
        let opened = jar.private(&self.key).get(NAME);
        let id = opened.ok_or(Rejection::BadSignature)?.value().to_owned();
        Ok(id.try_into().map_err(|_| Rejection::Malformed)?)
    }

    /// Encrypts the id of a session into the value of a cookie.
    fn seal(&self, id: SessionKey) -> Credential {
        let mut jar = CookieJar::new();
        let cookie = OldCookie::new(NAME, String::from(id));
        jar.private_mut(&self.key).add(cookie);
        let sealed = jar.get(NAME).map(|sealed| sealed.encoded().to_string());
        let value = sealed.as_deref().and_then(|pair| pair.split_once('='));
        Credential::new(value.map_or("", |(_, value)| value).to_owned())
    }

    async fn load(&self, id: &SessionKey) -> Result<(State, Identity<Profile>)> {
        let state = self.store.load(id).await.map_err(Error::unavailable)?;
        let state = state.ok_or(Rejection::Unknown)?;
        let identity = self.identity(&state)?;
        Ok((state, identity))
    }

    /// Returns the user of a session. Each value of a session is JSON.
    fn identity(&self, state: &State) -> Result<Identity<Profile>> {
        let text = |name: &str| serde_json::from_str::<String>(state.get(name)?).ok();
        // A visitor: the new service does not remember them.
        let user = text(USER).ok_or(Rejection::Unknown)?;
        let language = text(LANGUAGE).unwrap_or_else(|| "en".to_owned());
        let now = self.now()?;
        let at = state.get(LOGGED_IN_AT).and_then(|at| at.parse().ok());
        let at = at.and_then(|at| OffsetDateTime::from_unix_timestamp(at).ok());
        // Without `login_deadline`, no session says when its user logged in. A day ago is too old
        // for `require_fresh`.
        let at = at.unwrap_or(now - Duration::DAY);
        if now - at > ABSOLUTE {
            return Err(Rejection::Expired.into());
        }
        let login = Login::new(user)
            .data(Profile { language })
            .deadline(at + ABSOLUTE);
        Identity::unverified(login, at, (now + IDLE).min(at + ABSOLUTE))
    }
}

fn json(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

impl Authenticator for OldSessions {
    type Data = Profile;

    /// An encrypted id of 64 characters has more than 100. New credentials have 64.
    fn is_well_formed(&self, credential: &str) -> bool {
        credential.len() > 100
    }

    fn sample_credentials(&self) -> Vec<String> {
        vec!["A".repeat(124)]
    }

    async fn verify_with(&self, presented: Presented<'_>) -> Result<Identity<Profile>> {
        let id = self.open(presented.credential())?;
        let (_, identity) = self.load(&id).await?;
        // `TtlExtensionPolicy::OnEveryRequest`. Leave it out for `OnStateChanges`.
        if !presented.is_passive() {
            let extended = self.store.update_ttl(&id, &IDLE).await;
            extended.map_err(Error::unavailable)?;
        }
        Ok(identity)
    }

    /// The same credential: `Migrating` upgrades it after that.
    async fn refresh_with(&self, presented: Presented<'_>) -> Result<Issued<Profile>> {
        let same = Credential::new(presented.credential().to_owned());
        let identity = self.verify_with(presented).await?;
        Ok(Issued::new(same, identity, Outcome::Replayed))
    }

    /// Logs in as `Identity::login` does, so that nodes of the old service know the session.
    async fn issue(&self, login: Login<Profile>) -> Result<Issued<Profile>> {
        let login = login.into_parts();
        for replaced in login.replaces {
            match self.revoke(&replaced).await {
                Err(error) if error.is_rejected() => {}
                revoked => drop(revoked?),
            }
        }
        let at = login.authenticated_at.unwrap_or(self.now()?);
        let state = State::from([
            (USER.to_owned(), json(&login.subject)),
            (LOGGED_IN_AT.to_owned(), at.unix_timestamp().to_string()),
            (LANGUAGE.to_owned(), json(&login.data.language)),
        ]);
        let identity = self.identity(&state)?;
        let id = self.store.save(state, &IDLE).await;
        let id = id.map_err(Error::unavailable)?;
        Ok(Issued::new(self.seal(id), identity, Outcome::New))
    }

    async fn revoke(&self, credential: &str) -> Result<Logout> {
        let id = self.open(credential)?;
        let login = self.load(&id).await;
        self.store.delete(&id).await.map_err(Error::unavailable)?;
        let logout = Logout::new(Revocation::Immediate);
        Ok(match login {
            Ok((_, login)) => logout.with_login(&login),
            Err(_) => logout,
        })
    }

    /// Stores of actix-session cannot list the sessions of a user.
    async fn revoke_all(&self, _: &str) -> Result<Affected> {
        let latest = self.now()? + ABSOLUTE;
        Ok(Affected::new(None, Revocation::AtExpiry(latest)))
    }

    async fn update(&self, presented: &str, edit: EditFn<'_, Profile>) -> Result<Issued<Profile>> {
        let id = self.open(presented)?;
        let (mut state, identity) = self.load(&id).await?;
        let identity = identity.edited(edit)?;
        state.insert(LANGUAGE.to_owned(), json(&identity.data().language));
        let updated = self.store.update(id, state, &IDLE).await;
        updated.map_err(Error::unavailable)?;
        let same = Credential::new(presented.to_owned());
        Ok(Issued::new(same, identity, Outcome::Replayed))
    }

    async fn update_all(&self, subject: &str, _: EditFn<'_, Profile>) -> Result<Affected> {
        self.revoke_all(subject).await
    }

    fn upkeep(&self) -> Upkeep {
        Upkeep::none()
    }
}

impl fmt::Debug for OldSessions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OldSessions").finish_non_exhaustive()
    }
}

/// The new sessions. Several nodes share a store: `Redis`, `Postgres`, ..
pub type NewSessions = SessionAuthenticator<Arc<MemoryStore>, Profile>;

type Auth = Arc<dyn DynAuthenticator<Profile>>;

/// Returns the sessions of the new service.
///
/// # Errors
///
/// *Misuse*, if the settings contradict each other.
pub fn new_sessions(store: Arc<MemoryStore>, clock: impl Clock) -> Result<NewSessions> {
    SessionAuthenticator::builder(store)
        .idle(IDLE.unsigned_abs())
        .absolute(ABSOLUTE.unsigned_abs())
        .with_data::<Profile>()
        .clock(clock)
        .build()
}

/// Step 1: accepts both kinds of sessions, and issues the old one.
///
/// # Errors
///
/// *Misuse*, if the two kinds have the same form.
pub fn accept_both(old: OldSessions, new: NewSessions) -> Result<Auth> {
    // It issues with the first one, and upgrades nothing.
    Ok(Arc::new(Either::builder(old, new).any_place().build()?))
}

/// Step 2: accepts both kinds of sessions, and issues the new one.
///
/// # Errors
///
/// *Misuse*, if the two kinds have the same form.
pub fn issue_new(old: OldSessions, new: NewSessions, clock: impl Clock) -> Result<Auth> {
    Ok(Arc::new(Migrating::builder(old, new).clock(clock).build()?))
}

/// Cookie of the old service, for steps 1 and 2.
///
/// # Errors
///
/// *Misuse*, if the attributes contradict each other.
pub fn old_cookie() -> Result<Cookie> {
    Cookie::builder().name(NAME).unprefixed().build()
}

/// Step 3: new sessions alone. Reads the name of step 4 too.
///
/// # Errors
///
/// *Misuse*, if browsers take both for one cookie.
pub fn both_names() -> Result<Transport> {
    Transport::cookie(old_cookie()?).formerly(Cookie::default())
}

/// Step 4: the cookie is `__Host-id`, which no other host can plant.
///
/// # Errors
///
/// *Misuse*, if browsers take both for one cookie.
pub fn new_name() -> Result<Transport> {
    Transport::cookie(Cookie::default()).formerly(old_cookie()?)
}
