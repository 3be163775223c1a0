//! The application's data, and the limits of a login.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use statewise::clock::Timestamp;
use statewise::session::SessionAuthenticator;
use statewise::store::contract::Record;
use statewise::testkit::{FaultyStore, MemoryFixture, Method, Sample, block_on};
use statewise::tickets::Tickets;
use statewise::{Authenticator, Edit, Login, Refusal, Rejection};
use time::OffsetDateTime;

use crate::strategies::world::{ABSOLUTE, World, assert_accepted, assert_rejected, login, secret};

/// Data of the wrong type are *unreadable* for one user, and for no other: the service cannot read
/// them, and does not reject the credential. Damaged rows never decode
/// to another row and never panic. Rejects a strategy that turns one bad row into an outage or into
/// an anonymous user.
#[test]
fn read_04_unreadable_is_one_users_trouble() {
    block_on(async {
        let world = World::open(&MemoryFixture).await;
        let texts = world.auth_of::<String>();
        let numbers = world.auth_of::<u64>();
        let text = Login::new("alice").data("ten".to_owned());
        let text = texts.issue(text).await.expect("a login is issued");
        let number = numbers.issue(Login::new("bob").data(10)).await;
        let number = number.expect("a login is issued");
        for _ in 0..2 {
            let verified = numbers.verify(secret(&text)).await;
            let error = verified.expect_err("data of another type were read");
            assert!(error.is_unreadable() && !error.is_rejected(), "{error:?}");
            assert_eq!(error.unreadable_login(), Some(text.identity().id()));
            assert_accepted(&numbers, secret(&number), "bob").await;
        }
        assert_accepted(&texts, secret(&text), "alice").await;
        let revoked = numbers.revoke(secret(&text)).await;
        let _ = revoked.expect("unreadable data can be revoked");
        assert_rejected(&texts, secret(&text), Rejection::Unknown).await;
    });

    let sample = Sample::of("alice").role("admin").data([9; 20]);
    let whole = sample.at(Timestamp::from_unix(1_767_225_600)).encode();
    for cut in 0..160 {
        let decoded = Record::decode(&whole[..cut]);
        assert!(decoded.is_err_and(|error| error.is_unreadable()));
    }
    for place in 0..whole.len() {
        for bit in 0..8 {
            let mut damaged = whole.clone();
            damaged[place] ^= 1 << bit;
            // Some damage cannot be detected; then the row is written back as it was read.
            match Record::decode(&damaged) {
                Ok(row) => {
                    // The bytes of the stamp are not read in a row without one.
                    let mut written = row.encode();
                    written[144..160].copy_from_slice(&damaged[144..160]);
                    assert!(written == damaged, "damage in byte {place} was changed");
                }
                Err(error) => assert!(error.is_unreadable() && !error.is_rejected()),
            }
        }
    }
}

/// Emoji, the largest numbers, deep nesting and ten thousand keys come back as they were.
/// Rejects a strategy that changes data.
#[test]
fn read_08_payloads_come_back_to_the_bit() {
    block_on(async {
        let world = World::open(&MemoryFixture).await;
        let nested = |deep| (0..deep).fold(Value::from(1), |inner, _| Value::from(vec![inner]));
        let keys = (0..10_000)
            .map(|at| (format!("key {at}"), Value::from(at)))
            .collect();
        let builder = world.builder(Arc::clone(&world.store)).max_data(1 << 21);
        let auth = builder.build().expect("a valid configuration");
        for data in [
            Value::Null,
            Value::Object(serde_json::Map::new()),
            Value::Object(keys),
            Value::from(u64::MAX),
            Value::from(i64::MIN),
            Value::from("😀\0\u{202e}\u{10ffff}"),
            Value::from("x".repeat(1 << 20)),
            nested(31),
        ] {
            let issued = auth.issue(Login::new("alice").data(data.clone())).await;
            let issued = issued.expect("a login is issued");
            let identity = auth.verify(secret(&issued)).await.expect("it verifies");
            assert!(identity.data() == &data, "the data came back as other data");
        }
        let deeper = auth.issue(Login::new("alice").data(nested(32))).await;
        assert!(
            deeper.is_err_and(|error| error.is_misuse()),
            "sessions took data that tokens could not read"
        );
    });
}

