//! The stored form of facts.

use statewise::revocation::log::{FACT_BYTES, Fact, KeyId, SubjectKey};
use statewise::store::contract::Handle;
use statewise::testkit::{Random, seed};

#[test]
fn every_fact_has_one_encoding() {
    let mut random = Random::new(seed());
    for round in 0..20_000 {
        let mut bytes: [u8; FACT_BYTES] = std::array::from_fn(|_| random.below(256) as u8);
        bytes[0] = (round % 8) as u8;
        if round % 3 > 0 {
            bytes[17] = (round % 3 - 1) as u8;
        }
        if round % 5 > 0 {
            bytes[18..].fill(0);
        }
        if let Some(fact) = Fact::from_bytes(&bytes) {
            assert_eq!(fact.to_bytes(), bytes);
        }
    }
    let handle = Handle::from_bytes([7; 16]);
    let subject = SubjectKey::of("alice");
    for fact in [
        Fact::Login(handle),
        Fact::Subject {
            subject,
            before: None,
        },
        Fact::Subject {
            subject,
            before: Some(0),
        },
        Fact::Everything { before: Some(9) },
        Fact::Everything { before: None },
        Fact::Key(KeyId::from_bytes(*b"0123456789_")),
        Fact::Changed { handle, version: 0 },
    ] {
        assert_eq!(Fact::from_bytes(&fact.to_bytes()), Some(fact));
    }
}
