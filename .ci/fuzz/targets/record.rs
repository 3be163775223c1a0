//! Stored rows. The first byte chooses what the rest is: `R`, a whole row; `X`, bytes that are added to those of a row
//! that the library has written, and its fields after them.
//!
//! Oracle: a row that is read is written as the same bytes, and so is each row that a change makes of it.
#![no_main]

use libfuzzer_sys::fuzz_target;
use statewise::clock::Timestamp;
use statewise::store::contract::Record;
use statewise::testkit::Sample;

/// Bytes before the fields: see `Record::encode`.
const HEAD: usize = 160;
const STAMPED: usize = 3;
const STAMP: std::ops::Range<usize> = 144..160;

fuzz_target!(|input: &[u8]| {
    match input.split_first() {
        Some((b'R', row)) => check(row),
        Some((b'X', added)) => {
            let sample = Sample::of("alice")
                .role("admin")
                .device("phone")
                .acr("aal2")
                .data(b"{}");
            let mut row = sample
                .stamp(7, 9)
                .at(Timestamp::from_unix(1_700_000_000))
                .encode();
            for (byte, added) in row.iter_mut().zip(added) {
                *byte ^= added;
            }
            if let Some(fields) = added.get(HEAD..).filter(|fields| !fields.is_empty()) {
                row.truncate(HEAD);
                row.extend(fields);
            }
            check(&row);
        }
        _ => {}
    }
});

fn check(bytes: &[u8]) {
    let Ok(row) = Record::decode(bytes) else {
        return;
    };
    let mut expected = bytes.to_vec();
    if expected[STAMPED] == 0 {
        // Without a stamp, its place has no meaning.
        expected[STAMP].fill(0);
    }
    let written = row.encode();
    assert_eq!(written, expected, "the row is not written as it was read");
    check_head(&row, bytes);

    let now = Timestamp::from_unix(1_700_000_100);
    let mut touched = row.clone();
    assert!(!touched.touch(now) || touched.last_seen() == now);
    check_change(&touched);
    let mut confirmed = row.clone();
    confirmed.confirm(row.generation(), now);
    check_change(&confirmed);
    let mut rotated = row.clone();
    if rotated.rotate(&Sample::rotation_of(&row), now) {
        assert!(row.is_alive(now), "an expired row is rotated");
        assert_eq!(rotated.generation(), row.generation() + 1);
    } else {
        assert_eq!(rotated.encode(), written);
    }
    check_change(&rotated);
    let mut updated = row.clone();
    assert!(updated.update(row.version(), &Sample::update(b"[1]")));
    assert_eq!(updated.subject(), row.subject());
    check_change(&updated);
}

/// Reads the numbers of a row as its table says.
fn check_head(row: &Record, bytes: &[u8]) {
    let number = |at: usize| u64::from_be_bytes(bytes[at..at + 8].try_into().unwrap());
    assert_eq!(u64::from(row.generation()), number(4) >> 32 & 0xffff_ffff);
    assert_eq!(row.version(), number(8));
    assert_eq!(row.created_at().unix(), number(16));
    assert_eq!(row.deadline().unix(), number(32));
    assert_eq!(row.last_seen().unix(), number(48));
    assert_eq!(row.idle().as_secs(), number(56));
    assert_eq!(row.handle().as_bytes()[..], bytes[64..80]);
    assert_eq!(row.stamp().is_some(), bytes[STAMPED] == 1);
    // The subject is the first field: its tag, its length in base 128, and its bytes.
    let fields = &bytes[HEAD..];
    assert_eq!(fields[0], 1);
    let digits = fields[1..].iter().position(|digit| *digit < 128).unwrap() + 1;
    let lengths = fields[1..=digits].iter().rev();
    let length = lengths.fold(0, |length, digit| length << 7 | usize::from(digit & 0x7f));
    assert_eq!(row.subject().as_bytes(), &fields[1 + digits..][..length]);
}

fn check_change(row: &Record) {
    let written = row.encode();
    let read = Record::decode(&written).expect("a changed row cannot be read");
    assert_eq!(read.encode(), written);
    assert_eq!(format!("{read:?}"), format!("{row:?}"));
    assert!(read.expires_at() <= read.deadline());
}
