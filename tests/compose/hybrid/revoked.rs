//! With a revocation log, access tokens end with their login on every node.

use super::*;

use std::error::Error as _;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use statewise::clock::Timestamp;
use statewise::either::Either;
use statewise::revocation::log::{Draft, Page as LogPage, RevocationLog};
use statewise::store::contract::Stamp;
use statewise::testkit::YieldingStore;
use statewise::{Affected, Edit, EditFn, Error, Place};

const BOUND: u64 = 5;

/// A log that can be disconnected.
#[derive(Debug)]
struct Cut {
    log: MemoryLog,
    off: AtomicBool,
}

impl Cut {
    fn answer(&self) -> Result<()> {
        if self.off.load(Ordering::Relaxed) {
            return Err(Error::unavailable("cut off"));
        }
        Ok(())
    }
}

impl RevocationLog for Cut {
    async fn append(&self, drafts: &[Draft], now: Timestamp) -> Result<Stamp> {
        self.answer()?;
        self.log.append(drafts, now).await
    }

    async fn read(&self, from: u64, limit: usize, now: Timestamp) -> Result<LogPage> {
        self.answer()?;
        self.log.read(from, limit, now).await
    }

    async fn head(&self, now: Timestamp) -> Result<Stamp> {
        self.answer()?;
        self.log.head(now).await
    }

    async fn fence(&self, now: Timestamp) -> Result<()> {
        self.answer()?;
        self.log.fence(now).await
    }
}

/// The log and the store of several nodes with one clock.
struct Fleet {
    log: Arc<Cut>,
    store: Arc<MemoryStore>,
    clock: ManualClock,
}

struct Node {
    view: RevocationView,
    auth: Hybrid,
}

impl Fleet {
    fn new() -> Self {
        Self {
            log: Arc::new(Cut {
                log: MemoryLog::new().unwrap(),
                off: AtomicBool::new(false),
            }),
            store: memory(),
            clock: ManualClock::default(),
        }
    }

    fn node(&self) -> Node {
        let view = RevocationView::builder(Arc::clone(&self.log))
            .max_lifetime(seconds(ABSOLUTE))
            .bound(seconds(BOUND))
            .clock(self.clock.clone())
            .build()
            .unwrap();
        let auth = HybridAuthenticator::new(
            tokens(&key()).revocations(&view),
            sessions(Arc::clone(&self.store), &self.clock),
        );
        let node = Node {
            view,
            auth: auth.unwrap(),
        };
        node.follow();
        node
    }

    fn cut(&self, off: bool) {
        self.log.off.store(off, Ordering::Relaxed);
    }
}

impl Node {
    fn follow(&self) {
        let _ = block_on(self.view.follow());
    }

    fn login(&self) -> Issued {
        self.follow();
        login(&self.auth, "alice")
    }
}

#[test]
fn an_access_token_ends_with_its_login_on_every_node() {
    let fleet = Fleet::new();
    let (here, there) = (fleet.node(), fleet.node());
    for by_access_token in [true, false] {
        let ended = here.login();
        let kept = here.login();
        let presented = if by_access_token {
            access(&ended)
        } else {
            refresh(&ended)
        };
        let answer = block_on(here.auth.revoke(presented)).unwrap();
        assert_eq!(answer.effective, Revocation::Within(seconds(BOUND)));
        there.follow();
        for node in [&here, &there] {
            assert_eq!(
                cause(node.auth.verify_now(access(&ended))),
                Some(Rejection::Revoked)
            );
            assert_eq!(
                cause(refresh_issued(&node.auth, &ended)),
                Some(Rejection::Unknown)
            );
            assert!(node.auth.verify_now(access(&kept)).is_ok());
        }
    }
}

#[test]
fn a_user_logs_in_again_after_logging_out_everywhere() {
    let fleet = Fleet::new();
    let (here, there) = (fleet.node(), fleet.node());
    let old = [here.login(), there.login()];
    let answer = block_on(here.auth.revoke_all("alice")).unwrap();
    let expected = Affected::new(Some(2), Revocation::Within(seconds(BOUND)));
    assert_eq!(answer, expected);
    let new = here.login();
    there.follow();
    for node in [&here, &there] {
        for old in &old {
            assert!(node.auth.verify_now(access(old)).is_err());
            assert!(refresh_issued(&node.auth, old).is_err());
        }
        assert!(node.auth.verify_now(access(&new)).is_ok());
    }
    assert!(refresh_issued(&there.auth, &new).is_ok());
}

