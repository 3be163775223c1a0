//! The store of the old service. A real one uses `RedisSessionStore` in its place; `OldSessions` reads
//! any store of actix-session.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use actix_session::storage::{
    LoadError, SaveError, SessionKey, SessionStore, UpdateError, generate_session_key,
};
use actix_web::cookie::time::Duration;
use statewise::clock::{Clock, Timestamp};

/// State of a session of actix-session.
pub type State = HashMap<String, String>;

/// Sessions in the memory of this process. Clones share them.
#[derive(Clone, Debug)]
pub struct Store {
    rows: Arc<Mutex<HashMap<String, (State, Timestamp)>>>,
    clock: Arc<dyn Clock>,
}

impl Store {
    #[must_use]
    pub fn new(clock: impl Clock) -> Self {
        Self {
            rows: Arc::default(),
            clock: Arc::new(clock),
        }
    }

    fn rows(&self) -> MutexGuard<'_, HashMap<String, (State, Timestamp)>> {
        let mut rows = self.rows.lock().unwrap_or_else(PoisonError::into_inner);
        let now = self.now();
        rows.retain(|_, (_, end)| now < *end);
        rows
    }

    fn now(&self) -> Timestamp {
        self.clock.now().unwrap_or(Timestamp::MAX)
    }

    fn end(&self, ttl: &Duration) -> Timestamp {
        self.now()
            .saturating_add(ttl.whole_seconds().unsigned_abs())
    }
}

impl SessionStore for Store {
    async fn load(&self, key: &SessionKey) -> Result<Option<State>, LoadError> {
        Ok(self
            .rows()
            .get(key.as_ref())
            .map(|(state, _)| state.clone()))
    }

    async fn save(&self, state: State, ttl: &Duration) -> Result<SessionKey, SaveError> {
        let (key, end) = (generate_session_key(), self.end(ttl));
        self.rows().insert(key.as_ref().to_owned(), (state, end));
        Ok(key)
    }

    async fn update(
        &self,
        key: SessionKey,
        state: State,
        ttl: &Duration,
    ) -> Result<SessionKey, UpdateError> {
        let row = (state, self.end(ttl));
        self.rows().insert(key.as_ref().to_owned(), row);
        Ok(key)
    }

    async fn update_ttl(&self, key: &SessionKey, ttl: &Duration) -> anyhow::Result<()> {
        let end = self.end(ttl);
        if let Some(row) = self.rows().get_mut(key.as_ref()) {
            row.1 = end;
        }
        Ok(())
    }

    async fn delete(&self, key: &SessionKey) -> anyhow::Result<()> {
        self.rows().remove(key.as_ref());
        Ok(())
    }
}
