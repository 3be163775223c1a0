//! Attempts to break a change of strategy: thieves, outages, lost answers and other nodes.

#![allow(
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

use std::sync::{Arc, Mutex};

use statewise::authenticator::BoxFuture;
use statewise::clock::Clock as _;
use statewise::either::Either;
use statewise::hybrid::HybridAuthenticator;
use statewise::migrating::Migrating;
use statewise::revocation::{MemoryLog, RevocationView};
use statewise::session::Limit;
use statewise::testkit::{
    Fault, FaultyStore, ManualClock, Method, YieldingStore, block_on, interleave, seed,
};
use statewise::token::{Interop, Key};
use statewise::{Affected, Authenticator, Edit, EditFn, Issued, Login, Logout, Result, Revocation};

use crate::migrating::{
    ABSOLUTE, Any, NEW_KEY, OLD_KEY, OVERLAP, Service, Strategy, access, alice, another_node,
    foreign_token, memory, pairs, refreshable, seconds, service, session_builder, token_builder,
    verify, view,
};

type Hook = Box<dyn FnOnce() -> BoxFuture<'static, ()> + Send>;

/// A strategy. After its next `issue`, other nodes act before the caller goes on.
struct Hooked {
    inner: Any,
    after_issue: Mutex<Option<Hook>>,
}

impl std::fmt::Debug for Hooked {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Hooked")
    }
}

impl Hooked {
    fn new(inner: &Any) -> Arc<Self> {
        Arc::new(Self {
            inner: Arc::clone(inner),
            after_issue: Mutex::new(None),
        })
    }
}

impl Authenticator for Hooked {
    type Data = String;

    fn is_well_formed(&self, credential: &str) -> bool {
        self.inner.is_well_formed(credential)
    }

    fn sample_credentials(&self) -> Vec<String> {
        self.inner.sample_credentials()
    }

    fn has_refresh_credentials(&self) -> bool {
        self.inner.has_refresh_credentials()
    }

    async fn begin(&self) -> Result<statewise::Begun> {
        self.inner.begin().await
    }

    async fn issue(&self, login: Login<String>) -> Result<Issued<String>> {
        let issued = self.inner.issue(login).await?;
        let hook = self.after_issue.lock().unwrap().take();
        if let Some(hook) = hook {
            hook().await;
        }
        Ok(issued)
    }

    async fn verify_with(
        &self,
        presented: statewise::Presented<'_>,
    ) -> Result<statewise::Identity<String>> {
        self.inner.verify_with(presented).await
    }

    async fn refresh_with(&self, presented: statewise::Presented<'_>) -> Result<Issued<String>> {
        self.inner.refresh_with(presented).await
    }

    async fn revoke(&self, credential: &str) -> Result<Logout> {
        self.inner.revoke(credential).await
    }

    async fn revoke_all(&self, subject: &str) -> Result<Affected> {
        self.inner.revoke_all(subject).await
    }

    async fn find_login(&self, credential: &str) -> Result<Option<Logout>> {
        self.inner.find_login(credential).await
    }

    async fn revoke_relatives(
        &self,
        subject: &str,
        relatives: &statewise::authenticator::Relatives,
    ) -> Result<Option<Logout>> {
        self.inner.revoke_relatives(subject, relatives).await
    }

    async fn update(&self, credential: &str, edit: EditFn<'_, String>) -> Result<Issued<String>> {
        self.inner.update(credential, edit).await
    }

    async fn update_all(&self, subject: &str, edit: EditFn<'_, String>) -> Result<Affected> {
        self.inner.update_all(subject, edit).await
    }

    fn upkeep(&self) -> statewise::Upkeep {
        self.inner.upkeep()
    }
}

