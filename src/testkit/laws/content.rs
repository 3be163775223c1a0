//! What a row holds comes back as it was: the part of READ that is about content.

use std::sync::Arc;

use serde_json::Value;

use crate::authenticator::Authenticator;
use crate::error::Rejection;
use crate::login::Login;
use crate::store::contract::{Record, Rotated, SessionStore, Updated};
use crate::testkit::fixture::StoreFixture;
use crate::testkit::sample::Sample;
use crate::testkit::world::{
    World, assert_accepted, assert_rejected, assert_same, rejection, secret,
};

/// A row whose content is not what its reader expects rejects that one user, as *unreadable*, and
/// nobody else. Damaged bytes never decode and never panic. Rejects a strategy that turns one bad
/// row into an outage, or into an anonymous user.
pub async fn read_04_unreadable_is_one_users_trouble<F: StoreFixture>(fixture: &F) {
    let world = World::open(fixture).await;
    let texts = world.auth_of::<String>();
    let numbers = world.auth_of::<u64>();
    let text = texts
        .issue(Login::new("alice").data("ten".to_owned()))
        .await;
    let text = text.expect("a login is issued");
    let number = numbers.issue(Login::new("bob").data(10)).await;
    let number = number.expect("a login is issued");
    for _ in 0..2 {
        assert_rejected(&numbers, secret(&text), Rejection::Unreadable).await;
        assert_accepted(&numbers, secret(&number), "bob").await;
    }
    assert_accepted(&texts, secret(&text), "alice").await;
    let _ = numbers
        .revoke(secret(&text))
        .await
        .expect("what cannot be read can be revoked");
    assert_rejected(&texts, secret(&text), Rejection::Unknown).await;

    let whole = Sample::of("alice")
        .role("admin")
        .data([9; 20])
        .at(world.now())
        .encode();
    for cut in 0..160 {
        let decoded = Record::decode(&whole[..cut]);
        assert_eq!(rejection(&decoded), Some(Rejection::Unreadable));
    }
    for place in 0..whole.len() {
        for bit in 0..8 {
            let mut damaged = whole.clone();
            damaged[place] ^= 1 << bit;
            // Some damage cannot be told; what decodes must be written back as it was read.
            match Record::decode(&damaged) {
                Ok(row) => {
                    // Without a stamp, the bytes of one are not read.
                    let mut written = row.encode();
                    written[144..160].copy_from_slice(&damaged[144..160]);
                    assert!(written == damaged, "damage in byte {place} was changed");
                }
                Err(error) => assert_eq!(error.rejection(), Some(Rejection::Unreadable)),
            }
        }
    }
}

/// A row of a newer format is refused, never misread; fields that this version does not know are
/// kept, also by updates and rotations. Rejects a store that keeps a row in columns of its own and
/// drops the rest.
pub async fn read_05_keeps_fields_of_later_versions<F: StoreFixture>(fixture: &F) {
    let world = World::open(fixture).await;
    let mut bytes = Sample::of("alice")
        .role("admin")
        .data(b"1")
        .at(world.now())
        .encode();
    let unknown = b"\x64\x0ffrom the future";
    bytes.extend(unknown);
    let row = Record::decode(&bytes).expect("unknown fields are no mistake");
    world.put(&row).await;
    let kept = |row: &Record| {
        row.encode()
            .windows(unknown.len())
            .any(|bytes| bytes == unknown)
    };
    assert!(
        world.get(&row).await.is_some_and(|row| kept(&row)),
        "lost by the store"
    );
    match world.write(&row, 0, b"2").await {
        Updated::Done(row) => assert!(kept(&row), "lost by an update"),
        updated => panic!("the update was not done: {updated:?}"),
    }
    let rotation = Sample::rotation_of(&row);
    match world
        .store
        .rotate(row.handle(), &rotation, world.now())
        .await
    {
        Ok(Rotated::Advanced(row)) => assert!(kept(&row), "lost by a rotation"),
        rotated => panic!("the row did not advance: {rotated:?}"),
    }
    assert!(
        world.get(&row).await.is_some_and(|row| kept(&row)),
        "lost in the end"
    );
    bytes[0] = 2;
    assert_eq!(
        rejection(&Record::decode(&bytes)),
        Some(Rejection::Unreadable)
    );
}

/// What was stored comes back to the bit: nothing, one byte, 64 KiB, a mebibyte, zeros, bytes
/// that are no text; and through the strategy emoji, the largest numbers, deep nesting and ten
/// thousand keys. Rejects a store that re-encodes or cuts.
pub async fn read_08_payloads_come_back_to_the_bit<F: StoreFixture>(fixture: &F) {
    let world = World::open(fixture).await;
    let every_byte: Vec<u8> = (0..=255).collect();
    for data in [
        Vec::new(),
        vec![1],
        vec![0; 64 * 1024],
        (0..1 << 20).map(|at| (at * 31 % 251) as u8).collect(),
        every_byte,
        b"\xff\xfe\0'; DROP TABLE sessions; --".to_vec(),
    ] {
        let row = Sample::of("al\0ice 😀")
            .role("")
            .role("a,b\n")
            .device("\"'\\")
            .acr("é\"'\\\n")
            .data(data);
        let row = row.stamp(u64::MAX, u64::MAX).at(world.now());
        world.put(&row).await;
        assert_same(world.get(&row).await.as_ref(), &row);
    }
    let bare = Sample::of("x").at(world.now());
    world.put(&bare).await;
    assert_same(world.get(&bare).await.as_ref(), &bare);

    let nested = |deep| (0..deep).fold(Value::from(1), |inner, _| Value::from(vec![inner]));
    let keys = (0..10_000)
        .map(|at| (format!("key {at}"), Value::from(at)))
        .collect();
    let builder = world.builder(Arc::clone(&world.store)).max_data(1 << 21);
    let auth = builder.build().expect("a configuration that is right");
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
        "data were issued that the other strategy would not read"
    );
}
