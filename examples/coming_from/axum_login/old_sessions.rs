//! The sessions of the old service, as an authenticator.

use serde::{Deserialize, Serialize};
use statewise::{
    Affected, Authenticator, Credential, EditFn, Error, Identity, Issued, Login, Logout, Outcome,
    Presented, Rejection, Result, Revocation, Upkeep,
};
use time::{Duration, OffsetDateTime};
use tower_sessions::SessionStore;
use tower_sessions::session::{Id, Record};

use super::after::{Profile, login_of};
use super::steps::ABSOLUTE;
use crate::users::Users;

/// Length of the text of an id.
const ID_CHARS: usize = 22;
/// Key of axum-login's data in a session. `with_data_key` changes it.
const LOGIN: &str = "axum-login.data";
/// Key of the authentication time, which this authenticator adds. axum-login stores it unread.
const SINCE: &str = "authenticated_at";
/// `Expiry::OnInactivity` of the old service.
const IDLE: Duration = Duration::DAY;

/// Sessions of tower-sessions with the logins of axum-login. Old nodes accept those that it issues.
#[derive(Debug)]
pub struct OldSessions<S> {
    pub store: S,
    pub users: Users,
}

/// The data of axum-login.
#[derive(Serialize, Deserialize)]
struct OldLogin {
    user_id: Option<i64>,
    auth_hash: Option<Vec<u8>>,
}

impl<S: SessionStore> OldSessions<S> {
    fn identity_of(&self, record: &Record) -> Result<Identity<Profile>> {
        let login = record.data.get(LOGIN).cloned().unwrap_or_default();
        let login =
            serde_json::from_value::<Option<OldLogin>>(login).map_err(Error::unavailable)?;
        let user = login
            .as_ref()
            .and_then(|login| self.users.by_id(login.user_id?));
        let hash = login.and_then(|login| login.auth_hash);
        // As axum-login does: a new password ends the session.
        let user = user.filter(|user| hash.as_deref() == Some(user.password.as_bytes()));
        let user = user.ok_or(Rejection::Unknown)?;
        let noted = record.data.get(SINCE).and_then(serde_json::Value::as_i64);
        let noted = noted.and_then(|since| OffsetDateTime::from_unix_timestamp(since).ok());
        // The old service writes a session at the login and not afterwards.
        let since = noted.unwrap_or(record.expiry_date - IDLE);
        let login = login_of(&user).deadline(since + ABSOLUTE);
        Identity::unverified(login, since, record.expiry_date)
    }

    async fn load(&self, credential: &str) -> Result<Identity<Profile>> {
        let id: Id = credential.parse().map_err(|_| Rejection::Malformed)?;
        let record = self.store.load(&id).await.map_err(Error::unavailable)?;
        self.identity_of(&record.ok_or(Rejection::Unknown)?)
    }
}

impl<S: SessionStore> Authenticator for OldSessions<S> {
    type Data = Profile;

    fn is_well_formed(&self, credential: &str) -> bool {
        credential.len() == ID_CHARS && credential.parse::<Id>().is_ok()
    }

    fn sample_credentials(&self) -> Vec<String> {
        vec![Id(0).to_string()]
    }

    async fn verify_with(&self, presented: Presented<'_>) -> Result<Identity<Profile>> {
        self.load(presented.credential()).await
    }

    /// Returns the same credential: nothing rotates. `Migrating` asks before it upgrades one.
    async fn refresh_with(&self, presented: Presented<'_>) -> Result<Issued<Profile>> {
        let same = Credential::new(presented.credential().to_owned());
        let identity = self.load(presented.credential()).await?;
        Ok(Issued::new(same, identity, Outcome::Replayed))
    }

    async fn revoke(&self, credential: &str) -> Result<Logout> {
        if let Ok(id) = credential.parse() {
            self.store.delete(&id).await.map_err(Error::unavailable)?;
        }
        Ok(Revocation::Immediate.into())
    }

    /// The sessions of a user cannot be listed. A new password ends them at once. Without one they live for as
    /// long as the latest of them.
    async fn revoke_all(&self, _: &str) -> Result<Affected> {
        let latest = OffsetDateTime::now_utc() + IDLE;
        Ok(Affected::new(None, Revocation::AtExpiry(latest)))
    }

    /// Each request reads the permissions from the table of users.
    async fn update(&self, credential: &str, _: EditFn<'_, Profile>) -> Result<Issued<Profile>> {
        self.refresh(credential).await
    }

    async fn update_all(&self, _: &str, _: EditFn<'_, Profile>) -> Result<Affected> {
        Ok(Affected::new(None, Revocation::Immediate))
    }

    async fn issue(&self, login: Login<Profile>) -> Result<Issued<Profile>> {
        let parts = login.into_parts();
        for carried in parts.replaces {
            let _ = self.revoke(&carried).await?;
        }
        let user = parts
            .subject
            .parse()
            .ok()
            .and_then(|id| self.users.by_id(id));
        let user = user.ok_or(Rejection::Unknown)?;
        let now = OffsetDateTime::now_utc();
        let since = parts.authenticated_at.unwrap_or(now);
        let login = OldLogin {
            user_id: Some(user.id),
            auth_hash: Some(user.password.clone().into_bytes()),
        };
        let login = serde_json::to_value(login).map_err(Error::unavailable)?;
        let data = [(LOGIN, login), (SINCE, since.unix_timestamp().into())];
        let mut record = Record {
            id: Id::default(),
            data: data.map(|(key, value)| (key.to_owned(), value)).into(),
            expiry_date: (since + ABSOLUTE).min(now + IDLE),
        };
        let created = self.store.create(&mut record).await;
        created.map_err(Error::unavailable)?;
        let identity = self.identity_of(&record)?;
        let credential = Credential::new(record.id.to_string());
        Ok(Issued::new(credential, identity, Outcome::New))
    }

    fn upkeep(&self) -> Upkeep {
        Upkeep::none()
    }
}
