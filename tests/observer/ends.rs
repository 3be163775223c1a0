//! Each login that ends without a logout is an event, also if the call fails then.

use std::sync::Arc;
use std::time::Duration;

use statewise::api_keys::ApiKeys;
use statewise::clock::Timestamp;
use statewise::either::Either;
use statewise::hybrid::HybridAuthenticator;
use statewise::migrating::Migrating;
use statewise::session::{Limit, SessionAuthenticator, SessionBuilder};
use statewise::store::contract::{Created, Record, SessionStore, Stamp};
use statewise::testkit::{Fault, ManualClock, Method, block_on, forward_session_store};
use statewise::tickets::Tickets;
use statewise::token::{Fresh, TokenAuthenticator};
use statewise::{
    Authenticator, Issued, Login, Observed, PublicId, Refusal, Rejection, Result, Revocation,
};

use crate::notes::{Line, Notes, Store, secret, store, tokens};
use crate::tokens::view;

const REFUSED: &str = "Issue refused Outdated";
const OUTAGE: &str = "unavailable: the store could not answer";

fn id(issued: &Issued) -> PublicId {
    issued.identity().id()
}

/// Issues a login of alice.
fn log_in(auth: &impl Authenticator<Data = ()>) -> Issued {
    block_on(auth.issue(Login::new("alice"))).unwrap()
}

/// Tickets of which a user has one at a time.
fn one_ticket<S: SessionStore>(store: S, clock: ManualClock, notes: &Arc<Notes>) -> Tickets<S> {
    Tickets::builder(store)
        .purpose("reset")
        .lifetime(Duration::from_secs(600))
        .outstanding(1)
        .clock(clock)
        .observer(notes.clone())
        .build()
        .unwrap()
}

/// Issues a login of alice that replaces `old`.
fn replace(auth: &impl Authenticator<Data = ()>, old: &Issued) -> Result<Issued> {
    let login = Login::new("alice").device("new");
    block_on(auth.issue(login.replaces(old.refreshable().reveal())))
}

fn sessions(store: &Store, clock: &ManualClock) -> SessionBuilder<Store> {
    limited(Arc::clone(store), clock).limit(Limit::Unlimited)
}

/// Sessions of which each user has one.
fn limited<S: SessionStore>(store: S, clock: &ManualClock) -> SessionBuilder<S> {
    let builder = SessionAuthenticator::builder(store).idle(Duration::from_secs(3000));
    let builder = builder.absolute(Duration::from_secs(3600));
    builder.limit(Limit::EvictOldest(1)).clock(clock.clone())
}

fn hybrid<S: SessionStore>(
    sessions: SessionBuilder<S>,
    clock: &ManualClock,
) -> HybridAuthenticator<S> {
    HybridAuthenticator::new(tokens(clock), sessions).unwrap()
}

fn plain_tokens(clock: &ManualClock) -> TokenAuthenticator {
    tokens(clock).build().unwrap()
}

/// Logs in twice with one client, and expects the end of the first login.
#[track_caller]
fn expect_replacement(auth: impl Authenticator<Data = ()>, effective: &str) {
    let notes = Notes::new();
    let auth = Observed::new(auth, notes.clone());
    let first = log_in(&auth);
    notes.expect(&format!("issued alice {}", id(&first)));
    let second = replace(&auth, &first).unwrap();
    let [old, new] = [&first, &second].map(id);
    assert_eq!(second.replaced().unwrap().login().unwrap().id(), old);
    assert_eq!(
        notes.take(),
        [
            format!("Issue ended Replaced alice {old} by {new} {effective}"),
            format!("issued alice {new}")
        ]
    );
    // Nothing is left to be replaced.
    let third = block_on(auth.issue(Login::new("alice").replaces("no"))).unwrap();
    assert!(third.replaced().is_none());
    notes.expect(&format!("issued alice {}", id(&third)));
}

#[test]
fn a_replaced_login_is_reported_by_each_strategy() {
    let clock = ManualClock::default();
    let some = || store(10);
    expect_replacement(sessions(&some(), &clock).build().unwrap(), "Immediate");
    expect_replacement(hybrid(sessions(&some(), &clock), &clock), "Within(900s)");
    let line = Line::new();
    let view = view(&line, &clock);
    block_on(view.follow()).unwrap();
    let revocable = tokens(&clock).revocations(&view).build().unwrap();
    expect_replacement(revocable, "Within(5s)");
    let auth = plain_tokens(&clock);
    let end = log_in(&auth).identity().deadline();
    expect_replacement(auth, &format!("{:?}", Revocation::AtExpiry(end)));
    let of_two = sessions(&some(), &clock).build().unwrap();
    let of_two = Either::builder(of_two, plain_tokens(&clock));
    expect_replacement(of_two.build().unwrap(), "Immediate");
}

