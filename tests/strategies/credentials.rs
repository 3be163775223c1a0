//! Credentials: random, never stored, and never chosen by a client.

use std::collections::HashSet;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use statewise::hybrid::HybridAuthenticator;
use statewise::session::SessionAuthenticator;
use statewise::store::MemoryStore;
use statewise::store::contract::partition;
use statewise::testkit::{FaultyStore, MemoryFixture, block_on};
use statewise::{Authenticator, Login, Rejection, Result};

use crate::strategies::family;
use crate::strategies::world::{World, assert_accepted, assert_rejected, login, rejection, secret};

type Counted = Arc<FaultyStore<Arc<MemoryStore>>>;

/// Sessions over a store that counts its calls, and a valid credential.
async fn counted() -> (SessionAuthenticator<Counted>, Counted, String) {
    let world = World::open(&MemoryFixture).await;
    let valid = secret(&login(&world.auth(), "alice").await).to_owned();
    let store = Arc::new(FaultyStore::new(Arc::clone(&world.store)));
    (world.auth_over(Arc::clone(&store)), store, valid)
}

/// Asserts that no method takes this for a credential.
async fn assert_malformed(auth: &SessionAuthenticator<Counted>, bad: &str) {
    fn is_malformed<T>(answer: &Result<T>) -> bool {
        rejection(answer) == Some(Rejection::Malformed)
    }
    assert!(!auth.is_well_formed(bad));
    assert!(is_malformed(&auth.verify(bad).await), "{bad:?}");
    assert!(is_malformed(&auth.refresh(bad).await), "{bad:?}");
    assert!(is_malformed(&auth.revoke(bad).await), "{bad:?}");
    assert!(is_malformed(&auth.revoke_others(bad).await), "{bad:?}");
}

/// A login works as soon as `issue` has returned, and no two logins share an id.
#[test]
fn create_01_is_readable_at_once() {
    block_on(async {
        let world = World::open(&MemoryFixture).await;
        let auth = world.auth();
        let mut ids = HashSet::new();
        for round in 0..100 {
            let issued = login(&auth, "alice").await;
            assert_accepted(&auth, secret(&issued), "alice").await;
            let fresh = ids.insert(issued.identity().id());
            assert!(fresh, "an id came twice, in round {round}");
        }
    });
}

/// Credentials are 64 characters of the base64url alphabet, never the same, and uniform at each
/// place behind the partition of the subject, the bit of remembered logins and the count of upgrades. Rejects a weak
/// source of randomness.
#[test]
fn create_03_credentials_are_uniform() {
    const LOGINS: usize = 4_000;
    let in_alphabet = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    let mut counts = vec![[0_u32; 128]; 64];
    let mut seen = HashSet::new();
    block_on(async {
        let world = World::open(&MemoryFixture).await;
        let auth = world.auth();
        for at in 0..LOGINS {
            let subject = format!("user {}", at % 500);
            let issued = login(&auth, &subject).await;
            let text = secret(&issued);
            assert_eq!(text.len(), 64, "the length of a credential");
            for (place, byte) in text.bytes().enumerate() {
                assert!(in_alphabet(byte), "a character outside of the alphabet");
                counts[place][usize::from(byte)] += 1;
            }
            let bytes = URL_SAFE_NO_PAD.decode(text).expect("base64url");
            let front = u16::from_be_bytes([bytes[0], bytes[1]]) >> 4;
            assert_eq!(front, partition(&subject), "the partition of the subject");
            assert!(seen.insert(text.to_owned()), "a credential came twice");
        }
    });
    for (place, counts) in counts.iter().enumerate().skip(2) {
        // The character behind the partition begins with the bit of remembered logins. The 24 bits after its
        // three random ones are zero, as no upgrade has made the login.
        let values = match place {
            2 => 8,
            3..=5 => 1,
            6 => 4,
            _ => 64,
        };
        let used = || counts.iter().filter(|count| **count > 0);
        assert_eq!(used().count(), values, "place {place}");
        let expected = LOGINS as f64 / values as f64;
        let chi_square: f64 = used()
            .map(|count| (f64::from(*count) - expected).powi(2) / expected)
            .sum();
        // 63 degrees of freedom: a uniform source exceeds 160 once in a hundred million runs.
        assert!(
            chi_square < 160.0,
            "place {place} is not uniform: {chi_square}"
        );
    }
}

