//! The two ways of verifying give the same answer: at once, by a row that the store shows in place,
//! and by a future that loads the row.
//!
//! Each pair below has one state, and two authenticators over it. The second one sits behind
//! wrappers that offer neither `try_verify_now` nor `peek`. For tokens and the hybrid both ways are
//! the same code, so that these pairs test what forwards them, and get fewer credentials. Random logins, refreshes, changes,
//! logouts and steps in time go on meanwhile, and most presented credentials are mutated.
//!
//! `STATEWISE_CREDENTIALS=10000000 cargo test --release --features testkit --test try_verify_now`
//! presents ten million of them; 100 000 by default.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use statewise::clock::Clock as _;
use statewise::clock::Timestamp;
use statewise::either::Either;
use statewise::hybrid::HybridAuthenticator;
use statewise::migrating::Migrating;
use statewise::observer::{Event, Observer};
use statewise::revocation::{MemoryLog, RevocationView};
use statewise::session::{SessionAuthenticator, SessionBuilder};
use statewise::store::contract::{Handle, Load, Page, Peeked, Record, RecordRef, SessionStore};
use statewise::store::{CachedStore, MemoryStore};
use statewise::testkit::{ManualClock, Random, block_on, forward_session_store, seed};
use statewise::token::{Key, TokenAuthenticator, TokenBuilder};
use statewise::{
    Affected, Authenticator, DynAuthenticator, EditFn, Identity, Issued, Login, Logout, Observed,
    Presented, Result, Upkeep,
};

const SUBJECTS: [&str; 3] = ["alice", "bob", "a subject that is too long to lie inline"];
const IDLE: u64 = 1_800;
const ABSOLUTE: u64 = 12 * 3_600;
/// Logins at a time, so that most presented credentials belong to a live one.
const LOGINS: usize = 12;

/// A store that shows nothing in place.
#[derive(Debug)]
struct Loading<S>(S);

impl<S: SessionStore> SessionStore for Loading<S> {
    forward_session_store! {
        0: create, load, change, rotate, update, confirm, touch, remove, remove_subject, list, sweep,
        begin, staleness, upkeep
    }
}

/// An authenticator that verifies nothing at once.
#[derive(Debug)]
struct Awaiting<A>(A);

impl<A: Authenticator> Authenticator for Awaiting<A> {
    type Data = A::Data;

    fn is_well_formed(&self, credential: &str) -> bool {
        self.0.is_well_formed(credential)
    }

    async fn issue(&self, login: Login<A::Data>) -> Result<Issued<A::Data>> {
        self.0.issue(login).await
    }

    async fn verify_with(&self, presented: Presented<'_>) -> Result<Identity<A::Data>> {
        self.0.verify_with(presented).await
    }

    async fn refresh_with(&self, presented: Presented<'_>) -> Result<Issued<A::Data>> {
        self.0.refresh_with(presented).await
    }

    async fn revoke(&self, credential: &str) -> Result<Logout> {
        self.0.revoke(credential).await
    }

    async fn revoke_all(&self, subject: &str) -> Result<Affected> {
        self.0.revoke_all(subject).await
    }

    async fn update(&self, credential: &str, edit: EditFn<'_, A::Data>) -> Result<Issued<A::Data>> {
        self.0.update(credential, edit).await
    }

    async fn update_all(&self, subject: &str, edit: EditFn<'_, A::Data>) -> Result<Affected> {
        self.0.update_all(subject, edit).await
    }

    fn upkeep(&self) -> Upkeep {
        self.0.upkeep()
    }
}

/// Counts events.
#[derive(Debug, Default)]
struct Count(Mutex<usize>);