/// The user logs out with the new credential on node B, while a thief upgrades his copy of the old one
/// on node C.
#[test]
fn no_upgrade_of_a_copy_outlives_a_logout_by_the_new_credential() {
    let mut survived = Vec::new();
    for at_first_step in [false, true] {
        for round in 0..300 {
            let clock = ManualClock::default();
            let sessions = || session_builder(YieldingStore::new(memory()), &clock);
            let old: Any = Arc::new(sessions().build().unwrap());
            let new = HybridAuthenticator::new(token_builder(NEW_KEY, &clock), sessions());
            let new: Any = Arc::new(new.unwrap());
            let node = || {
                let node = Migrating::builder(Arc::clone(&old), Arc::clone(&new));
                Arc::new(node.clock(clock.clone()).build().unwrap())
            };
            let (a, b, c) = (node(), node(), node());
            let first = Either::builder(Arc::clone(&old), Arc::clone(&new)).any_place();
            let first: Any = Arc::new(first.build().unwrap());
            let before = block_on(old.issue(alice())).unwrap();
            let users = block_on(a.refresh(refreshable(&before))).unwrap();
            let made = Arc::new(Mutex::new(None));
            let thief = {
                let (c, made, copy) = (
                    Arc::clone(&c),
                    Arc::clone(&made),
                    refreshable(&before).to_owned(),
                );
                Box::pin(async move {
                    *made.lock().unwrap() = c.refresh(&copy).await.ok();
                }) as BoxFuture<'static, ()>
            };
            let logout = {
                let credential = refreshable(&users).to_owned();
                Box::pin(async move {
                    let answer = match at_first_step {
                        true => first.revoke(&credential).await,
                        false => b.revoke(&credential).await,
                    };
                    let _ = answer.unwrap();
                }) as BoxFuture<'static, ()>
            };
            block_on(interleave(seed() + round, vec![thief, logout]));
            let stolen = made.lock().unwrap().take();
            if let Some(stolen) = stolen
                && block_on(a.refresh(refreshable(&stolen))).is_ok()
            {
                survived.push((at_first_step, round));
            }
        }
    }
    assert!(
        survived.is_empty(),
        "{} of 600: {survived:?}",
        survived.len()
    );
}

/// The new store fails once in a logout on another node. The user tries again, as documented.
#[test]
fn a_repeated_logout_ends_the_upgrade() {
    let mut broken = Vec::new();
    for by_new in [false, true] {
        for at_first_step in [false, true] {
            let clock = ManualClock::default();
            let store = Arc::new(FaultyStore::new(memory()));
            let old: Any = Arc::new(session_builder(memory(), &clock).build().unwrap());
            let new = session_builder(Arc::clone(&store), &clock);
            let new = HybridAuthenticator::new(token_builder(NEW_KEY, &clock), new).unwrap();
            let new: Any = Arc::new(new);
            let node = || {
                let node = Migrating::builder(Arc::clone(&old), Arc::clone(&new));
                node.clock(clock.clone()).build().unwrap()
            };
            let (a, b, c) = (node(), node(), node());
            let first = Either::builder(Arc::clone(&old), Arc::clone(&new)).any_place();
            let first: Any = Arc::new(first.build().unwrap());
            let b: Any = Arc::new(b);
            let at = if at_first_step { first } else { b };
            let before = block_on(old.issue(alice())).unwrap();
            let users = block_on(a.refresh(refreshable(&before))).unwrap();
            let thiefs = block_on(c.refresh(refreshable(&before))).unwrap();
            let presented = if by_new { &users } else { &before };
            store.fail_nth_of(Method::List, 1, Fault::Fails);
            assert!(
                block_on(at.revoke(refreshable(presented)))
                    .unwrap_err()
                    .is_unavailable()
            );
            let answer = block_on(at.revoke(refreshable(presented))).unwrap();
            let what = format!(
                "by new {by_new}, first step {at_first_step}: the retry answers {:?}",
                answer.effective
            );
            let old_lives = block_on(old.verify(access(&before))).is_ok();
            let user_lives = block_on(a.refresh(refreshable(&users))).is_ok();
            let thief_lives = block_on(a.refresh(refreshable(&thiefs))).is_ok();
            if user_lives || thief_lives || old_lives {
                broken.push(format!(
                    "{what}, old {old_lives}, user's new {user_lives}, thief's new {thief_lives}"
                ));
            }
        }
    }
    assert!(broken.is_empty(), "{broken:#?}");
}

