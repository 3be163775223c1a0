//! A service and a store are killed between rotation and answer. The client tries again and gets
//! the existing successor, or must log in. There are never two successors.

use std::env;
use std::future::pending;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use statewise::authenticator::BoxFuture;
use statewise::clock::{SystemClock, Timestamp};
use statewise::store::contract::{Handle, Load, Page, Record, Rotated, Rotation, SessionStore};
use statewise::store::{Redb, RedbStore, Redis, RedisStore};
use statewise::{Authenticator, Error, Issued, Login, Outcome, Rejection, Result};

use super::common::{PATIENT, managed};
use super::folder::Folder;
use super::support::servers::postgres::PostgresServer;
use super::support::servers::redis::RedisServer;
use super::{RUNTIME, hybrid, postgres};

/// Environment variables of the service to be killed: the address of its store, and the credential
/// to present.
const STORE: &str = "STATEWISE_TEST_STORE";
const PRESENTED: &str = "STATEWISE_TEST_PRESENTED";
const ROTATED: &str = "the row is rotated";

type Then = Box<dyn Fn() -> BoxFuture<'static, Error> + Send + Sync>;

/// A store that acts between a rotation and its answer. The client never gets that answer.
struct Between<S> {
    store: S,
    then: Then,
}

impl<S> std::fmt::Debug for Between<S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Between")
    }
}

impl<S: SessionStore> SessionStore for Between<S> {
    statewise::testkit::forward_session_store! {
        store: create, load, change, update, confirm, touch, remove, remove_subject, list, sweep, begin,
            staleness, upkeep
    }

    async fn rotate(&self, handle: Handle, rotation: &Rotation, now: Timestamp) -> Result<Rotated> {
        let rotated = self.store.rotate(handle, rotation, now).await?;
        assert!(matches!(rotated, Rotated::Done(_)), "{rotated:?}");
        Err((self.then)().await)
    }
}

fn redb(file: &Path) -> RedbStore {
    Redb::open(file).build().unwrap().sessions()
}

/// Not a test: the service that is killed.
#[test]
fn the_service_that_is_killed() {
    let (Ok(place), Ok(presented)) = (env::var(STORE), env::var(PRESENTED)) else {
        return;
    };
    RUNTIME.block_on(async {
        let (kind, place) = place.split_once(' ').unwrap();
        match kind {
            "redb" => refresh_and_never_answer(redb(place.as_ref()), &presented).await,
            "redis" => refresh_and_never_answer(redis(place.to_owned()).await, &presented).await,
            _ => {
                refresh_and_never_answer(postgres(PathBuf::from(place), 1).sessions(), &presented)
                    .await;
            }
        }
    });
}

/// Rotates, prints that it did, and never answers.
async fn refresh_and_never_answer(store: impl SessionStore, presented: &str) {
    let then = || {
        Box::pin(async {
            println!("{ROTATED}");
            std::io::stdout().flush().unwrap();
            pending().await
        }) as BoxFuture<'static, Error>
    };
    let then = Box::new(then);
    let answer = hybrid(Between { store, then }, SystemClock)
        .refresh(presented)
        .await;
    panic!("it was answered: {answer:?}");
}

async fn redis(url: String) -> RedisStore<::redis::aio::ConnectionManager> {
    let connection = managed(::redis::Client::open(url).unwrap()).await;
    let redis = Redis::over(connection).deadline(PATIENT);
    redis.build().unwrap().sessions()
}

/// Runs a service that refreshes, and kills it after the rotation and before the answer.
fn kill_a_service(place: &str, presented: &str) {
    let mut service = Command::new(env::current_exe().unwrap())
        .args([
            "--exact",
            "killed::the_service_that_is_killed",
            "--nocapture",
        ])
        .env(STORE, place)
        .env(PRESENTED, presented)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let said = BufReader::new(service.stdout.take().unwrap()).lines();
    let rotated = said
        .map_while(|line| line.ok())
        .any(|line| line.contains(ROTATED));
    service.kill().unwrap();
    service.wait().unwrap();
    assert!(rotated, "it ended by itself");
}

fn presented(issued: &Issued) -> &str {
    issued.refreshable().reveal()
}

/// The client tries again, several times and on several nodes: one working successor.
async fn one_successor<S: SessionStore>(name: &str, store: Arc<S>, lost: &Issued) {
    let nodes = [0, 1].map(|_| hybrid(Arc::clone(&store), SystemClock));
    let mut successor = None;
    for node in nodes.iter().cycle().take(6) {
        let retried = node.refresh(presented(lost)).await.unwrap();
        assert_eq!(retried.outcome(), Outcome::Replayed, "{name}");
        assert!(node.verify(retried.credential().reveal()).await.is_ok());
        let first = successor.get_or_insert_with(|| presented(&retried).to_owned());
        assert_eq!(presented(&retried), first, "{name}: two successors");
    }
    let now = Timestamp::from(lost.identity().issued_at());
    let listed = store.list("alice", Page::first(9), now).await.unwrap();
    let generations: Vec<_> = listed.records.iter().map(Record::generation).collect();
    assert_eq!(generations, [1], "{name}");
    // It is the current credential: presented again, it is answered with itself.
    let current = nodes[0].refresh(&successor.unwrap()).await.unwrap();
    assert_eq!(current.outcome(), Outcome::Replayed);
    let _ = nodes[1].revoke(presented(lost)).await.unwrap();
    println!("{name}: the retry was answered with the one successor");
}