/// The request of a browser carries each credential of its login, and may carry those of two.
#[test]
fn each_replaced_login_is_reported_once() {
    let (clock, notes, store) = (ManualClock::default(), Notes::new(), store(10));
    let auth = hybrid(sessions(&store, &clock), &clock);
    let auth = Observed::new(auth, notes.clone());
    let replace_both = |one: &Issued, other: &Issued| {
        let login = Login::new("alice").replaces(one.refreshable().reveal());
        block_on(auth.issue(login.replaces(secret(one)).replaces(secret(other))))
    };
    let [one, other] = [log_in(&auth), log_in(&auth)];
    notes.take();
    let new = id(&replace_both(&one, &other).unwrap());
    let ended = |old| {
        format!(
            "Issue ended Replaced alice {} by {new} Within(900s)",
            id(old)
        )
    };
    let issued = format!("issued alice {new}");
    assert_eq!(notes.take(), [ended(&one), ended(&other), issued]);

    // The second one cannot be ended.
    let [one, other] = [log_in(&auth), log_in(&auth)];
    notes.take();
    store.fail_nth_of(Method::Remove, 3, Fault::Fails);
    assert!(replace_both(&one, &other).unwrap_err().is_unavailable());
    let ended = format!("Issue ended Replaced alice {}", id(&one));
    assert_eq!(notes.take(), [ended, format!("Issue {OUTAGE}")]);
}

/// A login of one strategy ends that of the other one, and both logins of an upgrade.
#[test]
fn a_login_of_another_strategy_is_reported() {
    let (clock, notes) = (ManualClock::default(), Notes::new());
    let first = sessions(&store(10), &clock).build().unwrap();
    let second = hybrid(sessions(&store(10), &clock), &clock);
    let auth = Either::builder(first, second).build().unwrap();
    let auth = Observed::new(auth, notes.clone());
    let of_second = log_in(auth.inner().strategies().1);
    let new = replace(&auth, &of_second).unwrap();
    let [old, new] = [&of_second, &new].map(id);
    assert_eq!(
        notes.take(),
        [
            format!("Issue ended Replaced alice {old} by {new} Within(900s)"),
            format!("issued alice {new}")
        ]
    );

    let old = sessions(&store(10), &clock).build().unwrap();
    let new = hybrid(sessions(&store(10), &clock), &clock);
    let auth = Migrating::builder(old, new).clock(clock.clone()).build();
    let auth = Observed::new(auth.unwrap(), notes.clone());
    for act in ["issue", "revoke", "revoke_listed"] {
        let old = log_in(auth.inner().strategies().0);
        let upgraded = block_on(auth.refresh(secret(&old))).unwrap();
        let [old_id, upgraded_id] = [&old, &upgraded].map(id);
        let ended = format!("Refresh ended Upgraded alice {old_id} by {upgraded_id} Within(60s)");
        assert_eq!(
            notes.take(),
            [ended, format!("rotated alice {upgraded_id}")]
        );
        if act == "revoke_listed" {
            let new = auth.inner().strategies().1;
            let page = block_on(new.sessions("alice", None)).unwrap();
            let mut listed = page.sessions.iter();
            let listed = listed.find(|listed| listed.id() == upgraded_id).unwrap();
            for is_ended in [true, false] {
                let logout = block_on(auth.revoke_listed(listed)).unwrap();
                let mut noted = notes.take();
                let revoked = noted.pop().unwrap();
                assert!(revoked.starts_with("RevokeId revoked "), "{revoked}");
                assert!(
                    revoked.contains(&format!("alice {upgraded_id}")),
                    "{revoked}"
                );
                assert_eq!(logout.login().is_some(), is_ended);
                let ended = format!("RevokeId ended LoggedOut alice {old_id} by {upgraded_id} ");
                assert_eq!(noted.len(), usize::from(is_ended), "{noted:?}");
                assert!(
                    noted.iter().all(|note| note.starts_with(&ended)),
                    "{noted:?}"
                );
            }
        } else if act == "revoke" {
            let logout = block_on(auth.revoke(upgraded.refreshable().reveal())).unwrap();
            assert_eq!(logout.login().unwrap().id(), upgraded_id);
            let others: Vec<_> = logout.others().map(|login| login.id()).collect();
            assert_eq!(others, [old_id]);
            // One logout, although two logins end.
            let ended = "Within(900s)";
            assert_eq!(
                notes.take(),
                [
                    format!("Revoke ended LoggedOut alice {old_id} by {upgraded_id} {ended}"),
                    format!("Revoke revoked alice {upgraded_id} {ended}")
                ]
            );
        } else {
            let new = id(&replace(&auth, &upgraded).unwrap());
            let ended = |id, effect| format!("Issue ended Replaced alice {id} by {new} {effect}");
            assert_eq!(
                notes.take(),
                [
                    ended(upgraded_id, "Within(900s)"),
                    ended(old_id, "Within(900s)"),
                    format!("issued alice {new}")
                ]
            );
        }
    }
}

