//! Users of these examples: names and password hashes. A real service keeps them in its database.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use argon2::password_hash::phc::PasswordHash;
use argon2::{Argon2, PasswordHasher as _, PasswordVerifier as _};
use serde::Deserialize;
use statewise::Error;
use tokio::sync::Semaphore;

/// Fields of a login form.
#[derive(Deserialize)]
pub(crate) struct Credentials {
    pub(crate) user: String,
    pub(crate) password: String,
}

pub(crate) struct Passwords {
    hashes: Mutex<HashMap<String, PasswordHash>>,
    /// Hash for unknown users, so that they take as long to refuse as a wrong password.
    decoy: PasswordHash,
    /// Limits concurrent hashing: each Argon2id hash takes 19 MiB and a processor.
    permits: Arc<Semaphore>,
}

impl Passwords {
    /// Hashes the passwords with Argon2id and the parameters that OWASP recommends.
    pub(crate) fn of(users: &[(&str, &str)]) -> Result<Self, Error> {
        Self::hashed_by(&Argon2::default(), users)
    }

    pub(crate) fn hashed_by(argon2: &Argon2<'_>, users: &[(&str, &str)]) -> Result<Self, Error> {
        let mut hashes = HashMap::new();
        for (user, password) in users {
            hashes.insert((*user).to_owned(), hash(argon2, password)?);
        }
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        Ok(Self {
            hashes: Mutex::new(hashes),
            decoy: hash(argon2, "decoy")?,
            permits: Arc::new(Semaphore::new(processors)),
        })
    }

    /// Returns whether user and password match.
    pub(crate) async fn check(&self, given: &Credentials) -> Result<bool, Error> {
        let known = {
            let hashes = self.hashes.lock().unwrap_or_else(PoisonError::into_inner);
            hashes.get(&given.user).cloned()
        };
        let is_known = known.is_some();
        let hash = known.unwrap_or_else(|| self.decoy.clone());
        let password = given.password.clone();
        let matches = move || {
            let verified = Argon2::default().verify_password(password.as_bytes(), &hash);
            verified.is_ok()
        };
        Ok(self.run_blocking(matches).await? && is_known)
    }

    #[allow(dead_code, reason = "not every example changes passwords")]
    pub(crate) async fn change(&self, user: &str, password: String) -> Result<(), Error> {
        let hash = self
            .run_blocking(move || hash(&Argon2::default(), &password))
            .await??;
        let mut hashes = self.hashes.lock().unwrap_or_else(PoisonError::into_inner);
        hashes.insert(user.to_owned(), hash);
        Ok(())
    }

    /// Runs work on a thread that serves no requests. The permit is held until the work is done,
    /// even if the client disconnects.
    async fn run_blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Error> {
        let permit = Arc::clone(&self.permits).acquire_owned().await;
        let permit = permit.map_err(Error::unavailable)?;
        let work = move || {
            let _permit = permit;
            work()
        };
        tokio::task::spawn_blocking(work)
            .await
            .map_err(Error::unavailable)
    }
}

fn hash(argon2: &Argon2<'_>, password: &str) -> Result<PasswordHash, Error> {
    argon2
        .hash_password(password.as_bytes())
        .map_err(Error::unavailable)
}
