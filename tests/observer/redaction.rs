//! No event contains a secret.

use std::sync::Arc;
use std::time::Duration;

use statewise::Observed;
use statewise::observer::{Act, Denied, EndCause, Event, Observer};
use statewise::session::SessionAuthenticator;
use statewise::testkit::{Fault, ManualClock, Method, block_on};
use statewise::token::TokenAuthenticator;
use statewise::{Authenticator, Error, Login, PublicId, Revocation};

use crate::notes::{Line, Notes, secret, sessions, store, tokens};
use crate::secrets::{Secrets, base64url};
use crate::tokens::view;

const MARK: &str = "the-application-s-own-secret";

/// Printed events, and the secrets that must not occur in them.
pub(crate) struct Said {
    pub(crate) secrets: Secrets,
    pub(crate) session: PublicId,
    pub(crate) another: PublicId,
    pub(crate) ended: PublicId,
    pub(crate) token: PublicId,
}

/// Triggers each kind of event with logins that have data.
pub(crate) fn everything(observer: impl Observer) -> Said {
    let observer: Arc<dyn Observer> = Arc::new(observer);
    let mut secrets = Secrets::default();
    secrets.text(MARK);
    let [session, another, ended] = all_of_sessions(&observer, &mut secrets);
    let token = all_of_tokens(&observer, &mut secrets);
    Said {
        secrets,
        session,
        another,
        ended,
        token,
    }
}

fn all_of_sessions(observer: &Arc<dyn Observer>, secrets: &mut Secrets) -> [PublicId; 3] {
    let (clock, store) = (ManualClock::default(), store(100));
    let auth: SessionAuthenticator<_, String> = sessions(&store, &clock).build().unwrap();
    let auth = Observed::new(auth, Arc::clone(observer));
    let login = || Login::new("alice").data(MARK.to_owned());
    block_on(async {
        let first = auth.issue(login()).await.unwrap();
        clock.advance(Duration::from_secs(60));
        let second = auth.refresh(secret(&first)).await.unwrap();
        let _ = auth.refresh(secret(&first)).await.unwrap();
        auth.verify(secret(&second)).await.unwrap();
        let forged = format!("{}{}", &secret(&first)[..22], "B".repeat(42));
        assert!(auth.verify(&forged).await.is_err());
        store.fail_nth_of(Method::Load, 1, Fault::Fails);
        assert!(auth.verify(secret(&second)).await.is_err());
        clock.advance(Duration::from_secs(60));
        assert!(
            auth.verify(secret(&first))
                .await
                .unwrap_err()
                .theft()
                .is_some()
        );
        assert!(auth.verify(secret(&second)).await.is_err());
        assert!(auth.verify(MARK).await.is_err());
        assert!(auth.refresh(&secret(&second)[1..]).await.is_err());
        assert!(auth.revoke(&secret(&second)[1..]).await.is_err());
        assert!(
            auth.issue(Login::new("").data(MARK.to_owned()))
                .await
                .is_err()
        );
        let large = Login::new("alice").data(MARK.repeat(100_000));
        assert!(auth.issue(large).await.is_err());
        let third = auth.issue(login()).await.unwrap();
        let numbers: SessionAuthenticator<_, u64> = sessions(&store, &clock).build().unwrap();
        let numbers = Observed::new(numbers, Arc::clone(observer));
        let unreadable = numbers.verify(secret(&third)).await;
        assert!(unreadable.is_err_and(|error| error.is_unreadable()));
        let caller = auth.verify(secret(&third)).await.unwrap();
        let updated = auth
            .update(secret(&third), &mut |session| {
                session.device = Some("phone".to_owned());
                session.roles = vec!["reader".to_owned(), "a b\n".to_owned()];
                Ok(())
            })
            .await;
        let _ = updated.unwrap();
        let _ = auth.revoke_others(secret(&third)).await.unwrap();
        let any_of = ["admin".into(), "owner".into()];
        let missing_role = Denied::MissingRole { any_of: &any_of };
        for denied in [
            Denied::NoCredential,
            Denied::UnknownCredential,
            Denied::Unclear,
            Denied::FailedLogin { tried: None },
            Denied::FailedLogin {
                tried: Some("alice"),
            },
            Denied::FailedSecondFactor { tried: "alice" },
            missing_role,
            Denied::NotALogin,
            Denied::Forbidden,
            Denied::WeakAcr { acr: "aal2" },
            Denied::TooOld {
                max_age: Duration::from_secs(300),
                acr: None,
            },
            Denied::TooOld {
                max_age: Duration::from_secs(60),
                acr: Some("aal2"),
            },
            Denied::CrossOrigin {
                origin: Some("https://evil.example"),
                host: None,
            },
        ] {
            observer.observe(&Event::Denied {
                denied,
                login: (denied == missing_role).then(|| (&caller).into()),
                method: Some("POST"),
                path: Some("/orders"),
            });
        }
        observer.observe(&Event::Revoked {
            act: Act::Leaked,
            login: Some((&caller).into()),
            found: true,
            effective: Revocation::Immediate,
        });
        let nothing = auth.revoke_id("alice", first.identity().id()).await;
        assert_eq!(nothing.unwrap().count, 0);
        let effective = Revocation::Immediate;
        observer.observe(&Event::RevokedEverything { effective });
        let kid = "FT-zxqrzbyc";
        observer.observe(&Event::KeyRetired { kid, effective });
        let error = &Error::unavailable("full");
        observer.observe(&Event::LogFailed { calls: 2, error });
        observer.observe(&Event::LogLost);
        observer.observe(&Event::LogShortened);
        observer.observe(&Event::OtherLog);
        let effective = Some(effective);
        for (by, effective) in [(Some((&caller).into()), effective), (None, None)] {
            observer.observe(&Event::Ended {
                act: Act::Issue,
                login: (&caller).into(),
                cause: EndCause::Replaced,
                by,
                effective,
            });
        }
        let fourth = auth.issue(login()).await.unwrap();
        let _ = auth.revoke(secret(&fourth)).await.unwrap();
        let _ = auth.revoke(secret(&second)).await.unwrap();
        let _ = auth.revoke_all("bob").await.unwrap();
        // The memory store has no clock of its own.
        for (ahead, is_excessive) in [(2, false), (-7, true)] {
            let ahead = time::Duration::seconds(ahead);
            observer.observe(&Event::ClockSkew {
                ahead,
                is_excessive,
            });
        }
        auth.upkeep().tick().await.unwrap();
        clock.advance(Duration::from_secs(600));
        auth.upkeep().tick().await.unwrap();

        let all = [&first, &second, &third, &fourth].map(secret);
        for credential in all.into_iter().chain([&*forged]) {
            let bytes = base64url(credential);
            secrets.text(&credential[..22]);
            secrets.text(&credential[26..]);
            secrets.bytes(&bytes[..16]);
            secrets.bytes(&bytes[20..32]);
            secrets.bytes(&bytes[32..]);
        }
        [first, third, fourth].map(|issued| issued.identity().id())
    })
}