impl Count {
    fn take(&self) -> usize {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Observer for Count {
    fn observe(&self, _: &Event<'_>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) += 1;
    }
}

type Any = Arc<dyn DynAuthenticator<String>>;
type Sessions = SessionAuthenticator<Arc<MemoryStore>, String>;

/// Two authenticators over one state.
struct Pair {
    name: &'static str,
    at_once: Any,
    awaiting: Any,
    /// A third one, for changes of roles and data.
    changes: Option<Sessions>,
    /// The view that both follow.
    view: Option<RevocationView>,
    /// Part of the credentials that are presented.
    share: usize,
}

impl Pair {
    fn following(mut self, view: RevocationView) -> Self {
        self.view = Some(view);
        self
    }
}

fn pair<A, B>(name: &'static str, at_once: A, awaiting: B, changes: Option<Sessions>) -> Pair
where
    A: Authenticator<Data = String>,
    B: Authenticator<Data = String>,
{
    Pair {
        name,
        at_once: Arc::new(at_once),
        awaiting: Arc::new(Awaiting(awaiting)),
        changes,
        view: None,
        share: 4,
    }
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn memory() -> Arc<MemoryStore> {
    Arc::new(MemoryStore::with_capacity(1_000).unwrap())
}

fn sessions<S: SessionStore>(store: S, clock: &ManualClock) -> SessionBuilder<S, String> {
    sessions_with(store, IDLE, clock)
}

fn sessions_with<S: SessionStore>(
    store: S,
    idle: u64,
    clock: &ManualClock,
) -> SessionBuilder<S, String> {
    SessionAuthenticator::builder(store)
        .idle(seconds(idle))
        .absolute(seconds(ABSOLUTE))
        .clock(clock.clone())
        .with_data()
}

fn tokens(clock: &ManualClock) -> TokenBuilder<String> {
    TokenAuthenticator::builder(Key::hs256(b"a key of these tests, with 32 byt").unwrap())
        .issuer("https://auth.example")
        .audience("api")
        .lifetime(seconds(900))
        .clock(clock.clone())
        .with_data()
}

/// Tokens that can be refreshed as long as a session.
fn long_tokens(clock: &ManualClock) -> TokenBuilder<String> {
    tokens(clock).max_lifetime(seconds(ABSOLUTE))
}

fn view(clock: &ManualClock) -> RevocationView {
    let view = RevocationView::builder(MemoryLog::new().unwrap())
        .max_lifetime(seconds(ABSOLUTE))
        .bound(seconds(ABSOLUTE))
        .clock(clock.clone())
        .build()
        .unwrap();
    block_on(view.follow()).unwrap();
    view
}

/// The same authenticator behind both ways.
fn shared<A: Authenticator<Data = String>>(name: &'static str, auth: A) -> Pair {
    let auth = Arc::new(auth);
    Pair {
        share: 1,
        ..pair(name, Arc::clone(&auth), auth, None)
    }
}

fn either<S: Authenticator<Data = String>>(
    sessions: S,
    clock: &ManualClock,
) -> Either<S, TokenAuthenticator<String>> {
    let tokens = long_tokens(clock).build().unwrap();
    Either::builder(sessions, tokens).build().unwrap()
}

fn pairs(clock: &ManualClock) -> Vec<Pair> {
    let store = memory();
    let rotating = |store| sessions(store, clock).rotate_after(seconds(600));
    let of_memory = pair(
        "sessions in memory",
        rotating(Arc::clone(&store)).build().unwrap(),
        sessions(Loading(Arc::clone(&store)), clock)
            .rotate_after(seconds(600))
            .build()
            .unwrap(),
        Some(rotating(store).build().unwrap()),
    );
    // A policy that was tightened after the logins, which the looser one beside it makes.
    let store = memory();
    let with = |idle| {
        sessions_with(Arc::clone(&store), idle, clock)
            .build()
            .unwrap()
    };
    let tightened = pair(
        "sessions under a tightened policy",
        Looser(with(IDLE), with(300)),
        sessions_with(Loading(Arc::clone(&store)), 300, clock)
            .build()
            .unwrap(),
        None,
    );
    let (cache_view, token_view) = (view(clock), view(clock));
    let cached = CachedStore::builder(memory(), &cache_view).max_age(seconds(900));
    let cached = Arc::new(cached.build().unwrap());
    let of_cache = pair(
        "sessions in a cache",
        sessions(Arc::clone(&cached), clock).build().unwrap(),
        sessions(Loading(cached), clock).build().unwrap(),
        None,
    );
    let store = memory();
    let observe = |auth| Observed::new(auth, Arc::new(Count::default()));
    let observed = pair(
        "observed sessions",
        observe(sessions(Arc::clone(&store), clock).build().unwrap()),
        sessions(Loading(store), clock).build().unwrap(),
        None,
    );
    let store = memory();
    let migrating = Migrating::builder(
        long_tokens(clock).build().unwrap(),
        sessions(Arc::clone(&store), clock).build().unwrap(),
    );
    let migrating = pair(
        "tokens to sessions",
        migrating.clock(clock.clone()).build().unwrap(),
        sessions(Loading(store), clock).build().unwrap(),
        None,
    );
    let store = memory();
    let both = pair(
        "sessions and tokens",
        either(sessions(Arc::clone(&store), clock).build().unwrap(), clock),
        either(sessions(Loading(store), clock).build().unwrap(), clock),
        None,
    );
    vec![
        both,
        of_memory,
        tightened,
        of_cache.following(cache_view),
        observed,
        migrating,
        shared("tokens", long_tokens(clock).build().unwrap()),
        shared(
            "tokens with a log",
            long_tokens(clock).revocations(&token_view).build().unwrap(),
        )
        .following(token_view),
        shared(
            "hybrid",
            HybridAuthenticator::new(tokens(clock), sessions(memory(), clock)).unwrap(),
        ),
    ]
}

/// Issues and refreshes by the first authenticator, and verifies by the second one.
#[derive(Debug)]
struct Looser<A>(A, A);

impl<A: Authenticator> Authenticator for Looser<A> {
    type Data = A::Data;

    fn is_well_formed(&self, credential: &str) -> bool {
        self.1.is_well_formed(credential)
    }

    async fn issue(&self, login: Login<A::Data>) -> Result<Issued<A::Data>> {
        self.0.issue(login).await
    }

    async fn verify_with(&self, presented: Presented<'_>) -> Result<Identity<A::Data>> {
        self.1.verify_with(presented).await
    }

    fn try_verify_now(&self, presented: Presented<'_>) -> Option<Result<Identity<A::Data>>> {
        self.1.try_verify_now(presented)
    }

    async fn refresh_with(&self, presented: Presented<'_>) -> Result<Issued<A::Data>> {
        self.0.refresh_with(presented).await
    }

    async fn revoke(&self, credential: &str) -> Result<Logout> {
        self.1.revoke(credential).await
    }

    async fn revoke_all(&self, subject: &str) -> Result<Affected> {
        self.1.revoke_all(subject).await
    }

    async fn update(&self, credential: &str, edit: EditFn<'_, A::Data>) -> Result<Issued<A::Data>> {
        self.0.update(credential, edit).await
    }

    async fn update_all(&self, subject: &str, edit: EditFn<'_, A::Data>) -> Result<Affected> {
        self.0.update_all(subject, edit).await
    }

    fn upkeep(&self) -> Upkeep {
        self.1.upkeep()
    }
}

/// All that a caller sees of an answer.
fn seen(answer: &Result<Identity<String>>) -> String {
    match answer {
        Ok(caller) => format!(
            "{caller:?} {:?} {:?} {} {} {} {} {} {} {:?} {:?}",
            caller.roles().collect::<Vec<_>>(),
            caller.data(),
            caller.id(),
            caller.version(),
            caller.refresh_due(),
            caller.issued_at(),
            caller.expires_at(),
            caller.deadline(),
            caller.device(),
            caller.acr(),
        ),
        Err(error) => format!("{error} {error:?}"),
    }
}

/// The credentials of one login, the current one last.
struct Client {
    subject: &'static str,
    presented: Vec<String>,
    refreshable: String,
}

fn login(random: &mut Random, auth: &Any) -> Client {
    let subject = SUBJECTS[random.below(SUBJECTS.len())];
    let mut login = Login::new(subject).data("x".repeat(random.below(80)));
    for role in ["admin", "reader", "a role that is rather long"] {
        if random.once_in(2) {
            login = login.role(role);
        }
    }
    if random.once_in(2) {
        login = login.device("phone").acr("aal2");
    }
    let issued = block_on(auth.issue(login)).unwrap();
    Client {
        subject,
        presented: vec![issued.credential().reveal().to_owned()],
        refreshable: issued.refreshable().reveal().to_owned(),
    }
}

/// Changes the state: the time, or one login.
fn act(random: &mut Random, pair: &Pair, clients: &mut [Client], clock: &ManualClock) {
    let at = random.below(clients.len());
    let client = &mut clients[at];
    match random.below(12) {
        0 => *client = login(random, &pair.at_once),
        1..=3 => match block_on(pair.at_once.refresh(&client.refreshable)) {
            Ok(issued) => {
                client
                    .presented
                    .push(issued.credential().reveal().to_owned());
                client.refreshable = issued.refreshable().reveal().to_owned();
            }
            Err(_) => *client = login(random, &pair.at_once),
        },
        4 | 5 => clock.advance(seconds(random.below(300) as u64)),
        6 => *client = login(random, &pair.at_once),
        7 => clock.turn_back(seconds(random.below(30) as u64)),
        8 => drop(block_on(
            pair.at_once.revoke(client.presented.last().unwrap()),
        )),
        9 if random.once_in(4) => drop(block_on(pair.at_once.revoke_all(client.subject))),
        _ => {
            if let (Some(auth), Some(credential)) = (&pair.changes, client.presented.last())
                && block_on(auth.verify(credential)).is_ok()
            {
                let roles = ["admin", "editor"].into_iter().take(random.below(3));
                let roles: Vec<_> = roles.map(str::to_owned).collect();
                let updated = block_on(auth.update(credential, &mut |session| {
                    session.roles.clone_from(&roles);
                    session.data = "new".to_owned();
                    Ok(())
                }));
                let _ = updated.unwrap();
            }
        }
    }
}

/// A credential to present: one of the clients', often mutated.
fn credential(random: &mut Random, clients: &[Client]) -> String {
    let any = |random: &mut Random| {
        let presented = &clients[random.below(clients.len())].presented;
        // Mostly the current one.
        let back = if random.once_in(10) {
            random.below(presented.len().min(3))
        } else {
            0
        };
        presented[presented.len() - 1 - back].clone()
    };
    let mut text = any(random);
    let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.=+/ \"";
    let letter = char::from(alphabet[random.below(alphabet.len())]);
    let place = random.below(text.len());
    match random.below(12) {
        0..=4 => return text,
        5 | 6 => text.replace_range(place..=place, &letter.to_string()),
        7 => text.insert(place, letter),
        8 => drop(text.remove(place)),
        9 => text.truncate(place),
        // The beginning of one and the end of another: the handle of a login that is not proven.
        10 => {
            let other = any(random);
            text.truncate(place);
            text.push_str(other.get(place..).unwrap_or_default());
        }
        _ => text.replace_range(place..=place, "\u{e9}"),
    }
    text
}

#[test]
fn both_ways_give_one_answer() {
    let count = std::env::var("STATEWISE_CREDENTIALS").ok();
    let count = count.map_or(100_000, |count| count.parse().unwrap());
    let seed = seed();
    println!("seed {seed}");
    let clock = ManualClock::default();
    let pairs = pairs(&clock);
    let shares: usize = pairs.iter().map(|pair| pair.share).sum();
    for pair in &pairs {
        let each = count * pair.share / shares;
        let mut random = Random::new(seed);
        let mut clients: Vec<_> = (0..LOGINS)
            .map(|_| login(&mut random, &pair.at_once))
            .collect();
        let (mut accepted, mut rejected, mut awaited) = (0, 0, 0);
        for step in 0..each {
            if random.once_in(16) {
                act(&mut random, pair, &mut clients, &clock);
                if let Some(view) = &pair.view {
                    block_on(view.follow()).unwrap();
                }
            }
            let text = credential(&mut random, &clients);
            let presented = Presented::new(&text);
            let answer = pair.at_once.try_verify_now(presented);
            // Nothing changes the state in between, unless the second way has more to do than read.
            let loaded = block_on(pair.awaiting.verify_with(presented));
            match &answer {
                Some(answer) => {
                    let (answer, loaded) = (seen(answer), seen(&loaded));
                    let name = pair.name;
                    assert_eq!(
                        answer,
                        loaded,
                        "{name}, seed {seed}, step {step}, {:?}",
                        clock.now()
                    );
                }
                None => awaited += 1,
            }
            match answer {
                Some(Ok(_)) => accepted += 1,
                Some(Err(_)) => rejected += 1,
                None => {}
            }
        }
        println!(
            "{}: {accepted} accepted and {rejected} rejected at once, {awaited} awaited",
            pair.name
        );
        assert!(accepted > each / 12, "{}: too few to compare", pair.name);
        assert!(rejected > each / 12, "{}: too few to compare", pair.name);
    }
}

/// Authoritative calls are not answered at once.
#[test]
fn an_authoritative_verification_awaits_the_authority() {
    let clock = ManualClock::default();
    for pair in pairs(&clock) {
        let issued = block_on(pair.at_once.issue(Login::new("alice").data(String::new()))).unwrap();
        let presented = Presented::new(issued.credential().reveal()).authoritative();
        let answer = pair.at_once.try_verify_now(presented);
        assert_eq!(answer.is_some(), pair.name == "tokens", "{}", pair.name);
        assert!(block_on(pair.at_once.verify_with(presented)).is_ok());
    }
}

/// A verification at once is observed like any other, and once.
#[test]
fn an_observer_gets_each_verification_once() {
    let clock = ManualClock::default();
    let count = Arc::new(Count::default());
    let auth = sessions(memory(), &clock).build().unwrap();
    let auth: Any = Arc::new(Observed::new(auth, Arc::clone(&count) as Arc<dyn Observer>));
    let issued = block_on(auth.issue(Login::new("alice").data(String::new()))).unwrap();
    assert_eq!(count.take(), 1);
    block_on(auth.verify(issued.credential().reveal())).unwrap();
    assert_eq!(count.take(), 1);
    assert!(block_on(auth.verify("garbage")).is_err());
    assert_eq!(count.take(), 1);
}

/// A credential of the former strategy takes the way that counts it and asks for its refresh.
#[test]
fn an_old_credential_of_a_migration_is_not_verified_at_once() {
    let clock = ManualClock::default();
    let old = Arc::new(long_tokens(&clock).build().unwrap());
    let new = sessions(memory(), &clock).build().unwrap();
    let auth = Migrating::builder(Arc::clone(&old), new).clock(clock);
    let auth = auth.build().unwrap();
    let issued = block_on(old.issue(Login::new("alice").data(String::new()))).unwrap();
    let presented = Presented::new(issued.credential().reveal());
    assert!(auth.try_verify_now(presented).is_none());
    assert!(block_on(auth.verify_with(presented)).unwrap().refresh_due());
    assert_eq!(auth.progress().verified, 1);
}

/// Answers with the row of another handle.
#[derive(Debug)]
struct MixesUp(MemoryStore, Mutex<Option<Handle>>);

impl MixesUp {
    fn other(&self, handle: Handle) -> Handle {
        let other = self.1.lock().unwrap_or_else(PoisonError::into_inner);
        other.unwrap_or(handle)
    }
}

impl SessionStore for MixesUp {
    forward_session_store! {
        0: create, change, rotate, update, confirm, touch, remove, remove_subject, list, sweep, begin,
        staleness, upkeep
    }

    async fn load(&self, handle: Handle, load: Load, now: Timestamp) -> Result<Option<Record>> {
        self.0.load(self.other(handle), load, now).await
    }

    fn peek<T>(
        &self,
        handle: Handle,
        now: Timestamp,
        look: impl FnOnce(RecordRef<'_>) -> T,
    ) -> Peeked<T> {
        self.0.peek(self.other(handle), now, look)
    }
}

/// The service fails, and the credential is not blamed.
#[test]
fn a_store_that_shows_another_row_is_unavailable() {
    let clock = ManualClock::default();
    let store = MixesUp(MemoryStore::with_capacity(10).unwrap(), Mutex::default());
    let auth = sessions(store, &clock).build().unwrap();
    let issue = |subject| block_on(auth.issue(Login::new(subject).data(String::new()))).unwrap();
    let (alice, _bob) = (issue("alice"), issue("bob"));
    let store = auth.store();
    let listed = store.0.list("bob", Page::first(1), clock.now().unwrap());
    let listed = block_on(listed).unwrap();
    *store.1.lock().unwrap() = Some(listed.records[0].handle());
    let presented = Presented::new(alice.credential().reveal());
    assert!(auth.try_verify_now(presented).is_none());
    let answer = block_on(auth.verify_with(presented));
    assert!(answer.unwrap_err().is_unavailable());
}
