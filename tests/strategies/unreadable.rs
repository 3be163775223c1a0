//! Data that a version of the service cannot read, as in a deployment that is rolled back.

use std::sync::Arc;
use std::time::Duration;

use statewise::hybrid::HybridAuthenticator;
use statewise::session::SessionBuilder;
use statewise::store::contract::{Handle, SessionStore};
use statewise::testkit::{EditBytes, FaultyStore, Method, StoreFixture};
use statewise::{Authenticator, Edit, Issued, Login, Outcome, Presented, Rejection, Result};

use super::family;
use super::world::{World, rejection, secret};

/// Data of the version before the deployment, and again after the rollback.
type Good = u64;
/// Data of the bad version: they decode from no stored login.
type Bad = String;

/// The hybrid over given sessions.
fn hybrid<S: SessionStore, D>(sessions: SessionBuilder<S, D>) -> HybridAuthenticator<S, D> {
    let tokens = family::tokens("https://auth.example", "api").with_data();
    HybridAuthenticator::new(tokens, sessions).expect("a valid configuration")
}

/// The credential that refreshes a login.
fn refreshable<D>(issued: &Issued<D>) -> &str {
    issued.refreshable().reveal()
}

/// Asserts that an answer blames the service and not the credential, and names the login.
fn assert_unreadable<T, D>(answer: Result<T>, login: &Issued<D>, what: &str) {
    let Err(error) = answer else {
        panic!("{what}: data of another type were read");
    };
    assert!(error.is_unreadable(), "{what}: {error:?}");
    assert!(error.is_unavailable() && !error.is_rejected(), "{what}");
    let named = error.unreadable_login();
    assert_eq!(named, Some(login.identity().id()), "{what}");
}

/// A version that cannot read the data of a login neither rejects nor changes it: after the
/// rollback each credential works as before, also after the grace, and where orphaned credentials
/// are rejected. Rejects a refresh that rotates before it reads.
pub(crate) async fn read_12_a_bad_deployment_ends_no_login<F: StoreFixture>(fixture: &F) {
    for strict in [false, true] {
        for rotated_before in [false, true] {
            let world = World::open(fixture).await;
            let what = format!("strict: {strict}, rotated before: {rotated_before}");
            let sessions = (
                strictly(strict, world.builder(Arc::clone(&world.store))),
                strictly(strict, world.builder(Arc::clone(&world.store))),
            );
            let (good, bad) = (sessions.0.build(), sessions.1.build());
            let good = good.expect("a valid configuration");
            let bad = bad.expect("a valid configuration");
            survives(&world, &good, &bad, rotated_before, &what).await;

            let good = hybrid(strictly(strict, world.builder(Arc::clone(&world.store))));
            let bad = hybrid(strictly(strict, world.builder(Arc::clone(&world.store))));
            survives(
                &world,
                &good,
                &bad,
                rotated_before,
                &format!("hybrid, {what}"),
            )
            .await;
        }
    }
}

fn strictly<S: SessionStore, D>(
    strict: bool,
    builder: SessionBuilder<S, D>,
) -> SessionBuilder<S, D> {
    if strict {
        return builder.reject_orphaned();
    }
    builder
}

/// Logs in by the good version, deploys the bad one, rolls back, and goes on.
async fn survives<F: StoreFixture>(
    world: &World<'_, F>,
    good: &impl Authenticator<Data = Good>,
    bad: &impl Authenticator<Data = Bad>,
    rotated_before: bool,
    what: &str,
) {
    let subject = what;
    let login = good.issue(Login::new(subject).data(7)).await;
    let mut login = login.expect("a login is issued");
    if rotated_before {
        world.advance(60).await;
        let refreshed = good.refresh(refreshable(&login)).await;
        login = refreshed.expect("a rotation");
    }
    let before = world.list(subject).await[0].generation();
    // Twice: within the grace of a rotation, if there was one, and after it.
    for _ in 0..2 {
        world.advance(20).await;
        for presented in [
            Presented::new(login.credential().reveal()),
            Presented::new(login.credential().reveal()).authoritative(),
        ] {
            assert_unreadable(bad.verify_with(presented).await, &login, what);
        }
        assert_unreadable(bad.refresh(refreshable(&login)).await, &login, what);
    }
    let row = world.list(subject).await[0].clone();
    assert_eq!(row.generation(), before, "{what}: rotated and not read");

    // The rollback.
    world.advance(100).await;
    let verified = good.verify(login.credential().reveal()).await;
    assert_eq!(verified.expect("it verifies").data(), &7, "{what}");
    let refreshed = good.refresh(refreshable(&login)).await;
    let refreshed = refreshed.expect("the same credential refreshes");
    assert_eq!(refreshed.outcome(), Outcome::Rotated, "{what}");
    let verified = good.verify(refreshed.credential().reveal()).await;
    assert_eq!(verified.expect("it verifies").data(), &7, "{what}");

    // A logout needs no data.
    let _ = bad.revoke(refreshable(&refreshed)).await.expect("a logout");
    let gone = good.refresh(refreshable(&refreshed)).await;
    assert_eq!(rejection(&gone), Some(Rejection::Unknown), "{what}");
}

