//! The cost of a view full of facts for a verification, and of a copy beside the store.

use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use statewise::clock::Timestamp;
use statewise::entropy::SystemEntropy;
use statewise::revocation::log::{Draft, Fact, RevocationLog as _, SubjectKey};
use statewise::revocation::{MemoryLog, RevocationView};
use statewise::session::SessionAuthenticator;
use statewise::store::contract::Handle;
use statewise::store::{CachedStore, MemoryStore};
use statewise::token::{TokenAuthenticator, TokenBuffer};
use statewise::{Authenticator as _, DynAuthenticator, Login};

use crate::harness::options::Options;
use crate::harness::window::Window;
use crate::harness::{Group, Random, Row, now};
use crate::tokens::{configured, key};

const DAY: Duration = Duration::from_secs(24 * 3600);
/// Number of different tokens.
const TOKENS: usize = 10_000;
/// One fact in ten ends all logins of a subject.
const SUBJECTS_OF: usize = 10;

pub fn measure(options: &Options) -> Vec<Row> {
    let [facts, sessions] = if options.quick {
        [100_000, 10_000]
    } else {
        [1_000_000, 100_000]
    };
    let token_group = format!("token verify, a view of {facts} facts");
    let session_group = format!("session verify, copies of {sessions} sessions, {facts} facts");
    if !options.wants(&token_group) && !options.wants(&session_group) {
        return Vec::new();
    }
    let log = Arc::new(MemoryLog::new().unwrap().capacity(2 * facts));
    let view = RevocationView::builder(Arc::clone(&log))
        .max_lifetime(DAY)
        // The log is not followed while measuring.
        .bound(DAY)
        .capacity(facts)
        .build()
        .unwrap();
    let with_view: TokenAuthenticator = configured(key()).revocations(&view).build().unwrap();
    let log_in = |of: &str| -> Vec<String> {
        let token = |user| {
            let login = Login::new(format!("{of}_{user:07}")).roles(["admin", "editor"]);
            let issued = now(with_view.issue(login)).unwrap();
            issued.credential().reveal().to_owned()
        };
        (0..TOKENS).map(token).collect()
    };
    say(&log, 0..facts / 2, options);
    let before = log_in("early");
    say(&log, facts / 2..facts, options);
    while view.health().unwrap().facts < facts {
        now(view.follow()).unwrap();
    }
    now(view.follow()).unwrap();
    let since = log_in("late");

    let mut rows = verify(&token_group, &with_view, [&before, &since], options);
    if options.wants(&session_group) {
        rows.extend(copies(&session_group, &view, sessions, options));
    }
    rows
}

/// Appends facts about logins and subjects that are never presented here.
fn say(log: &MemoryLog, range: std::ops::Range<usize>, options: &Options) {
    let mut random = Random(options.seed ^ range.start as u64);
    let drafts: Vec<_> = range
        .map(|at| {
            let fact = if at % SUBJECTS_OF == 0 {
                Fact::Subject {
                    subject: SubjectKey::of(&format!("ended_{at}")),
                    before: None,
                }
            } else {
                let [high, low] = [random.next(), random.next()].map(u64::to_be_bytes);
                let bytes = [high, low].concat();
                Fact::Login(Handle::from_bytes(bytes.try_into().unwrap()))
            };
            Draft::new(fact, DAY, &SystemEntropy).unwrap()
        })
        .collect();
    let today = Timestamp::from(time::OffsetDateTime::now_utc());
    now(log.append(&drafts, today)).unwrap();
}