/// The old login ends after the overlap of another node (or as that node stops). A request with the old
/// credential then ends the new login of an honest client.
#[test]
fn a_late_request_with_the_old_credential_ends_no_new_login() {
    let mut broken = Vec::new();
    for stops in [false, true] {
        for (from, to) in pairs().filter(|(from, _)| from.can_end_at_once()) {
            let Service { clock, old, auth } = service(from, to);
            let other = another_node(&auth, &clock);
            let before = block_on(old.issue(alice())).unwrap();
            // The answer of the first upgrade is lost.
            let _lost = block_on(other.refresh(refreshable(&before))).unwrap();
            if !stops {
                clock.advance(seconds(OVERLAP - 2));
            }
            let after = block_on(auth.refresh(refreshable(&before))).unwrap();
            if stops {
                clock.advance(seconds(2));
                block_on(other.upkeep().finish()).unwrap();
            } else {
                clock.advance(seconds(2));
                block_on(other.upkeep().tick()).unwrap();
            }
            clock.advance(seconds(1));
            assert!(verify(&auth, access(&after)).is_ok());
            // A second tab, within five seconds after the upgrade on this node.
            let _ = block_on(auth.refresh(refreshable(&before)));
            if block_on(auth.refresh(refreshable(&after))).is_err() {
                broken.push(format!("stops {stops}: {from:?} to {to:?}"));
            }
        }
    }
    assert!(broken.is_empty(), "{broken:#?}");
}

/// A role changes on another node while a login of a hybrid with a log is upgraded.
#[test]
fn a_change_of_roles_during_an_upgrade_refuses_no_client() {
    let mut broken = Vec::new();
    for to in [Strategy::Session, Strategy::RevocableToken, Strategy::Token] {
        let clock = ManualClock::default();
        let log = Arc::new(MemoryLog::new().unwrap());
        let here = view(Arc::clone(&log), &clock);
        let store = memory();
        let hybrid = |view: &RevocationView| -> Any {
            let tokens = token_builder(OLD_KEY, &clock).revocations(view);
            let sessions = session_builder(Arc::clone(&store), &clock);
            Arc::new(HybridAuthenticator::new(tokens, sessions).unwrap())
        };
        let old = hybrid(&here);
        let hooked = Hooked::new(&to.make_with(NEW_KEY, &clock, &here));
        let new: Any = hooked.clone();
        let auth = Migrating::builder(Arc::clone(&old), new).clock(clock.clone());
        let auth = auth.build().unwrap();
        let before = block_on(old.issue(alice())).unwrap();
        let admins = hybrid(&view(Arc::clone(&log), &clock));
        *hooked.after_issue.lock().unwrap() = Some(Box::new(move || {
            Box::pin(async move {
                let edit = &mut |login: &mut Edit<String>| {
                    login.roles.clear();
                    Ok(())
                };
                let _ = admins.update_all("alice", edit).await.unwrap();
            })
        }));
        let answer = block_on(auth.refresh(refreshable(&before)));
        if let Err(error) = answer {
            broken.push(format!(
                "{to:?}: the upgrade answers {:?}",
                error.rejection()
            ));
            // The client has a valid refresh credential, and tries again.
            clock.advance(seconds(10));
            match block_on(auth.refresh(refreshable(&before))) {
                Ok(again) => {
                    if let Err(error) = block_on(auth.verify(access(&again))) {
                        broken.push(format!(
                            "{to:?}: and the next upgrade is dead on arrival, {:?}",
                            error.rejection()
                        ));
                    }
                }
                Err(error) => broken.push(format!("{to:?}: and again {error}")),
            }
        }
    }
    assert!(broken.is_empty(), "{broken:#?}");
}

