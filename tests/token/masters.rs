//! Keys that are derived for one audience.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use statewise::entropy::Entropy;
use statewise::token::{
    Algorithm, Key, KeySource, KeyState, Keyring, MasterKey, MasterRing, TokenAuthenticator,
};
use statewise::{Authenticator, Error, Login, Rejection, Result};

use crate::support::*;

const ISSUER: &str = "https://auth.example";

fn master(byte: u8) -> MasterKey {
    let secret: [u8; 32] = std::array::from_fn(|at| byte ^ at as u8);
    MasterKey::new(Algorithm::HS256, &secret).unwrap()
}

fn tokens(
    keys: impl Into<KeySource>,
    issuer: &str,
    audience: &str,
    clock: &Hands,
) -> TokenAuthenticator {
    TokenAuthenticator::builder(keys)
        .issuer(issuer)
        .audience(audience)
        .lifetime(Duration::from_secs(60))
        .clock(clock.clone())
        .build()
        .unwrap()
}

fn token(auth: &TokenAuthenticator) -> String {
    token_of(&now(auth.issue(Login::new("alice").role("admin"))).unwrap())
}

fn secret_of(key: &Key) -> Vec<u8> {
    URL_SAFE_NO_PAD.decode(key.reveal()).unwrap()
}

/// Computed with `hmac` of Python from the documented input.
#[test]
fn derived_secrets_are_those_of_the_documented_formula() {
    let cases = [
        (
            Algorithm::HS256,
            [
                "cIlKIp05i0uTjgfDJU0qm9pBXjLp0Uy39TMWlx5ywus",
                "nXWfUpWQyUYQl2B4KxBT7FyVSYE-IR78c2kkOwouDSY",
                "oiSKU615T2Br30SB7Ri7UmO3xQ95fHHjqKcOkAKixTA",
                "GORvOfNSRle3ldWb2w4Fl2SQopsubjEyD8T9PlZB4YA",
            ],
        ),
        (
            Algorithm::HS384,
            [
                "9KGi22YX3n1cOjnFBizrRlIMVrIad-uHOSDGyvb0cM6nsHgy6Vq8-1jZLUZTV2n9",
                "bJQnGR2pAmzsGsPZy9obVvL9zkmDIXMeiUHjmkFDAR256zJrN_xZJ6zx7pzqtIQa",
                "wgA_J-uuA47MNv_tJVt_D8zNn8loFNGF8VUZ-bsBR25OUeyWPZ0P6tFbFGvbJHJ0",
                "RpY5jWU4a1A4d9-EGF-zOwu0vOqfaKJRSs174NhxztPjXpguo3PFa7EOVdbNzTZ1",
            ],
        ),
        (
            Algorithm::HS512,
            [
                "9esNsawucUdTXWyCzgIH3eN2aEm7Ecpib2p0Xhkhy-yzcsGmyQDmpxcrYBoaIO3RX12XAE9m4Ax9JqbEZGqrSw",
                "vLSl-arqwbTw1szie3s0k-Lm8jUWQna7LLnDrgvioDgzMHLp6jvrtT5s4I9e7naT-0i2MogS8a7R0yl3xeyQ4w",
                "dNBGdfoRHgl_VHylHnf-EB_hI6cWnXXlNoWBEzenHdRvA2YbcOH7B3SgHbfS4brsTDKj36SDTm78n-m1scK71g",
                "jNdUCfwBmF15FHjMIs4OOFKGIYEyROzI6Mpm0B0rQt22TKuJuOBDA_3uxzLByimvOckUIlD61FQB66dMMZc2Hw",
            ],
        ),
    ];
    for (algorithm, [orders, next, billing, pair]) in cases {
        let length = URL_SAFE_NO_PAD.decode(orders).unwrap().len();
        let master = MasterKey::new(algorithm, &SECRET[..length]).unwrap();
        let key = |audience| master.key_for(ISSUER, audience).unwrap();
        assert_eq!(key("orders").reveal(), orders);
        assert_eq!(key("billing").reveal(), billing);
        let of_next = master.generation(1).key_for(ISSUER, "orders").unwrap();
        assert_eq!(of_next.reveal(), next);
        assert_eq!(key("billing").for_issuer("orders").unwrap().reveal(), pair);
        assert_eq!(key("orders").algorithm(), algorithm);
        assert_eq!(master.generation(0).reveal(), master.reveal());
    }
}