/// Verifying an unchanged session only reads, if its use was noted lately.
/// Rejects a strategy that saves after each request.
#[test]
fn update_10_verifying_only_reads() {
    block_on(async {
        let world = World::open(&MemoryFixture).await;
        let store = Arc::new(FaultyStore::new(Arc::clone(&world.store)));
        let auth = world.auth_over(Arc::clone(&store));
        let issued = login(&auth, "alice").await;
        let before = world.list("alice").await[0].encode();
        store.reset();
        for _ in 0..20 {
            assert_accepted(&auth, secret(&issued), "alice").await;
        }
        assert_eq!((store.calls(), store.calls_of(Method::Load)), (20, 20));
        let after = world.list("alice").await[0].encode();
        assert!(before == after, "verifying changed the row");
    });
}

/// Removing all data and all roles is a change like any other.
/// Rejects a strategy that takes "nothing" for "unchanged".
#[test]
fn update_11_emptying_is_a_change() {
    block_on(async {
        let world = World::open(&MemoryFixture).await;
        let auth = world.auth_of::<Value>();
        let login = Login::new("alice").role("admin").device("phone");
        let issued = auth.issue(login.data(Value::from("profile"))).await;
        let issued = issued.expect("a login is issued");
        let emptied = auth
            .update(secret(&issued), &mut |session| {
                session.roles.clear();
                session.device = None;
                session.data = Value::Null;
                Ok(())
            })
            .await;
        let _ = emptied.expect("an update");
        let identity = auth.verify(secret(&issued)).await.expect("it verifies");
        assert_eq!(
            (identity.roles().count(), identity.device(), identity.data()),
            (0, None, &Value::Null)
        );
        assert_eq!(identity.version(), 1);
    });
}

/// A login that is too large is *refused* before any call of the store.
/// Rejects a strategy that leaves the check to the store.
#[test]
fn update_13_too_large_never_reaches_the_store() {
    block_on(async {
        let world = World::open(&MemoryFixture).await;
        let store = Arc::new(FaultyStore::new(Arc::clone(&world.store)));
        let builder = world.builder::<_, String>(Arc::clone(&store)).max_data(100);
        let auth = builder.build().expect("a valid configuration");
        // The quotes of the JSON take two bytes.
        let issued = auth.issue(Login::new("alice").data("x".repeat(98))).await;
        let issued = issued.expect("data of exactly the limit");
        store.reset();
        let large = || "x".repeat(99);
        let small = String::new;
        for login in [
            Login::new("alice").data(large()),
            Login::new("a".repeat(5_000)).data(small()),
            Login::new("alice").role("a".repeat(5_000)).data(small()),
            Login::new("alice").acr("a".repeat(5_000)).data(small()),
            Login::new("alice").roles(vec!["a"; 5_000]).data(small()),
        ] {
            let refused = auth.issue(login).await.expect_err("too large");
            assert_eq!(refused.refusal(), Some(Refusal::TooLarge));
        }
        assert_eq!(store.calls(), 0, "an oversized login reached the store");
        let refused = auth
            .update(secret(&issued), &mut |session| {
                session.data = large();
                Ok(())
            })
            .await;
        let refused = refused.expect_err("too large");
        assert_eq!(refused.refusal(), Some(Refusal::TooLarge));
        assert_eq!(store.calls_of(Method::Update), 0);
    });
}

/// The limit of subject, roles, device and acr is configurable: a user in hundreds of groups logs in,
/// and gets as many roles by an update. Rejects a limit that is a constant.
#[test]
fn update_14_the_size_of_a_row_is_configurable() {
    block_on(async {
        let world = World::open(&MemoryFixture).await;
        let groups: Vec<String> = (0..1_000).map(|at| format!("{at:036}")).collect();
        let login = || Login::new("alice").roles(&groups);
        let refused = world.auth().issue(login()).await.expect_err("too large");
        assert_eq!(refused.refusal(), Some(Refusal::TooLarge));
        // Tag and length take two bytes of each.
        let bytes = "alice".len() + 2 + 1_000 * (36 + 2);
        for (max, fits) in [(bytes, true), (bytes - 1, false)] {
            let auth = world
                .builder::<_, ()>(Arc::clone(&world.store))
                .max_fields(max);
            let auth = auth.build().expect("a valid configuration");
            let issued = auth.issue(login()).await;
            assert_eq!(issued.is_ok(), fits, "{max} bytes");
            let Ok(issued) = issued else { continue };
            let caller = auth.verify(secret(&issued)).await.expect("it verifies");
            assert!(caller.roles().eq(&groups));
            let more = auth
                .update(secret(&issued), &mut |session| {
                    session.roles.extend_from_slice(&groups[..2]);
                    Ok(())
                })
                .await;
            let refused = more.expect_err("too large");
            assert_eq!(refused.refusal(), Some(Refusal::TooLarge));
            let other = auth
                .update(secret(&issued), &mut |session| {
                    session.roles.reverse();
                    Ok(())
                })
                .await;
            assert_eq!(other.expect("an update").identity().version(), 1);
            let rename = &mut |session: &mut Edit| {
                session.device = Some(String::new());
                Ok(())
            };
            let step = &mut |session: &mut Edit| session.step_up("a", Duration::from_secs(60));
            // The whole row counts, and not the change alone.
            for refused in [
                auth.update(secret(&issued), rename).await,
                auth.update(secret(&issued), step).await,
            ] {
                let refused = refused.expect_err("too large");
                assert_eq!(refused.refusal(), Some(Refusal::TooLarge));
            }
        }
        // A limit that was lowered refuses no row that shrinks.
        let (builder, auth) = (world.builder(Arc::clone(&world.store)), world.auth());
        let large = builder.max_fields(bytes).build().expect("valid");
        let issued = large.issue(login()).await.expect("it fits");
        for (role, fits) in [(Some("x".repeat(37)), false), (None, true)] {
            let edit = &mut |session: &mut Edit| {
                session.roles.pop();
                session.roles.extend(role.clone());
                Ok(())
            };
            let edited = auth.update(secret(&issued), edit).await;
            assert_eq!(edited.is_ok(), fits, "{role:?}");
        }
    });
}

