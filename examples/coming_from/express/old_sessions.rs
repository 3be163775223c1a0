//! The sessions of express-session, as an authenticator.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::{Value, json};
use sha2::Sha256;
use statewise::clock::{Clock, Timestamp};
use statewise::entropy::{Entropy as _, SystemEntropy};
use statewise::{
    Affected, Authenticator, Credential, EditFn, Error, Identity, Issued, Login, Logout, Outcome,
    Presented, Rejection, Result, Revocation, Upkeep,
};
use time::{Duration, OffsetDateTime};

use super::after::Profile;
use super::steps::ABSOLUTE;

/// Life of a row without a request: the default of connect-redis.
const IDLE: Duration = Duration::DAY;
/// Name of the authentication time, which this authenticator adds. express-session stores it unread.
const SINCE: &str = "since";

/// The rows of the old service. In production, the values of the keys `sess:ID` in Redis.
#[derive(Clone, Debug)]
pub struct Rows {
    rows: Arc<Mutex<HashMap<String, (Value, Timestamp)>>>,
    clock: Arc<dyn Clock>,
}

impl Rows {
    #[must_use]
    pub fn new(clock: impl Clock) -> Self {
        Self {
            rows: Arc::default(),
            clock: Arc::new(clock),
        }
    }

    pub fn get(&self, id: &str) -> Option<Value> {
        let now = self.clock.now()?;
        let rows = self.rows();
        let row = rows.get(id).filter(|(_, end)| now < *end);
        row.map(|(row, _)| row.clone())
    }

    /// Returns the ids of all rows. In production, `SCAN` with `MATCH sess:*`.
    fn ids(&self) -> Vec<String> {
        self.rows().keys().cloned().collect()
    }

    /// Writes a row, which lives from now on.
    pub fn set(&self, id: &str, row: Value) {
        if let Some(now) = self.clock.now() {
            let end = now.saturating_add(IDLE.whole_seconds().unsigned_abs());
            self.rows().insert(id.to_owned(), (row, end));
        }
    }

    fn rows(&self) -> MutexGuard<'_, HashMap<String, (Value, Timestamp)>> {
        self.rows.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Sessions of express-session. Node accepts those that it issues.
pub struct OldSessions {
    pub rows: Rows,
    pub secret: String,
}

impl OldSessions {
    fn mac(&self, id: &str) -> Result<Hmac<Sha256>> {
        let mac = Hmac::<Sha256>::new_from_slice(self.secret.as_bytes());
        let mac = mac.map_err(|_| Error::misuse("a secret of this length"))?;
        Ok(mac.chain_update(id))
    }

    /// Returns the cookie of a session: `s:ID.SIGNATURE`, as Node escapes it.
    pub fn seal(&self, id: &str) -> Result<Credential> {
        let signature = self.mac(id)?.finalize().into_bytes();
        let signature = STANDARD_NO_PAD.encode(signature);
        let signature = signature.replace('+', "%2B").replace('/', "%2F");
        Ok(Credential::new(format!("s%3A{id}.{signature}")))
    }

    /// Checks the signature of a cookie, and returns the id of its session.
    fn open(&self, credential: &str) -> Result<String> {
        let text = credential.replace("%2B", "+").replace("%2F", "/");
        let parts = text.strip_prefix("s%3A").and_then(|id| id.split_once('.'));
        let (id, signature) = parts.ok_or(Rejection::Malformed)?;
        let signature = STANDARD_NO_PAD.decode(signature);
        let signature = signature.map_err(|_| Rejection::Malformed)?;
        let is_right = self.mac(id)?.verify_slice(&signature);
        is_right.map_err(|_| Rejection::BadSignature)?;
        Ok(id.to_owned())
    }

    /// Returns the row that Node writes for a user.
    #[must_use]
    pub fn row(user: &str, profile: &Profile) -> Value {
        let cookie = json!({
            "originalMaxAge": null, "expires": null, "secure": false, "httpOnly": true,
            "path": "/", "sameSite": "lax",
        });
        json!({ "cookie": cookie, "user": user, "language": profile.language })
    }

    /// Reads all rows, because a store of express-session does not list by user.
    fn sessions_of(&self, subject: &str) -> Result<Vec<(String, Value, Identity<Profile>)>> {
        let mut found = Vec::new();
        for id in self.rows.ids() {
            match self.load(&id) {
                Ok((row, identity)) if identity.subject() == subject => {
                    found.push((id, row, identity));
                }
                Err(error) if !error.is_rejected() => return Err(error),
                // Of another user, of a visitor, or expired.
                _ => {}
            }
        }
        Ok(found)
    }