#[test]
fn after_revoke_everything_no_login_is_refreshed() {
    let fleet = Fleet::new();
    let (here, there) = (fleet.node(), fleet.node());
    let issued = here.login();
    fleet.clock.advance(seconds(ACCESS));
    here.follow();
    there.follow();
    let refreshed = refresh_issued(&there.auth, &issued).unwrap();
    let _ = block_on(here.view.revoke_everything()).unwrap();
    // Until the last day of the login, without another append.
    for day in 0..29 {
        for node in [&here, &there] {
            node.follow();
            let refused = refresh_issued(&node.auth, &refreshed);
            // A week after the first of these, it is removed.
            let expected = if day < 8 {
                Rejection::Revoked
            } else {
                Rejection::Unknown
            };
            assert_eq!(cause(refused), Some(expected), "day {day}");
            if day == 0 {
                let verified = node.auth.verify_now(access(&refreshed));
                assert_eq!(cause(verified), Some(Rejection::Revoked));
            }
        }
        fleet.clock.advance(seconds(86_400));
    }
    here.follow();
    assert!(here.auth.verify_now(access(&here.login())).is_ok());
}

#[test]
fn without_the_log_a_logout_states_the_token_lifetime() {
    let fleet = Fleet::new();
    let (here, there) = (fleet.node(), fleet.node());
    let issued = here.login();
    there.follow();
    fleet.cut(true);
    // Its row is gone, so nothing outlives the existing access tokens.
    for presented in [refresh(&issued), access(&issued), refresh(&issued)] {
        let answer = block_on(here.auth.revoke(presented)).unwrap();
        assert_eq!(answer.effective, Revocation::Within(seconds(ACCESS)));
    }
    assert_eq!(
        cause(refresh_issued(&there.auth, &issued)),
        Some(Rejection::Unknown)
    );
    assert!(there.auth.verify_now(access(&issued)).is_ok());
    // A logout everywhere could miss a login in progress on another node: repeat it.
    assert!(
        block_on(here.auth.revoke_all("alice"))
            .unwrap_err()
            .is_unavailable()
    );
    assert!(
        block_on(here.auth.issue(Login::new("alice")))
            .unwrap_err()
            .is_unavailable()
    );
    fleet.cut(false);
    let _ = block_on(here.auth.revoke_all("alice")).unwrap();
    there.follow();
    assert_eq!(
        cause(there.auth.verify_now(access(&issued))),
        Some(Rejection::Revoked)
    );
}

#[test]
fn a_stale_node_rejects() {
    let fleet = Fleet::new();
    let node = fleet.node();
    let issued = node.login();
    fleet.cut(true);
    fleet.clock.advance(seconds(BOUND + 1));
    assert!(
        node.auth
            .verify_now(access(&issued))
            .unwrap_err()
            .is_unavailable()
    );
    fleet.clock.advance(seconds(ACCESS));
    assert!(
        refresh_issued(&node.auth, &issued)
            .unwrap_err()
            .is_unavailable()
    );
    fleet.cut(false);
    node.follow();
    let refreshed = refresh_issued(&node.auth, &issued).unwrap();
    assert_eq!(refreshed.outcome(), Outcome::Rotated);
    assert!(node.auth.verify_now(access(&refreshed)).is_ok());
}

#[test]
fn revoke_others_keeps_the_presented_login() {
    let fleet = Fleet::new();
    let (here, there) = (fleet.node(), fleet.node());
    let others: Vec<_> = (0..150).map(|_| here.login()).collect();
    let kept = here.login();
    let removed = block_on(here.auth.revoke_others(access(&kept))).unwrap();
    assert_eq!(removed.count, 150);
    assert_eq!(removed.effective, Revocation::Within(seconds(BOUND)));
    there.follow();
    for node in [&here, &there] {
        for other in &others {
            assert!(node.auth.verify_now(access(other)).is_err());
        }
        assert!(node.auth.verify_now(access(&kept)).is_ok());
    }
    assert!(refresh_issued(&there.auth, &kept).is_ok());
}