fn all_of_tokens(observer: &Arc<dyn Observer>, secrets: &mut Secrets) -> PublicId {
    let (clock, log) = (ManualClock::default(), Line::new());
    let view = view(&log, &clock);
    let auth: TokenAuthenticator<String> = tokens(&clock).revocations(&view).build().unwrap();
    let auth = Observed::new(auth, Arc::clone(observer));
    block_on(async {
        auth.upkeep().tick().await.unwrap();
        let login = Login::new("alice").data(MARK.to_owned());
        let issued = auth.issue(login).await.unwrap();
        let token = secret(&issued);
        auth.verify(token).await.unwrap();
        clock.advance(Duration::from_secs(1));
        let fresh = auth.refresh(token).await.unwrap();
        auth.verify(secret(&fresh)).await.unwrap();
        let forged = format!("{}{}", &token[..token.len() - 43], "A".repeat(43));
        assert!(auth.verify(&forged).await.is_err());
        *log.cut.lock().unwrap() = true;
        clock.advance(Duration::from_secs(59));
        assert!(auth.upkeep().tick().await.is_err());
        assert!(auth.verify(token).await.unwrap_err().is_unavailable());

        for token in [token, secret(&fresh)] {
            let parts: Vec<_> = token.split('.').collect();
            secrets.text(parts[1]);
            secrets.text(parts[2]);
            secrets.bytes(&base64url(parts[2]));
            let claims = String::from_utf8(base64url(parts[1])).unwrap();
            let (_, sid) = claims.split_once("\"sid\":\"").unwrap();
            let (sid, _) = sid.split_once('"').unwrap();
            assert_eq!(sid.len(), 22);
            secrets.text(sid);
            secrets.bytes(&base64url(sid)[..16]);
        }
        issued.identity().id()
    })
}

#[test]
fn events_show_no_secret() {
    let notes = Notes::new();
    let said = everything(notes.clone());
    said.secrets.check(&notes.printed.lock().unwrap());
    let told = notes.take();
    for id in [said.session, said.another, said.ended, said.token] {
        assert!(told.contains(&format!("issued alice {id}")), "{told:#?}");
    }
    // Each kind occurred.
    for kind in [
        "issued",
        "verified",
        "rotated",
        "replayed",
        "Revoke revoked",
        "revoked 0 others",
        "Update updated",
        "denied",
        "revoked all",
        "rejected",
        "theft",
        "refused",
        "unavailable",
        "unreadable",
        "misused",
        "lag",
        "swept",
        "failed",
        "retired",
        "revoked everything",
        "Issue ended Replaced",
    ] {
        assert!(
            told.iter().any(|told| told.contains(kind)),
            "{kind}: {told:#?}"
        );
    }
    said.secrets.debug(&told);
}
