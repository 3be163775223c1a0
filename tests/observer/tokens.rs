//! Every outcome of a call on tokens, with and without a view.

use std::sync::Arc;
use std::time::Duration;

use statewise::Observed;
use statewise::hybrid::HybridAuthenticator;
use statewise::revocation::RevocationView;
use statewise::session::SessionAuthenticator;
use statewise::testkit::{ManualClock, block_on};
use statewise::token::TokenAuthenticator;
use statewise::{Authenticator, Login, Revocation};

use crate::notes::{Line, Notes, secret, store, tokens, tokens_for};

pub(crate) fn view(log: &Arc<Line>, clock: &ManualClock) -> RevocationView {
    RevocationView::builder(Arc::clone(log))
        .max_lifetime(Duration::from_secs(3600))
        .bound(Duration::from_secs(5))
        .clock(clock.clone())
        .build()
        .unwrap()
}

#[test]
fn each_call_reports_its_result() {
    let (clock, notes) = (ManualClock::default(), Notes::new());
    let auth: TokenAuthenticator = tokens(&clock).build().unwrap();
    let foreign: TokenAuthenticator = tokens_for("other", &clock).build().unwrap();
    let auth = Observed::new(auth, notes.clone());
    block_on(async {
        let issued = auth.issue(Login::new("alice")).await.unwrap();
        let (id, token) = (issued.identity().id(), secret(&issued));
        notes.expect(&format!("issued alice {id}"));
        auth.verify(token).await.unwrap();
        notes.expect(&format!("verified alice {id}"));
        let _ = auth.refresh(token).await.unwrap();
        notes.expect(&format!("rotated alice {id}"));
        let expiry = Revocation::AtExpiry(issued.identity().deadline());
        assert_eq!(auth.revoke(token).await.unwrap().effective, expiry);
        notes.expect(&format!("Revoke revoked alice {id} {expiry:?}"));
        assert_eq!(auth.revoke_all("alice").await.unwrap(), expiry);
        notes.expect(&format!("revoked all alice {expiry:?}"));

        let unsigned = &token[..token.rfind('.').unwrap() + 1];
        let forged = format!("{unsigned}{}", "A".repeat(43));
        assert!(auth.verify(&forged).await.is_err());
        notes.expect("Verify rejected BadSignature");
        assert!(auth.revoke(&forged).await.is_err());
        notes.expect("Revoke rejected BadSignature");
        let other = foreign.issue(Login::new("alice")).await.unwrap();
        assert!(auth.refresh(secret(&other)).await.is_err());
        notes.expect("Refresh rejected WrongAudience");
        let long = "a".repeat(5_000);
        assert!(auth.issue(Login::new(long)).await.is_err());
        notes.expect("Issue refused TooLarge");
        assert!(auth.issue(Login::new("")).await.is_err());
        notes.expect("Issue misused");
        clock.advance(Duration::from_secs(900));
        assert!(auth.verify(token).await.is_err());
        notes.expect("Verify rejected Expired");
        clock.stop();
        assert!(auth.verify(token).await.unwrap_err().is_unavailable());
        notes.expect("Verify unavailable: the clock could not tell the time");
    });
}

/// The hybrid knows the login of both credentials.
#[test]
fn the_hybrid_reports_its_logins() {
    let (clock, notes) = (ManualClock::default(), Notes::new());
    let sessions = SessionAuthenticator::builder(store(10))
        .idle(Duration::from_secs(3000))
        .absolute(Duration::from_secs(3600));
    let tokens = tokens(&clock).max_lifetime(Duration::from_secs(3600));
    let auth: HybridAuthenticator<_> = HybridAuthenticator::new(tokens, sessions).unwrap();
    let auth = Observed::new(auth, notes.clone());
    block_on(async {
        auth.ready().await.unwrap();
        for by_access in [true, false] {
            let login = || Login::new("alice").device("phone");
            let (issued, other) = (auth.issue(login()), auth.issue(login()));
            let (issued, other) = (issued.await.unwrap(), other.await.unwrap());
            let [id, other_id] = [&issued, &other].map(|issued| issued.identity().id());
            notes.take();
            let _ = auth.revoke_id("alice", other_id).await.unwrap();
            notes.expect(&format!("RevokeId revoked alice {other_id} Within(900s)"));
            let _ = auth.revoke_others(secret(&issued)).await.unwrap();
            notes.expect(&format!("revoked 0 others of alice {id} Immediate"));
            let credential = if by_access {
                secret(&issued)
            } else {
                issued.refreshable().reveal()
            };
            let logout = auth.revoke(credential).await.unwrap();
            assert_eq!(logout.login().unwrap().device(), Some("phone"));
            notes.expect(&format!("Revoke revoked alice {id} Within(900s)"));
        }
    });
}

#[test]
fn with_a_view_revocations_and_staleness_are_reported() {
    let (clock, notes, log) = (ManualClock::default(), Notes::new(), Line::new());
    let view = view(&log, &clock);
    let auth: TokenAuthenticator = tokens(&clock).revocations(&view).build().unwrap();
    let auth = Observed::new(auth, notes.clone());
    block_on(async {
        view.follow().await.unwrap();
        let issued = auth.issue(Login::new("alice")).await.unwrap();
        notes.take();
        let _ = auth.revoke(secret(&issued)).await.unwrap();
        let id = issued.identity().id();
        notes.expect(&format!("Revoke revoked alice {id} Within(5s)"));
        assert!(auth.verify(secret(&issued)).await.is_err());
        notes.expect("Verify rejected Revoked");
        let _ = auth.revoke_all("alice").await.unwrap();
        notes.expect("revoked all alice Within(5s)");
        clock.advance(Duration::from_secs(60));
        assert!(auth.verify(secret(&issued)).await.is_err());
        notes.expect("Verify unavailable: the revocation view is stale");
        *log.cut.lock().unwrap() = true;
        assert!(auth.revoke_all("alice").await.is_err());
        notes.expect("RevokeAll unavailable: the store could not answer");
    });
}
