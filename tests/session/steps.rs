//! STEP-02: step-ups, interleaved with everything else that happens to a session.

#![allow(
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

use std::future::poll_fn;
use std::task::Poll;

use statewise::testkit::{YieldingStore, seed};

use super::*;

type Sessions = SessionAuthenticator<YieldingStore<MemoryStore>>;

/// Possession of a process in the end: a credential, and the class that it had when it was received.
type Held = Option<(String, Option<String>)>;

fn held(issued: &Issued) -> Held {
    let acr = issued.identity().acr().map(str::to_owned);
    Some((secret(issued).to_owned(), acr))
}

/// Fails if an honest client was taken for a thief.
fn check<T>(answer: Result<T>, process: &str) -> Option<T> {
    match answer {
        Err(error) if error.theft().is_some() => panic!("{process}: an honest client is a thief"),
        answer => answer.ok(),
    }
}

/// A browser proves a second factor. Its node crashes after `crashes_at` steps, if there is a number.
async fn steps_up(auth: &Sessions, from: &str, acr: &str, crashes_at: Option<usize>) -> Held {
    let edit = &mut |login: &mut Edit| login.step_up(acr, seconds(600));
    let mut update = Box::pin(auth.update(from, edit));
    let mut polls = 0;
    let answer = poll_fn(|context| {
        polls += 1;
        match update.as_mut().poll(context) {
            Poll::Pending if crashes_at == Some(polls) => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
            Poll::Ready(answer) => Poll::Ready(Some(answer)),
        }
    });
    check(answer.await?, "a step-up").as_ref().and_then(held)
}

/// A thief has a copy of a credential: verifies, refreshes and edits with whatever that yields.
async fn steals(auth: &Sessions, from: &str) -> Held {
    let mut copy = from.to_owned();
    for _ in 0..3 {
        if let Ok(caller) = auth.verify(&copy).await {
            assert_eq!(caller.acr(), Some("aal1"), "the thief verifies");
        }
        let edit = &mut |login: &mut Edit| {
            login.device = Some("of the thief".to_owned());
            Ok(())
        };
        let edited = auth.update(&copy, edit).await;
        for issued in [edited, auth.refresh(&copy).await] {
            let Ok(issued) = issued else {
                continue;
            };
            assert_eq!(issued.identity().acr(), Some("aal1"), "the thief refreshes");
            copy = secret(&issued).to_owned();
        }
    }
    Some((copy, None))
}

/// Two tabs with the credentials that were current lately.
async fn works(auth: &Sessions, with: &str) -> Held {
    for _ in 0..2 {
        check(auth.verify(with).await, "a tab");
    }
    None
}

/// An administrator changes the roles of the user, or ends all logins.
async fn administrates(auth: &Sessions, ends: bool) -> Held {
    if ends {
        let _ = auth.revoke_all("alice").await.unwrap();
        return None;
    }
    let edit = &mut |login: &mut Edit| {
        login.roles = vec!["editor".to_owned()];
        Ok(())
    };
    let _ = auth.update_all("alice", edit).await.unwrap();
    None
}