    fn edit(
        &self,
        id: &str,
        (mut row, identity): (Value, Identity<Profile>),
        edit: EditFn<'_, Profile>,
    ) -> Result<Identity<Profile>> {
        let identity = identity.edited(edit)?;
        row["language"] = identity.data().language.clone().into();
        self.rows.set(id, row);
        Ok(identity)
    }

    fn load(&self, id: &str) -> Result<(Value, Identity<Profile>)> {
        let row = self.rows.get(id).ok_or(Rejection::Unknown)?;
        let identity = self.identity(&row)?;
        Ok((row, identity))
    }

    fn identity(&self, row: &Value) -> Result<Identity<Profile>> {
        let text = |name: &str| row.get(name)?.as_str().map(str::to_owned);
        let user = text("user").ok_or(Rejection::Unknown)?;
        let language = text("language").unwrap_or_else(|| "en".to_owned());
        let now: OffsetDateTime = self.now()?;
        let since = row.get(SINCE).and_then(Value::as_i64);
        let since = since.and_then(|since| OffsetDateTime::from_unix_timestamp(since).ok());
        // express-session does not note when. Yesterday is too old for `require_fresh`.
        let since = since.unwrap_or(now - Duration::DAY);
        let deadline = since + ABSOLUTE;
        if deadline <= now {
            return Err(Rejection::Expired.into());
        }
        let login = Login::new(user)
            .data(Profile { language })
            .deadline(deadline);
        Identity::unverified(login, since, deadline.min(now + IDLE))
    }

    fn now(&self) -> Result<OffsetDateTime> {
        let now = self.rows.clock.now();
        Ok(now.ok_or_else(|| Error::unavailable("no time"))?.into())
    }
}

impl Authenticator for OldSessions {
    type Data = Profile;

    fn is_well_formed(&self, credential: &str) -> bool {
        credential.starts_with("s%3A")
    }

    fn sample_credentials(&self) -> Vec<String> {
        vec![format!("s%3A{}.{}", "A".repeat(32), "A".repeat(43))]
    }

    async fn verify_with(&self, presented: Presented<'_>) -> Result<Identity<Profile>> {
        let id = self.open(presented.credential())?;
        let (row, identity) = self.load(&id)?;
        if !presented.is_passive() {
            // The store's `touch`.
            self.rows.set(&id, row);
        }
        Ok(identity)
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
        let mut row = Self::row(&login.subject, &login.data);
        let since = login.authenticated_at.unwrap_or(self.now()?);
        row[SINCE] = since.unix_timestamp().into();
        let mut id = [0; 24];
        SystemEntropy.fill(&mut id)?;
        let id = URL_SAFE_NO_PAD.encode(id);
        let identity = self.identity(&row)?;
        self.rows.set(&id, row);
        Ok(Issued::new(self.seal(&id)?, identity, Outcome::New))
    }

    async fn revoke(&self, credential: &str) -> Result<Logout> {
        if let Ok(id) = self.open(credential) {
            self.rows.rows().remove(&id);
        }
        Ok(Revocation::Immediate.into())
    }

    async fn revoke_all(&self, subject: &str) -> Result<Affected> {
        let found = self.sessions_of(subject)?;
        for (id, ..) in &found {
            self.rows.rows().remove(id);
        }
        let count = found.len().try_into().ok();
        Ok(Affected::new(count, Revocation::Immediate))
    }

    async fn update(&self, credential: &str, edit: EditFn<'_, Profile>) -> Result<Issued<Profile>> {
        let id = self.open(credential)?;
        let identity = self.edit(&id, self.load(&id)?, edit)?;
        let same = Credential::new(credential.to_owned());
        Ok(Issued::new(same, identity, Outcome::Replayed))
    }

    async fn update_all(&self, subject: &str, edit: EditFn<'_, Profile>) -> Result<Affected> {
        let found = self.sessions_of(subject)?;
        let count = found.len().try_into().ok();
        for (id, row, identity) in found {
            let _ = self.edit(&id, (row, identity), &mut *edit)?;
        }
        Ok(Affected::new(count, Revocation::Immediate))
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
