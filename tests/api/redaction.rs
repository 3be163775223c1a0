//! Secrets never appear in printed types and errors: the output of each is searched for every
//! secret used.

#![allow(
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

use std::error::Error as _;
use std::sync::Arc;
use std::time::Duration;

use statewise::api_keys::ApiKeys;
use statewise::hybrid::HybridAuthenticator;
use statewise::migrating::Migrating;
use statewise::session::SessionAuthenticator;
use statewise::store::MemoryStore;
use statewise::store::contract::{Load, SessionStore};
use statewise::testkit::{ManualClock, block_on};
use statewise::token::{Algorithm, Fresh, Interop, Key, Keyring, TokenAuthenticator, TokenBuffer};
use statewise::{Authenticator, Error, Login, Presented};

use secrets::{Secrets, base64url};

#[path = "../support/secrets.rs"]
mod secrets;

const MARK: &str = "the-application-s-own-secret";

/// The text of an error and of its sources.
fn check_error(secrets: &Secrets, error: &Error) {
    secrets.debug(error);
    secrets.check(&error.to_string());
    let mut source = error.source();
    while let Some(inner) = source {
        secrets.check(&inner.to_string());
        secrets.check(&format!("{inner:?}"));
        source = inner.source();
    }
}

#[test]
fn the_search_finds_what_is_there() {
    let mut secrets = Secrets::default();
    secrets.bytes(b"sixteen bytes ok");
    let seen = |text: String| std::panic::catch_unwind(|| secrets.check(&text)).is_err();
    assert!(seen(format!("{:?}", b"sixteen bytes ok")));
    assert!(seen("x sixteen bytes ok".to_owned()));
    assert!(seen("half of it: 7369787465656e20".to_owned()));
    assert!(!seen("nothing".to_owned()));
    assert_eq!(base64url("3q2-7w"), [0xde, 0xad, 0xbe, 0xef]);
}

#[test]
fn sessions_show_no_secret() {
    block_on(async {
        let clock = ManualClock::default();
        let store = Arc::new(MemoryStore::with_capacity(100).unwrap());
        let auth = SessionAuthenticator::builder(Arc::clone(&store))
            .idle(Duration::from_secs(600))
            .absolute(Duration::from_secs(3600))
            .clock(clock.clone())
            .with_data::<String>()
            .build()
            .unwrap();
        let login = Login::new("alice").data(MARK.to_owned());
        let issued = auth.issue(login).await.unwrap();
        clock.advance(Duration::from_secs(60));
        let rotated = auth.refresh(issued.credential().reveal()).await.unwrap();

        let mut secrets = Secrets::default();
        secrets.text(MARK);
        for credential in [issued.credential(), rotated.credential()] {
            secrets.text(&credential.reveal()[26..]);
            secrets.bytes(&base64url(credential.reveal())[20..32]);
            secrets.bytes(&base64url(credential.reveal())[32..]);
        }

        let credential = rotated.credential().reveal();
        let next = Login::new("alice")
            .data(MARK.to_owned())
            .replaces(credential);
        secrets.debug(&next);
        secrets.debug(&issued);
        secrets.debug(&rotated);
        secrets.debug(&Presented::new(credential));
        secrets.debug(&auth.verify(credential).await.unwrap());
        secrets.debug(&auth.sessions("alice", None).await.unwrap());
        secrets.debug(&auth);
        secrets.debug(&store);
        secrets.debug(&auth.upkeep());
        let handle = base64url(&credential[..22])[..16].try_into().unwrap();
        let handle = statewise::store::contract::Handle::from_bytes(handle);
        let now = statewise::clock::Timestamp::from(issued.identity().issued_at());
        let row = store.load(handle, Load::new(), now).await.unwrap().unwrap();
        secrets.debug(&row);
        secrets.check(&String::from_utf8_lossy(&row.encode()).replace(MARK, ""));

        let forged = format!(
            "{}{}",
            &credential[..63],
            if credential.ends_with('A') { 'B' } else { 'A' }
        );
        secrets.text(&forged[26..]);
        for refused in [&*forged, &credential[1..], "", MARK] {
            check_error(&secrets, &auth.verify(refused).await.unwrap_err());
            check_error(&secrets, &auth.refresh(refused).await.unwrap_err());
        }
        clock.advance(Duration::from_secs(60));
        let theft = auth.verify(issued.credential().reveal()).await.unwrap_err();
        assert!(theft.theft().is_some());
        check_error(&secrets, &theft);
        secrets.debug(&theft.theft());
        check_error(&secrets, &auth.verify(credential).await.unwrap_err());
    });
}