/// Data are read before a rotation, in one more call of the store; without a type of data a
/// refresh stays one call. A stolen credential still ends the login, whatever its data. Rejects a
/// refresh that reads first and judges later.
pub(crate) async fn refresh_12_data_are_read_before_a_rotation<F: StoreFixture>(fixture: &F) {
    let world = World::open(fixture).await;
    let store = Arc::new(FaultyStore::new(Arc::clone(&world.store)));
    let good = world.builder::<_, Good>(Arc::clone(&store)).build();
    let good = good.expect("a valid configuration");
    let first = good.issue(Login::new("alice").data(7)).await;
    let first = first.expect("a login is issued");
    world.advance(60).await;
    store.reset();
    let second = good.refresh(refreshable(&first)).await;
    let second = second.expect("a rotation");
    assert_eq!((store.calls(), store.calls_of(Method::Load)), (2, 1));
    world.advance(60).await;
    store.reset();
    let none = world.auth_over(Arc::clone(&store));
    let third = none.refresh(refreshable(&second)).await;
    let third = third.expect("a rotation");
    assert_eq!(store.calls(), 1, "a refresh without data is one call");
    let _ = none.verify(refreshable(&third)).await.expect("it verifies");
    world.advance(60).await;

    let bad = world.auth_of::<Bad>();
    let stolen = bad.refresh(refreshable(&first)).await;
    assert_eq!(rejection(&stolen), Some(Rejection::Reused));
    let ended = good.verify(refreshable(&third)).await;
    assert_eq!(rejection(&ended), Some(Rejection::Unknown));

    // A forged credential learns nothing of the data.
    let login = good.issue(Login::new("alice").data(7)).await;
    let login = login.expect("a login is issued");
    let (handle, secret) = refreshable(&login).split_at(32);
    let other = good.issue(Login::new("alice").data(7)).await;
    let forged = format!("{handle}{}", &refreshable(&other.expect("a login"))[32..]);
    assert_ne!(&forged[32..], secret);
    let answer = bad.refresh(&forged).await;
    assert_eq!(rejection(&answer), Some(Rejection::Unknown));
}

/// A row that does not decode is the service's failure: it is reported with its login, a logout that
/// did not happen is no success, and the user can log in again. Rejects a strategy that takes it for
/// a wrong credential.
pub(crate) async fn read_13_a_damaged_row_blames_no_credential<F: StoreFixture>(fixture: &F) {
    let world = World::open(fixture).await;
    let (auth, hybrid) = (
        world.auth_of::<Good>(),
        hybrid(world.builder(Arc::clone(&world.store))),
    );
    is_no_rejection(fixture, &world, &auth, "alice").await;
    is_no_rejection(fixture, &world, &hybrid, "bob").await;
}

async fn is_no_rejection<F: StoreFixture>(
    fixture: &F,
    world: &World<'_, F>,
    auth: &impl Authenticator<Data = Good>,
    subject: &str,
) {
    let login = auth.issue(Login::new(subject).data(7)).await;
    let login = login.expect("a login is issued");
    let handle = world.list(subject).await[0].handle();
    let damage = |bytes: &mut Vec<u8>| bytes.truncate(1);
    if !rewrite(fixture, world, handle, &damage).await {
        eprintln!("skipped: the fixture cannot damage a row");
        return;
    }
    let presented = Presented::new(login.credential().reveal()).authoritative();
    assert_unreadable(auth.verify_with(presented).await, &login, subject);
    assert_unreadable(auth.refresh(refreshable(&login)).await, &login, subject);
    assert_unreadable(auth.revoke(refreshable(&login)).await, &login, subject);
    let again = Login::new(subject).data(8).replaces(refreshable(&login));
    let again = auth.issue(again).await.expect("the user logs in again");
    let verified = auth.verify(again.credential().reveal()).await;
    assert_eq!(verified.expect("it verifies").data(), &8);
    let _ = auth.revoke_all(subject).await.expect("a logout everywhere");
    let gone = auth.refresh(refreshable(&login)).await;
    assert_eq!(rejection(&gone), Some(Rejection::Unknown), "{subject}");
}