/// A refresh stalls between any two of its steps while the login is logged out: every node rejects
/// the token that it still returns.
#[test]
fn a_refresh_in_flight_outlives_no_logout() {
    for everywhere in [true, false] {
        for seed in 0..200 {
            let fleet = Fleet::new();
            let node = fleet.node();
            let slow = HybridAuthenticator::new(
                tokens(&key()).revocations(&node.view),
                sessions(YieldingStore::new(Arc::clone(&fleet.store)), &fleet.clock),
            )
            .unwrap();
            let slow = Arc::new(slow);
            let issued = node.login();
            fleet.clock.advance(seconds(ACCESS));
            node.follow();
            let handed = Arc::new(Mutex::new(None));
            let (auth, credential) = (Arc::clone(&slow), refresh(&issued).to_owned());
            let out = Arc::clone(&handed);
            let refreshing = Box::pin(async move {
                let answer = auth.refresh(&credential).await;
                *out.lock().unwrap() = answer.ok();
            });
            let (auth, credential) = (Arc::clone(&slow), refresh(&issued).to_owned());
            let ending = Box::pin(async move {
                let _ = if everywhere {
                    auth.revoke_all("alice").await.unwrap().effective
                } else {
                    auth.revoke(&credential).await.unwrap().effective
                };
            });
            block_on(statewise::testkit::interleave(
                seed,
                vec![refreshing, ending],
            ));
            let handed = handed.lock().unwrap().take();
            if let Some(refreshed) = handed {
                assert!(
                    node.auth.verify_now(access(&refreshed)).is_err(),
                    "an access token outlived the logout, seed {seed}"
                );
                assert!(
                    refresh_issued(&node.auth, &refreshed).is_err(),
                    "seed {seed}"
                );
            }
        }
    }
}

/// The stamp of a token is that of its login.
#[test]
fn a_refresh_does_not_stamp_again() {
    let fleet = Fleet::new();
    let node = fleet.node();
    let old = node.login();
    // A new stamp at refresh would hide the token from this fact.
    fleet.clock.advance(seconds(ACCESS));
    node.follow();
    let refreshed = refresh_issued(&node.auth, &old).unwrap();
    // Appended by a process that does not remove rows.
    let _ = block_on(node.view.revoke_subject("alice")).unwrap();
    assert_eq!(
        cause(node.auth.verify_now(access(&refreshed))),
        Some(Rejection::Revoked)
    );
    assert_eq!(
        cause(refresh_issued(&node.auth, &refreshed)),
        Some(Rejection::Revoked)
    );
}

#[test]
fn a_theft_ends_the_access_tokens_too() {
    let fleet = Fleet::new();
    let (here, there) = (fleet.node(), fleet.node());
    let stolen = here.login();
    let second = refresh_issued(&here.auth, &stolen).unwrap();
    fleet.clock.advance(seconds(60));
    here.follow();
    there.follow();
    let third = refresh_issued(&here.auth, &second).unwrap();
    fleet.clock.advance(seconds(60));
    here.follow();
    assert_eq!(
        cause(refresh_issued(&here.auth, &stolen)),
        Some(Rejection::Reused)
    );
    there.follow();
    for node in [&here, &there] {
        for token in [&stolen, &second, &third] {
            let verified = node.auth.verify_now(access(token));
            assert_eq!(cause(verified), Some(Rejection::Revoked));
        }
    }
}

#[test]
fn an_evicted_login_ends_everywhere() {
    let fleet = Fleet::new();
    let there = fleet.node();
    let view = &fleet.node().view;
    let limited: Hybrid = HybridAuthenticator::new(
        tokens(&key()).revocations(view),
        sessions(Arc::clone(&fleet.store), &fleet.clock).limit(Limit::EvictOldest(1)),
    )
    .unwrap();
    let evicted = login(&limited, "alice");
    let kept = login(&limited, "alice");
    there.follow();
    for auth in [&limited, &there.auth] {
        let verified = auth.verify_now(access(&evicted));
        assert_eq!(cause(verified), Some(Rejection::Revoked));
        assert!(auth.verify_now(access(&kept)).is_ok());
    }
}

