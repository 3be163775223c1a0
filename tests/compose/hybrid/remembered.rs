//! Remembered logins of the hybrid: the row has the life that the user chose, and access tokens do not
//! end it earlier.

use super::*;

const LONG_IDLE: u64 = 60 * 86_400;
const LONG: u64 = 180 * 86_400;

/// Two nodes over one store. The second one knows no remembered logins.
fn nodes() -> ([Hybrid; 2], ManualClock) {
    let (clock, store) = (ManualClock::default(), memory());
    let remembering =
        sessions(Arc::clone(&store), &clock).remembered(seconds(LONG_IDLE), seconds(LONG));
    let knowing = HybridAuthenticator::new(tokens(&key()), remembering);
    let other = HybridAuthenticator::new(tokens(&key()), sessions(store, &clock));
    ([knowing.unwrap(), other.unwrap()], clock)
}

/// LIFE-01 of the hybrid. Rejects access tokens that end at the absolute timeout of other logins, and
/// a refresh that stores the idle timeout of the node.
#[test]
fn life_01_a_login_keeps_the_life_it_chose() {
    let (nodes, clock) = nodes();
    let mut issued = block_on(nodes[0].issue(Login::new("alice").remember())).unwrap();
    let mut other = login(&nodes[0], "alice");
    let deadline = issued.identity().deadline();
    assert_eq!(deadline - issued.identity().issued_at(), seconds(LONG));
    for day in 0..LONG / 86_400 {
        let node = &nodes[day as usize % 2];
        for node in &nodes {
            let caller = node.verify_now(access(&issued)).unwrap();
            assert!(caller.is_remembered());
            let presented = Presented::new(access(&issued)).authoritative();
            let caller = block_on(node.verify_with(presented)).unwrap();
            assert_eq!(
                (caller.is_remembered(), caller.deadline()),
                (true, deadline)
            );
        }
        clock.advance(seconds(86_400 - 1));
        issued = refresh_issued(node, &issued).unwrap();
        assert_eq!(issued.identity().deadline(), deadline);
        match refresh_issued(node, &other) {
            Ok(issued) => {
                assert!(!issued.identity().is_remembered());
                other = issued;
            }
            Err(_) => assert!(day >= ABSOLUTE / 86_400, "ended on day {day}"),
        }
    }
    assert_eq!(
        cause(refresh_issued(&nodes[0], &other)),
        Some(Rejection::Unknown)
    );
    clock.advance(seconds(86_400));
    assert_eq!(
        cause(refresh_issued(&nodes[0], &issued)),
        Some(Rejection::Unknown)
    );
}

/// LIFE-01: a week is not too long for a remembered login, whichever node sees it first.
#[test]
fn life_01_an_unused_login_keeps_its_idle_timeout() {
    for first in [0, 1] {
        let (nodes, clock) = nodes();
        let issued = block_on(nodes[0].issue(Login::new("alice").remember())).unwrap();
        clock.advance(seconds(LONG_IDLE - 1));
        let refreshed = refresh_issued(&nodes[first], &issued).unwrap();
        clock.advance(seconds(LONG_IDLE));
        let ended = refresh_issued(&nodes[1 - first], &refreshed);
        assert_eq!(cause(ended), Some(Rejection::Unknown));
    }
}

/// LIFE-02 of the hybrid.
#[test]
fn life_02_a_shorter_life_counts_at_once() {
    let (clock, store) = (ManualClock::default(), memory());
    let node = |idle: u64, absolute: u64| {
        let sessions = sessions(Arc::clone(&store), &clock);
        let sessions = sessions.remembered(seconds(idle), seconds(absolute));
        HybridAuthenticator::new(tokens::<()>(&key()), sessions).unwrap()
    };
    let [before, after] = [node(LONG_IDLE, LONG), node(IDLE, ABSOLUTE + 1)];
    let mut issued = block_on(before.issue(Login::new("alice").remember())).unwrap();
    while issued.identity().issued_at() < issued.identity().authenticated_at() + seconds(ABSOLUTE) {
        clock.advance(seconds(IDLE - 1));
        issued = refresh_issued(&before, &issued).unwrap();
    }
    clock.advance(seconds(1));
    assert!(before.verify_now(access(&issued)).is_ok());
    assert_eq!(
        cause(after.verify_now(access(&issued))),
        Some(Rejection::Expired)
    );
    assert_eq!(
        cause(refresh_issued(&after, &issued)),
        Some(Rejection::Unknown)
    );
}

#[test]
fn a_life_of_the_tokens_is_a_misuse() {
    let clock = ManualClock::default();
    let builder =
        || sessions::<_, ()>(memory(), &clock).remembered(seconds(LONG_IDLE), seconds(LONG));
    let access = tokens(&key()).remembered(seconds(LONG));
    let error = HybridAuthenticator::new(access, builder()).unwrap_err();
    assert!(
        error.is_misuse() && error.to_string().contains("builder of the sessions"),
        "{error}"
    );
    // A view that forgets a logout before such a login has expired.
    let view = |max_lifetime: u64| {
        let builder = RevocationView::builder(MemoryLog::new().unwrap());
        let builder = builder.max_lifetime(seconds(max_lifetime));
        builder.clock(clock.clone()).build().unwrap()
    };
    let access = |max_lifetime| tokens(&key()).revocations(&view(max_lifetime));
    assert!(HybridAuthenticator::new(access(ABSOLUTE), builder()).is_err());
    assert!(HybridAuthenticator::new(access(LONG), builder()).is_ok());
}