/// An old token of another issuer, with a log. The user logs out on another node, which answers the
/// bound of the log.
#[test]
fn a_logout_ends_the_old_token_of_another_issuer() {
    let mut broken = Vec::new();
    for strategy in [
        Strategy::Session,
        Strategy::Hybrid,
        Strategy::RevocableToken,
    ] {
        for number in 0..3 {
            let clock = ManualClock::default();
            let view = view(MemoryLog::new().unwrap(), &clock);
            let other = Interop::from_issuer("https://other.example", seconds(600));
            let key = Key::hs256(b"the key of the other issuer, 32.").unwrap();
            let tokens = token_builder(OLD_KEY, &clock).revocations(&view);
            let tokens = tokens.interop(other.key(key).data_from("plan"));
            let old: Any = Arc::new(tokens.build().unwrap());
            let new = strategy.make_with(NEW_KEY, &clock, &view);
            let auth = Migrating::<Any, Any>::builder(old, new).clock(clock.clone());
            let auth = auth.build().unwrap();
            let node = another_node(&auth, &clock);
            clock.advance(seconds(number));
            let copy = foreign_token(b"the key of the other issuer, 32.", &clock, "alice");
            let after = block_on(auth.refresh(&copy)).unwrap();
            let answer = block_on(node.revoke(refreshable(&after))).unwrap();
            let verified = block_on(node.verify(&copy)).is_ok();
            let third = another_node(&auth, &clock);
            let upgraded = block_on(third.refresh(&copy))
                .and_then(|new| block_on(third.verify(access(&new))))
                .is_ok();
            if verified || upgraded {
                broken.push(format!(
                    "to {strategy:?}, answer {:?}: verified {verified}, upgraded again {upgraded}",
                    answer.effective
                ));
            }
        }
    }
    assert!(broken.is_empty(), "{broken:#?}");
}

/// A new login at a node of the first step replaces a credential.
#[test]
fn a_login_at_the_first_step_replaces_the_relatives_too() {
    let mut broken = Vec::new();
    for (from, to) in pairs().filter(|(from, to)| from.can_end_at_once() && to.can_end_at_once()) {
        for by_new in [true, false] {
            let Service { clock, old, auth } = service(from, to);
            let (first_old, first_new) = (Arc::clone(&old), Arc::clone(auth.strategies().1));
            let first = Either::builder(first_old, first_new).any_place();
            let first = first.build().unwrap();
            let before = block_on(old.issue(alice())).unwrap();
            let after = block_on(auth.refresh(refreshable(&before))).unwrap();
            let carried = if by_new { &after } else { &before };
            let issued = block_on(first.issue(alice().replaces(refreshable(carried)))).unwrap();
            let effective = issued.replaced().unwrap().effective;
            clock.advance(seconds(6));
            let node = another_node(&auth, &clock);
            let old_lives = block_on(node.refresh(refreshable(&before))).is_ok();
            let new_lives = block_on(auth.refresh(refreshable(&after))).is_ok();
            if old_lives || new_lives {
                broken.push(format!(
                    "{from:?} to {to:?}, replaces the new one: {by_new}, answer {effective:?}: old {old_lives}, new {new_lives}"
                ));
            }
        }
    }
    assert!(broken.is_empty(), "{broken:#?}");
}

/// Plain tokens: the answer of another node than the one that has upgraded.
#[test]
fn the_answer_of_another_node_is_not_too_early_with_plain_tokens() {
    let mut broken = Vec::new();
    let from_or_to_tokens =
        |(from, to): &(Strategy, Strategy)| [from, to].contains(&&Strategy::Token);
    for (from, to) in pairs().filter(from_or_to_tokens) {
        for by_new in [true, false] {
            for at_first_step in [true, false] {
                let Service { clock, old, auth } = service(from, to);
                let (first_old, first_new) = (Arc::clone(&old), Arc::clone(auth.strategies().1));
                let first = Either::builder(first_old, first_new).any_place();
                let first: Any = Arc::new(first.build().unwrap());
                let node: Any = match at_first_step {
                    true => first,
                    false => Arc::new(another_node(&auth, &clock)),
                };
                let before = block_on(old.issue(alice())).unwrap();
                let after = block_on(auth.refresh(refreshable(&before))).unwrap();
                let presented = if by_new { &after } else { &before };
                let answer = block_on(node.revoke(refreshable(presented)))
                    .unwrap()
                    .effective;
                let wait = match answer {
                    Revocation::Immediate => 0,
                    Revocation::Within(time) if time < seconds(ABSOLUTE) => time.as_secs(),
                    _ => continue,
                };
                clock.advance(seconds(wait));
                block_on(auth.upkeep().tick()).unwrap();
                let old_lives = verify(&auth, access(&before)).is_ok();
                let new_lives = block_on(auth.refresh(refreshable(&after))).is_ok();
                let third = another_node(&auth, &clock);
                let again = block_on(third.refresh(refreshable(&before)))
                    .and_then(|new| block_on(third.verify(access(&new))))
                    .is_ok();
                if old_lives || new_lives || again {
                    broken.push(format!(
                        "{from:?} to {to:?}, by new {by_new}, first step {at_first_step}: {answer:?}, and then old {old_lives}, new {new_lives}, upgraded again {again}"
                    ));
                }
            }
        }
    }
    assert!(broken.is_empty(), "{broken:#?}");
}