/// A login is in progress on one node while its user logs out everywhere on another. It either
/// began afterwards and lives, or it has ended completely.
#[test]
fn an_ended_login_leaves_no_row() {
    let (mut lived, mut ended) = (0, 0);
    for seed in 0..200 {
        let fleet = Fleet::new();
        let (here, there) = (fleet.node(), fleet.node());
        let slow = HybridAuthenticator::new(
            tokens(&key()).revocations(&here.view),
            sessions(YieldingStore::new(Arc::clone(&fleet.store)), &fleet.clock),
        )
        .unwrap();
        let handed = Arc::new(Mutex::new(None));
        let out = Arc::clone(&handed);
        let issuing = Box::pin(async move {
            statewise::testkit::yield_now().await;
            *out.lock().unwrap() = Some(slow.issue(Login::new("alice")).await);
        });
        let removing = HybridAuthenticator::new(
            tokens::<()>(&key()).revocations(&there.view),
            sessions(YieldingStore::new(Arc::clone(&fleet.store)), &fleet.clock),
        )
        .unwrap();
        let ending = Box::pin(async move {
            let _ = removing.revoke_all("alice").await.unwrap();
        });
        block_on(statewise::testkit::interleave(seed, vec![issuing, ending]));
        here.follow();
        let issued = handed.lock().unwrap().take().unwrap();
        let listed = block_on(here.auth.sessions("alice", None)).unwrap();
        match issued {
            Ok(issued) if here.auth.verify_now(access(&issued)).is_ok() => {
                lived += 1;
                assert!(refresh_issued(&here.auth, &issued).is_ok(), "seed {seed}");
                continue;
            }
            Ok(_) => {}
            Err(error) => assert_eq!(error.refusal(), Some(Refusal::Outdated)),
        }
        ended += 1;
        assert_eq!(listed.sessions.len(), 0, "a row is left, seed {seed}");
    }
    assert!(lived > 0 && ended > 0, "{lived} lived, {ended} ended");
}

/// The holder of one token of a login ends only that login, however often the token is presented.
#[test]
fn one_token_ends_one_login() {
    let fleet = Fleet::new();
    let node = fleet.node();
    let leaked = node.login();
    let others = [node.login(), node.login()];
    fleet.clock.advance(seconds(ACCESS));
    node.follow();
    for _ in 0..100 {
        let _ = block_on(node.auth.revoke(access(&leaked))).unwrap();
    }
    for other in &others {
        assert!(refresh_issued(&node.auth, other).is_ok());
    }
}

/// A replacement fails if no access token could carry it: otherwise late clients would be flagged
/// as thieves.
#[test]
fn an_outage_is_no_theft() {
    for leaked in [false, true] {
        let fleet = Fleet::new();
        let (node, new) = (fleet.node(), Key::generate_hs256().unwrap());
        let auth: Hybrid = HybridAuthenticator::new(
            tokens(&key()).revocations(&node.view),
            sessions(Arc::clone(&fleet.store), &fleet.clock).reject_orphaned(),
        )
        .unwrap();
        let issued = login(&auth, "alice");
        fleet.clock.advance(seconds(ACCESS));
        node.follow();
        if leaked {
            let _ = block_on(node.view.retire_key(key().kid())).unwrap();
        } else {
            fleet.cut(true);
            fleet.clock.advance(seconds(BOUND + 1));
        }
        for _ in 0..3 {
            let failed = refresh_issued(&auth, &issued).unwrap_err();
            let (unavailable, misuse) = (failed.is_unavailable(), failed.is_misuse());
            assert_eq!((unavailable, misuse), (!leaked, leaked));
            fleet.clock.advance(seconds(60));
            node.follow();
        }
        fleet.cut(false);
        node.follow();
        if leaked {
            auth.replace_keyring(new).unwrap();
        }
        assert!(refresh_issued(&auth, &issued).is_ok());
    }
}

/// After a leak no login ends: each client refreshes, and gets a token of the spare.
#[test]
fn a_leaked_key_ends_no_login() {
    let fleet = Fleet::new();
    let (here, there) = (fleet.node(), fleet.node());
    let ring = Keyring::new(key()).spare(Key::generate_hs256().unwrap());
    for node in [&here, &there] {
        node.auth.replace_keyring(ring.clone()).unwrap();
    }
    let issued = here.login();
    let error = block_on(here.auth.retire_key(key().kid())).unwrap_err();
    assert_eq!(error.refusal(), Some(Refusal::NextKeyTooNew));
    fleet.clock.advance(seconds(60));
    here.follow();
    there.follow();
    let _ = block_on(here.auth.retire_key(key().kid())).unwrap();
    // Has not read the log yet.
    let new = there.login();
    there.follow();
    let refreshed = refresh_issued(&there.auth, &issued).unwrap();
    for node in [&here, &there] {
        let old = node.auth.verify_now(access(&issued));
        assert_eq!(cause(old), Some(Rejection::Revoked));
        assert!(node.auth.verify_now(access(&new)).is_ok());
        assert!(node.auth.verify_now(access(&refreshed)).is_ok());
    }
}

