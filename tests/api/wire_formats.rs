//! Stored and issued bytes must be readable by every later version, so they are pinned here.

#![allow(
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use statewise::clock::{Clock, Timestamp};
use statewise::entropy::Entropy;
use statewise::hybrid::HybridAuthenticator;
use statewise::session::SessionAuthenticator;
use statewise::store::MemoryStore;
use statewise::store::contract::Stamp;
use statewise::store::contract::{Handle, Load, Record, SessionStore, partition};
use statewise::token::{Key, TokenAuthenticator};
use statewise::{Authenticator, Edit, Login, Result};

/// Counts up, so that all bytes of a credential differ.
#[derive(Debug, Default)]
struct Counter(AtomicU8);

impl Entropy for Counter {
    fn fill(&self, bytes: &mut [u8]) -> Result<()> {
        for byte in bytes {
            *byte = self.0.fetch_add(1, Ordering::Relaxed);
        }
        Ok(())
    }
}

#[derive(Clone, Debug)]
struct SetClock(Arc<AtomicU64>);

impl Clock for SetClock {
    fn now(&self) -> Option<Timestamp> {
        Some(Timestamp::from_unix(self.0.load(Ordering::Relaxed)))
    }
}

fn now<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(outcome) => outcome,
        Poll::Pending => panic!("nothing here waits"),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn bytes(hex: &str) -> Vec<u8> {
    (0..hex.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap())
        .collect()
}

/// A rotated session, as version 0.1.0 stores it.
const RECORD: &str = concat!(
    "01000000000000010000000000000000000000006553f100000000006553f10000000000655499c000000000",
    "6553f13c000000006553f13c00000000000007082bd100000005060708090a0b0c0d0e0f708c17b5feafe1b1",
    "fc3ddc780d8ac424f7445b43274ffa9780f27dedab6d1a552a73d91fe7222f837ecca9b4c2776d3c2c2d2e2f",
    "303132333435363738393a3b000000000000000000000000000000000105616c696365020561646d696e0206",
    "656469746f72030570686f6e65040137",
);

const FIRST: &str = "K9EAAAAFBgcICQoLDA0ODxAREhMQERITFBUWFxgZGhscHR4fICEiIyQlJicoKSor";
const SECOND: &str = "K9EAAAAFBgcICQoLDA0ODxAREhIQERITFBUWFxgZGhuf_hBLc-GAA7GEei3ahJ5N";
const PUBLIC_ID: &str = "N3X3aQyZ_Dxx2Qv2zxEddw";

#[test]
fn credentials_and_records_are_what_they_were() {
    let clock = SetClock(Arc::new(AtomicU64::new(1_700_000_000)));
    let auth = SessionAuthenticator::builder(MemoryStore::with_capacity(10).unwrap())
        .idle(Duration::from_secs(1800))
        .absolute(Duration::from_secs(43_200))
        .clock(clock.clone())
        .entropy(Counter::default())
        .with_data::<u32>()
        .build()
        .unwrap();
    let login = Login::new("alice")
        .role("admin")
        .role("editor")
        .device("phone")
        .data(7);
    let issued = now(auth.issue(login)).unwrap();
    assert_eq!(issued.credential().reveal(), FIRST);
    assert_eq!(issued.identity().id().to_string(), PUBLIC_ID);

    clock.0.fetch_add(60, Ordering::Relaxed);
    let rotated = now(auth.refresh(FIRST)).unwrap();
    assert_eq!(rotated.credential().reveal(), SECOND);

    // The first 22 characters of a credential are its handle, the first two its partition.
    let handle = handle_of(FIRST);
    assert_eq!(handle, handle_of(SECOND));
    assert_eq!(handle.partition(), partition("alice"));
    let load = now(auth.store().load(handle, Load::new(), clock.now().unwrap()));
    assert_eq!(hex(&load.unwrap().unwrap().encode()), RECORD);

    // Updated, but not stepped up: version 1, due for a rotation, one role.
    let edit = &mut |login: &mut Edit<u32>| {
        login.roles = vec!["editor".to_owned()];
        Ok(())
    };
    let updated = now(auth.update(SECOND, edit)).unwrap();
    assert_eq!(updated.credential().reveal(), SECOND);
    let load = now(auth.store().load(handle, Load::new(), clock.now().unwrap()));
    let updated = RECORD
        .replacen("0100000000000001", "0100010000000001", 1)
        .replacen("0000000000000000", "0000000000000001", 1)
        .replacen("020561646d696e", "", 1);
    assert_eq!(hex(&load.unwrap().unwrap().encode()), updated);
}

/// Subject, role, device, acr and data of a session, from a login that sets them all.
const CLASSED: &str = "0105616c696365020561646d696e030570686f6e65050461616c32040137";

#[test]
fn classes_are_what_they_were() {
    let auth = SessionAuthenticator::builder(MemoryStore::with_capacity(10).unwrap())
        .idle(Duration::from_secs(1800))
        .absolute(Duration::from_secs(43_200))
        .with_data::<u32>()
        .build()
        .unwrap();
    let login = Login::new("alice").role("admin").device("phone");
    let issued = now(auth.issue(login.acr("aal2").data(7))).unwrap();
    let handle = handle_of(issued.credential().reveal());
    let issued_at = Timestamp::from(issued.identity().issued_at());
    let row = now(auth.store().load(handle, Load::new(), issued_at));
    assert_eq!(hex(&row.unwrap().unwrap().encode()[160..]), CLASSED);

    // Named once, as text.
    let old = bytes(RECORD);
    let with = |field: &[u8]| [&old, field].concat();
    assert!(Record::decode(&with(b"\x05\x04aal2")).is_ok());
    assert!(Record::decode(&with(b"\x05\x04aal2\x05\x04aal2")).is_err());
    assert!(Record::decode(&with(b"\x05\x01\xff")).is_err());
}