/// An upgrade is a rotation for the client, and a new login for the limit.
#[test]
fn a_login_that_an_upgrade_evicts_is_reported() {
    let (clock, notes) = (ManualClock::default(), Notes::new());
    let new = limited(store(10), &clock).build().unwrap();
    let auth = Migrating::builder(plain_tokens(&clock), new).clock(clock.clone());
    let auth = Observed::new(auth.build().unwrap(), notes.clone());
    let device = log_in(&auth);
    notes.take();
    let old = log_in(auth.inner().strategies().0);
    let upgraded = block_on(auth.refresh(secret(&old))).unwrap();
    let [device, old, upgraded] = [&device, &old, &upgraded].map(id);
    assert_eq!(
        notes.take(),
        [
            format!("Refresh ended Upgraded alice {old} by {upgraded} Within(60s)"),
            format!("Refresh ended Evicted alice {device} by {upgraded}"),
            format!("rotated alice {upgraded}")
        ]
    );
}

#[test]
fn evicted_keys_and_tickets_are_reported() {
    let (clock, notes, store) = (ManualClock::default(), Notes::new(), store(10));
    let keys = ApiKeys::builder(Arc::clone(&store)).prefix("acme_pat");
    let keys = keys
        .longest(Duration::from_secs(3600))
        .clock(clock.clone())
        .limit(Limit::EvictOldest(1));
    let keys = Observed::new(keys.build().unwrap(), notes.clone());
    let keys = [log_in(&keys), log_in(&keys)];
    assert_eq!(keys[1].evicted(), [id(&keys[0])]);
    let [old, new] = [&keys[0], &keys[1]].map(id);
    let expected = [
        format!("issued alice {old}"),
        format!("Issue ended Evicted alice {old} by {new}"),
        format!("issued alice {new}"),
    ];
    assert_eq!(notes.take(), expected);

    let tickets = one_ticket(store, clock, &notes);
    let [old, new] = [(), ()].map(|()| block_on(tickets.issue("alice", ())).unwrap().id());
    let expected = [
        format!("ticket issued alice {old}"),
        format!("IssueTicket ended Evicted alice {old} by {new}"),
        format!("ticket issued alice {new}"),
    ];
    assert_eq!(notes.take(), expected);
}

/// A store whose user is changed, by another node, while a login is stored.
#[derive(Debug)]
struct Changing(Store);

impl SessionStore for Changing {
    forward_session_store! {
        0: create, load, change, rotate, update, confirm, touch, remove, remove_subject, list, sweep,
        begin, outdate, staleness, max_lifetime, upkeep
    }

    async fn check_new(&self, _: &Record, _: Option<Stamp>, _: Timestamp) -> Result<()> {
        match self.0.calls_of(Method::Create) {
            1 => Ok(()),
            _ => Err(Refusal::Outdated.into()),
        }
    }
}

/// The new login is refused after the limit has evicted another one, which has ended for nothing.
#[test]
fn a_login_that_is_evicted_for_a_refused_one_is_reported() {
    let (clock, notes) = (ManualClock::default(), Notes::new());
    let of = |store| limited(Changing(store), &clock);
    fn refuse(auth: impl Authenticator<Data = ()>, notes: &Arc<Notes>) {
        let auth = Observed::new(auth, notes.clone());
        let device = log_in(&auth);
        notes.take();
        let refused = block_on(auth.issue(Login::new("alice"))).unwrap_err();
        assert_eq!(refused.refusal(), Some(Refusal::Outdated));
        assert!(block_on(auth.refresh(device.refreshable().reveal())).is_err());
        let ended = format!("Issue ended Evicted alice {}", id(&device));
        assert_eq!(notes.take()[..2], [ended, REFUSED.to_owned()]);
    }
    refuse(of(store(10)).build().unwrap(), &notes);
    refuse(hybrid(of(store(10)), &clock), &notes);

    let tickets = one_ticket(Changing(store(10)), clock, &notes);
    let old = block_on(tickets.issue("alice", ())).unwrap().id();
    notes.take();
    assert!(block_on(tickets.issue("alice", ())).is_err());
    let ended = format!("IssueTicket ended Evicted alice {old}");
    assert_eq!(
        notes.take(),
        [ended, "IssueTicket refused Outdated".to_owned()]
    );
}