/// API keys as the new strategy.
#[test]
fn a_logout_everywhere_ends_upgraded_api_keys() {
    let clock = ManualClock::default();
    let old = Strategy::Session.make(OLD_KEY, &clock);
    let keys = statewise::api_keys::ApiKeys::builder(memory())
        .prefix("shop")
        .longest(seconds(ABSOLUTE))
        .clock(clock.clone())
        .with_data::<String>()
        .build()
        .unwrap();
    let new: Any = Arc::new(keys);
    let auth = Migrating::builder(Arc::clone(&old), new).clock(clock.clone());
    let auth = auth.build().unwrap();
    let before = block_on(old.issue(alice())).unwrap();
    let after = block_on(auth.refresh(refreshable(&before))).unwrap();
    verify(&auth, access(&after)).unwrap();
    let _ = block_on(auth.revoke_all("alice")).unwrap();
    assert!(verify(&auth, access(&after)).is_err(), "it lives on");
}

/// A slow tab on another node upgrades the old credential, as its overlap ends on the first node.
#[test]
fn the_end_of_the_overlap_during_another_upgrade_ends_no_new_login() {
    let mut broken = Vec::new();
    for same_node in [false, true] {
        for to in [
            Strategy::RevocableToken,
            Strategy::Session,
            Strategy::Hybrid,
        ] {
            let clock = ManualClock::default();
            let view = view(MemoryLog::new().unwrap(), &clock);
            let from = match to {
                Strategy::Session => Strategy::RevocableToken,
                _ => Strategy::Session,
            };
            let old = from.make_with(OLD_KEY, &clock, &view);
            let hooked = Hooked::new(&to.make_with(NEW_KEY, &clock, &view));
            let new: Any = hooked.clone();
            let auth = Migrating::builder(Arc::clone(&old), new).overlap(seconds(OVERLAP));
            let auth = Arc::new(auth.clock(clock.clone()).build().unwrap());
            let other = match same_node {
                true => Arc::clone(&auth),
                false => Arc::new(another_node(&auth, &clock)),
            };
            let before = block_on(old.issue(alice())).unwrap();
            let after = block_on(auth.refresh(refreshable(&before))).unwrap();
            clock.advance(seconds(OVERLAP - 1));
            verify(&auth, access(&after)).unwrap();
            let (node, time) = (Arc::clone(&auth), clock.clone());
            *hooked.after_issue.lock().unwrap() = Some(Box::new(move || {
                Box::pin(async move {
                    time.advance(seconds(1));
                    node.upkeep().tick().await.unwrap();
                })
            }));
            let late = block_on(other.refresh(refreshable(&before)));
            assert!(late.is_err());
            if let Err(error) = block_on(auth.refresh(refreshable(&after))) {
                broken.push(format!(
                    "same node {same_node}, {from:?} to {to:?}: {:?}",
                    error.rejection()
                ));
            }
        }
    }
    assert!(broken.is_empty(), "{broken:#?}");
}