/// A login that the log has ended cannot end another one.
#[test]
fn a_revoked_credential_does_not_end_the_others() {
    let fleet = Fleet::new();
    let node = fleet.node();
    let leaked = node.login();
    let _ = block_on(node.view.revoke_everything()).unwrap();
    let new = node.login();
    let answer = block_on(node.auth.revoke_others(refresh(&leaked)));
    assert_eq!(cause(answer), Some(Rejection::Revoked));
    assert!(refresh_issued(&node.auth, &new).is_ok());
}

/// A shorter lifetime applies at once: no token outlives the facts that end it.
#[test]
fn a_logout_holds_when_the_lifetime_was_shortened() {
    let fleet = Fleet::new();
    let before = fleet.node();
    let issued = before.login();
    let after: Hybrid = HybridAuthenticator::new(
        tokens_for(ACCESS / 4).revocations(&before.view),
        sessions(Arc::clone(&fleet.store), &fleet.clock),
    )
    .unwrap();
    let _ = block_on(after.revoke(refresh(&issued))).unwrap();
    for _ in 0..ACCESS / 30 {
        assert!(after.verify_now(access(&issued)).is_err());
        fleet.clock.advance(seconds(30));
        // Often enough to visit everything that may be dropped.
        for _ in 0..100 {
            let _ = block_on(before.view.upkeep().tick());
        }
    }
}

/// After everything was revoked, the rows remain and do not count against the limit at the next
/// login.
#[test]
fn after_revoke_everything_users_log_in_within_the_limit() {
    let fleet = Fleet::new();
    let node = fleet.node();
    let limited: Hybrid = HybridAuthenticator::new(
        tokens(&key()).revocations(&node.view),
        sessions(Arc::clone(&fleet.store), &fleet.clock).limit(Limit::Reject(2)),
    )
    .unwrap();
    let old = [login(&limited, "alice"), login(&limited, "alice")];
    let full = block_on(limited.issue(Login::new("alice"))).unwrap_err();
    assert_eq!(full.refusal(), Some(Refusal::SessionLimit));
    let _ = block_on(node.view.revoke_everything()).unwrap();
    let listed = || block_on(limited.sessions("alice", None)).unwrap().sessions;
    assert!(listed().is_empty());
    let new = [login(&limited, "alice"), login(&limited, "alice")];
    let full = block_on(limited.issue(Login::new("alice"))).unwrap_err();
    assert_eq!(full.refusal(), Some(Refusal::SessionLimit));
    assert_eq!(listed().len(), 2);
    assert!(new.iter().all(|new| refresh_issued(&limited, new).is_ok()));
    assert!(old.iter().all(|old| refresh_issued(&limited, old).is_err()));
}

/// Any number of single logouts end only the logins that they name.
#[test]
fn many_logouts_of_one_user_end_no_other_login() {
    let fleet = Fleet::new();
    let node = fleet.node();
    let kept = node.login();
    for _ in 0..100 {
        let ended = node.login();
        let _ = block_on(node.auth.revoke(access(&ended))).unwrap();
    }
    assert!(node.auth.verify_now(access(&kept)).is_ok());
    assert!(refresh_issued(&node.auth, &kept).is_ok());
}

