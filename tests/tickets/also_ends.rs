//! A logout everywhere that ends tickets too.

use std::sync::Arc;

use statewise::authenticator::{BoxFuture, RevokeAll};
use statewise::hybrid::HybridAuthenticator;
use statewise::testkit::{ManualClock, block_on};
use statewise::token::{Key, TokenAuthenticator, TokenBuilder};
use statewise::{Affected, Authenticator, Error, Login, Result, Revocation};

use crate::{builder, issue, memory, redeem, seconds, sessions};

fn tokens() -> TokenBuilder {
    TokenAuthenticator::builder(Key::generate_hs256().unwrap())
        .issuer("issuer")
        .audience("audience")
        .lifetime(seconds(60))
}

/// A logout everywhere on sessions, tokens and a hybrid ends the tickets of the user alone, and says
/// how many logins have ended.
#[test]
fn a_logout_everywhere_ends_the_tickets() {
    let clock = ManualClock::default();
    let store = memory();
    let tickets = Arc::new(builder(store.clone(), "reset", &clock).build().unwrap());
    let sessions = || sessions(store.clone(), &clock);
    let also = || Arc::clone(&tickets);
    let session = sessions().also_ends(also()).build().unwrap();
    let token = tokens().also_ends(also()).build().unwrap();
    let by_tokens = HybridAuthenticator::new(tokens().also_ends(also()), sessions()).unwrap();
    let by_sessions = HybridAuthenticator::new(tokens(), sessions().also_ends(also())).unwrap();
    let _ = block_on(session.issue(Login::new("alice"))).unwrap();
    let logouts: [&dyn RevokeAll; 4] = [&session, &token, &by_tokens, &by_sessions];
    for (logout, count) in logouts.iter().zip([Some(1), None, Some(0), Some(0)]) {
        let (alice, bob) = (issue(&tickets, "alice"), issue(&tickets, "bob"));
        let ended = block_on(logout.revoke_all_of("alice")).unwrap();
        assert_eq!(ended.count, count, "{logout:?}");
        assert!(redeem(&tickets, &alice).is_none(), "{logout:?}");
        assert!(redeem(&tickets, &bob).is_some(), "{logout:?}");
    }
}

#[derive(Debug)]
struct Down;

impl RevokeAll for Down {
    fn revoke_all_of<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Result<Affected>> {
        Box::pin(async { Err(Error::unavailable("down")) })
    }
}

#[derive(Debug)]
struct Late;

impl RevokeAll for Late {
    fn revoke_all_of<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Result<Affected>> {
        Box::pin(async { Ok(Affected::new(None, Revocation::Within(seconds(5)))) })
    }
}

/// An outage of one does not spare the others, and is reported; the latest effect counts.
#[test]
fn an_outage_elsewhere_ends_the_logins_all_the_same() {
    let clock = ManualClock::default();
    let store = memory();
    let tickets = Arc::new(builder(store.clone(), "reset", &clock).build().unwrap());
    let with = || sessions(store.clone(), &clock).also_ends(Arc::new(Late));
    let auth = with().build().unwrap();
    let ended = block_on(auth.revoke_all("alice")).unwrap();
    assert_eq!(ended.effective, Revocation::Within(seconds(5)));

    let auth = with().also_ends(Arc::new(Down)).also_ends(tickets.clone());
    let auth = auth.build().unwrap();
    let session = block_on(auth.issue(Login::new("alice"))).unwrap();
    let ticket = issue(&tickets, "alice");
    let error = block_on(auth.revoke_all("alice")).unwrap_err();
    assert!(error.is_unavailable());
    assert!(block_on(auth.verify(session.credential().reveal())).is_err());
    assert!(redeem(&tickets, &ticket).is_none());
}

/// Lists, limits and ends of one purpose do not meet another one in the same store, and no subject can
/// name one of another purpose.
#[test]
fn purposes_do_not_meet() {
    let clock = ManualClock::default();
    let store = memory();
    let reset = builder(store.clone(), "reset", &clock);
    let reset = reset.outstanding(2).build().unwrap();
    let email = builder(store.clone(), "email", &clock).build().unwrap();
    let limit = statewise::session::Limit::Reject(1);
    let auth = sessions(store, &clock).limit(limit).build().unwrap();

    let (first, other) = (issue(&reset, "alice"), issue(&email, "alice"));
    let session = block_on(auth.issue(Login::new("alice"))).unwrap();
    clock.advance(seconds(1));
    let _ = (issue(&reset, "alice"), issue(&reset, "alice"));
    assert!(redeem(&reset, &first).is_none(), "the third ends the first");
    assert!(block_on(auth.verify(session.credential().reveal())).is_ok());
    let listed = block_on(auth.sessions("alice", None)).unwrap().sessions;
    assert_eq!(listed.len(), 1);
    assert_eq!(block_on(reset.revoke_all("alice")).unwrap().count, Some(2));
    assert_eq!(block_on(auth.revoke_all("alice")).unwrap().count, Some(1));
    assert!(redeem(&email, &other).is_some());

    for subject in ["\u{1}", "\u{1}ticket:email\u{1}alice"] {
        let issued = block_on(auth.issue(Login::new(subject)));
        assert!(issued.unwrap_err().is_misuse());
        let token = tokens().build().unwrap();
        let issued = block_on(token.issue(Login::new(subject)));
        assert!(issued.unwrap_err().is_misuse());
        assert!(block_on(auth.revoke_all(subject)).unwrap_err().is_misuse());
        assert!(
            block_on(auth.sessions(subject, None))
                .unwrap_err()
                .is_misuse()
        );
        assert!(block_on(reset.issue(subject, ())).unwrap_err().is_misuse());
        assert!(block_on(reset.revoke_all(subject)).unwrap_err().is_misuse());
        let mut edit = |_: &mut statewise::Edit<()>| Ok(());
        assert!(
            block_on(auth.update_all(subject, &mut edit))
                .unwrap_err()
                .is_misuse()
        );
    }
}