/// The size is that of the row as it is stored: with the namespace of a ticket or an API key, and the
/// hash of the browser to which a ticket is bound. Rejects a check before these are added.
#[test]
fn update_17_the_size_is_that_of_the_stored_row() {
    block_on(async {
        let world = World::open(&MemoryFixture).await;
        // Tag and length of a subject take three bytes; those of the hash of a browser two.
        let ticket = 4_096 - 3 - "\u{1}ticket:reset\u{1}".len();
        let tickets = || {
            let tickets = Tickets::builder(Arc::clone(&world.store)).purpose("reset");
            tickets.lifetime(Duration::from_secs(60))
        };
        for (tickets, max) in [(tickets(), ticket), (tickets().bound(), ticket - 2 - 16)] {
            let tickets = tickets.build().expect("valid");
            let issued = tickets.issue(&"a".repeat(max), ()).await;
            let _ = issued.expect("a subject of exactly the limit");
            let refused = tickets.issue(&"a".repeat(max + 1), ()).await;
            let refused = refused.expect_err("too large");
            assert_eq!(refused.refusal(), Some(Refusal::TooLarge));
        }
        let keys = world.keys(Arc::clone(&world.store));
        let max = 4_096 - 3 - "\u{1}key:acme_pat\u{1}".len();
        let made = keys.issue(Login::new("a".repeat(max))).await;
        let made = made.expect("a subject of exactly the limit");
        let refused = keys.issue(Login::new("a".repeat(max + 1))).await;
        let refused = refused.expect_err("too large");
        assert_eq!(refused.refusal(), Some(Refusal::TooLarge));
        let id = made.identity().id();
        let renamed = keys.rename(made.identity().subject(), id, "").await;
        let refused = renamed.expect_err("too large");
        assert_eq!(refused.refusal(), Some(Refusal::TooLarge));
    });
}

/// A device label that is too long is cut between two characters, at a login and at a renaming.
/// Rejects a strategy that refuses a login because of a long `User-Agent`.
#[test]
fn update_15_a_long_device_label_is_cut() {
    block_on(async {
        let world = World::open(&MemoryFixture).await;
        let auth = world.auth();
        for (label, bytes) in [
            ("a".repeat(512), 512),
            ("a".repeat(513), 512),
            ("a".repeat(100_000), 512),
            // Two, three and four bytes per character.
            (format!("a{}", "é".repeat(300)), 511),
            ("\u{20ac}".repeat(300), 510),
            (format!("abc{}", "😀".repeat(300)), 511),
        ] {
            let issued = auth.issue(Login::new("alice").device(&label)).await;
            let issued = issued.expect("a login is issued");
            let verified = auth.verify(secret(&issued)).await.expect("it verifies");
            for device in [issued.identity().device(), verified.device()] {
                let device = device.expect("a device");
                assert!(
                    label.starts_with(device) && device.len() == bytes,
                    "{device}"
                );
            }
            let other = Login::new("alice").device("phone");
            let other = auth.issue(other).await.expect("a login is issued");
            let renamed = auth
                .update(secret(&other), &mut |session| {
                    session.device = Some(label.clone());
                    Ok(())
                })
                .await;
            let renamed = renamed.expect("an update").into_identity();
            assert_eq!(renamed.device(), verified.device());
        }
    });
}