/// A change of roles that is not in the log is reported, and a repeated call appends it although the
/// rows have changed before: by `update_all` after an outage of the log or an error of one login, by
/// `update_id`, and by `update`, which the next call of the others repairs. Rejects a hybrid that
/// appends only what this call has changed.
#[test]
fn edit_04_a_repeated_change_of_roles_is_in_the_log() {
    fn demote(login: &mut Edit<()>) -> Result<()> {
        login.roles = vec!["reader".to_owned()];
        Ok(())
    }
    fn update_all(node: &Node, edit: EditFn<'_>) -> Result<Affected> {
        block_on(node.auth.update_all("alice", edit))
    }
    let outdated = |node: &Node, issued: &Issued| {
        let verified = node.auth.verify_now(access(issued));
        verified.is_err_and(|error| error.rejection() == Some(Rejection::Outdated))
    };
    for way in ["update_all", "its error", "update_id", "update"] {
        let fleet = Fleet::new();
        let (node, other) = (fleet.node(), fleet.node());
        let issued = [node.login(), node.login()];
        let ids = issued.each_ref().map(|issued| issued.identity().id());
        let within = |secs| Affected::new(Some(2), Revocation::Within(seconds(secs)));
        fleet.cut(way != "its error");
        match way {
            "update_all" => {
                // It begins with an entry.
                assert!(update_all(&node, &mut demote).unwrap_err().is_unavailable());
                fleet.cut(false);
                let log = &fleet.log;
                let affected = update_all(&node, &mut |login| {
                    log.off.store(true, Ordering::Relaxed);
                    demote(login)
                });
                assert_eq!(affected.unwrap(), within(ACCESS));
            }
            "its error" => {
                let failed = update_all(&node, &mut |login| match login.id() == ids[0] {
                    true => Err(Error::unavailable("the database is away")),
                    false => demote(login),
                });
                assert!(failed.unwrap_err().is_unavailable());
                // The error of one login keeps no other one from it, whatever their order.
                assert!(outdated(&node, &issued[1]) && !outdated(&node, &issued[0]));
            }
            "update_id" => {
                for id in ids {
                    let failed = block_on(node.auth.update_id("alice", id, &mut demote));
                    assert!(failed.unwrap_err().is_unavailable());
                }
            }
            _ => {
                for issued in &issued {
                    let failed = block_on(node.auth.update(access(issued), &mut demote));
                    assert!(failed.unwrap_err().is_unavailable());
                }
            }
        }
        fleet.cut(false);
        match way {
            "update_id" => {
                for id in ids {
                    let again = block_on(node.auth.update_id("alice", id, &mut demote));
                    assert_eq!(again.unwrap().unwrap().version(), 1);
                }
            }
            _ => assert_eq!(
                update_all(&node, &mut demote).unwrap(),
                within(BOUND),
                "{way}"
            ),
        }
        other.follow();
        for node in [&node, &other] {
            assert!(issued.iter().all(|issued| outdated(node, issued)), "{way}");
        }
        // Facts of the log are not appended again.
        let position = || {
            other.follow();
            other.view.health().unwrap().position
        };
        let before = position();
        assert_eq!(update_all(&node, &mut demote).unwrap(), within(BOUND));
        assert_eq!(position(), before + 1, "{way}: more than the beginning");
    }
}

/// A login that has ended by the log alone is neither counted nor changed nor listed.
#[test]
fn an_ended_login_is_not_updated() {
    let fleet = Fleet::new();
    let node = fleet.node();
    let ended = node.login();
    let _ = block_on(node.view.revoke_subject("alice")).unwrap();
    let kept = node.login();
    let count = |edit: &mut Edit<()>| {
        edit.device = Some("phone".to_owned());
        Ok(())
    };
    let affected = block_on(node.auth.update_all("alice", &mut { count })).unwrap();
    assert_eq!(affected.count, Some(1));
    for (issued, is_there) in [(ended, false), (kept, true)] {
        let updated = block_on(
            node.auth
                .update_id("alice", issued.identity().id(), &mut { count }),
        );
        assert_eq!(updated.unwrap().is_some(), is_there);
    }
}

/// Beside a strategy with an unreachable log, logins of the other one begin and are issued. Rejects an
/// `Either` that begins only if both can.
#[test]
fn an_outage_of_one_strategy_keeps_no_login_from_the_other() {
    let fleet = Fleet::new();
    let sessions = sessions(memory(), &fleet.clock).build().unwrap();
    let auth = Either::builder(sessions, fleet.node().auth)
        .build()
        .unwrap();
    fleet.cut(true);
    let begun = block_on(auth.begin()).unwrap();
    let login = || Login::new("alice").begun(begun.clone());
    let session = block_on(auth.issue(login())).unwrap();
    assert!(block_on(auth.verify(access(&session))).is_ok());
    let bearer = || login().place(Place::Bearer);
    let failed = block_on(auth.issue(bearer())).unwrap_err();
    assert!(failed.is_unavailable() && failed.source().is_some());
    fleet.cut(false);
    // The outage was at the beginning.
    assert!(block_on(auth.issue(bearer())).unwrap_err().is_unavailable());
    let begun = block_on(auth.begin()).unwrap();
    let again = Login::new("alice").place(Place::Bearer).begun(begun);
    assert!(block_on(auth.issue(again)).is_ok());
}