/// The thief never has a class; no client has one that it did not prove; no honest client is taken for
/// a thief; the one that stepped up last has the class that it proved. An ended login stays ended.
///
/// Set `STATEWISE_CASES` to the number of interleavings.
#[test]
fn step_02_nobody_has_a_class_that_they_did_not_prove() {
    let cases = std::env::var("STATEWISE_CASES").ok();
    let cases = cases.map_or(4_000, |cases| cases.parse().unwrap());
    let first = seed();
    println!("seed {first}, {cases} interleavings");
    let (mut two, mut lost, mut ended) = (0, 0, 0);
    for case in 0..cases {
        let seed = first.wrapping_add(case);
        let mut random = Random::new(seed);
        let clock = ManualClock::default();
        let store = YieldingStore::new(MemoryStore::with_capacity(100).unwrap());
        let auth = builder(store, &clock).rotate_after(seconds(60)).build();
        let auth: Sessions = auth.unwrap();
        let login = block_on(auth.issue(Login::new("alice").acr("aal1"))).unwrap();
        clock.advance(seconds(100));
        let older = secret(&login).to_owned();
        let mut current = older.clone();
        if random.once_in(2) {
            // A rotation a moment before: requests with the credential before it are in flight.
            current = secret(&block_on(auth.refresh(&older)).unwrap()).to_owned();
            clock.advance(seconds(2));
        }
        let crashes_at = random.once_in(3).then(|| 1 + random.below(8));
        let (ends, has_second) = (random.once_in(6), random.once_in(2));
        let has_thief = random.once_in(2);
        let auth = &auth;
        let mut all: Vec<BoxFuture<'_, Held>> = vec![
            Box::pin(steps_up(auth, &current, "aal2", crashes_at)),
            Box::pin(works(auth, &current)),
            Box::pin(works(auth, &older)),
            Box::pin(administrates(auth, ends)),
        ];
        all.push(match has_second {
            true => Box::pin(steps_up(auth, &current, "aal3", None)),
            false => Box::pin(works(auth, &current)),
        });
        if has_thief {
            all.push(Box::pin(steals(auth, &current)));
        }
        let done = block_on(interleave(seed, all));
        let up = [(0, "aal2"), (4, "aal3")].map(|(at, proven)| {
            let (credential, acr) = done.get(at)?.clone()?;
            assert_eq!(acr.as_deref(), Some(proven), "seed {seed}");
            Some((credential, proven))
        });
        let up: Vec<_> = up.into_iter().flatten().collect();
        let copy = done.get(5).and_then(Clone::clone);
        let copy = copy.map_or(older.clone(), |(copy, _)| copy);
        assert!(up.iter().all(|(credential, _)| *credential != copy));
        if ends {
            ended += 1;
            let credentials = up.iter().map(|(credential, _)| credential);
            for credential in credentials.chain([&current, &older, &copy]) {
                assert!(block_on(auth.verify(credential)).is_err(), "seed {seed}");
            }
            continue;
        }
        let is_lost = crashes_at.is_some() && done[0].is_none();
        lost += u64::from(is_lost);
        // With a thief, the row may be two generations ahead of the browser: it is logged out.
        let expected = 1 + usize::from(has_second) - usize::from(is_lost);
        assert!(
            up.len() == expected || has_thief,
            "seed {seed}: a step-up failed"
        );
        let mut has_it = Vec::new();
        for (credential, proven) in &up {
            let caller = block_on(auth.verify(credential)).unwrap();
            let acr = caller.acr().unwrap();
            assert!(
                ["aal1", proven].contains(&acr),
                "seed {seed}: {proven} has {acr}"
            );
            if acr == *proven {
                has_it.push(credential);
            }
        }
        assert!(
            is_lost || up.is_empty() || !has_it.is_empty(),
            "seed {seed}: nobody has it"
        );
        // The later one replaces the class of the earlier one.
        two += u64::from(has_it.len() == 1 && up.len() == 2);
        if up.is_empty() && !has_thief {
            // The browser has the credential that it had, for as long as it wants.
            for passed in [0, 600] {
                clock.advance(seconds(passed));
                let caller = check(block_on(auth.verify(&current)), "a lost answer");
                assert_eq!(caller.unwrap().acr(), Some("aal1"));
            }
            let again = block_on(steps_up(auth, &current, "aal2", None));
            assert!(again.is_some(), "seed {seed}");
        }
        // Once the new credential is in use, a copy of a former one ends the login.
        if let Some(credential) = has_it.last() {
            clock.advance(seconds(30));
            assert!(check(block_on(auth.verify(credential)), "a caller").is_some());
            clock.advance(seconds(15));
            assert!(block_on(auth.verify(&copy)).is_err(), "seed {seed}");
        }
    }
    println!("{two} with two step-ups, {lost} with a lost answer, {ended} ended");
    assert!(two > 0 && lost > 0 && ended > 0);
}