/// The stored row contains no credential and no secret part of one, before and after a rotation.
/// Rejects a strategy that stores a usable credential.
#[test]
fn create_04_keeps_no_credential() {
    block_on(async {
        let world = World::open(&MemoryFixture).await;
        let auth = world.auth();
        let first = login(&auth, "alice").await;
        world.advance(60).await;
        let second = auth.refresh(secret(&first)).await.expect("a rotation");
        let rows = world.list("alice").await;
        assert_eq!(rows.len(), 1);
        let mut dump = rows[0].encode();
        dump.extend(format!("{:?}{:?}", rows[0], world.store).bytes());
        for text in [secret(&first), secret(&second)] {
            let bytes = URL_SAFE_NO_PAD.decode(text).expect("base64url");
            // Handle and generation come first, then the secret of the family and of the
            // credential.
            for part in [&bytes[20..32], &bytes[32..48], &text.as_bytes()[28..]] {
                let holds = dump.windows(part.len()).any(|window| window == part);
                assert!(!holds, "the store holds a part of a credential");
            }
        }
    });
}

/// A credential that was never issued is rejected, never adopted, and leaves no row.
/// Rejects session fixation.
#[test]
fn create_05_adopts_no_id_of_a_client() {
    block_on(async {
        let world = World::open(&MemoryFixture).await;
        let auth = world.auth();
        // Well-formed: issued by another service.
        let foreign = login(&World::open(&MemoryFixture).await.auth(), "alice").await;
        let planted = secret(&foreign);
        assert!(auth.is_well_formed(planted));
        assert_rejected(&auth, planted, Rejection::Unknown).await;
        let refreshed = auth.refresh(planted).await;
        assert_eq!(rejection(&refreshed), Some(Rejection::Unknown));
        let _ = auth.revoke(planted).await.expect("revoking is idempotent");
        assert!(world.list("alice").await.is_empty(), "a row was created");

        let issued = auth.issue(Login::new("alice").replaces(planted)).await;
        let issued = issued.expect("a login is issued");
        assert_ne!(secret(&issued), planted);
        assert_ne!(
            issued.identity().id(),
            foreign.identity().id(),
            "an id was adopted"
        );
        assert_rejected(&auth, planted, Rejection::Unknown).await;
    });
}

/// A text of the wrong length, alphabet or spelling is *malformed*, without a call of the store.
/// Rejects a strategy that lets clients choose keys.
#[test]
fn create_06_malformed_never_reaches_the_store() {
    block_on(async {
        let (auth, store, valid) = counted().await;
        let mut bad: Vec<_> = (0..64).map(|length| valid[..length].to_owned()).collect();
        for wrong in [
            "+", "/", "=", " ", "\n", "\0", ".", "%", "\\", "é", "*", "{",
        ] {
            for place in [0, 1, 31, 62] {
                let end = place + wrong.len();
                bad.push(format!("{}{wrong}{}", &valid[..place], &valid[end..]));
            }
        }
        bad.push(format!("{valid}A"));
        bad.push(format!(" {valid}"));
        bad.push(format!("{valid}="));
        for bad in &bad {
            assert_malformed(&auth, bad).await;
        }
        assert_eq!(store.calls(), 0, "a malformed text reached the store");
    });
}

/// A text that is far too long is *malformed* as well, without a call of the store.
/// Rejects a strategy that hashes or looks up any input.
#[test]
fn create_07_overlong_never_reaches_the_store() {
    block_on(async {
        let (auth, store, _) = counted().await;
        for length in [65, 128, 1_240, 65_536, 1 << 20] {
            let long = "A".repeat(length);
            assert_rejected(&auth, &long, Rejection::Malformed).await;
            let refreshed = auth.refresh(&long).await;
            assert_eq!(rejection(&refreshed), Some(Rejection::Malformed));
            let revoked = auth.revoke(&long).await;
            assert_eq!(rejection(&revoked), Some(Rejection::Malformed));
        }
        assert_eq!(store.calls(), 0, "a malformed text reached the store");
    });
}