fn verify(
    name: &str,
    with_view: &TokenAuthenticator,
    [before, since]: [&[String]; 2],
    options: &Options,
) -> Vec<Row> {
    let without: TokenAuthenticator = configured(key()).build().unwrap();
    let mut group = Group::new(name);
    let mut turn = options.seed;
    for (who, tokens) in [
        ("one token", &since[..1]),
        ("random ones", since),
        ("random ones of before others ended", before),
    ] {
        let [plain, viewed] = ["no view", "the view"].map(|view| format!("{view}, {who}"));
        for (name, auth) in [(&plain, &without), (&viewed, with_view)] {
            turn += 1;
            // Not picked in advance: copying tokens would evict the view from the cache.
            let state = (Random(turn), TokenBuffer::new());
            group = group.add_over(
                name.as_str(),
                state,
                |_| {},
                move |(random, buffer)| {
                    let token = &tokens[random.below(tokens.len())];
                    black_box(&auth.verify_borrowed(token, buffer).unwrap());
                },
            );
        }
        group = group.difference(&format!("what it adds, {who}"), &viewed, &plain);
    }
    for (at, token) in before.iter().chain(since).enumerate() {
        let caller = with_view.verify_now(token).unwrap();
        let of = if at < before.len() { "early" } else { "late" };
        assert_eq!(caller.subject(), format!("{of}_{:07}", at % TOKENS));
    }
    let rows = group.run(options);
    for row in rows.iter().filter(|row| row.name.starts_with("the view")) {
        assert!(row.allocs == 0.0, "{} allocates", row.name);
    }
    rows
}

fn copies(name: &str, view: &RevocationView, count: usize, options: &Options) -> Vec<Row> {
    let store = Arc::new(MemoryStore::with_capacity(count).unwrap());
    let cached = CachedStore::builder(Arc::clone(&store), view)
        .max_age(DAY)
        // Room for all copies in each part, so that none is evicted.
        .capacity(4 * count)
        .build()
        .unwrap();
    let hours = |hours: u64| Duration::from_secs(hours * 3600);
    let cached = Arc::new(
        SessionAuthenticator::builder(cached)
            .idle(hours(1))
            .absolute(hours(12))
            .build()
            .unwrap(),
    );
    let plain = Arc::new(
        SessionAuthenticator::builder(Arc::clone(&store))
            .idle(hours(1))
            .absolute(hours(12))
            .build()
            .unwrap(),
    );
    let credentials: Vec<String> = (0..count)
        .map(|user| {
            let login = Login::new(user_name(user)).roles(["admin", "editor"]);
            let issued = now(cached.issue(login)).unwrap();
            issued.credential().reveal().to_owned()
        })
        .collect();
    assert_eq!(
        cached.store().copies(),
        count,
        "each is served from its copy"
    );
    let erased = [
        Arc::clone(&plain) as Arc<dyn DynAuthenticator<()>>,
        Arc::clone(&cached) as Arc<dyn DynAuthenticator<()>>,
    ];
    for (user, credential) in credentials.iter().enumerate().take(100) {
        for auth in &erased {
            let caller = now(auth.verify(credential)).unwrap();
            assert_eq!(caller.subject(), user_name(user));
        }
    }
    let [of_store, of_copies] = &erased;
    let window = |turn| Window::new(&credentials, options.seed ^ turn);
    Group::new(name)
        .add_over(STORE, window(0), Window::refill, |window| {
            now(of_store.verify(window.next())).unwrap()
        })
        .add_over(COPIES, window(1), Window::refill, |window| {
            now(of_copies.verify(window.next())).unwrap()
        })
        .add_over(STORE_BY_TRAIT, window(2), Window::refill, |window| {
            now(plain.verify(window.next())).unwrap()
        })
        .add_over(COPIES_BY_TRAIT, window(3), Window::refill, |window| {
            now(cached.verify(window.next())).unwrap()
        })
        .pair(COPIES_BY_TRAIT, STORE_BY_TRAIT)
        .run(options)
}

const STORE: &str = "the store in memory, Arc<dyn>";
const COPIES: &str = "copies of it, Arc<dyn>";
const STORE_BY_TRAIT: &str = "the store in memory, the trait";
const COPIES_BY_TRAIT: &str = "copies of it, the trait";

fn user_name(user: usize) -> String {
    format!("user_{user:07}")
}