/// A store that disconnects the log when it stores a login.
#[derive(Debug)]
struct Cuts(Store, Arc<Line>);

impl SessionStore for Cuts {
    forward_session_store! {
        0: load, change, rotate, update, confirm, touch, remove, remove_subject, list, sweep,
        begin, check_new, outdate, staleness, max_lifetime, upkeep
    }

    async fn create(&self, row: &Record, limit: Limit, now: Timestamp) -> Result<Created> {
        *self.1.cut.lock().unwrap() = self.0.calls_of(Method::Create) > 0;
        self.0.create(row, limit, now).await
    }
}

/// A hybrid checks a new login a second time, by its log.
#[test]
fn a_login_that_is_evicted_for_one_that_the_log_fails_is_reported() {
    let (clock, notes, line) = (ManualClock::default(), Notes::new(), Line::new());
    let view = view(&line, &clock);
    block_on(view.follow()).unwrap();
    let sessions = limited(Cuts(store(10), line.clone()), &clock);
    let auth = HybridAuthenticator::new(tokens(&clock).revocations(&view), sessions).unwrap();
    let auth = Observed::new(auth, notes.clone());
    let device = id(&log_in(&auth));
    notes.take();
    assert!(block_on(auth.issue(Login::new("alice"))).is_err());
    let ended = format!("Issue ended Evicted alice {device}");
    let outage = "Issue unavailable: the revocation log could not answer";
    assert_eq!(notes.take(), [ended, outage.to_owned()]);
}

/// The old login ends before the new one is stored, so that the limit does not count it.
#[test]
fn a_login_that_is_replaced_by_a_failed_one_is_reported() {
    fn fail(auth: impl Authenticator<Data = ()>, store: &Store) {
        let notes = Notes::new();
        let auth = Observed::new(auth, notes.clone());
        let first = log_in(&auth);
        notes.take();
        store.fail_nth_of(Method::Create, 1, Fault::Fails);
        assert!(replace(&auth, &first).unwrap_err().is_unavailable());
        let ended = format!("Issue ended Replaced alice {}", id(&first));
        assert_eq!(notes.take(), [ended, format!("Issue {OUTAGE}")]);
        // It has ended, and is not reported again.
        assert!(block_on(auth.refresh(first.refreshable().reveal())).is_err());
        notes.expect("Refresh rejected Unknown");
    }
    let (clock, store) = (ManualClock::default(), store(10));
    fail(sessions(&store, &clock).build().unwrap(), &store);
    fail(hybrid(sessions(&store, &clock), &clock), &store);
}

/// If the login of the other strategy cannot be ended, the new one ends at once. It has evicted another.
#[test]
fn a_login_that_is_evicted_for_a_replacement_that_fails_is_reported() {
    let (clock, notes) = (ManualClock::default(), Notes::new());
    let (first, store) = (limited(store(10), &clock), store(10));
    let second = hybrid(sessions(&store, &clock), &clock);
    let auth = Either::builder(first.build().unwrap(), second);
    let auth = Observed::new(auth.build().unwrap(), notes.clone());
    let device = id(&log_in(&auth));
    let of_second = log_in(auth.inner().strategies().1);
    notes.take();
    store.fail_nth_of(Method::Remove, 1, Fault::Fails);
    assert!(replace(&auth, &of_second).unwrap_err().is_unavailable());
    let ended = format!("Issue ended Evicted alice {device}");
    assert_eq!(notes.take(), [ended, format!("Issue {OUTAGE}")]);
}

/// The old strategy serves a client that the new one refuses.
#[test]
fn a_login_that_is_evicted_for_an_upgrade_that_fails_is_reported() {
    let (clock, notes) = (ManualClock::default(), Notes::new());
    let old = sessions(&store(10), &clock).build().unwrap();
    let new = hybrid(limited(Changing(store(10)), &clock), &clock);
    let auth = Migrating::builder(old, new).clock(clock.clone()).build();
    let auth = Observed::new(auth.unwrap(), notes.clone());
    let device = id(&log_in(&auth));
    let old = log_in(auth.inner().strategies().0);
    notes.take();
    let kept = block_on(auth.refresh(secret(&old))).unwrap();
    assert_eq!(id(&kept), id(&old));
    let old = id(&old);
    let ended = format!("Refresh ended Evicted alice {device} by {old}");
    assert_eq!(notes.take(), [ended, format!("replayed alice {old}")]);
}