#[test]
fn a_killed_service_loses_no_rotation() {
    let (Some(redis_server), Some(postgres_server)) =
        (RedisServer::start(), PostgresServer::start())
    else {
        return;
    };
    let folder = Folder::in_memory();
    let file = folder.file();
    for round in 0..3 {
        let name = |store| format!("service killed, {store}, round {round}");
        // Only one process at a time can open the file.
        let store = redb(&file);
        let issue = async |store| hybrid(store, SystemClock).issue(Login::new("alice")).await;
        let lost = RUNTIME.block_on(issue(store)).unwrap();
        kill_a_service(&format!("redb {}", file.display()), presented(&lost));
        let store = Arc::new(redb(&file));
        RUNTIME.block_on(one_successor(&name("redb"), store, &lost));

        RUNTIME.block_on(async {
            let store = Arc::new(redis(redis_server.url()).await);
            let auth = hybrid(Arc::clone(&store), SystemClock);
            let lost = auth.issue(Login::new("alice")).await.unwrap();
            kill_a_service(&format!("redis {}", redis_server.url()), presented(&lost));
            one_successor(&name("Redis"), store, &lost).await;

            let database = postgres(postgres_server.folder().to_owned(), 2);
            database.migrate().await.unwrap();
            let store = Arc::new(database.sessions());
            let auth = hybrid(Arc::clone(&store), SystemClock);
            let lost = auth.issue(Login::new("alice")).await.unwrap();
            let place = format!("postgres {}", postgres_server.folder().display());
            kill_a_service(&place, presented(&lost));
            one_successor(&name("Postgres"), store, &lost).await;
        });
    }
}

/// A refresh rotates a login, and the server is killed before it is answered.
async fn killed_in_between<S: SessionStore>(
    store: Arc<S>,
    kill: impl Fn() + Send + Sync + 'static,
) -> Issued {
    let auth = hybrid(Arc::clone(&store), SystemClock);
    let lost = auth.issue(Login::new("alice")).await.unwrap();
    let then: Then = Box::new(move || {
        kill();
        Box::pin(async { Error::unavailable("the server was killed") })
    });
    let auth = hybrid(Between { store, then }, SystemClock);
    let answer = auth.refresh(presented(&lost)).await;
    assert!(answer.unwrap_err().is_unavailable());
    lost
}

/// Waits until the store answers again, by looking up an unknown login.
async fn wait_until_it_answers(store: &impl SessionStore) {
    let nobody = Handle::from_bytes([0; 16]);
    for _ in 0..100 {
        if store
            .load(nobody, Load::new(), Timestamp::from_unix(1))
            .await
            .is_ok()
        {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("the store does not come back");
}

#[test]
fn a_durable_store_keeps_the_rotation() {
    let redis_server = RedisServer::with(&["--appendonly", "yes", "--appendfsync", "always"]);
    let (Some(redis_server), Some(postgres_server)) = (redis_server, PostgresServer::with(&[]))
    else {
        return;
    };
    let (redis_server, postgres_server) = (Arc::new(redis_server), Arc::new(postgres_server));
    RUNTIME.block_on(async {
        for round in 0..3 {
            let store = Arc::new(redis(redis_server.url()).await);
            let server = Arc::clone(&redis_server);
            let lost = killed_in_between(Arc::clone(&store), move || server.kill9()).await;
            redis_server.restart();
            wait_until_it_answers(&*store).await;
            let name = format!("store killed, Redis, round {round}");
            one_successor(&name, store, &lost).await;

            let database = postgres(postgres_server.folder().to_owned(), 2);
            database.migrate().await.unwrap();
            let store = Arc::new(database.sessions());
            let server = Arc::clone(&postgres_server);
            let lost = killed_in_between(Arc::clone(&store), move || server.kill9()).await;
            postgres_server.restart();
            wait_until_it_answers(&*store).await;
            let name = format!("store killed, Postgres, round {round}");
            one_successor(&name, store, &lost).await;
        }
    });
}

/// A store that loses data: the client must log in again, and no theft is reported.
#[test]
fn a_store_without_durability_may_lose_the_rotation() {
    let Some(server) = RedisServer::start() else {
        return;
    };
    let server = Arc::new(server);
    RUNTIME.block_on(async {
        let store = Arc::new(redis(server.url()).await);
        let killed = Arc::clone(&server);
        let lost = killed_in_between(Arc::clone(&store), move || killed.kill9()).await;
        server.restart();
        wait_until_it_answers(&*store).await;
        let auth = hybrid(store, SystemClock);
        let retried = auth.refresh(presented(&lost)).await.unwrap_err();
        assert_eq!(retried.rejection(), Some(Rejection::Unknown));
    });
}