/// New tokens without a maximum lifetime: the fact about the login lives as long as the token that was
/// presented, and a copy was upgraded later.
#[test]
fn the_fact_lives_as_long_as_every_upgrade() {
    let clock = ManualClock::default();
    let view = view(MemoryLog::new().unwrap(), &clock);
    let old = Strategy::Session.make(OLD_KEY, &clock);
    let new = token_builder(NEW_KEY, &clock).revocations(&view);
    let new: Any = Arc::new(new.build().unwrap());
    let node = || {
        let node = Migrating::builder(Arc::clone(&old), Arc::clone(&new)).overlap(seconds(600));
        node.clock(clock.clone()).build().unwrap()
    };
    let (a, b) = (node(), node());
    let before = block_on(old.issue(alice())).unwrap();
    let users = block_on(a.refresh(refreshable(&before))).unwrap();
    clock.advance(seconds(590));
    let thiefs = block_on(b.refresh(refreshable(&before))).unwrap();
    let _ = block_on(a.revoke(refreshable(&users))).unwrap();
    assert!(verify(&a, access(&thiefs)).is_err());
    for _ in 0..80 {
        clock.advance(seconds(10));
        block_on(view.follow()).unwrap();
        block_on(view.upkeep().tick()).unwrap();
        if let Ok(()) = verify(&a, access(&thiefs)) {
            panic!("it is valid again at {:?}", clock.now());
        }
    }
}

/// The new store fails while the relatives of a replaced login are ended: the new login is not handed
/// out, and stays.
#[test]
fn a_failed_login_that_replaces_leaves_no_row() {
    let clock = ManualClock::default();
    let store = Arc::new(FaultyStore::new(memory()));
    let old: Any = Arc::new(session_builder(memory(), &clock).build().unwrap());
    let new = session_builder(Arc::clone(&store), &clock);
    let new = Arc::new(HybridAuthenticator::new(token_builder(NEW_KEY, &clock), new).unwrap());
    let new_any: Any = new.clone();
    let auth = Migrating::builder(Arc::clone(&old), new_any).clock(clock.clone());
    let auth = auth.build().unwrap();
    let before = block_on(old.issue(alice())).unwrap();
    store.fail_nth_of(Method::List, 1, Fault::Fails);
    let answer = block_on(auth.issue(alice().replaces(access(&before))));
    let error = answer.unwrap_err();
    assert!(error.is_unavailable());
    let left = block_on(new.sessions("alice", None))
        .unwrap()
        .sessions
        .len();
    assert_eq!(left, 0, "{error}");
}

/// The removal is made, and its answer is lost. The user tries again.
#[test]
fn a_logout_repeated_after_a_lost_answer_ends_the_upgrade() {
    let mut broken = Vec::new();
    for by_new in [false, true] {
        let clock = ManualClock::default();
        let stores = [memory(), memory()].map(|store| Arc::new(FaultyStore::new(store)));
        let old = session_builder(Arc::clone(&stores[0]), &clock);
        let old: Any = Arc::new(old.build().unwrap());
        let new = session_builder(Arc::clone(&stores[1]), &clock);
        let new = HybridAuthenticator::new(token_builder(NEW_KEY, &clock), new).unwrap();
        let auth = Migrating::<Any, Any>::builder(Arc::clone(&old), Arc::new(new));
        let auth = auth.clock(clock.clone()).build().unwrap();
        let (b, c) = (another_node(&auth, &clock), another_node(&auth, &clock));
        let before = block_on(old.issue(alice())).unwrap();
        let users = block_on(auth.refresh(refreshable(&before))).unwrap();
        let thiefs = block_on(c.refresh(refreshable(&before))).unwrap();
        let presented = if by_new { &users } else { &before };
        stores[usize::from(by_new)].fail_nth_of(Method::Remove, 1, Fault::LosesAnswer);
        let first = block_on(b.revoke(refreshable(presented)));
        let answer = block_on(b.revoke(refreshable(presented)))
            .unwrap()
            .effective;
        let old_lives = verify(&old, access(&before)).is_ok();
        let user_lives = block_on(auth.refresh(refreshable(&users))).is_ok();
        let thief_lives = block_on(auth.refresh(refreshable(&thiefs))).is_ok();
        if user_lives || thief_lives || old_lives {
            broken.push(format!("by new {by_new}: {:?}, then {answer:?}, old {old_lives}, user's new {user_lives}, thief's new {thief_lives}", first.is_err()));
        }
    }
    assert!(broken.is_empty(), "{broken:#?}");
}

