//! tower-sessions, as its layer uses it with an idle timeout: loads the session, and saves it after
//! the request.

use std::sync::Arc;

use core014::{Expiry, Session, SessionStore};
use tokio::runtime::Runtime;

use crate::{SESSIONS, User, user};

const EXPIRY: Expiry = Expiry::OnInactivity(time::Duration::seconds(1_800));

/// Captures the cookies of new sessions.
pub fn log_in<S: SessionStore>(store: &Arc<S>, runtime: &Runtime) -> Vec<String> {
    runtime.block_on(async {
        let mut cookies = Vec::new();
        for number in 0..SESSIONS {
            let session = Session::new(None, store.clone(), Some(EXPIRY));
            let inserted = session.insert("user", user(number)).await;
            inserted.expect("inserted");
            session.save().await.expect("saved");
            cookies.push(session.id().expect("saved").to_string());
        }
        cookies
    })
}

pub async fn verify<S: SessionStore>(store: Arc<S>, cookie: &str) -> User {
    let id = cookie.parse().expect("an id");
    let session = Session::new(Some(id), store, Some(EXPIRY));
    let user = session.get("user").await.expect("loaded");
    session.save().await.expect("saved");
    user.expect("a user")
}
