//! Logins begin: CREATE, and the limit per subject.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::authenticator::Authenticator;
use crate::error::Rejection;
use crate::login::Login;
use crate::login::handle::partition;
use crate::store::contract::{Created, Limit, SessionStore};
use crate::testkit::executor::interleave;
use crate::testkit::faulty::FaultyStore;
use crate::testkit::fixture::StoreFixture;
use crate::testkit::random::seed;
use crate::testkit::sample::Sample;
use crate::testkit::world::{
    World, assert_accepted, assert_rejected, assert_same, boxed, login, rejection, secret,
};

/// A row is readable, as it was given, as soon as `create` has returned, and no two logins share
/// an id. Rejects a store that answers before it has stored.
pub async fn create_01_is_readable_at_once<F: StoreFixture>(fixture: &F) {
    let world = World::open(fixture).await;
    let auth = world.auth();
    let mut ids = HashSet::new();
    for round in 0..100 {
        let row = Sample::of("alice")
            .role("admin")
            .data([7; 80])
            .at(world.now());
        world.put(&row).await;
        assert_same(world.get(&row).await.as_ref(), &row);
        let issued = login(&auth, "alice").await;
        assert_accepted(&auth, secret(&issued), "alice").await;
        assert!(
            ids.insert(issued.identity().id()),
            "an id came twice, in round {round}"
        );
    }
}

/// Of a thousand concurrent creates with ten handles, ten store, and each stored row is the one
/// that was told so. Rejects a store that checks first and then writes over.
pub async fn create_02_never_overwrites<F: StoreFixture>(fixture: &F) {
    let world = World::open(fixture).await;
    let now = world.now();
    let rows: Vec<_> = (0..10)
        .map(|at| Sample::of(format!("user {at}")).at(now))
        .collect();
    // The same handle, another content: what tells one create from the other.
    let attempt = |at: usize| {
        let mut row = rows[at % 10].clone();
        assert!(row.update(0, &Sample::update(at.to_string())));
        row
    };
    let winners = Arc::new(Mutex::new(Vec::new()));
    let create = |at: usize| {
        let (store, winners) = (Arc::clone(&world.store), Arc::clone(&winners));
        let row = attempt(at);
        boxed(async move {
            let created = store.create(&row, Limit::Unlimited, now).await;
            match created.expect("the store answers a create") {
                Created::Stored { .. } => {
                    winners
                        .lock()
                        .unwrap_or_else(PoisonError::into_inner)
                        .push(row);
                }
                created => assert_eq!(created, Created::Duplicate),
            }
        })
    };
    interleave(seed(), (0..500).map(create).collect()).await;
    // Eight at the same time, each with its share of the rest.
    let shares = (0..8).map(|share| {
        let creates: Vec<_> = (500..1_000)
            .filter(|at| at % 8 == share)
            .map(create)
            .collect();
        boxed(async move {
            for create in creates {
                create.await;
            }
        })
    });
    fixture.spread(shares.collect()).await;
    let winners = winners
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .clone();
    assert_eq!(
        winners.len(),
        10,
        "as many creates won as there are handles"
    );
    for row in winners {
        assert_same(world.get(&row).await.as_ref(), &row);
    }
}

/// Credentials are 64 characters of the base64url alphabet, never the same, and uniform in each
/// place but for the partition of the subject in front. Rejects a weak source of randomness.
pub async fn create_03_credentials_are_uniform<F: StoreFixture>(fixture: &F) {
    const LOGINS: usize = 4_000;
    let world = World::open(fixture).await;
    let auth = world.auth();
    let mut counts = vec![[0_u32; 128]; 64];
    let mut seen = HashSet::new();
    for at in 0..LOGINS {
        let subject = format!("user {}", at % 500);
        let issued = login(&auth, &subject).await;
        let text = secret(&issued);
        assert_eq!(text.len(), 64, "the length of a credential");
        for (place, byte) in text.bytes().enumerate() {
            let known = byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
            assert!(known, "a character outside of the alphabet");
            counts[place][usize::from(byte)] += 1;
        }
        let bytes = URL_SAFE_NO_PAD.decode(text).expect("base64url");
        let front = u16::from_be_bytes([bytes[0], bytes[1]]) >> 4;
        assert_eq!(front, partition(&subject), "the partition of the subject");
        assert!(seen.insert(text.to_owned()), "a credential came twice");
    }
    for (place, counts) in counts.iter().enumerate().skip(2) {
        let expected = LOGINS as f64 / 64.0;
        let chi_square: f64 = counts
            .iter()
            .enumerate()
            .filter(|(byte, _)| {
                let byte = *byte as u8;
                byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_'
            })
            .map(|(_, count)| (f64::from(*count) - expected).powi(2) / expected)
            .sum();
        // 63 degrees of freedom: beyond 160 once in a hundred million times.
        assert!(
            chi_square < 160.0,
            "place {place} is not uniform: {chi_square}"
        );
    }
}