#[test]
fn api_keys_show_no_secret() {
    block_on(async {
        let store = Arc::new(MemoryStore::with_capacity(100).unwrap());
        let keys = ApiKeys::builder(store).prefix("acme_pat");
        let keys = keys.longest(Duration::from_secs(3600)).with_data();
        let keys = keys.build().unwrap();
        let issued = keys.issue(Login::new("alice").data(MARK.to_owned()));
        let issued = issued.await.unwrap();
        let key = issued.credential().reveal();

        let mut secrets = Secrets::default();
        secrets.text(MARK);
        secrets.text(&key["acme_pat_".len() + 26..]);
        secrets.bytes(&base64url(&key["acme_pat_".len()..][..64])[20..]);
        secrets.debug(&issued);
        secrets.debug(&Presented::new(key));
        secrets.debug(&keys.verify(key).await.unwrap());
        secrets.debug(&keys.keys("alice", None).await.unwrap());
        secrets.debug(&keys);
        secrets.debug(&keys.upkeep());
        check_error(&secrets, &keys.refresh(key).await.unwrap_err());
        for refused in [&format!("{key}x"), &key[1..]] {
            check_error(&secrets, &keys.verify(refused).await.unwrap_err());
            check_error(&secrets, &keys.revoke(refused).await.unwrap_err());
            secrets.debug(&keys.leaked(refused).await.unwrap());
        }
        secrets.debug(&keys.leaked(key).await.unwrap());
        check_error(&secrets, &keys.verify(key).await.unwrap_err());
    });
}

#[test]
fn tokens_show_no_secret() {
    block_on(async {
        let material: Vec<u8> = (1..=48).map(|n: u8| n.wrapping_mul(37)).collect();
        let clock = ManualClock::default();
        let key = Key::hs256(&material).unwrap();
        let ring = Keyring::new(key.clone());
        let interop = Interop::from_any_issuer(Duration::from_secs(3600))
            .weak_secret(
                Algorithm::HS512,
                &material,
                time::OffsetDateTime::UNIX_EPOCH,
            )
            .unwrap()
            .map(|_| Ok(Login::new("alice").data(MARK.to_owned())));
        let auth = TokenAuthenticator::builder(ring.clone())
            .issuer("https://auth.example")
            .audience("api")
            .lifetime(Duration::from_secs(600))
            .clock(clock.clone())
            .with_data()
            .build()
            .unwrap();
        let login = Login::new("alice").data(MARK.to_owned());
        let issued = auth.issue(login).await.unwrap();
        let token = issued.credential().reveal();
        let (_, signature) = token.rsplit_once('.').unwrap();

        let mut secrets = Secrets::default();
        secrets.text(MARK);
        secrets.bytes(&material);
        secrets.text(&key.reveal());
        secrets.text(signature);
        secrets.bytes(&base64url(signature));

        secrets.debug(&Fresh::new(["admin"], MARK.to_owned()));
        secrets.debug(&key);
        secrets.debug(&ring);
        secrets.debug(&interop);
        secrets.debug(&issued);
        secrets.debug(&auth);
        secrets.debug(&auth.verify(token).await.unwrap());
        let mut buffer = TokenBuffer::new();
        secrets.debug(&auth.verify_borrowed(token, &mut buffer).unwrap());
        secrets.debug(&buffer);
        for refused in [&token[1..], &token[..token.len() - 1], "", MARK, signature] {
            check_error(&secrets, &auth.verify(refused).await.unwrap_err());
            check_error(&secrets, &auth.refresh(refused).await.unwrap_err());
            check_error(&secrets, &auth.revoke(refused).await.unwrap_err());
        }
        clock.advance(Duration::from_secs(600));
        check_error(&secrets, &auth.verify(token).await.unwrap_err());

        for weak in [
            &material[..31],
            &[7; 32][..],
            b"-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBgkqh",
        ] {
            let mut secrets = Secrets::default();
            secrets.bytes(weak);
            check_error(&secrets, &Key::hs256(weak).unwrap_err());
        }
    });
}

