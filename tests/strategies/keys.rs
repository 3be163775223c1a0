//! API keys: damaged ones, and their place beside sessions.

use std::sync::Arc;
use std::time::Duration;

use statewise::api_keys::ApiKeys;
use statewise::session::{Limit, SessionAuthenticator};
use statewise::store::contract::SessionStore;
use statewise::testkit::{FaultyStore, StoreFixture};
use statewise::{Authenticator, Edit, Error, Login, Purpose, Refusal, Rejection, Result};

use super::world::{ABSOLUTE, World, login, rejection, secret};

impl<F: StoreFixture> World<'_, F> {
    /// API keys over a store, at most two for each user.
    pub(crate) fn keys<S: SessionStore>(&self, store: S) -> ApiKeys<S> {
        let keys = ApiKeys::builder(store).prefix("acme_pat");
        let keys = keys.longest(Duration::from_secs(ABSOLUTE));
        let keys = keys.limit(Limit::Reject(2)).clock(self.clock.clone());
        keys.build().expect("a valid configuration")
    }

    /// Sessions over the store, at most two for each user.
    pub(crate) fn two_sessions(&self) -> SessionAuthenticator<Arc<F::Store>> {
        let builder = self.builder(Arc::clone(&self.store));
        let sessions = builder.limit(Limit::Reject(2)).build();
        sessions.expect("a valid configuration")
    }
}

/// A key with a changed character, or with two that changed places, costs no call of the store,
/// whatever is done with it. Rejects keys without a checksum, and with one of the secret alone.
pub(crate) async fn key_01_a_damaged_key_costs_no_call<F: StoreFixture>(fixture: &F) {
    let world = World::open(fixture).await;
    let store = Arc::new(FaultyStore::new(Arc::clone(&world.store)));
    let keys = world.keys(Arc::clone(&store));
    let made = login(&keys, "alice").await;
    let keep = &mut |_: &mut Edit| Ok(());
    let present = async |text: &str| {
        for answer in [
            keys.refresh(text).await.map(drop),
            keys.revoke(text).await.map(drop),
            keys.update(text, keep).await.map(drop),
        ] {
            assert_eq!(rejection(&answer), Some(Rejection::Malformed));
        }
        assert!(keys.leaked(text).await.is_ok_and(|key| key.is_none()));
        keys.verify(text).await.map(drop)
    };
    let broken = costs_a_call(&store, secret(&made), present).await;
    assert_eq!(broken, None);
    assert!(keys.verify(secret(&made)).await.is_ok());
}

/// Returns the first damaged text that is not malformed, or that costs a call of the store.
pub(crate) async fn costs_a_call<S: SessionStore>(
    store: &FaultyStore<S>,
    key: &str,
    mut present: impl AsyncFnMut(&str) -> Result<()>,
) -> Option<String> {
    let calls = store.calls();
    let changed = (0..key.len()).map(|at| {
        let other = if &key[at..=at] == "x" { "y" } else { "x" };
        [&key[..at], other, &key[at + 1..]].concat()
    });
    let swapped = (1..key.len()).map(|at| {
        let (one, other) = (&key[at - 1..at], &key[at..=at]);
        [&key[..at - 1], other, one, &key[at + 1..]].concat()
    });
    for text in changed.chain(swapped).filter(|text| text != key) {
        let answer = present(&text).await;
        if rejection(&answer) != Some(Rejection::Malformed) || store.calls() != calls {
            return Some(text);
        }
    }
    None
}

