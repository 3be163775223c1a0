//! Every outcome of a call on sessions, and nested wrappers.

use std::sync::Arc;
use std::time::Duration;

use statewise::Observed;
use statewise::session::{Limit, SessionAuthenticator};
use statewise::testkit::{Fault, ManualClock, Method, block_on};
use statewise::{Authenticator, DynAuthenticator, Edit, Login, Presented};

use crate::notes::{Notes, Store, secret, sessions, store};

type Auth = Observed<SessionAuthenticator<Store>>;

fn observed(limit: Limit) -> (Auth, Arc<Notes>, ManualClock) {
    let (clock, notes) = (ManualClock::default(), Notes::new());
    let auth = sessions(&store(100), &clock).limit(limit).build().unwrap();
    (Observed::new(auth, notes.clone()), notes, clock)
}

#[test]
fn each_call_reports_its_result() {
    let (auth, notes, clock) = observed(Limit::Reject(2));
    block_on(async {
        let first = auth.issue(Login::new("alice")).await.unwrap();
        let id = first.identity().id();
        notes.expect(&format!("issued alice {id}"));
        assert!(auth.is_well_formed(secret(&first)) && !auth.is_well_formed("no"));
        assert!(notes.take().is_empty());
        auth.verify(secret(&first)).await.unwrap();
        notes.expect(&format!("verified alice {id}"));
        let presented = Presented::new(secret(&first)).authoritative();
        auth.verify_with(presented).await.unwrap();
        notes.expect(&format!("verified alice {id}"));

        clock.advance(Duration::from_secs(60));
        let _ = auth.refresh(secret(&first)).await.unwrap();
        notes.expect(&format!("rotated alice {id}"));
        let _ = auth.refresh(secret(&first)).await.unwrap();
        notes.expect(&format!("replayed alice {id}"));

        let other = auth.issue(Login::new("alice")).await.unwrap();
        assert_ne!(other.identity().id(), id);
        notes.expect(&format!("issued alice {}", other.identity().id()));
        assert!(auth.issue(Login::new("alice")).await.is_err());
        notes.expect("Issue refused SessionLimit");
        assert!(auth.issue(Login::new("")).await.is_err());
        notes.expect("Issue misused");

        let _ = auth.revoke(secret(&other)).await.unwrap();
        let other_id = other.identity().id();
        notes.expect(&format!("Revoke revoked alice {other_id} Immediate"));
        let unknown = auth.revoke(secret(&other)).await.unwrap();
        assert!(unknown.login().is_none());
        notes.expect("Revoke revoked nothing  Immediate");
        assert!(auth.verify(secret(&other)).await.is_err());
        notes.expect("Verify rejected Unknown");
        assert!(auth.refresh(secret(&other)).await.is_err());
        notes.expect("Refresh rejected Unknown");
        let _ = auth.revoke_all("alice").await.unwrap();
        notes.expect("revoked all alice Some(1) Immediate");

        assert!(auth.verify("no").await.is_err());
        notes.expect("Verify rejected Malformed");
        assert!(auth.refresh("no").await.is_err());
        notes.expect("Refresh rejected Malformed");
        assert!(auth.revoke("no").await.is_err());
        notes.expect("Revoke rejected Malformed");
    });
}

/// A login that disappears without a logout has an event, which names the one that evicted it.
#[test]
fn a_login_that_the_limit_evicts_is_reported() {
    for limit in [Limit::EvictOldest(2), Limit::EvictLeastRecentlyUsed(2)] {
        let (auth, notes, clock) = observed(limit);
        block_on(async {
            let mut ids = Vec::new();
            for count in 0..4 {
                let issued = auth.issue(Login::new("alice")).await.unwrap();
                let id = issued.identity().id();
                if count < 2 {
                    assert!(issued.evicted().is_empty());
                    notes.expect(&format!("issued alice {id}"));
                } else {
                    let evicted = ids[count - 2];
                    assert_eq!(issued.evicted(), [evicted]);
                    let ended = format!("Issue ended Evicted alice {evicted} by {id}");
                    assert_eq!(notes.take(), [ended, format!("issued alice {id}")]);
                }
                ids.push(id);
                clock.advance(Duration::from_secs(1));
            }
        });
    }
}

#[test]
fn an_outage_is_reported_as_unavailable() {
    let (auth, notes, _) = observed(Limit::Unlimited);
    let store = Arc::clone(auth.inner().store());
    block_on(async {
        let issued = auth.issue(Login::new("alice")).await.unwrap();
        notes.take();
        let next = |method| store.fail_nth_of(method, 1, Fault::Fails);
        let outage = "unavailable: the store could not answer";

        next(Method::Create);
        assert!(auth.issue(Login::new("alice")).await.is_err());
        notes.expect(&format!("Issue {outage}"));
        next(Method::Load);
        assert!(auth.verify(secret(&issued)).await.is_err());
        notes.expect(&format!("Verify {outage}"));
        next(Method::Rotate);
        assert!(auth.refresh(secret(&issued)).await.is_err());
        notes.expect(&format!("Refresh {outage}"));
        next(Method::Remove);
        assert!(auth.revoke(secret(&issued)).await.is_err());
        notes.expect(&format!("Revoke {outage}"));
        next(Method::RemoveSubject);
        assert!(auth.revoke_all("alice").await.is_err());
        notes.expect(&format!("RevokeAll {outage}"));
    });
}

