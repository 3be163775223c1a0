//! Measurements of every store that uses a server, or a thread of its own.

use std::future::Future;
use std::hint::black_box;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use statewise::store::contract::SessionStore;
use statewise::{Authenticator, Outcome};
use tokio::runtime::Runtime;

use crate::harness::options::Options;
use crate::harness::served::{Aim, Feed, Line, Served};
use crate::harness::{Random, Row};
use crate::site::{
    COUNTED, Counter, DUE, NOTED, Site, counted, hybrid, logged_in, login, verifying,
};

/// Number of users. They log in in turn.
const USERS: usize = 100_000;
/// First number of the rows that the raw client removes, apart from those that it only adds.
const FIRST_TO_REMOVE: u64 = 1 << 40;
pub const OURS: &str = "the trait";
pub const ONE_OF_EIGHT: &str = "the trait, one use of eight noted";
const ROTATED: &str = "refresh";
const REPLAYED: &str = "refresh, replayed";
pub const EACH: &str = "the trait, each use noted";

/// The same work with the client of the database alone.
pub trait Raw: Clone + Send + Sync + 'static {
    /// Key of a row, made before the measurement.
    type Key: Clone + Send + Sync + 'static;

    /// Key of one of our rows.
    fn key_of(&self, handle: [u8; 16]) -> Self::Key;
    /// New key, which no row has yet.
    fn fresh_key(&self, number: u64) -> Self::Key;
    /// Reads one of our rows without decoding it.
    fn find(&self, key: &Self::Key) -> impl Future<Output = ()> + Send;
    /// Reads one of our rows and extends its life, if the database can do so in one command.
    fn slide(&self, key: &Self::Key) -> impl Future<Output = ()> + Send {
        self.find(key)
    }
    /// Inserts a row as long as one of ours.
    fn insert(&self, key: &Self::Key) -> impl Future<Output = ()> + Send;
    /// Removes a row that it has inserted.
    fn remove(&self, key: &Self::Key) -> impl Future<Output = ()> + Send;
}

/// Key at a random place among all others, like the keys of sessions.
pub fn scattered(number: u64) -> [u8; 16] {
    let word = Random(number).next();
    (u128::from(word) << 64 | u128::from(number)).to_be_bytes()
}

/// A row of the raw client, about as long as a record.
pub const ROW: [u8; 224] = [7; 224];

/// A backend, and how to measure it.
pub struct Backend<'a, R, O> {
    pub name: &'a str,
    /// Label of the raw client.
    pub client: &'a str,
    pub raw: R,
    /// Opens another store without cached state.
    pub open: O,
    pub counter: Option<&'a dyn Counter>,
    /// Counts what the client sends, if `counter` also counts the commands of a script.
    pub trips: Option<&'a dyn Counter>,
    /// Targets for `verify`, relative to the raw client.
    pub verify: &'a [Aim],
    /// Targets for one way to verify, relative to another one.
    pub sliding: &'a [(&'a str, Aim, &'a str)],
    pub runtime: &'a Runtime,
    pub options: &'a Options,
}

fn handle_of(credential: &str) -> [u8; 16] {
    let mut handle = [0; 18];
    let public = &credential.as_bytes()[..24];
    URL_SAFE_NO_PAD.decode_slice(public, &mut handle).unwrap();
    *handle.first_chunk().unwrap()
}