/// Limits, lists and logouts of sessions meet no key, and the reverse, although both have one user
/// and one store. Rejects keys that are sessions of the user.
pub(crate) async fn key_02_sessions_and_keys_do_not_meet<F: StoreFixture>(fixture: &F) {
    let world = World::open(fixture).await;
    let (sessions, keys) = (world.two_sessions(), world.keys(Arc::clone(&world.store)));
    meet(&sessions, &keys).await.expect("they do not meet");
    // The lists of keys, and of keys with another prefix.
    let other = ApiKeys::builder(Arc::clone(&world.store)).prefix("acme_ci");
    let other = other.longest(Duration::from_secs(ABSOLUTE));
    let other = other.clock(world.clock.clone()).build();
    let other = other.expect("a valid configuration");
    let of_other = login(&other, "alice").await;
    let first = login(&keys, "alice").await;
    let id = first.identity().id();
    let page = keys.keys("alice", None).await.expect("a list");
    let listed: Vec<_> = page.sessions.iter().map(|key| key.id()).collect();
    assert_eq!(listed, [id]);
    assert_eq!(page.sessions[0].subject(), "alice");
    assert!(
        sessions
            .revoke_id("alice", id)
            .await
            .is_ok_and(|removed| removed.count == 0)
    );
    assert!(
        other
            .revoke_id("alice", id)
            .await
            .is_ok_and(|removed| removed.count == 0)
    );
    assert!(
        keys.revoke_id("bob", id)
            .await
            .is_ok_and(|removed| removed.count == 0)
    );
    assert!(keys.verify(secret(&first)).await.is_ok());
    assert!(
        keys.revoke_id("alice", id)
            .await
            .is_ok_and(|removed| removed.count == 1)
    );
    let ended = keys.verify(secret(&first)).await;
    assert_eq!(rejection(&ended), Some(Rejection::Unknown));
    assert!(other.verify(secret(&of_other)).await.is_ok());
}

/// Returns how keys and sessions meet.
pub(crate) async fn meet<S, K>(
    sessions: &SessionAuthenticator<S>,
    keys: &K,
) -> std::result::Result<(), &'static str>
where
    S: SessionStore,
    K: Authenticator<Data = ()>,
{
    let check = |holds: bool, what| if holds { Ok(()) } else { Err(what) };
    let session = login(sessions, "alice").await;
    let key = keys.issue(Login::new("alice").role("read")).await;
    let key = key.expect("a key is made");
    let caller = keys.verify(secret(&key)).await.expect("a key");
    check(caller.subject() == "alice", "the user of the key")?;
    let listed = sessions.sessions("alice", None).await.expect("a list");
    check(listed.sessions.len() == 1, "the list of sessions")?;
    for both in [
        Login::new("alice").replaces(secret(&session)),
        Login::new("alice"),
    ] {
        let limit = Some(Refusal::SessionLimit);
        match keys.issue(both).await {
            Ok(_) => {}
            Err(error) => check(error.refusal() == limit, "another error")?,
        }
    }
    check(
        sessions.verify(secret(&session)).await.is_ok(),
        "a session was replaced",
    )?;
    check(
        sessions.issue(Login::new("alice")).await.is_ok(),
        "the limit of sessions",
    )?;
    for refused in [
        sessions.issue(Login::new("alice")).await,
        keys.issue(Login::new("alice")).await,
    ] {
        let refusal = refused.err().and_then(|error| Error::refusal(&error));
        check(refusal == Some(Refusal::SessionLimit), "no limit")?;
    }
    let promote = &mut |login: &mut Edit| {
        login.roles = vec!["admin".to_owned()];
        Ok(())
    };
    let updated = sessions.update_all("alice", promote).await;
    check(
        updated.is_ok_and(|updated| updated.count == Some(2)),
        "updates of sessions",
    )?;
    let caller = keys.verify(secret(&key)).await.expect("a key");
    check(!caller.has_role("admin"), "the scopes of a key")?;
    check(caller.purpose() == Purpose::ApiKey, "the purpose of a key")?;
    let ended = sessions.revoke_all("alice").await;
    check(
        ended.is_ok_and(|ended| ended.count == Some(2)),
        "the logout of sessions",
    )?;
    check(
        keys.verify(secret(&key)).await.is_ok(),
        "a logout ends a key",
    )?;
    let session = login(sessions, "alice").await;
    let caller = sessions.verify(secret(&session)).await.expect("a session");
    check(
        caller.purpose() == Purpose::Login,
        "the purpose of a session",
    )?;
    let ended = keys.revoke_all("alice").await;
    check(
        ended.is_ok_and(|ended| ended.count == Some(2)),
        "the end of all keys",
    )?;
    check(keys.verify(secret(&key)).await.is_err(), "a key goes on")?;
    check(
        sessions.verify(secret(&session)).await.is_ok(),
        "a session ends with the keys",
    )
}
