//! Positions, and the content of entries.

use std::time::Duration;

use crate::login::handle::Handle;
use crate::revocation::log::{Draft, Entry, Fact, KeyId, Nonce, RevocationLog, SubjectKey};
use crate::testkit::log_fixture::LogFixture;
use crate::testkit::log_laws::world::{LONG, World, all, draft, drafts, names};

/// Positions begin at one and are side by side, and an append answers the position and mark of its
/// last entry. Rejects a counter that begins at zero, one that counts batches, and an answer with
/// the position of the first entry.
pub async fn log_01_positions_are_side_by_side<F: LogFixture>(fixture: &F) {
    let world = World::open(fixture).await;
    let (mut written, mut incarnation) = (Vec::new(), None);
    for (turn, count) in [1, 1, 3, 2, 17, 1].into_iter().enumerate() {
        let drafts = drafts((0..count).map(|at| 100 * turn as u64 + at));
        let stamp = world.append(&drafts).await;
        for draft in drafts {
            written.push(Entry::new(written.len() as u64 + 1, draft));
        }
        let last = written.last().expect("an entry");
        assert_eq!(stamp.position(), last.position);
        assert_eq!(stamp.mark(), last.nonce.mark());
        assert_eq!(
            *incarnation.get_or_insert(stamp.incarnation()),
            stamp.incarnation()
        );
    }
    let page = world.all().await;
    assert_eq!((page.first, Some(page.incarnation)), (1, incarnation));
    assert_eq!(page.entries, written);
}

/// A read begins at its position, has at most `limit` entries (zero counts as one), and answers
/// whether there are more. A position before the first entry counts as the first, and beyond the
/// last there is nothing. Rejects a read that leaves out the entry at its position: a reader
/// recognizes by it that the log is still the same.
pub async fn log_02_reads_from_a_position_on<F: LogFixture>(fixture: &F) {
    const COUNT: u64 = 12;
    let world = World::open(fixture).await;
    let head = world.append(&drafts(1..=COUNT)).await;
    for from in [
        0,
        1,
        2,
        7,
        COUNT - 1,
        COUNT,
        COUNT + 1,
        COUNT + 2,
        1 << 32,
        (1 << 48) - 1,
        1 << 48,
        i64::MAX as u64,
        1 << 63,
        u64::MAX,
    ] {
        for limit in [
            0,
            1,
            2,
            5,
            6,
            COUNT as usize,
            COUNT as usize + 1,
            1 << 31,
            1 << 32,
            usize::MAX - 1,
            usize::MAX,
        ] {
            let page = world.read(from, limit).await;
            let rest: Vec<_> = (from.max(1)..=COUNT).collect();
            let taken = rest.len().min(limit.max(1));
            assert_eq!(
                names(&page.entries),
                rest[..taken],
                "{limit} entries from {from} on"
            );
            let places = page.entries.iter().map(|entry| entry.position);
            assert!(places.eq(rest[..taken].iter().copied()));
            assert_eq!(
                page.more,
                rest.len() > taken,
                "{limit} entries from {from} on"
            );
            assert_eq!(page.first, 1);
            assert_eq!(page.incarnation, head.incarnation());
        }
    }
}

/// Every node sees the answer of the last append as the head. The head of an empty log is at zero,
/// and an append of nothing answers the head and changes nothing. Two logs have two incarnations
/// and share no entries. Rejects a head that is read from a copy, and an incarnation that is not
/// random.
pub async fn log_03_the_head_is_the_last_append<F: LogFixture>(fixture: &F) {
    let world = World::open(fixture).await;
    let beginning = world.head().await;
    assert_eq!((beginning.position(), beginning.mark()), (0, 0));
    assert_eq!(world.append(&[]).await, beginning);
    let page = world.read(0, 10).await;
    assert_eq!(page.incarnation, beginning.incarnation());
    assert_eq!((page.first, page.more), (1, false));
    assert_eq!(page.entries, []);

    let other = World::open(fixture).await;
    assert_ne!(other.head().await.incarnation(), beginning.incarnation());
    let node = world.again().await;
    for turn in 0..5 {
        let appended = world.append(&drafts(3 * turn..3 * turn + 2)).await;
        assert_eq!(appended.incarnation(), beginning.incarnation());
        assert_eq!(world.head().await, appended);
        assert_eq!(
            node.head(world.now()).await.expect("head answers"),
            appended
        );
        for page in [world.all().await, all(&*node, 1, world.now()).await] {
            assert_eq!(page.entries.len() as u64, appended.position());
        }
        assert_eq!(world.append(&[]).await, appended);
        assert_eq!(world.all().await.entries.len() as u64, appended.position());
    }
    assert_eq!(other.head().await.position(), 0);
    assert_eq!(other.all().await.entries, []);
    let appended = other.append(&drafts([7])).await;
    assert_eq!(appended.position(), 1);
    assert_eq!(world.head().await.position(), 10);
}