async fn rewrite<F: StoreFixture>(
    fixture: &F,
    world: &World<'_, F>,
    handle: Handle,
    edit: EditBytes<'_>,
) -> bool {
    let rewritten = fixture.rewrite(&world.store, handle, world.now(), edit);
    rewritten.await
}

/// A field that a later version added and that may be overlooked survives each act of this version:
/// uses, refreshes, edits of one login and of all, and step-ups. Rejects an act that writes the row
/// from the fields that it knows.
pub(crate) async fn read_14_no_act_drops_a_field_of_a_later_version<F: StoreFixture>(fixture: &F) {
    let world = World::open(fixture).await;
    let hybrid = hybrid(world.builder(Arc::clone(&world.store)));
    keeps_the_field(fixture, &world, &world.auth_of::<Good>(), "alice").await;
    keeps_the_field(fixture, &world, &hybrid, "bob").await;
}

async fn keeps_the_field<F: StoreFixture>(
    fixture: &F,
    world: &World<'_, F>,
    auth: &impl Authenticator<Data = Good>,
    subject: &str,
) {
    let later = b"\x64\x0ffrom the future";
    let login = auth.issue(Login::new(subject).data(7).remember()).await;
    let login = login.expect("a login is issued");
    // As the later version would have written it.
    let handle = world.list(subject).await[0].handle();
    let add = |bytes: &mut Vec<u8>| bytes.extend(later);
    assert!(rewrite(fixture, world, handle, &add).await, "no row");

    let assert_kept = async |act: &str| {
        let rows = world.list(subject).await;
        let bytes = rows[0].encode();
        let is_kept = bytes.windows(later.len()).any(|bytes| bytes == later);
        assert!(is_kept, "{subject}: lost by {act}");
    };
    let credential = refreshable(&login).to_owned();
    world.advance(600).await;
    let used = auth.verify(login.credential().reveal()).await;
    if used.is_ok() {
        assert_kept("a use").await;
    }
    let refreshed = auth.refresh(&credential).await.expect("a refresh");
    assert_kept("a refresh").await;
    let edit = &mut |login: &mut Edit<Good>| {
        login.roles.push("editor".to_owned());
        login.data += 1;
        login.device = Some("phone".to_owned());
        Ok(())
    };
    let credential = refreshable(&refreshed).to_owned();
    let edited = auth.update(&credential, edit).await.expect("an edit");
    assert_kept("an edit").await;
    let _ = auth
        .update_all(subject, edit)
        .await
        .expect("an edit of all");
    assert_kept("an edit of all logins").await;
    let step = &mut |login: &mut Edit<Good>| login.step_up("aal2", Duration::from_secs(600));
    let stepped = auth.update(refreshable(&edited), step).await;
    let stepped = stepped.expect("a step-up");
    assert_kept("a step-up").await;
    world.advance(60).await;
    let last = auth.refresh(refreshable(&stepped)).await;
    assert_eq!(last.expect("a refresh").identity().data(), &9, "{subject}");
    assert_kept("a refresh after it").await;
}