/// Proofs of the second credential, of the first, and of the family. They follow from SHA-256 over
/// the label, the credential and a hash of issuer and audience.
const REFRESH_PROOFS: &str = concat!(
    "40586ea6faebcadfe7a46753c6e9bca6",
    "8f651b459bf91ab66d6ff243ff1537bd",
    "567a34e7196d776b3a0c4bffe5bb0516",
);

#[test]
fn refresh_credentials_are_what_they_were() {
    let clock = SetClock(Arc::new(AtomicU64::new(1_700_000_000)));
    let auth = HybridAuthenticator::new(
        TokenAuthenticator::builder(Key::hs256(b"0123456789abcdefghijklmnopqrstuv").unwrap())
            .issuer("https://auth.example")
            .audience("api")
            .lifetime(Duration::from_secs(600)),
        SessionAuthenticator::builder(MemoryStore::with_capacity(10).unwrap())
            .idle(Duration::from_secs(1800))
            .absolute(Duration::from_secs(43_200))
            .clock(clock.clone())
            .entropy(Counter::default()),
    )
    .unwrap();
    // Behind the prefix, the same as for sessions.
    let issued = now(auth.issue(Login::new("alice"))).unwrap();
    assert_eq!(issued.refreshable().reveal(), format!("rt_{FIRST}"));
    clock.0.fetch_add(60, Ordering::Relaxed);
    let rotated = now(auth.refresh(issued.refreshable().reveal())).unwrap();
    assert_eq!(rotated.refreshable().reveal(), format!("rt_{SECOND}"));
    let (handle, load) = (handle_of(FIRST), Load::new());
    let row = now(auth.store().load(handle, load, clock.now().unwrap()));
    let row = row.unwrap().unwrap().encode();
    assert_eq!(hex(&row[80..128]), REFRESH_PROOFS);
}

fn handle_of(credential: &str) -> Handle {
    let digit = |c: u8| match c {
        b'A'..=b'Z' => c - b'A',
        b'a'..=b'z' => c - b'a' + 26,
        b'0'..=b'9' => c - b'0' + 52,
        b'-' => 62,
        _ => 63,
    };
    // 128 bits: 21 characters of six bits, and two bits of the next one.
    let bits = credential.bytes().map(|c| u128::from(digit(c)));
    let whole = bits
        .clone()
        .take(21)
        .fold(0, |bits, digit| bits << 6 | digit);
    let rest = bits.skip(21).map(|digit| digit >> 4).next().unwrap();
    Handle::from_bytes((whole << 2 | rest).to_be_bytes())
}

#[test]
fn old_records_are_read_and_foreign_ones_refused() {
    let old = bytes(RECORD);
    let record = Record::decode(&old).unwrap();
    assert_eq!(record.subject(), "alice");
    assert_eq!(record.generation(), 1);
    assert_eq!(record.created_at(), Timestamp::from_unix(1_700_000_000));
    assert_eq!(record.deadline(), Timestamp::from_unix(1_700_043_200));
    assert_eq!(record.last_seen(), Timestamp::from_unix(1_700_000_060));
    assert_eq!(record.idle(), Duration::from_secs(1800));
    assert_eq!(record.stamp(), None);
    assert_eq!(record.encode(), old);

    let unreadable = |bytes: &[u8]| Record::decode(bytes).unwrap_err().is_unreadable();
    for cut in 0..160 {
        assert!(unreadable(&old[..cut]), "cut to {cut} bytes");
    }
    for (at, byte) in [
        (0, 0),
        (0, 2),
        (1, 2),
        (2, 255),
        (3, 9),
        (16, 255),
        (32, 1),
        (48, 1),
        (160, 2),
    ] {
        let mut damaged = old.clone();
        damaged[at] = byte;
        assert!(unreadable(&damaged), "byte {at} set to {byte}");
    }

    // A critical field that this version does not know.
    let mut critical = old.clone();
    critical.extend([128, 0]);
    assert!(unreadable(&critical));

    // A field of a later version is kept through every change of the record.
    let mut newer = old.clone();
    newer.extend([100, 3, 1, 2, 3]);
    let mut record = Record::decode(&newer).unwrap();
    assert_eq!(record.encode(), newer);
    assert!(record.confirm(1, Timestamp::from_unix(1_700_000_070)));
    assert!(record.encode().ends_with(&[100, 3, 1, 2, 3]));
}

#[test]
fn stamps_are_what_they_were() {
    let stamp = Stamp::new(0x0102_0304_0506, 0x0708_090a_0b0c, 0x0d0e_0f10);
    assert_eq!(hex(&stamp.to_bytes()), "0102030405060708090a0b0c0d0e0f10");
    assert_eq!(Stamp::from_bytes(stamp.to_bytes()), stamp);
}
