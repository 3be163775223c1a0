//! The sessions of iron-session, as an authenticator.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};
use statewise::clock::Clock;
use statewise::{
    Affected, Authenticator, Credential, EditFn, Error, Identity, Issued, Login, Logout, Outcome,
    Presented, Rejection, Result, Revocation, Upkeep,
};
use time::{Duration, OffsetDateTime};

use super::seal::{Nonces, open, seal};
use super::steps::ABSOLUTE;
use crate::express::after::Profile;

/// `ttl` of the old service: the default.
pub const TTL: Duration = Duration::days(14);

/// A session of the old service.
#[derive(Serialize, Deserialize)]
struct Data {
    user: String,
    language: String,
    /// Authentication time, which this authenticator adds. The old service keeps it unread.
    #[serde(skip_serializing_if = "Option::is_none")]
    since: Option<i64>,
}

/// Cookies that were logged out: until they expire, their signatures. In production, keys in Redis with
/// `SET .. PXAT`.
#[derive(Clone, Debug, Default)]
pub struct Ended(Arc<Mutex<HashMap<String, i64>>>);

impl Ended {
    fn rows(&self) -> MutexGuard<'_, HashMap<String, i64>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Sessions of iron-session. Node accepts those that it issues.
pub struct OldSessions {
    /// At least 32 characters.
    pub password: String,
    pub ended: Ended,
    pub clock: Arc<dyn Clock>,
}

/// An opened cookie.
struct Session {
    data: Data,
    expires: OffsetDateTime,
    mac: String,
}

impl OldSessions {
    fn now(&self) -> Result<OffsetDateTime> {
        let now = self.clock.now();
        Ok(now.ok_or_else(|| Error::unavailable("no time"))?.into())
    }

    fn open(&self, cookie: &str) -> Result<Session> {
        let opened = open(&self.password, cookie)?;
        let data = serde_json::from_slice(&opened.data);
        let expires = OffsetDateTime::from_unix_timestamp(opened.expires / 1000);
        let session = Session {
            // A session without a user is that of a visitor.
            data: data.map_err(|_| Rejection::Unknown)?,
            expires: expires.map_err(|_| Rejection::Malformed)?,
            mac: opened.mac,
        };
        if session.expires <= self.now()? {
            return Err(Rejection::Expired.into());
        }
        if self.ended.rows().contains_key(&session.mac) {
            return Err(Rejection::Revoked.into());
        }
        Ok(session)
    }

    fn seal(&self, data: &Data, expires: OffsetDateTime) -> Result<Credential> {
        let data = serde_json::to_vec(data).map_err(Error::unavailable)?;
        let expires = expires.unix_timestamp() * 1000;
        let cookie = seal(&self.password, &data, expires, &Nonces::random()?)?;
        Ok(Credential::new(cookie))
    }
}

fn identity(session: &Session) -> Result<Identity<Profile>> {
    let Data {
        user,
        language,
        since,
    } = &session.data;
    let since = since.and_then(|since| OffsetDateTime::from_unix_timestamp(since).ok());
    // iron-session does not note when. This is too old for `require_fresh`.
    let since = since.unwrap_or(session.expires - TTL - Duration::DAY);
    let language = language.clone();
    let login = Login::new(user)
        .data(Profile { language })
        .deadline(since + ABSOLUTE);
    Identity::unverified(login, since, session.expires)
}

impl Authenticator for OldSessions {
    type Data = Profile;

    fn is_well_formed(&self, credential: &str) -> bool {
        credential.starts_with("Fe26.2*")
    }

    fn sample_credentials(&self) -> Vec<String> {
        let (salt, text) = ("0".repeat(64), "A".repeat(43));
        vec![format!("Fe26.2*1*{salt}*{text}*{text}*1*{salt}*{text}~2")]
    }

    async fn verify_with(&self, presented: Presented<'_>) -> Result<Identity<Profile>> {
        identity(&self.open(presented.credential())?)
    }

    /// Returns the same credential: nothing rotates. `Migrating` asks before it upgrades one.
    async fn refresh_with(&self, presented: Presented<'_>) -> Result<Issued<Profile>> {
        let same = Credential::new(presented.credential().to_owned());
        let identity = self.verify_with(presented).await?;
        Ok(Issued::new(same, identity, Outcome::Replayed))
    }

    async fn issue(&self, login: Login<Profile>) -> Result<Issued<Profile>> {
        let login = login.into_parts();
        for carried in login.replaces {
            let _ = self.revoke(&carried).await?;
        }
        let now = self.now()?;
        let since = login.authenticated_at.unwrap_or(now);
        let session = Session {
            data: Data {
                user: login.subject,
                language: login.data.language,
                since: Some(since.unix_timestamp()),
            },
            expires: (now + TTL).min(since + ABSOLUTE),
            mac: String::new(),
        };
        let credential = self.seal(&session.data, session.expires)?;
        Ok(Issued::new(credential, identity(&session)?, Outcome::New))
    }

    /// Ends a cookie on all nodes that know the set. Node accepts it until it expires.
    async fn revoke(&self, credential: &str) -> Result<Logout> {
        match self.open(credential) {
            Ok(session) => {
                let now = self.now()?.unix_timestamp();
                let mut ended = self.ended.rows();
                ended.retain(|_, expires| now < *expires);
                ended.insert(session.mac, session.expires.unix_timestamp());
            }
            Err(error) if !error.is_rejected() => return Err(error),
            Err(_) => {}
        }
        Ok(Revocation::Immediate.into())
    }

    /// The cookies of a user are not known.
    async fn revoke_all(&self, _: &str) -> Result<Affected> {
        let latest = self.now()? + TTL;
        Ok(Affected::new(None, Revocation::AtExpiry(latest)))
    }

    /// Returns a cookie with the new data. The old one keeps the old data until it expires.
    async fn update(&self, credential: &str, edit: EditFn<'_, Profile>) -> Result<Issued<Profile>> {
        let mut session = self.open(credential)?;
        let edited = identity(&session)?.edited(edit)?;
        session.data.language.clone_from(&edited.data().language);
        let credential = self.seal(&session.data, session.expires)?;
        Ok(Issued::new(credential, edited, Outcome::Rotated))
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