/// A field of a later version that this one must not overlook makes each act on the login *unreadable*,
/// and the act changes nothing: without the field, the login goes on as it was. What needs no more than
/// the subject ends it: a logout everywhere. Tickets and API keys are refused too, and no ticket is
/// spent. Rejects an act that changes a row before it has read it, and one that overlooks the field.
pub(crate) async fn read_15_a_critical_field_is_refused_by_each_act<F: StoreFixture>(fixture: &F) {
    let world = World::open(fixture).await;
    let strict = world.builder(Arc::clone(&world.store)).reject_orphaned();
    let strict = strict.build().expect("a valid configuration");
    let hybrid = hybrid(world.builder(Arc::clone(&world.store)));
    // Without data, a refresh does not read the row before.
    refuses_the_field(fixture, &world, &strict, "alice", ()).await;
    let with_data = world.auth_of::<Good>();
    refuses_the_field(fixture, &world, &with_data, "bob", 7).await;
    refuses_the_field(fixture, &world, &hybrid, "dave", 7).await;

    let tickets = world.tickets::<u8>("reset");
    let ticket = tickets.issue("carol", 3).await.expect("a ticket");
    let (keys, made) = (world.keys(Arc::clone(&world.store)), Login::new("carol"));
    let key = keys.issue(made).await.expect("a key");
    for subject in ["\u{1}ticket:reset\u{1}carol", "\u{1}key:acme_pat\u{1}carol"] {
        let handle = world.list(subject).await[0].handle();
        if !rewrite(fixture, &world, handle, &add_critical_field).await {
            return;
        }
        let text = ticket.credential().reveal();
        let browser = ticket.browser_secret().map(|secret| secret.reveal());
        let keep = &mut |_: &mut Edit| Ok(());
        let answers = match subject.contains("ticket") {
            true => vec![
                tickets.redeem(text, browser).await.map(drop),
                tickets.update(text, browser, |_| Ok(())).await.map(drop),
            ],
            false => vec![
                keys.verify(secret(&key)).await.map(drop),
                keys.update(secret(&key), keep).await.map(drop),
                keys.leaked(secret(&key)).await.map(drop),
            ],
        };
        for answer in answers {
            assert!(
                answer.is_err_and(|error| error.is_unreadable()),
                "{subject:?}"
            );
        }
        assert!(rewrite(fixture, &world, handle, &remove_critical_field).await);
    }
    let text = ticket.credential().reveal();
    let browser = ticket.browser_secret().map(|secret| secret.reveal());
    let content = tickets.redeem(text, browser).await.expect("not spent");
    assert_eq!(content.payload, 3);
    assert!(keys.verify(secret(&key)).await.is_ok());
}

/// A field that this version does not know and must not overlook: tag, length and two bytes.
pub(crate) const CRITICAL_FIELD: [u8; 4] = [255, 2, 1, 1];

fn add_critical_field(bytes: &mut Vec<u8>) {
    bytes.extend(CRITICAL_FIELD);
}

fn remove_critical_field(bytes: &mut Vec<u8>) {
    assert!(bytes.ends_with(&CRITICAL_FIELD), "the row was written");
    bytes.truncate(bytes.len() - CRITICAL_FIELD.len());
}

async fn refuses_the_field<F: StoreFixture, D: Send + Sync + 'static>(
    fixture: &F,
    world: &World<'_, F>,
    auth: &impl Authenticator<Data = D>,
    subject: &str,
    data: D,
) {
    let login = auth.issue(Login::new(subject).data(data)).await;
    let login = login.expect("a login is issued");
    let handle = world.list(subject).await[0].handle();
    if !rewrite(fixture, world, handle, &add_critical_field).await {
        eprintln!("skipped: the fixture cannot write a field of a later version");
        return;
    }
    let credential = refreshable(&login);
    let edit = &mut |login: &mut Edit<D>| {
        login.roles.push("editor".to_owned());
        Ok(())
    };
    let step = &mut |login: &mut Edit<D>| login.step_up("aal2", Duration::from_secs(600));
    // Twice: in the time of a rotation, if there was one, and long after it.
    for _ in 0..2 {
        world.advance(60).await;
        let presented = Presented::new(login.credential().reveal()).authoritative();
        assert_unreadable(auth.verify_with(presented).await, &login, "a use");
        assert_unreadable(auth.refresh(credential).await, &login, "a refresh");
        assert_unreadable(auth.update(credential, edit).await, &login, "an edit");
        assert_unreadable(auth.update(credential, step).await, &login, "a step-up");
        assert_unreadable(auth.revoke(credential).await, &login, "a logout");
        let edited = auth.update_all(subject, edit).await.expect("an answer");
        assert_eq!(edited.count, Some(0), "{subject}: edited unread");
    }
    assert!(rewrite(fixture, world, handle, &remove_critical_field).await);
    let row = world.list(subject).await[0].clone();
    assert_eq!((row.generation(), row.version()), (0, 0), "{subject}");
    let refreshed = auth.refresh(credential).await.expect("a refresh");
    assert_eq!(refreshed.outcome(), Outcome::Rotated, "{subject}");
    assert_eq!(refreshed.identity().roles().count(), 0, "{subject}");

    assert!(rewrite(fixture, world, handle, &add_critical_field).await);
    let ended = auth.revoke_all(subject).await.expect("a logout everywhere");
    assert_eq!(ended.count, Some(1), "{subject}");
    let gone = auth.refresh(refreshable(&refreshed)).await;
    assert_eq!(rejection(&gone), Some(Rejection::Unknown), "{subject}");
}