/// Every order of the calls of an upgrade and of an administrator on another node.
#[test]
fn a_change_of_roles_refuses_no_client_in_any_order() {
    let mut refused = Vec::new();
    for to in [Strategy::Session, Strategy::RevocableToken] {
        for round in 0..300 {
            let clock = ManualClock::default();
            let log = Arc::new(MemoryLog::new().unwrap());
            let here = view(Arc::clone(&log), &clock);
            let store = Arc::new(YieldingStore::new(memory()));
            let hybrid = |view: &RevocationView| -> Any {
                let tokens = token_builder(OLD_KEY, &clock).revocations(view);
                let sessions = session_builder(Arc::clone(&store), &clock);
                Arc::new(HybridAuthenticator::new(tokens, sessions).unwrap())
            };
            let old = hybrid(&here);
            let new: Any = match to {
                Strategy::Session => {
                    let store = YieldingStore::new(memory());
                    Arc::new(session_builder(store, &clock).build().unwrap())
                }
                to => to.make_with(NEW_KEY, &clock, &here),
            };
            let auth = Migrating::builder(Arc::clone(&old), new).clock(clock.clone());
            let auth = Arc::new(auth.build().unwrap());
            let before = block_on(old.issue(alice())).unwrap();
            let admins = hybrid(&view(Arc::clone(&log), &clock));
            let made = Arc::new(Mutex::new(None));
            let upgrade = {
                let (auth, made) = (Arc::clone(&auth), Arc::clone(&made));
                let credential = refreshable(&before).to_owned();
                Box::pin(async move {
                    let answer = auth.refresh(&credential).await;
                    *made.lock().unwrap() = Some(answer);
                }) as BoxFuture<'static, ()>
            };
            let update = Box::pin(async move {
                let edit = &mut |login: &mut Edit<String>| {
                    login.roles.clear();
                    Ok(())
                };
                let _ = admins.update_all("alice", edit).await.unwrap();
            }) as BoxFuture<'static, ()>;
            block_on(interleave(seed() + round, vec![upgrade, update]));
            if let Some(Err(error)) = made.lock().unwrap().take() {
                refused.push(format!("{to:?} {round} {:?}", error.rejection()));
            }
        }
    }
    assert!(
        refused.is_empty(),
        "{} of 600, such as {:?}",
        refused.len(),
        &refused[..1]
    );
}

/// The old store fails while an upgrade looks again. Each attempt leaves a login that nobody has.
#[test]
fn attempts_in_an_outage_log_no_device_out() {
    let clock = ManualClock::default();
    let store = Arc::new(FaultyStore::new(memory()));
    let old = session_builder(Arc::clone(&store), &clock).build().unwrap();
    let old: Any = Arc::new(old);
    let new = session_builder(memory(), &clock).limit(Limit::EvictOldest(10));
    let new = Arc::new(HybridAuthenticator::new(token_builder(NEW_KEY, &clock), new).unwrap());
    let any: Any = new.clone();
    let auth = Migrating::<Any, Any>::builder(Arc::clone(&old), any);
    let auth = auth.clock(clock.clone()).build().unwrap();
    let device = block_on(auth.issue(alice())).unwrap();
    let before = block_on(old.issue(alice())).unwrap();
    let mut failed = 0;
    for _ in 0..10 {
        clock.advance(seconds(11));
        // The second load of an upgrade is the last look.
        store.fail_nth_of(Method::Load, 2, Fault::Fails);
        failed += u32::from(block_on(auth.refresh(refreshable(&before))).is_err());
    }
    let rows = block_on(new.sessions("alice", None))
        .unwrap()
        .sessions
        .len();
    let device_lives = block_on(auth.refresh(refreshable(&device))).is_ok();
    assert!(
        device_lives,
        "{failed} failed, {rows} rows, device {device_lives}"
    );
}

/// Remembered logins.
#[test]
fn a_logout_ends_a_remembered_login_on_every_node() {
    for (from, to) in pairs().filter(|(from, to)| from.can_end_at_once() && to.can_end_at_once()) {
        for by_new in [false, true] {
            let Service { clock, old, auth } = service(from, to);
            let nodes = [another_node(&auth, &clock), another_node(&auth, &clock)];
            let before = block_on(old.issue(alice().remember())).unwrap();
            let users = block_on(auth.refresh(refreshable(&before))).unwrap();
            let thiefs = block_on(nodes[0].refresh(refreshable(&before))).unwrap();
            assert!(verify(&auth, access(&users)).is_ok());
            let presented = if by_new { &users } else { &before };
            let _ = block_on(nodes[1].revoke(refreshable(presented))).unwrap();
            for login in [&users, &thiefs, &before] {
                assert!(
                    block_on(auth.refresh(refreshable(login))).is_err(),
                    "{from:?} {to:?}"
                );
            }
        }
    }
}

