//! The sessions of the old service, as an authenticator.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use axum_session::DatabasePool;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use statewise::clock::Clock;
use statewise::{
    Affected, Authenticator, Credential, EditFn, Error, Identity, Issued, Login, Logout, Outcome,
    Presented, Rejection, Result, Revocation, Upkeep,
};
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

use super::DEFAULT_LANGUAGE;
use super::after::{Profile, login_of};
use super::before::TABLE;
use super::steps::Timeouts;
use crate::users::Users;

/// Names of the values in a session.
const USER: &str = "user";
const LANGUAGE: &str = "language";
/// Name of the authentication time, which this authenticator adds. axum_session keeps it.
const SINCE: &str = "since";

/// A session as axum_session stores it. Each value is a text of JSON.
#[derive(Serialize, Deserialize)]
struct Row {
    data: HashMap<String, String>,
    longterm: bool,
}

impl Row {
    fn value<T: DeserializeOwned>(&self, name: &str) -> Option<T> {
        serde_json::from_str(self.data.get(name)?).ok()
    }

    fn set(&mut self, name: &str, value: impl Into<Value>) {
        self.data.insert(name.to_owned(), value.into().to_string());
    }

    fn timeouts(&self) -> Timeouts {
        Timeouts::of(self.longterm)
    }
}

/// Sessions of axum_session. Old nodes accept those that it issues.
pub struct OldSessions<P> {
    pub pool: P,
    pub users: Users,
    pub clock: Arc<dyn Clock>,
}

impl<P: DatabasePool + Send + Sync + 'static> OldSessions<P> {
    fn now(&self) -> Result<OffsetDateTime> {
        let now = self.clock.now();
        Ok(now.ok_or_else(|| Error::unavailable("no time"))?.into())
    }

    async fn load(&self, id: &str) -> Result<(Row, Identity<Profile>)> {
        let row = self.pool.load(id, TABLE).await;
        let row = row.map_err(Error::unavailable)?.ok_or(Rejection::Unknown)?;
        let row = serde_json::from_str(&row).map_err(Error::unavailable)?;
        let identity = self.identity(&row)?;
        Ok((row, identity))
    }

    /// Writes a row, which lives from now on.
    async fn store(&self, id: &str, row: &Row) -> Result<()> {
        let expires = (self.now()? + row.timeouts().idle).unix_timestamp();
        let row = serde_json::to_string(row).map_err(Error::unavailable)?;
        let stored = self.pool.store(id, &row, expires, TABLE).await;
        stored.map_err(Error::unavailable)
    }

    async fn delete(&self, id: &str) -> Result<()> {
        let deleted = self.pool.delete_one_by_id(id, TABLE).await;
        deleted.map_err(Error::unavailable)
    }

    async fn edit(
        &self,
        id: &str,
        (mut row, identity): (Row, Identity<Profile>),
        edit: EditFn<'_, Profile>,
    ) -> Result<Identity<Profile>> {
        let identity = identity.edited(edit)?;
        row.set(LANGUAGE, &*identity.data().language);
        self.store(id, &row).await?;
        Ok(identity)
    }

    /// Reads all sessions. Replace it with one query if you have many of them.
    async fn sessions_of(&self, subject: &str) -> Result<Vec<(String, Row, Identity<Profile>)>> {
        let ids = self.pool.get_ids(TABLE).await;
        let mut found = Vec::new();
        for id in ids.map_err(Error::unavailable)? {
            match self.load(&id).await {
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

    fn identity(&self, row: &Row) -> Result<Identity<Profile>> {
        // A session without a user is that of a visitor.
        let user = row.value(USER).and_then(|id| self.users.by_id(id));
        let user = user.ok_or(Rejection::Unknown)?;
        let language: Option<String> = row.value(LANGUAGE);
        let language = language.as_deref().unwrap_or(DEFAULT_LANGUAGE);
        let now = self.now()?;
        let since = row.value(SINCE);
        let since = since.and_then(|since| OffsetDateTime::from_unix_timestamp(since).ok());
        // axum_session does not note when. Yesterday is too old for `require_fresh`.
        let since = since.unwrap_or(now - Duration::DAY);
        let timeouts = row.timeouts();
        let deadline = since + timeouts.absolute;
        if deadline <= now {
            return Err(Rejection::Expired.into());
        }
        let login = login_of(&user, language, row.longterm).deadline(deadline);
        Identity::unverified(login, since, deadline.min(now + timeouts.idle))
    }
}

impl<P: DatabasePool + Send + Sync + 'static> Authenticator for OldSessions<P> {
    type Data = Profile;

    fn is_well_formed(&self, credential: &str) -> bool {
        let id = Uuid::try_parse(credential);
        id.is_ok_and(|id| id.to_string() == credential)
    }

    fn sample_credentials(&self) -> Vec<String> {
        vec![Uuid::nil().to_string()]
    }

    async fn verify_with(&self, presented: Presented<'_>) -> Result<Identity<Profile>> {
        let id = presented.credential();
        let (row, identity) = self.load(id).await?;
        if !presented.is_passive() {
            // Each request extends an old session.
            self.store(id, &row).await?;
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
        let user: i64 = login.subject.parse().map_err(|_| Rejection::Unknown)?;
        let since = login.authenticated_at.unwrap_or(self.now()?);
        let mut row = Row {
            data: HashMap::new(),
            longterm: login.is_remembered,
        };
        row.set(USER, user);
        row.set(LANGUAGE, login.data.language);
        row.set(SINCE, since.unix_timestamp());
        let id = Uuid::new_v4().to_string();
        let identity = self.identity(&row)?;
        self.store(&id, &row).await?;
        Ok(Issued::new(Credential::new(id), identity, Outcome::New))
    }

    async fn revoke(&self, credential: &str) -> Result<Logout> {
        self.delete(credential).await?;
        Ok(Revocation::Immediate.into())
    }

    async fn revoke_all(&self, subject: &str) -> Result<Affected> {
        let found = self.sessions_of(subject).await?;
        for (id, ..) in &found {
            self.delete(id).await?;
        }
        Ok(Affected::new(
            found.len().try_into().ok(),
            Revocation::Immediate,
        ))
    }

    async fn update(&self, credential: &str, edit: EditFn<'_, Profile>) -> Result<Issued<Profile>> {
        let loaded = self.load(credential).await?;
        let identity = self.edit(credential, loaded, edit).await?;
        let same = Credential::new(credential.to_owned());
        Ok(Issued::new(same, identity, Outcome::Replayed))
    }

    async fn update_all(&self, subject: &str, edit: EditFn<'_, Profile>) -> Result<Affected> {
        let found = self.sessions_of(subject).await?;
        let count = found.len().try_into().ok();
        for (id, row, identity) in found {
            let _ = self.edit(&id, (row, identity), &mut *edit).await?;
        }
        Ok(Affected::new(count, Revocation::Immediate))
    }

    fn upkeep(&self) -> Upkeep {
        Upkeep::none()
    }
}

impl<P> fmt::Debug for OldSessions<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OldSessions").finish_non_exhaustive()
    }
}