/// A token is no session credential, and the reverse. Rejects a strategy that tries any input.
#[test]
fn refresh_09_is_no_token() {
    block_on(async {
        let world = World::open(&MemoryFixture).await;
        let auth = world.auth();
        let issued = login(&auth, "alice").await;
        assert!(auth.is_well_formed(secret(&issued)));
        assert!(
            !secret(&issued).contains('.'),
            "a credential could be taken for a token"
        );
        let header = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9";
        let tokens = [
            format!("{header}.eyJzdWIiOiJhbGljZSJ9.{}", "A".repeat(43)),
            format!("{header}.e30."),
            // Exactly as long as a session credential.
            format!("{header}.e30.{}", "A".repeat(64 - 37 - 4)),
            format!("{}.{}.", &secret(&issued)[..31], &secret(&issued)[..31]),
            format!("{}.", &secret(&issued)[..63]),
        ];
        for token in &tokens {
            assert!(!auth.is_well_formed(token));
            assert_rejected(&auth, token, Rejection::Malformed).await;
            let refreshed = auth.refresh(token).await;
            assert_eq!(rejection(&refreshed), Some(Rejection::Malformed));
            let revoked = auth.revoke(token).await;
            assert_eq!(rejection(&revoked), Some(Rejection::Malformed));
        }
        assert_eq!(tokens[2].len(), 64);
        // Access token, refresh credential and session credential exclude each other.
        let hybrid = world.hybrid();
        let both = login(&hybrid, "alice").await;
        let (access, refresh) = (both.credential().reveal(), family::secret(&both));
        let answer = hybrid.verify(refresh).await;
        assert_eq!(rejection(&answer), Some(Rejection::Malformed));
        let answer = hybrid.refresh(access).await;
        assert_eq!(rejection(&answer), Some(Rejection::Malformed));
        for credential in [access, refresh] {
            assert_rejected(&auth, credential, Rejection::Malformed).await;
        }
        let bare = &refresh[refresh.len() - 64..];
        assert_rejected(&auth, bare, Rejection::Unknown).await;
        let answer = hybrid.refresh(secret(&issued)).await;
        assert_eq!(rejection(&answer), Some(Rejection::Malformed));
        let dressed = format!("{}{}", &refresh[..refresh.len() - 64], secret(&issued));
        let answer = hybrid.refresh(&dressed).await;
        assert_eq!(rejection(&answer), Some(Rejection::Unknown));
        assert!(hybrid.refresh(refresh).await.is_ok());
        assert_accepted(&auth, secret(&issued), "alice").await;
    });
}

/// The refresh credential of one audience yields no tokens for another, over the same store and
/// with the same key. Rejects a strategy that trusts a row without its audience.
#[test]
fn refresh_10_yields_no_tokens_for_others() {
    block_on(async {
        let world = World::open(&MemoryFixture).await;
        let auth = world.hybrid();
        let issued = login(&auth, "alice").await;
        let refresh = family::secret(&issued);
        for (issuer, audience) in [
            ("https://auth.example", "billing"),
            ("https://other.example", "api"),
        ] {
            let builder = world.builder::<_, ()>(Arc::clone(&world.store));
            let tokens = family::tokens(issuer, audience);
            let other = HybridAuthenticator::new(tokens, builder).expect("a configuration");
            let answer = other.refresh(refresh).await;
            assert_eq!(rejection(&answer), Some(Rejection::Unknown));
            assert!(other.verify(issued.credential().reveal()).await.is_err());
            let _ = other.revoke(refresh).await.expect("an answer");
        }
        assert!(family::exchange(&auth, &issued).await.is_ok());
    });
}