/// The user ends a device in a list, on a node that has not upgraded it. Rejects the end of one row.
#[test]
fn a_listed_device_ends_with_its_relatives() {
    for by_new in [true, false] {
        let clock = ManualClock::default();
        let old = Arc::new(session_builder(memory(), &clock).build().unwrap());
        let sessions = session_builder(memory(), &clock);
        let new = HybridAuthenticator::new(token_builder(NEW_KEY, &clock), sessions);
        let new = Arc::new(new.unwrap());
        let node = || {
            let node = Migrating::builder(Arc::clone(&old), Arc::clone(&new));
            node.clock(clock.clone()).build().unwrap()
        };
        let (auth, other) = (node(), node());
        let kept = block_on(old.issue(alice())).unwrap();
        let before = block_on(old.issue(alice())).unwrap();
        let users = block_on(auth.refresh(refreshable(&before))).unwrap();
        let thiefs = block_on(other.refresh(refreshable(&before))).unwrap();
        let listed = match by_new {
            true => block_on(new.sessions("alice", None)).unwrap().sessions,
            false => block_on(old.sessions("alice", None)).unwrap().sessions,
        };
        let id = if by_new {
            users.identity().id()
        } else {
            before.identity().id()
        };
        let listed = listed.into_iter().find(|listed| listed.id() == id).unwrap();
        let ended = block_on(node().revoke_listed(&listed)).unwrap();
        assert_eq!(ended.others().count(), 2, "{by_new}: {ended:?}");
        for login in [&before, &users, &thiefs] {
            let refreshed = block_on(auth.refresh(refreshable(login)));
            assert!(refreshed.unwrap_err().is_rejected(), "{by_new}");
        }
        assert!(
            block_on(auth.refresh(refreshable(&kept))).is_ok(),
            "{by_new}"
        );
    }
}

/// A slow tab with the old credential would count as a thief.
#[test]
fn a_grace_below_the_overlap_is_misuse() {
    let clock = ManualClock::default();
    let build = |grace, overlap, rejects: bool| {
        let old = session_builder(memory(), &clock).grace(seconds(grace));
        let old = if rejects { old.reject_orphaned() } else { old };
        let old = old.build().unwrap();
        let new = HybridAuthenticator::new(
            token_builder(NEW_KEY, &clock),
            session_builder(memory(), &clock),
        );
        let auth = Migrating::builder(Arc::new(old) as Any, new.unwrap());
        auth.overlap(seconds(overlap)).build()
    };
    let refused = build(30, 60, true).unwrap_err();
    assert!(
        refused.is_misuse() && refused.to_string().contains("30 s"),
        "{refused}"
    );
    for (grace, overlap, rejects) in [(30, 60, false), (60, 60, true), (30, 30, true)] {
        assert!(
            build(grace, overlap, rejects).is_ok(),
            "{grace} {overlap} {rejects}"
        );
    }
}

/// If the new strategy cannot issue a login, its client is served, and the progress shows it.
#[test]
fn refused_upgrades_are_counted() {
    let clock = ManualClock::default();
    let old = Strategy::RevocableToken.make(OLD_KEY, &clock);
    let store = Arc::new(FaultyStore::new(memory()));
    let new = session_builder(Arc::clone(&store), &clock).build().unwrap();
    let auth = Migrating::builder(old, new)
        .clock(clock.clone())
        .build()
        .unwrap();
    let before = block_on(auth.strategies().0.issue(alice())).unwrap();
    store.fail_nth_of(Method::Create, 1, Fault::Fails);
    let kept = block_on(auth.refresh(refreshable(&before))).unwrap();
    assert_eq!((auth.progress().refused, auth.progress().upgraded), (1, 0));
    let _ = block_on(auth.refresh(refreshable(&kept))).unwrap();
    assert_eq!((auth.progress().refused, auth.progress().upgraded), (1, 1));
}