/// What the store holds contains no credential and no secret part of one, before and after a
/// rotation. Rejects a store, or a strategy, that keeps what could be presented.
pub async fn create_04_keeps_no_credential<F: StoreFixture>(fixture: &F) {
    let world = World::open(fixture).await;
    let auth = world.auth();
    let first = login(&auth, "alice").await;
    world.advance(60).await;
    let second = auth.refresh(secret(&first)).await.expect("a rotation");
    let handle = first.identity().handle;
    let row = world
        .store
        .load(handle, crate::store::contract::Load::new(), world.now());
    let row = row.await.expect("the store answers a load").expect("a row");
    let mut dump = row.encode();
    dump.extend(format!("{row:?}{:?}", world.store).bytes());
    for text in [secret(&first), secret(&second)] {
        let bytes = URL_SAFE_NO_PAD.decode(text).expect("base64url");
        // Behind handle and generation: the family's secret and the credential's own.
        for part in [&bytes[20..32], &bytes[32..48], &text.as_bytes()[28..]] {
            let holds = dump.windows(part.len()).any(|window| window == part);
            assert!(!holds, "the store holds a part of a credential");
        }
    }
}

/// A credential that was never issued gets nobody in, is never adopted, and leaves no row.
/// Rejects session fixation.
pub async fn create_05_adopts_no_id_of_a_client<F: StoreFixture>(fixture: &F) {
    let world = World::open(fixture).await;
    let auth = world.auth();
    // Well-formed: issued by another service.
    let foreign = login(&World::open(fixture).await.auth(), "alice").await;
    let planted = secret(&foreign);
    assert!(auth.is_well_formed(planted));
    assert_rejected(&auth, planted, Rejection::Unknown).await;
    let refreshed = auth.refresh(planted).await;
    assert_eq!(rejection(&refreshed), Some(Rejection::Unknown));
    let _ = auth.revoke(planted).await.expect("revoking is idempotent");
    assert!(world.list("alice", 10).await.is_empty(), "a row was made");

    let issued = auth.issue(Login::new("alice").replaces(planted)).await;
    let issued = issued.expect("a login is issued");
    assert_ne!(secret(&issued), planted);
    assert_ne!(
        issued.identity().id(),
        foreign.identity().id(),
        "an id was adopted"
    );
    assert_rejected(&auth, planted, Rejection::Unknown).await;
}

/// What is not a credential by length, alphabet or spelling is *malformed*, without one call of
/// the store. Rejects a strategy that lets clients choose keys.
pub async fn create_06_malformed_never_reaches_the_store<F: StoreFixture>(fixture: &F) {
    let world = World::open(fixture).await;
    let issued = login(&world.auth(), "alice").await;
    let whole = secret(&issued);
    let store = Arc::new(FaultyStore::new(Arc::clone(&world.store)));
    let auth = world.auth_over(Arc::clone(&store));
    let mut bad: Vec<_> = (0..64).map(|length| whole[..length].to_owned()).collect();
    for wrong in [
        "+", "/", "=", " ", "\n", "\0", ".", "%", "\\", "é", "*", "{",
    ] {
        for place in [0, 1, 31, 62] {
            let end = place + wrong.len();
            bad.push(format!("{}{wrong}{}", &whole[..place], &whole[end..]));
        }
    }
    bad.push(format!("{whole}A"));
    bad.push(format!(" {whole}"));
    bad.push(format!("{whole}="));
    for bad in &bad {
        assert!(!auth.is_well_formed(bad));
        assert_rejected(&auth, bad, Rejection::Malformed).await;
        assert_eq!(
            rejection(&auth.refresh(bad).await),
            Some(Rejection::Malformed)
        );
        assert_eq!(
            rejection(&auth.revoke(bad).await),
            Some(Rejection::Malformed)
        );
        let others = auth.revoke_others(bad).await;
        assert_eq!(rejection(&others), Some(Rejection::Malformed));
    }
    assert_eq!(
        store.calls(),
        0,
        "the store was asked about what is malformed"
    );
}

/// What is far too long is *malformed* as well, without one call of the store.
/// Rejects a strategy that hashes or looks up whatever comes.
pub async fn create_07_overlong_never_reaches_the_store<F: StoreFixture>(fixture: &F) {
    let world = World::open(fixture).await;
    let store = Arc::new(FaultyStore::new(Arc::clone(&world.store)));
    let auth = world.auth_over(Arc::clone(&store));
    for length in [65, 128, 1_240, 65_536, 1 << 20] {
        let long = "A".repeat(length);
        assert_rejected(&auth, &long, Rejection::Malformed).await;
        assert_eq!(
            rejection(&auth.refresh(&long).await),
            Some(Rejection::Malformed)
        );
        assert_eq!(
            rejection(&auth.revoke(&long).await),
            Some(Rejection::Malformed)
        );
    }
    assert_eq!(
        store.calls(),
        0,
        "the store was asked about what is malformed"
    );
}
