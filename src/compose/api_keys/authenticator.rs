//! The authenticator of API keys.

use std::fmt;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::authenticator::{Authenticator, Presented};
use crate::base::public_id::PublicId;
use crate::compose::api_keys::text::KeyText;
use crate::error::{Refusal, Rejection, Result};
use crate::login::Login;
use crate::login::affected::Affected;
use crate::login::begun::Begun;
use crate::login::edit::{Edit, EditFn};
use crate::login::identity::Identity;
use crate::login::issued::{Credential, Issued, Revocation};
use crate::login::logout::Logout;
use crate::session::authenticator::SessionAuthenticator;
use crate::session::listed::{Session, SessionPage};
use crate::store::answer::Removed;
use crate::store::listing::Cursor;
use crate::store::session_store::SessionStore;
use crate::upkeep::Upkeep;

/// Authenticates programs by API keys. See [the module](super).
///
/// [`issue`](Authenticator::issue) makes a key. It ignores the choices of a login that a key does not
/// have: [`replaces`](Login::replaces) and [`remember`](Login::remember). A
/// [deadline](Login::deadline) makes the key end earlier than the longest one.
///
/// [`refresh`](Authenticator::refresh) and a step-up are *refused* as
/// [`NotRefreshable`](crate::Refusal::NotRefreshable). A key is never
/// [due](Identity::refresh_due) for a refresh.
pub struct ApiKeys<S, D = ()> {
    /// Sees the 64 characters of a key.
    rows: SessionAuthenticator<S, D>,
    text: KeyText,
}

impl<S: SessionStore, D> ApiKeys<S, D> {
    pub(super) fn new(rows: SessionAuthenticator<S, D>, text: KeyText) -> Self {
        Self { rows, text }
    }

    /// Returns the 64 characters of a key. Rejects every other text before the store is called.
    #[inline]
    fn read<'t>(&self, key: &'t str) -> Result<&'t str> {
        Ok(self.text.read(key).ok_or(Rejection::Malformed)?)
    }

    /// Lists the live keys of `subject`, a hundred at a time, by deadline: each as a [`Session`],
    /// with the name of the key as its [device](Session::device), the scopes as its
    /// [roles](Session::roles), and the [last use](Session::last_seen_at) to the hour.
    ///
    /// Pass `None` for the first page, and [`SessionPage::next`] of a page for the page after it.
    ///
    /// ```
    /// use statewise::api_keys::ApiKeys;
    /// use statewise::store::MemoryStore;
    ///
    /// async fn print(keys: &ApiKeys<MemoryStore>, user: &str) -> statewise::Result<()> {
    ///     for key in keys.keys(user, None).await?.sessions {
    ///         let name = key.device().unwrap_or("unnamed");
    ///         println!("{} {name}: last used {}", key.id(), key.last_seen_at());
    ///     }
    ///     Ok(())
    /// }
    /// # let _ = print;
    /// ```
    ///
    /// # Errors
    ///
    /// *Unavailable* if the store or the clock cannot answer.
    ///
    /// # Cancel safety
    ///
    /// Changes nothing.
    pub async fn keys(&self, subject: &str, after: Option<Cursor>) -> Result<SessionPage> {
        self.rows.sessions(subject, after).await
    }

    /// Ends the key of `subject` that is listed under `id`, if there is one. The subject keeps one
    /// user from ending the keys of another.
    ///
    /// # Errors
    ///
    /// *Unavailable*: the key may not have ended, and it is safe to try again.
    ///
    /// # Cancel safety
    ///
    /// The key may have ended: call again.
    pub async fn revoke_id(&self, subject: &str, id: PublicId) -> Result<Removed> {
        self.rows.revoke_id(subject, id).await
    }
}

