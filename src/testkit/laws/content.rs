//! READ: the content of a row comes back as it was.

use crate::store::contract::{Record, Updated};
use crate::testkit::fixture::StoreFixture;
use crate::testkit::sample::Sample;
use crate::testkit::world::{World, assert_same, is_unreadable};

/// A row of a newer format is *unreadable*, never misread. Fields that this version does not know
/// survive, also through updates and rotations. Rejects a store that keeps a row in columns of its
/// own and drops the rest.
pub async fn read_05_keeps_fields_of_later_versions<F: StoreFixture>(fixture: &F) {
    let world = World::open(fixture).await;
    let sample = Sample::of("alice").role("admin").data(b"1");
    let mut bytes = sample.at(world.now()).encode();
    let unknown = b"\x64\x0ffrom the future";
    bytes.extend(unknown);
    let row = Record::decode(&bytes).expect("unknown fields decode");
    world.put(&row).await;
    let kept = |row: &Record| {
        let bytes = row.encode();
        bytes.windows(unknown.len()).any(|bytes| bytes == unknown)
    };
    let found = world.get(&row).await;
    assert!(found.is_some_and(|row| kept(&row)), "lost by create");
    match world.write(&row, 0, b"2").await {
        Updated::Done { record: row, .. } => assert!(kept(&row), "lost by update"),
        updated => panic!("update was not done: {updated:?}"),
    }
    let rotated = world.advance_row(&row, &Sample::rotation_of(&row)).await;
    assert!(kept(&rotated), "lost by rotate");
    let found = world.get(&row).await;
    assert!(found.is_some_and(|row| kept(&row)), "lost in the end");
    bytes[0] = 2;
    assert!(is_unreadable(&Record::decode(&bytes)));
}

/// Content comes back to the bit: no data, one byte, 64 KiB, a mebibyte, zeros, and bytes that are
/// no text. Rejects a store that re-encodes or cuts.
pub async fn read_08_payloads_come_back_to_the_bit<F: StoreFixture>(fixture: &F) {
    let world = World::open(fixture).await;
    for data in [
        Vec::new(),
        vec![1],
        vec![0; 64 * 1024],
        (0..1 << 20).map(|at| (at * 31 % 251) as u8).collect(),
        (0..=255).collect(),
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
}