#[test]
fn a_theft_is_reported_once() {
    for by_refresh in [false, true] {
        let (auth, notes, clock) = observed(Limit::Unlimited);
        block_on(async {
            let first = auth.issue(Login::new("alice")).await.unwrap();
            clock.advance(Duration::from_secs(60));
            let second = auth.refresh(secret(&first)).await.unwrap();
            auth.verify(secret(&second)).await.unwrap();
            clock.advance(Duration::from_secs(60));
            notes.take();

            let id = first.identity().id();
            if by_refresh {
                assert!(auth.refresh(secret(&first)).await.is_err());
                notes.expect(&format!("Refresh theft alice {id}"));
            } else {
                assert!(auth.verify(secret(&first)).await.is_err());
                notes.expect(&format!("Verify theft alice {id}"));
            }
            for credential in [secret(&first), secret(&second)] {
                assert!(auth.verify(credential).await.is_err());
                notes.expect("Verify rejected Unknown");
            }
        });
    }
}

/// The calls that only an authenticator with a store has are reported, too.
#[test]
fn calls_on_logins_report_their_result() {
    let (auth, notes, _) = observed(Limit::Unlimited);
    block_on(async {
        let mut issued = Vec::new();
        for device in ["phone", "laptop", "kiosk"] {
            let login = Login::new("alice").device(device);
            issued.push(auth.issue(login).await.unwrap());
        }
        let [phone, laptop, kiosk] = &issued[..] else {
            unreachable!()
        };
        let [phone_id, laptop_id] = [phone, laptop].map(|issued| issued.identity().id());
        notes.take();

        let pocket = &mut |session: &mut Edit| {
            session.device = Some("pocket".to_owned());
            Ok(())
        };
        let updated = format!("updated alice {phone_id} on Some(\"pocket\")");
        let _ = auth.update_id("alice", phone_id, pocket).await.unwrap();
        notes.expect(&format!("UpdateId {updated}"));
        assert!(
            auth.update_id("bob", phone_id, pocket)
                .await
                .unwrap()
                .is_none()
        );
        assert!(notes.take().is_empty());
        let _ = auth.update(secret(phone), pocket).await.unwrap();
        notes.expect(&format!("Update {updated}"));
        let _ = auth.update_all("alice", &mut |_| Ok(())).await.unwrap();
        notes.expect("updated all alice Some(3) Immediate");
        let large = &mut |session: &mut Edit| {
            session.roles = vec!["r".to_owned(); 20_000];
            Ok(())
        };
        assert!(auth.update(secret(phone), large).await.is_err());
        notes.expect("Update refused TooLarge");

        let _ = auth.revoke_id("alice", laptop_id).await.unwrap();
        notes.expect(&format!("RevokeId revoked alice {laptop_id} Immediate"));
        let _ = auth.revoke_id("bob", phone_id).await.unwrap();
        // The log says which login was asked for.
        notes.expect(&format!(
            "RevokeId revoked nothing bob {phone_id} Immediate"
        ));
        let _ = auth.revoke_others(secret(phone)).await.unwrap();
        notes.expect(&format!("revoked 1 others of alice {phone_id} Immediate"));
        assert!(auth.revoke_others(secret(kiosk)).await.is_err());
        notes.expect("RevokeOthers rejected Unknown");

        let logout = auth.revoke(secret(phone)).await.unwrap();
        let login = logout.login().unwrap();
        assert_eq!(
            (login.subject(), login.id(), login.device()),
            ("alice", phone_id, Some("pocket"))
        );
    });
}

/// In either order of nesting, and with two observers, each observer gets each event once.
#[test]
fn erased_inside_and_outside() {
    let (clock, all) = (ManualClock::default(), [Notes::new(), Notes::new()]);
    let inner: Arc<dyn DynAuthenticator<()>> =
        Arc::new(sessions(&store(10), &clock).build().unwrap());
    let pair = (all[0].clone(), all[1].clone());
    let auth: Arc<dyn DynAuthenticator<()>> = Arc::new(Observed::new(inner, Arc::new(pair)));
    let issued = block_on(auth.issue(Login::new("alice"))).unwrap();
    block_on(auth.verify(secret(&issued))).unwrap();
    let id = issued.identity().id();
    for notes in &all {
        let told = notes.take();
        assert_eq!(
            told,
            [format!("issued alice {id}"), format!("verified alice {id}")]
        );
    }
    block_on(auth.upkeep().tick()).unwrap();
    for notes in &all {
        notes.expect("swept 0");
    }
}

#[test]
fn a_dropped_call_reports_nothing() {
    let (auth, notes, _) = observed(Limit::Unlimited);
    auth.inner()
        .store()
        .fail_nth_of(Method::Create, 1, Fault::NeverCompletes);
    let call = auth.issue(Login::new("alice"));
    assert!(block_on(statewise::testkit::give_up_after(3, call)).is_none());
    assert!(notes.take().is_empty());
}