impl<S, D> ApiKeys<S, D>
where
    S: SessionStore,
    D: Serialize + DeserializeOwned + Send + Sync + 'static,
{
    /// Renames the key of `subject` that is listed under `id`. Returns it as it is now; `None` if
    /// there is none.
    ///
    /// # Errors
    ///
    /// As for [`update`](Authenticator::update), without rejections.
    ///
    /// # Cancel safety
    ///
    /// The key may have been renamed.
    pub async fn rename(&self, subject: &str, id: PublicId, name: &str) -> Result<Option<Session>> {
        let edit: EditFn<'_, D> = &mut |key| {
            key.device = Some(name.to_owned());
            Ok(())
        };
        self.rows.update_id(subject, id, edit).await
    }

    /// Ends a key that was found in public, as a scanner for secrets reports it. Returns the logout,
    /// which names the user to notify; `None` if the text is no key, or one that has ended already.
    ///
    /// A text without the form and checksum of a key costs no call of the store. Anyone may report:
    /// a holder of the key could use it as well.
    ///
    /// ```
    /// use statewise::Observed;
    /// use statewise::api_keys::ApiKeys;
    /// use statewise::store::MemoryStore;
    ///
    /// /// Answers the report of a code host. `Observed` sends an event, which is logged as a warning.
    /// async fn report(
    ///     keys: &Observed<ApiKeys<MemoryStore>>,
    ///     texts: &[&str],
    /// ) -> statewise::Result<()> {
    ///     for text in texts {
    ///         if let Some(ended) = keys.leaked(text).await? {
    ///             let user = ended.login().map(|key| key.subject().to_owned());
    ///             println!("notify {user:?}");
    ///         }
    ///     }
    ///     Ok(())
    /// }
    /// # let _ = report;
    /// ```
    ///
    /// # Errors
    ///
    /// *Unavailable*: the key may not have ended, and it is safe to try again.
    ///
    /// # Cancel safety
    ///
    /// The key may have ended: call again.
    pub async fn leaked(&self, text: &str) -> Result<Option<Logout>> {
        let Some(key) = self.text.read(text) else {
            return Ok(None);
        };
        match self.rows.revoke(key).await {
            Ok(ended) => Ok(ended.login().is_some().then_some(ended)),
            // The checksum is right, and the characters are not those of a credential.
            Err(error) if error.is_rejected() => Ok(None),
            Err(error) => Err(error),
        }
    }
}

impl<S, D> Authenticator for ApiKeys<S, D>
where
    S: SessionStore,
    D: Serialize + DeserializeOwned + Send + Sync + 'static,
{
    type Data = D;

    /// The checksum is not verified.
    fn is_well_formed(&self, credential: &str) -> bool {
        self.text.is_well_formed(credential)
    }

    fn sample_credentials(&self) -> Vec<String> {
        let samples = self.rows.sample_credentials();
        let write = |chars: String| self.text.write(&chars).reveal().to_owned();
        samples.into_iter().map(write).collect()
    }

    async fn begin(&self) -> Result<Begun> {
        self.rows.begin().await
    }

    async fn issue(&self, mut login: Login<D>) -> Result<Issued<D>> {
        login.replaces = Vec::new();
        login.is_remembered = false;
        let made = self.rows.issue(login).await?;
        let key = self.text.write(made.credential().reveal());
        Ok(made.with_credential(key))
    }

    async fn verify_with(&self, presented: Presented<'_>) -> Result<Identity<D>> {
        let key = self.read(presented.credential())?;
        self.rows.verify_with(presented.with_credential(key)).await
    }

    #[inline]
    fn try_verify_now(&self, presented: Presented<'_>) -> Option<Result<Identity<D>>> {
        match self.read(presented.credential()) {
            Ok(key) => self.rows.try_verify_now(presented.with_credential(key)),
            Err(error) => Some(Err(error)),
        }
    }

    async fn refresh_with(&self, presented: Presented<'_>) -> Result<Issued<D>> {
        self.read(presented.credential())?;
        Err(Refusal::NotRefreshable.into())
    }

    async fn revoke(&self, credential: &str) -> Result<Logout> {
        self.rows.revoke(self.read(credential)?).await
    }

    async fn revoke_all(&self, subject: &str) -> Result<Affected> {
        self.rows.revoke_all(subject).await
    }

    /// Ends no key: keys are no logins.
    async fn revoke_all_except(&self, _: &Identity<D>) -> Result<Affected> {
        Ok(Affected::new(Some(0), Revocation::Immediate))
    }

    async fn update(&self, credential: &str, edit: EditFn<'_, D>) -> Result<Issued<D>> {
        let updated = self.rows.update(self.read(credential)?, edit).await?;
        Ok(updated.with_credential(Credential::new(credential.to_owned())))
    }

    /// Updates every key of `subject`. A key loses the scopes that `edit` leaves out, and gets none
    /// that it did not have.
    async fn update_all(&self, subject: &str, edit: EditFn<'_, D>) -> Result<Affected> {
        let narrow = &mut |key: &mut Edit<D>| {
            let scopes = key.roles.clone();
            edit(key)?;
            key.roles.retain(|scope| scopes.contains(scope));
            Ok(())
        };
        self.rows.update_all(subject, narrow).await
    }

    async fn ready(&self) -> Result<()> {
        self.rows.ready().await
    }

    fn upkeep(&self) -> Upkeep {
        self.rows.upkeep()
    }
}

impl<S: fmt::Debug, D> fmt::Debug for ApiKeys<S, D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ApiKeys")
            .field("text", &self.text)
            .field("rows", &self.rows)
            .finish()
    }
}