/// Every kind of fact, with every extreme number, comes back to the bit, also for another node.
/// Rejects a column that is signed or too narrow, a number that is kept as a floating one, and
/// bytes that are kept as text.
pub async fn log_07_facts_come_back_to_the_bit<F: LogFixture>(fixture: &F) {
    let world = World::open(fixture).await;
    let numbers = [
        0,
        1,
        255,
        256,
        (1 << 31) - 1,
        1 << 32,
        (1 << 53) - 1,
        (1 << 53) + 1,
        i64::MAX as u64,
        1 << 63,
        u64::MAX - 1,
        u64::MAX,
    ];
    let bytes = [0, 1, b'\n', b'\r', b'\'', b'\\', 0x7f, 0x80, 0xff];
    let mut facts = vec![
        Fact::Nothing,
        Fact::Everything { before: None },
        Fact::Key(KeyId::from_bytes(*b"0aZ_-\0\xff'\\\r\n")),
    ];
    for byte in bytes {
        let handle = Handle::from_bytes([byte; 16]);
        let subject = SubjectKey::from_bytes([byte; 16]);
        facts.extend([
            Fact::Login(handle),
            Fact::Subject {
                subject,
                before: None,
            },
            Fact::Key(KeyId::from_bytes([byte; 11])),
        ]);
        for number in numbers {
            let before = Some(number);
            facts.extend([
                Fact::Subject { subject, before },
                Fact::Everything { before },
                Fact::Changed {
                    handle,
                    version: number,
                },
            ]);
        }
    }
    let drafts: Vec<_> = facts
        .into_iter()
        .enumerate()
        .map(|(at, fact)| {
            let byte = bytes[at % bytes.len()];
            let nonce = Nonce::from_bytes([byte; 16]);
            let life = Duration::from_secs(numbers[at % numbers.len()]);
            Draft::with_nonce(nonce, fact, life)
        })
        .collect();
    let half = drafts.len() / 2;
    world.append(&drafts[..half]).await;
    let head = world.append(&drafts[half..]).await;
    let written: Vec<_> = (1..)
        .zip(&drafts)
        .map(|(position, draft)| Entry::new(position, *draft))
        .collect();
    assert_eq!(
        head.mark(),
        drafts.last().expect("a draft").nonce.mark(),
        "mark of the head"
    );
    let node = world.again().await;
    for page in [
        world.all().await,
        all(&*node, 1, world.now()).await,
        all(&*node, 0, world.now()).await,
    ] {
        assert_eq!(page.incarnation, head.incarnation());
        for (read, written) in page.entries.iter().zip(&written) {
            assert_eq!(read, written);
        }
        assert_eq!(page.entries.len(), written.len());
    }
    assert_eq!(node.head(world.now()).await.expect("head answers"), head);
}

/// A fence succeeds on a log that takes writes, also on an empty one, appends nothing, and is seen
/// by readers. Rejects a fence that is an entry, and a page without its number of fences.
pub async fn log_11_a_fence_appends_nothing<F: LogFixture>(fixture: &F) {
    let world = World::open(fixture).await;
    let fence = async || {
        let fenced = world.log.fence(world.now()).await;
        fenced.expect("fence answers");
    };
    fence().await;
    let beginning = world.head().await;
    assert_eq!((beginning.position(), beginning.mark()), (0, 0));
    for name in 1..=3 {
        fence().await;
        let appended = world.append(&[draft(name, LONG)]).await;
        assert_eq!(appended.position(), name);
        assert_eq!(appended.incarnation(), beginning.incarnation());
        let before = world.all().await;
        fence().await;
        fence().await;
        assert_eq!(world.head().await, appended);
        let after = world.all().await;
        assert_eq!(after.entries, before.entries);
        // A node that may not write sees by it that the log takes writes.
        let (before, after) = (before.fences, after.fences);
        assert!(after > before, "{before} fences, then two more: {after}");
    }
}