/// A listed device is renamed, and everything else stays. A list gives the data of
/// each session. Rejects a list that does not show what an application keeps there.
#[test]
fn update_16_a_device_is_renamed_and_a_list_gives_the_data() {
    block_on(async {
        let world = World::open(&MemoryFixture).await;
        let auth = world.auth_of::<String>();
        let login = |data: &str| {
            let login = Login::new("alice").role("reader").acr("aal2");
            login.device("phone").data(data.to_owned())
        };
        let phone = auth.issue(login("192.0.2.1")).await.expect("a login");
        let other = auth.issue(login("192.0.2.2")).await.expect("a login");
        let kitchen = &mut |session: &mut Edit<String>| {
            session.device = Some("Kitchen".to_owned());
            Ok(())
        };
        let page = auth.sessions("alice", None).await.expect("a list");
        let id = phone.identity().id();
        let listed = page.sessions.iter().find(|session| session.id() == id);
        let listed = listed.expect("a listed session");
        assert_eq!(listed.data::<String>().expect("data"), "192.0.2.1");
        let error = listed.data::<u64>().expect_err("data of another type");
        assert!(error.is_unreadable());
        assert_eq!(error.unreadable_login(), Some(id));
        listed.data::<()>().expect("no data");

        let renamed = auth.update_id("alice", id, kitchen).await;
        let renamed = renamed.expect("an update").expect("a session");
        assert_eq!((renamed.device(), renamed.version()), (Some("Kitchen"), 1));
        assert_eq!(renamed.data::<String>().expect("data"), "192.0.2.1");
        let same = auth.update_id("alice", id, kitchen).await;
        let same = same.expect("an update").expect("a session");
        assert_eq!(
            same.version(),
            1,
            "an edit that changes nothing was written"
        );
        let caller = auth.verify(secret(&phone)).await.expect("it verifies");
        assert_eq!(caller.device(), Some("Kitchen"));
        assert!(caller.roles().eq(["reader"]) && caller.acr() == Some("aal2"));
        assert!(!caller.refresh_due(), "a name is no privilege");
        let caller = auth.verify(secret(&other)).await.expect("it verifies");
        assert_eq!(caller.device(), Some("phone"));
    });
}

/// A login that expired before it begins is refused. Rejects a strategy that takes a time in the
/// past for no time.
#[test]
fn expiry_02_the_past_has_expired() {
    block_on(async {
        let world = World::open(&MemoryFixture).await;
        let auth = world.auth();
        let now = world.now();
        for deadline in [now, now.saturating_sub(1), Timestamp::MIN] {
            let login = Login::new("alice").deadline(deadline.into());
            let refused = auth.issue(login).await;
            assert!(refused.is_err(), "an expired login was issued");
        }
        let long_ago = now.saturating_sub(ABSOLUTE);
        let login = Login::new("alice").authenticated_at(long_ago.into());
        let refused = auth.issue(login).await;
        assert!(refused.is_err(), "an expired login was issued");
    });
}

/// A lifetime of zero is a *misuse*; the longest ones do not overflow and do not make a login
/// immortal. Rejects arithmetic that wraps.
#[test]
fn expiry_04_no_lifetime_overflows() {
    block_on(async {
        let world = World::open(&MemoryFixture).await;
        let build = |idle, absolute| {
            SessionAuthenticator::builder(Arc::clone(&world.store))
                .idle(idle)
                .absolute(absolute)
                .clock(world.clock.clone())
                .build()
        };
        let day = Duration::from_secs(86_400);
        for (idle, absolute) in [
            (Duration::ZERO, day),
            (day, Duration::ZERO),
            (Duration::from_millis(999), day),
            (day, Duration::from_secs(1)),
        ] {
            let built = build(idle, absolute);
            assert!(built.is_err_and(|error| error.is_misuse()));
        }
        let last = i64::try_from(Timestamp::MAX.unix()).expect("a small number");
        let last = OffsetDateTime::from_unix_timestamp(last).expect("a date");
        for most in [
            Duration::MAX,
            Duration::from_secs(u64::MAX),
            Duration::from_secs(1 << 63),
        ] {
            let auth = build(most, most).expect("a valid configuration");
            let issued = login(&auth, "alice").await;
            assert_accepted(&auth, secret(&issued), "alice").await;
            assert_eq!(issued.identity().deadline(), last);
            let endless = auth.issue(Login::new("alice").deadline(last)).await;
            let _ = endless.expect("a login is issued");
            let epoch = Login::new("alice").deadline(OffsetDateTime::UNIX_EPOCH);
            assert!(auth.issue(epoch).await.is_err());
        }
        world.clock.set(Timestamp::MAX);
        let auth = build(day, day).expect("a valid configuration");
        assert!(auth.issue(Login::new("alice")).await.is_err());
    });
}
