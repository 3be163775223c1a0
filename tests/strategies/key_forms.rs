//! Other forms of API keys, which the laws of keys reject.

use std::sync::Arc;

use statewise::testkit::{FaultyStore, MemoryFixture, block_on};
use statewise::{Authenticator, Rejection};

use crate::strategies::world::{World, login, secret};
use crate::strategies::{costs_a_call, meet};

/// Returns a number that most changes of the text change.
fn checksum(text: &str) -> String {
    let sum = text.bytes().fold(7u32, |sum, byte| {
        sum.wrapping_mul(31).wrapping_add(u32::from(byte))
    });
    format!("{sum:08x}")
}

/// A form of keys with a checksum of only a part of the text.
#[test]
fn key_01_rejects_a_checksum_of_a_part() {
    // From here on the characters are covered: all of them, the secret, none.
    for (covered_from, is_broken) in [(0, false), (42, true), (64, true)] {
        block_on(async {
            let world = World::open(&MemoryFixture).await;
            let store = Arc::new(FaultyStore::new(Arc::clone(&world.store)));
            let sessions = world.auth_over(Arc::clone(&store));
            let made = login(&sessions, "alice").await;
            let key = format!(
                "{}{}",
                secret(&made),
                checksum(&secret(&made)[covered_from..])
            );
            let present = async |text: &str| {
                let (chars, sum) = text.split_at(64);
                if checksum(&chars[covered_from..]) != sum {
                    return Err(Rejection::Malformed.into());
                }
                sessions.verify(chars).await.map(drop)
            };
            let broken = costs_a_call(&store, &key, present).await;
            assert_eq!(broken.is_some(), is_broken, "from {covered_from}");
        });
    }
}

/// Keys that are sessions of their user are met by all that meets sessions.
#[test]
fn key_02_rejects_one_namespace() {
    block_on(async {
        let world = World::open(&MemoryFixture).await;
        let (sessions, keys) = (world.two_sessions(), world.two_sessions());
        assert_eq!(meet(&sessions, &keys).await, Err("the list of sessions"));
    });
}