/// Names are bound with their lengths: no two pairs of names share a key.
#[test]
fn each_pair_of_names_has_a_key_of_its_own() {
    let master = master(0);
    let mut secrets = Vec::new();
    for (issuer, audience) in [
        ("a", "bc"),
        ("ab", "c"),
        ("abc", "d"),
        ("a", "b"),
        ("b", "a"),
        ("a", "b\0\0\0\0"),
        ("a", "B"),
        ("a\0\0\0\0\0\0\0\u{1}b", "c"),
    ] {
        for generation in [0, 1, 0x6263] {
            let key = master.generation(generation).key_for(issuer, audience);
            secrets.push(key.unwrap().reveal());
        }
        let key = master.key_for(issuer, audience).unwrap();
        secrets.push(key.for_issuer(issuer).unwrap().reveal());
        secrets.push(key.for_issuer(audience).unwrap().reveal());
    }
    let count = secrets.len();
    secrets.sort();
    secrets.dedup();
    assert_eq!(secrets.len(), count);
}

/// `orders` has its own key, its pair key for `billing`, and all tokens that it has received.
#[test]
fn no_key_of_one_service_forges_a_token_for_another_one() {
    let clock = Hands::at(START);
    let master = master(0);
    let at_billing = master.key_for(ISSUER, "billing").unwrap();
    let to_orders = tokens(&master, ISSUER, "orders", &clock);
    let to_billing = tokens(&master, ISSUER, "billing", &clock);
    let billing = tokens(at_billing.clone(), ISSUER, "billing", &clock);
    let of_orders = || at_billing.for_issuer("orders").unwrap();
    let billing_from_orders = tokens(of_orders(), "orders", "billing", &clock);

    // The genuine tokens.
    let received = token(&to_orders);
    let genuine = token(&to_billing);
    let own = master.key_for(ISSUER, "orders").unwrap();
    let orders = tokens(own.clone(), ISSUER, "orders", &clock);
    assert_eq!(now(orders.verify(&received)).unwrap().subject(), "alice");
    assert_eq!(now(billing.verify(&genuine)).unwrap().subject(), "alice");
    let pair = of_orders();
    let hop = token(&tokens(pair.clone(), "orders", "billing", &clock));
    assert!(now(billing_from_orders.verify(&hop)).is_ok());

    // Attempts of `orders`.
    let as_master = MasterKey::new(Algorithm::HS256, &secret_of(&own)).unwrap();
    let keys = [
        own.clone(),
        own.for_issuer(ISSUER).unwrap(),
        own.for_issuer("billing").unwrap(),
        as_master.key_for(ISSUER, "billing").unwrap(),
        as_master.generation(1).key_for(ISSUER, "billing").unwrap(),
        pair.for_issuer(ISSUER).unwrap(),
        pair.for_issuer("orders").unwrap(),
        pair.clone(),
    ];
    let headers = [&genuine, &received, &hop].map(|token| token.split('.').next().unwrap());
    let claims = claims_of(&genuine);
    let edited = [
        claims.clone(),
        claims.replace(r#""aud":"billing""#, r#""aud":["orders","billing"]"#),
        claims.replace(r#""aud":"billing""#, r#""aud":["billing"]"#),
        claims.replace(r#""aud":"billing""#, r#""aud":"orders","aud":"billing""#),
    ];
    assert_eq!(edited.iter().filter(|text| **text != claims).count(), 3);
    let mut forged = vec![
        received.clone(),
        with_claims(&received, &claims),
        with_claims(&genuine, &claims.replace("alice", "mallory")),
    ];
    for key in &keys {
        for (issuer, audience) in [
            (ISSUER, "billing"),
            ("orders", "orders"),
            ("crm", "billing"),
        ] {
            forged.push(token(&tokens(key.clone(), issuer, audience, &clock)));
        }
        for header in headers {
            for claims in &edited {
                let input = format!("{header}.{}", URL_SAFE_NO_PAD.encode(claims));
                forged.push(signed_with(&secret_of(key), &input));
            }
        }
    }
    for token in &forged {
        let at_once = rejection(now(billing.verify(token)));
        let expected = [Rejection::UnacceptableHeader, Rejection::BadSignature];
        assert!(expected.contains(&at_once), "{at_once:?}: {token}");
        // With its pair key it signs for `billing` in its own name alone.
        assert!(now(billing_from_orders.verify(token)).is_err(), "{token}");
    }
    println!("{} forged tokens, none accepted", forged.len());
}

fn with_claims(token: &str, claims: &str) -> String {
    let mut parts: Vec<&str> = token.split('.').collect();
    let payload = URL_SAFE_NO_PAD.encode(claims);
    parts[1] = &payload;
    parts.join(".")
}

#[test]
fn one_audience_is_rotated_alone() {
    let clock = Hands::at(START);
    let master = master(0);
    let ring = MasterRing::new(master.clone()).then(master.generation(1), at(START + 1000));
    let auth = tokens(&ring, ISSUER, "orders", &clock);
    let service = {
        let [old, new] = [0, 1].map(|n| master.generation(n).key_for(ISSUER, "orders").unwrap());
        tokens(
            Keyring::new(old).then(new, at(START + 1000)),
            ISSUER,
            "orders",
            &clock,
        )
    };
    clock.set(START + 999);
    let old = token(&auth);
    clock.set(START + 1000);
    let new = token(&auth);
    assert_ne!(old[..63], new[..63]);
    for token in [&old, &new] {
        assert!(service.verify_now(token).is_ok());
    }
    let key = |n: u32, audience| master.generation(n).key_for(ISSUER, audience).unwrap();
    let state = |key: &Key| auth.keyring().state(key.kid(), at(START + 1000));
    assert_eq!(state(&key(1, "orders")), Some(KeyState::Active));
    assert_eq!(state(&key(0, "orders")), Some(KeyState::VerifyOnly));
    assert_eq!(state(&key(0, "billing")), None);
}

#[test]
fn masters_are_rotated_with_their_times() {
    let clock = Hands::at(START);
    let ring = MasterRing::new(master(1))
        .then(master(2), at(START + 1000))
        .verify_with(master(3))
        .spare(master(4));
    let auth = tokens(&ring, ISSUER, "orders", &clock);
    let states = |seconds: u64| {
        [1, 2, 3, 4].map(|byte| {
            let key = master(byte).key_for(ISSUER, "orders").unwrap();
            auth.keyring().state(key.kid(), at(seconds)).unwrap()
        })
    };
    use KeyState::{Active, Next, Retired, Spare, VerifyOnly};
    assert_eq!(states(START), [Active, Next, VerifyOnly, Spare]);
    assert_eq!(
        states(START + 1000),
        [VerifyOnly, Active, VerifyOnly, Spare]
    );
    assert_eq!(states(START + 2000), [Retired, Active, VerifyOnly, Spare]);
    clock.set(START + 1000);
    let held = token(&auth);
    let next = MasterRing::new(master(2)).then(master(5), at(START + 1100));
    let error = auth.replace_keyring(&next.clone()).unwrap_err();
    assert!(error.is_misuse(), "the first master may have valid tokens");
    auth.replace_keyring(&next.verify_with(master(1))).unwrap();
    assert!(auth.verify_now(&held).is_ok());
    clock.set(START + 1100);
    let key = master(5).key_for(ISSUER, "orders").unwrap();
    let kid = key.kid();
    assert_eq!(auth.keyring().state(kid, at(START + 1100)), Some(Active));
}

#[test]
fn a_shared_secret_is_left_behind_without_a_refusal() {
    let clock = Hands::at(START);
    let derived = master(0).key_for(ISSUER, "orders").unwrap();
    let before = tokens(key(), ISSUER, "orders", &clock);
    let ring = Keyring::new(key()).then(derived.clone(), at(START + 100));
    let [issuer, service] = [(); 2].map(|()| tokens(ring.clone(), ISSUER, "orders", &clock));
    let mut held = vec![token(&before)];
    for seconds in 0..300 {
        clock.set(START + seconds);
        held.push(token(&issuer));
        let kept = held.len().saturating_sub(60);
        for token in &held[kept..] {
            assert!(service.verify_now(token).is_ok(), "after {seconds} s");
        }
    }
    let after = tokens(derived, ISSUER, "orders", &clock);
    assert!(after.verify_now(held.last().unwrap()).is_ok());
}

#[test]
fn a_leaked_key_of_an_audience_is_retired_by_the_log() {
    let clock = Hands::at(START);
    let view = view(&clock, Duration::from_secs(60));
    let master = master(0);
    let ring = MasterRing::new(master.clone()).spare(master.generation(1));
    let auth = |audience: &str| {
        let builder = TokenAuthenticator::builder(&ring)
            .issuer(ISSUER)
            .audience(audience);
        let builder = builder.lifetime(Duration::from_secs(60)).revocations(&view);
        builder.clock(clock.clone()).build().unwrap()
    };
    let (orders, billing) = (auth("orders"), auth("billing"));
    let held = [token(&orders), token(&billing)];
    let leaked = master.key_for(ISSUER, "orders").unwrap();
    let _ = now(orders.retire_key(leaked.kid())).unwrap();
    assert!(now(orders.verify(&held[0])).is_err());
    assert!(now(billing.verify(&held[1])).is_ok());
    let next = token(&orders);
    assert!(now(orders.verify(&next)).is_ok());
    let spare = master.generation(1).key_for(ISSUER, "orders").unwrap();
    let state = orders.keyring().state(spare.kid(), at(START));
    assert_eq!(state, Some(KeyState::Active));
}

fn misuse<T: std::fmt::Debug>(result: Result<T>) -> String {
    let error = result.expect_err("was accepted");
    assert!(error.is_misuse(), "{error}");
    error.to_string()
}

#[test]
fn misuse_is_refused_with_the_remedy() {
    let master = master(0);
    for (issuer, audience) in [("", "orders"), (ISSUER, "")] {
        let text = misuse(master.key_for(issuer, audience));
        assert!(text.contains("name both services"), "{text}");
        misuse(MasterRing::new(master.clone()).for_audience(issuer, audience));
        let builder = TokenAuthenticator::builder(&master);
        let builder = builder.issuer(issuer).audience(audience);
        let text = misuse(builder.lifetime(Duration::from_secs(60)).build());
        assert!(text.contains("is empty: name the service"), "{text}");
    }
    misuse(key().for_issuer(""));
    let text = misuse(MasterKey::new(Algorithm::HS512, &SECRET[..63]));
    assert!(text.contains("MasterKey::generate_with"), "{text}");
    misuse(MasterKey::new(Algorithm::HS256, &[7; 32]));
    // The secret of one kind is not read as the other one.
    let text = misuse(Key::from_text(Algorithm::HS256, &master.reveal()));
    assert!(text.contains("MasterKey"), "{text}");
    misuse(MasterKey::from_text(Algorithm::HS256, &key().reveal()));
    misuse(MasterKey::from_text(Algorithm::HS256, "master.=="));
    let read = MasterKey::from_text(Algorithm::HS256, &master.reveal()).unwrap();
    assert_eq!(read.reveal(), master.reveal());
    let twice = MasterRing::new(master.clone()).then(master.clone(), at(START));
    let builder = TokenAuthenticator::builder(&twice)
        .issuer(ISSUER)
        .audience("orders");
    misuse(builder.lifetime(Duration::from_secs(60)).build());
}

#[test]
fn generated_masters_differ_and_hide_their_secret() {
    let [one, other] = [(); 2].map(|()| MasterKey::generate().unwrap());
    assert_ne!(one.reveal(), other.reveal());
    let made = MasterKey::generate_with(Algorithm::HS384, &Counting::default()).unwrap();
    assert_eq!(
        made.key_for("a", "b").unwrap().algorithm(),
        Algorithm::HS384
    );
    let secret = made.reveal();
    for text in [
        format!("{made:?}"),
        format!("{:?}", MasterRing::new(made.clone())),
    ] {
        assert!(text.contains("HS384"), "{text}");
        assert!(!text.contains(&secret[7..20]), "{text}");
        assert!(!text.contains("[1, 2, 3"), "{text}");
    }
    #[derive(Debug)]
    struct None;
    impl Entropy for None {
        fn fill(&self, _: &mut [u8]) -> Result<()> {
            Err(Error::unavailable("no entropy"))
        }
    }
    let error = MasterKey::generate_with(Algorithm::HS256, &None).unwrap_err();
    assert!(error.is_unavailable());
}