#[test]
fn short_tokens_and_migrations_show_no_secret() {
    block_on(async {
        let clock = ManualClock::default();
        let sessions = |store| {
            SessionAuthenticator::builder(store)
                .idle(Duration::from_secs(7200))
                .absolute(Duration::from_secs(86_400))
                .clock(clock.clone())
                .with_data::<String>()
        };
        let store = || Arc::new(MemoryStore::with_capacity(100).unwrap());
        let key = Key::generate_hs256().unwrap();
        let hybrid = HybridAuthenticator::new(
            TokenAuthenticator::builder(key.clone())
                .issuer("https://auth.example")
                .audience("api")
                .lifetime(Duration::from_secs(600))
                .with_data(),
            sessions(store()),
        );
        let auth = Migrating::builder(sessions(store()).build().unwrap(), hybrid.unwrap());
        let auth = auth.clock(clock.clone()).build().unwrap();
        let (old, hybrid) = auth.strategies();

        let before = old
            .issue(Login::new("alice").data(MARK.to_owned()))
            .await
            .unwrap();
        let after = auth.refresh(before.refreshable().reveal()).await.unwrap();
        clock.advance(Duration::from_secs(20));
        let next = auth.refresh(after.refreshable().reveal()).await.unwrap();
        let mut secrets = Secrets::default();
        secrets.text(MARK);
        secrets.text(&key.reveal());
        for issued in [&before, &after, &next] {
            secrets.text(issued.credential().reveal());
            secrets.text(issued.refreshable().reveal());
        }
        for refresh in [&after, &next] {
            // Secret and family proof of the refresh credential.
            let bytes = base64url(refresh.refreshable().reveal().trim_start_matches("rt_"));
            secrets.bytes(&bytes[16..]);
        }
        for issued in [&before, &after, &next] {
            secrets.debug(issued);
            secrets.debug(issued.identity());
        }
        secrets.debug(&auth);
        secrets.debug(hybrid);
        secrets.debug(&auth.upkeep());
        clock.advance(Duration::from_secs(20));
        let _third = auth.refresh(next.refreshable().reveal()).await.unwrap();
        for presented in [after.refreshable(), before.credential(), after.credential()] {
            if let Err(error) = auth.refresh(presented.reveal()).await {
                check_error(&secrets, &error);
            }
        }
        let presented = Presented::new(after.credential().reveal()).authoritative();
        check_error(&secrets, &auth.verify_with(presented).await.unwrap_err());
    });
}

#[cfg(feature = "axum")]
#[test]
fn the_web_shows_no_secret() {
    use statewise::web::{AuthLayer, Cookie, Denial, Found, Transport, bearer};

    block_on(async {
        let store = MemoryStore::with_capacity(100).unwrap();
        let auth = SessionAuthenticator::builder(store)
            .idle(Duration::from_secs(600))
            .absolute(Duration::from_secs(3600))
            .build()
            .unwrap();
        let auth = Arc::new(auth);
        let issued = auth.issue(Login::new("alice")).await.unwrap();
        let credential = issued.credential().reveal();
        let mut secrets = Secrets::default();
        secrets.text(&credential[26..]);

        let other = format!("{}{}", &credential[..63], "!");
        let cookies = format!("__Host-id={credential}; __Host-id={other}");
        let cookies = [("cookie", &*cookies)];
        let found = Cookie::default().find(&cookies, |_| true);
        assert!(matches!(found, Found::Ambiguous(..)));
        secrets.debug(&found);
        let authorization = format!("Bearer {credential}");
        let fields = [("authorization", &*authorization)];
        secrets.debug(&bearer(&fields));
        let transport = Transport::both(Cookie::default());
        secrets.debug(&transport.read(&fields, |_| true).unwrap());
        let denied = transport.read(&cookies, |_| true).unwrap_err();
        secrets.debug(&denied);
        secrets.check(&denied.to_string());
        let rejected = auth.verify(&other).await.unwrap_err();
        let rejected = Denial::from(rejected);
        secrets.debug(&rejected);
        secrets.debug(&rejected.answer(&transport));
        let too_large = Cookie::builder().path("/a").build().unwrap();
        let no_cookie = statewise::Credential::new(format!("{credential};"));
        check_error(&secrets, &too_large.set(&no_cookie).unwrap_err());
        secrets.debug(&AuthLayer::new(auth, transport).unwrap());
    });
}