impl<R: Raw, S: SessionStore, O: Fn() -> S> Backend<'_, R, O> {
    pub fn run(&self) -> Vec<Row> {
        let wanted = |act: &&str| self.options.wants(&self.group(act));
        if !crate::ACTS.iter().any(wanted) {
            return Vec::new();
        }
        let mut rows = self.verify();
        rows.extend(self.slide());
        rows.extend(self.issue());
        rows.extend(self.refresh());
        rows.extend(self.revoke());
        rows
    }

    fn group(&self, act: &str) -> String {
        format!("{} {act}", self.name)
    }

    fn site(&self, logins: usize) -> Site<S> {
        Site::new((self.open)(), logins, self.runtime)
    }

    fn feed(&self, site: &Site<S>) -> Feed<Line> {
        let lines = site.credentials.iter().map(|text| Line::new(text));
        Feed::shuffled(lines.collect(), self.options.seed)
    }

    fn counted<F: Future<Output = ()>>(&self, act: impl Fn() -> F) -> Option<f64> {
        counted(self.counter, self.runtime, act, || ())
    }

    fn keys(&self, credentials: &[String]) -> Feed<R::Key> {
        let key_of = |credential: &String| self.raw.key_of(handle_of(credential));
        let keys = credentials.iter().map(key_of).collect();
        Feed::shuffled(keys, self.options.seed ^ 1)
    }

    fn verify(&self) -> Vec<Row> {
        if !self.options.wants(&self.group("verify")) {
            return Vec::new();
        }
        let site = self.site(if self.options.quick { 1_000 } else { 10_000 });
        let (raw, keys) = (self.raw.clone(), self.keys(&site.credentials));
        let find = move || {
            let (raw, keys) = (raw.clone(), keys.clone());
            async move { raw.find(keys.next()).await }
        };
        let ours = verifying!(site.auth, self.feed(&site));
        let counts = (self.counted(&find), self.counted(&ours));
        let mut group = Served::new(self.group("verify"), self.runtime)
            .add(self.client, find)
            .commands(counts.0)
            .add(OURS, ours)
            .commands(counts.1);
        for aim in self.verify {
            group = group.target(OURS, *aim, self.client);
        }
        group.run(self.options)
    }

    /// Verifications with uses to note. The time of a batch includes writing them.
    fn slide(&self) -> Vec<Row> {
        if !self.options.wants(&self.group("sliding verify")) {
            return Vec::new();
        }
        let still = self.site(NOTED * DUE);
        let (raw, keys) = (self.raw.clone(), self.keys(&still.credentials));
        let slide = move || {
            let (raw, keys) = (raw.clone(), keys.clone());
            async move { raw.slide(keys.next()).await }
        };
        let commands = self.counted(&slide);
        let read = verifying!(still.auth, self.feed(&still));
        let mut group = Served::new(self.group("sliding verify"), self.runtime)
            .add(self.client, slide)
            .commands(commands)
            .add(OURS, read);
        for (name, times) in [(ONE_OF_EIGHT, NOTED), (EACH, 1)] {
            let site = self.site(NOTED * DUE / times);
            group = site.noting(group, name, times, self.counter, self.runtime);
        }
        for (of, aim, against) in self.sliding {
            group = group.target(of, *aim, against);
        }
        group.run(self.options)
    }

    fn issue(&self) -> Vec<Row> {
        let (raw, number) = (self.raw.clone(), Arc::new(AtomicU64::new(0)));
        let insert = move || {
            let (raw, number) = (raw.clone(), Arc::clone(&number));
            async move {
                let key = raw.fresh_key(number.fetch_add(1, Ordering::Relaxed));
                raw.insert(&key).await;
            }
        };
        if !self.options.wants(&self.group("issue")) {
            return Vec::new();
        }
        let (auth, number) = (self.site(0).auth, Arc::new(AtomicUsize::new(0)));
        let issue = move || {
            let (auth, number) = (Arc::clone(&auth), Arc::clone(&number));
            async move {
                let login = login(number.fetch_add(1, Ordering::Relaxed) % USERS);
                let _ = black_box(auth.issue(login).await.unwrap());
            }
        };
        Served::new(self.group("issue"), self.runtime)
            .add("raw insert", insert)
            .add(OURS, issue)
            .run(self.options)
    }

    /// Refreshes of a hybrid: a rotation, and a replay of the same credential, which writes
    /// nothing.
    fn refresh(&self) -> Vec<Row> {
        if !self.options.wants(&self.group("refresh")) {
            return Vec::new();
        }
        let site = self.site(1_000);
        let (raw, keys) = (self.raw.clone(), self.keys(&site.credentials));
        let find = move || {
            let (raw, keys) = (raw.clone(), keys.clone());
            async move { raw.find(keys.next()).await }
        };
        let auth = Arc::new(hybrid((self.open)()));
        let (logins, issuer) = (Pile::default(), Arc::clone(&auth));
        let piled = logins.clone();
        let log_in = move |count: usize| {
            let missing = count.saturating_sub(piled.len());
            piled.put(logged_in(&issuer, missing, self.runtime));
        };
        let refreshing = Arc::clone(&auth);
        let rotate = move || {
            let (auth, logins) = (Arc::clone(&refreshing), logins.clone());
            async move {
                let issued = auth.refresh(&logins.take()).await.unwrap();
                assert_eq!(black_box(issued).outcome(), Outcome::Rotated);
            }
        };
        let rotated = logged_in(&auth, 512, self.runtime);
        self.runtime.block_on(async {
            for credential in &rotated {
                let _ = auth.refresh(credential).await.unwrap();
            }
        });
        let rotated = Feed::shuffled(rotated, self.options.seed);
        let replay = move || {
            let (auth, rotated) = (Arc::clone(&auth), rotated.clone());
            async move {
                let issued = auth.refresh(rotated.next()).await.unwrap();
                assert_eq!(black_box(issued).outcome(), Outcome::Replayed);
            }
        };
        log_in(COUNTED + 1);
        let trips = self.trips.or(self.counter);
        let counts = [
            counted(trips, self.runtime, &find, || ()),
            counted(trips, self.runtime, &rotate, || ()),
            counted(trips, self.runtime, &replay, || ()),
        ];
        Served::new(self.group("refresh"), self.runtime)
            .add(self.client, find)
            .commands(counts[0])
            .add(ROTATED, rotate)
            .prepared(log_in)
            .commands(counts[1])
            .add(REPLAYED, replay)
            .commands(counts[2])
            .run(self.options)
    }

    fn revoke(&self) -> Vec<Row> {
        if !self.options.wants(&self.group("revoke")) {
            return Vec::new();
        }
        let (rows, raw) = (Pile::default(), self.raw.clone());
        let (piled, number) = (rows.clone(), AtomicU64::new(FIRST_TO_REMOVE));
        let fill = move |count| {
            let raw = &self.raw;
            self.runtime.block_on(async {
                while piled.len() < count {
                    let key = raw.fresh_key(number.fetch_add(1, Ordering::Relaxed));
                    raw.insert(&key).await;
                    piled.put([key]);
                }
            });
        };
        let remove = move || {
            let (raw, rows) = (raw.clone(), rows.clone());
            async move { raw.remove(&rows.take()).await }
        };
        let (logins, auth) = (Pile::default(), self.site(0).auth);
        let (piled, issuer) = (logins.clone(), Arc::clone(&auth));
        let log_in = move |count: usize| {
            let missing = count.saturating_sub(piled.len());
            piled.put(logged_in(&issuer, missing, self.runtime));
        };
        let revoke = move || {
            let (auth, logins) = (Arc::clone(&auth), logins.clone());
            async move {
                let _ = auth.revoke(&logins.take()).await.unwrap();
            }
        };
        Served::new(self.group("revoke"), self.runtime)
            .add("raw remove", remove)
            .prepared(fill)
            .add(OURS, revoke)
            .prepared(log_in)
            .run(self.options)
    }
}

/// Items to be removed by any number of tasks.
struct Pile<T>(Arc<Mutex<Vec<T>>>);

impl<T> Clone for Pile<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T> Default for Pile<T> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

impl<T> Pile<T> {
    fn len(&self) -> usize {
        self.0.lock().unwrap().len()
    }

    fn put(&self, more: impl IntoIterator<Item = T>) {
        self.0.lock().unwrap().extend(more);
    }

    fn take(&self) -> T {
        self.0.lock().unwrap().pop().expect("enough was prepared")
    }
}
