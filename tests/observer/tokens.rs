//! Every outcome of a call on tokens, with and without a view.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use statewise::Observed;
use statewise::clock::Clock as _;
use statewise::hybrid::HybridAuthenticator;
use statewise::revocation::RevocationView;
use statewise::revocation::log::RevocationLog;
use statewise::session::{Limit, SessionAuthenticator};
use statewise::testkit::{ManualClock, block_on};
use statewise::token::{Interop, Key, TokenAuthenticator};
use statewise::web::{Denial, Transport};
use statewise::{Affected, Authenticator, Login, Revocation};

use crate::notes::{Line, Notes, secret, store, tokens, tokens_for};

/// A view with a bound of five seconds, which has not read its log.
pub(crate) fn view<L: RevocationLog>(log: &Arc<L>, clock: &ManualClock) -> RevocationView {
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
        let affected = auth.revoke_all("alice").await.unwrap();
        assert_eq!(affected, Affected::new(None, expiry));
        notes.expect(&format!("revoked all alice None {expiry:?}"));

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
fn the_hybrid_reports_evicted_logins() {
    let (clock, notes) = (ManualClock::default(), Notes::new());
    let sessions = SessionAuthenticator::builder(store(10))
        .idle(Duration::from_secs(3000))
        .absolute(Duration::from_secs(3600))
        .limit(Limit::EvictOldest(1));
    let tokens = tokens(&clock).max_lifetime(Duration::from_secs(3600));
    let auth: HybridAuthenticator<_> = HybridAuthenticator::new(tokens, sessions).unwrap();
    let auth = Observed::new(auth, notes.clone());
    block_on(async {
        let first = auth.issue(Login::new("alice")).await.unwrap();
        notes.take();
        let second = auth.issue(Login::new("alice")).await.unwrap();
        let [evicted, id] = [&first, &second].map(|issued| issued.identity().id());
        assert_eq!(second.evicted(), [evicted]);
        let ended = format!("Issue ended Evicted alice {evicted} by {id}");
        assert_eq!(notes.take(), [ended, format!("issued alice {id}")]);
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
        notes.expect("revoked all alice None Within(5s)");
        clock.advance(Duration::from_secs(60));
        assert!(auth.verify(secret(&issued)).await.is_err());
        notes.expect("Verify unavailable: the revocation view is stale");
        *log.cut.lock().unwrap() = true;
        assert!(auth.revoke_all("alice").await.is_err());
        notes.expect("RevokeAll unavailable: the revocation log could not answer");
    });
}

/// A token of another issuer.
pub(crate) fn foreign(claims: &str) -> String {
    let header = URL_SAFE_NO_PAD.encode(r#"{"alg":"HS256"}"#);
    let signed = format!("{header}.{}", URL_SAFE_NO_PAD.encode(claims));
    let mut mac = Hmac::<Sha256>::new_from_slice(THEIR_SECRET).unwrap();
    mac.update(signed.as_bytes());
    let tag = URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes());
    format!("{signed}.{tag}")
}

const THEIR_SECRET: &[u8; 32] = b"a secret of the other issuer 32.";

pub(crate) fn theirs() -> Interop {
    Interop::from_any_issuer(Duration::from_secs(3600))
        .key(Key::hs256(THEIR_SECRET).unwrap())
        .subject_from("user.id")
}

#[test]
fn a_rejection_names_the_claim_for_the_observer_and_not_for_the_client() {
    let (clock, notes) = (ManualClock::default(), Notes::new());
    let auth: TokenAuthenticator = tokens(&clock).interop(theirs()).build().unwrap();
    let auth = Observed::new(auth, notes.clone());
    let now = clock.now().unwrap().unix();
    let dates = format!(r#""iat":{now},"exp":{}"#, now + 60);
    let user = r#""user":{"id":7}"#;
    let good = foreign(&format!("{{{dates},{user}}}"));
    assert!(block_on(auth.verify(&good)).is_ok());
    notes.take();
    assert!(block_on(auth.refresh(&good)).is_err());
    notes.expect("Refresh rejected NotRefreshable");
    for (claims, told) in [
        (format!(r#""exp":{}"#, now + 60), "MissingClaim iat"),
        (format!(r#""iat":{now}"#), "MissingClaim exp"),
        (dates.clone(), "MissingClaim user.id"),
        (
            format!(r#"{dates},"user":{{"id":""}}"#),
            "MissingClaim user.id",
        ),
        (
            format!(r#"{dates},"user":{{"id":true}}"#),
            "WrongClaimType user.id",
        ),
        (format!(r#"{dates},{user},"sub":7"#), "WrongClaimType sub"),
        (format!(r#"{dates},{user},"acr":2"#), "WrongClaimType acr"),
        (
            format!(r#"{dates},{user},"nbf":"now""#),
            "WrongClaimType nbf",
        ),
        (
            format!(r#"{user},"iat":{now},"exp":{}"#, now + 9_999),
            "LivesTooLong exp",
        ),
        (format!(r#"{dates},{user},{user}"#), "InvalidClaims"),
    ] {
        let error = block_on(auth.verify(&foreign(&format!("{{{claims}}}")))).unwrap_err();
        notes.expect(&format!("Verify rejected {told}"));
        let answer = Denial::from(error).answer(&Transport::bearer());
        let unknown = statewise::Error::rejected(statewise::Rejection::Unknown);
        assert_eq!(
            answer,
            Denial::from(unknown).answer(&Transport::bearer()),
            "{told}"
        );
    }
}