/// A store whose logins end while another one stores a login.
#[derive(Debug)]
struct Ending(Store, Store);

impl SessionStore for Ending {
    forward_session_store! {
        0: load, change, rotate, update, confirm, touch, remove, remove_subject, list, sweep,
        begin, check_new, outdate, staleness, max_lifetime, upkeep
    }

    async fn create(&self, row: &Record, limit: Limit, now: Timestamp) -> Result<Created> {
        let all = statewise::store::contract::Scope::all();
        let _ = self.1.remove_subject("alice", all, now).await?;
        self.0.create(row, limit, now).await
    }
}

/// The old login ends while it is upgraded, and the new one is not handed out.
#[test]
fn a_login_that_is_evicted_for_a_discarded_upgrade_is_reported() {
    let (clock, notes, of_old) = (ManualClock::default(), Notes::new(), store(10));
    let old = sessions(&of_old, &clock).build().unwrap();
    let new = limited(Ending(store(10), Arc::clone(&of_old)), &clock);
    let auth = Migrating::builder(old, hybrid(new, &clock)).clock(clock.clone());
    let auth = Observed::new(auth.build().unwrap(), notes.clone());
    let device = id(&log_in(&auth));
    let old = log_in(auth.inner().strategies().0);
    notes.take();
    assert!(block_on(auth.refresh(secret(&old))).is_err());
    let ended = format!("Refresh ended Evicted alice {device}");
    assert_eq!(notes.take(), [ended, "Refresh rejected Unknown".to_owned()]);
}

/// Another node ends the old login after the overlap. A late request with its credential ends nothing.
#[test]
fn a_late_request_with_an_old_credential_ends_no_login() {
    let (clock, notes) = (ManualClock::default(), Notes::new());
    let old = sessions(&store(10), &clock).build().unwrap();
    let new = hybrid(sessions(&store(10), &clock), &clock);
    let auth = Migrating::builder(old, new).clock(clock.clone()).build();
    let auth = Observed::new(auth.unwrap(), notes.clone());
    let old = log_in(auth.inner().strategies().0);
    let new = block_on(auth.refresh(secret(&old))).unwrap();
    let _ = block_on(auth.inner().strategies().0.revoke(secret(&old))).unwrap();
    notes.take();
    assert!(block_on(auth.refresh(secret(&old))).is_err());
    assert_eq!(notes.take(), ["Refresh rejected Unknown"]);
    assert!(block_on(auth.refresh(new.refreshable().reveal())).is_ok());
}

/// A user that the application has deleted is logged out at the next refresh or update.
#[test]
fn a_login_whose_user_is_gone_is_reported() {
    let (clock, notes, line) = (ManualClock::default(), Notes::new(), Line::new());
    let view = view(&line, &clock);
    block_on(view.follow()).unwrap();
    let gone = || tokens(&clock).reload(|_| async { Ok(None::<Fresh>) });
    fn refuse(auth: impl Authenticator<Data = ()>, is_ended: bool, notes: &Arc<Notes>) {
        let auth = Observed::new(auth, notes.clone());
        let [first, second] = [log_in(&auth), log_in(&auth)];
        notes.take();
        let refreshed = block_on(auth.refresh(first.refreshable().reveal()));
        let cause = refreshed.unwrap_err().rejection();
        assert_eq!(cause, Some(Rejection::Revoked));
        let updated = block_on(auth.update(second.refreshable().reveal(), &mut |_| Ok(())));
        assert!(updated.is_err());
        let mut expected = Vec::new();
        for (act, login) in [("Refresh", &first), ("Update", &second)] {
            if is_ended {
                expected.push(format!("{act} ended UserGone alice {}", id(login)));
            }
            expected.push(format!("{act} rejected Revoked"));
        }
        assert_eq!(notes.take(), expected);
    }
    let sessions = sessions(&store(10), &clock);
    let hybrid = HybridAuthenticator::new(gone(), sessions).unwrap();
    refuse(hybrid, true, &notes);
    refuse(gone().revocations(&view).build().unwrap(), true, &notes);
    // Without a log, the token goes on until it expires.
    refuse(gone().build().unwrap(), false, &notes);
}
