//! The store in redb against redb itself, on one file.

use std::cell::{Cell, RefCell};
use std::sync::Arc;
use std::time::Duration;
use std::{env, fs, process};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use redb::{Database, ReadableDatabase as _, TableDefinition};
use statewise::session::SessionAuthenticator;
use statewise::store::{Redb, RedbStore};
use statewise::testkit::{ManualClock, block_on};
use statewise::{Authenticator, Login};

use crate::harness::options::Options;
use crate::harness::window::Window;
use crate::harness::{Group, Row, now};

const ROWS: TableDefinition<'_, &[u8; 16], &[u8]> = TableDefinition::new("statewise.sessions");
/// Table of the raw writes.
const RAW: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("raw");
const SESSIONS: usize = 20_000;
/// Sessions that are used in turn, so that each use is noted.
const USED_SESSIONS: usize = 2_048;
/// Logins that are created at a time, to be revoked.
const REVOCABLE_LOGINS: usize = 64;
const IDLE: Duration = Duration::from_secs(1_800);

type Sessions = SessionAuthenticator<RedbStore>;

pub fn measure(options: &Options) -> Vec<Row> {
    let wanted = |act: &&str| options.wants(&format!("redb {act}"));
    if !crate::ACTS.iter().any(wanted) {
        return Vec::new();
    }
    let folder = env::temp_dir().join(format!("statewise-bench-{}", process::id()));
    fs::create_dir_all(&folder).unwrap();
    let database = Arc::new(Database::create(folder.join("sessions.redb")).unwrap());
    let clock = ManualClock::default();
    let redb = Redb::over(Arc::clone(&database)).build().unwrap();
    let auth: Sessions = SessionAuthenticator::builder(redb.sessions())
        .idle(IDLE)
        .absolute(Duration::from_secs(1 << 40))
        .clock(clock.clone())
        .build()
        .unwrap();
    let credentials = logins(&auth);
    let mut rows = verify(&database, &auth, &credentials, options);
    rows.extend(slide(&database, &auth, &clock, &credentials, options));
    rows.extend(write(&database, &auth, options));
    drop((auth, redb, database));
    fs::remove_dir_all(&folder).unwrap();
    rows
}

/// Logs in 2 000 users at a time, to share the commits.
fn logins(auth: &Sessions) -> Vec<String> {
    let mut credentials = Vec::with_capacity(SESSIONS);
    for first in (0..SESSIONS).step_by(2_000) {
        let issues = (first..first + 2_000).map(|user| {
            let login = Login::new(format!("user_{user:07}")).roles(["admin", "editor"]);
            Box::pin(auth.issue(login)) as statewise::authenticator::BoxFuture<'_, _>
        });
        let issued = block_on(statewise::testkit::interleave(0, issues.collect()));
        let reveal = |issued: statewise::Result<statewise::Issued>| {
            issued.unwrap().credential().reveal().to_owned()
        };
        credentials.extend(issued.into_iter().map(reveal));
    }
    credentials
}

/// Reads one row of the last committed state, as every lookup must.
fn raw_get(database: &Database, credential: &str) -> usize {
    let mut handle = [0; 18];
    URL_SAFE_NO_PAD
        .decode_slice(&credential[..24], &mut handle)
        .unwrap();
    let handle: &[u8; 16] = handle.first_chunk().unwrap();
    let snapshot = database.begin_read().unwrap();
    let rows = snapshot.open_table(ROWS).unwrap();
    let row = rows.get(handle).unwrap().unwrap();
    row.value().len() + usize::from(row.value()[0])
}

fn verify(
    database: &Database,
    auth: &Sessions,
    credentials: &[String],
    options: &Options,
) -> Vec<Row> {
    let window = |turn| Window::new(credentials, options.seed ^ turn);
    Group::new("redb verify")
        .add_over("raw get", window(0), Window::refill, |window| {
            raw_get(database, window.next())
        })
        .add_over("the trait", window(1), Window::refill, |window| {
            now(auth.verify(window.next())).unwrap()
        })
        .run(options)
}

fn slide(
    database: &Database,
    auth: &Sessions,
    clock: &ManualClock,
    credentials: &[String],
    options: &Options,
) -> Vec<Row> {
    let credentials = &credentials[..USED_SESSIONS];
    let (raw, ours) = (Cell::new(0), Cell::new(0));
    let next = |turn: &Cell<usize>| turn.replace((turn.get() + 1) % USED_SESSIONS);
    Group::new("redb sliding verify")
        .add("raw get", || raw_get(database, &credentials[next(&raw)]))
        .add("the trait, each use noted", || {
            let at = next(&ours);
            if at == 0 {
                clock.advance(IDLE / 8);
            }
            now(auth.verify(&credentials[at])).unwrap()
        })
        .run(options)
}

/// Changes by one caller, each synced before the next. Compare the wall times, because
/// another thread does the work.
fn write(database: &Database, auth: &Sessions, options: &Options) -> Vec<Row> {
    let options = Options {
        quick: true,
        json: None,
        svg: None,
        filter: options.filter.clone(),
        ..*options
    };
    let (key, row) = (Cell::new(0), [7; 200]);
    let insert = || {
        let transaction = database.begin_write().unwrap();
        let at = key.replace(key.get() + 1);
        transaction
            .open_table(RAW)
            .unwrap()
            .insert(at, &row[..])
            .unwrap();
        transaction.commit().unwrap();
    };
    let mut rows = Group::new("redb issue")
        .add("raw insert and commit", insert)
        .add("the trait", || {
            let login = Login::new("bench").roles(["admin", "editor"]);
            block_on(auth.issue(login)).unwrap()
        })
        .run(&options);
    if options.wants("redb revoke") && key.get() < 4 * REVOCABLE_LOGINS as u64 {
        (0..4 * REVOCABLE_LOGINS).for_each(|_| insert());
    }
    let issued = RefCell::new(Vec::new());
    rows.extend(
        Group::new("redb revoke")
            .add("raw remove and commit", || {
                let transaction = database.begin_write().unwrap();
                let at = key.replace(key.get().saturating_sub(1)).saturating_sub(1);
                drop(transaction.open_table(RAW).unwrap().remove(at).unwrap());
                transaction.commit().unwrap();
            })
            .add_over(
                "the trait",
                (),
                |()| {
                    let mut issued = issued.borrow_mut();
                    while issued.len() < REVOCABLE_LOGINS {
                        let login = block_on(auth.issue(Login::new("bench"))).unwrap();
                        issued.push(login.credential().reveal().to_owned());
                    }
                },
                |()| {
                    let credential = issued.borrow_mut().pop().expect("a login to revoke");
                    block_on(auth.revoke(&credential)).unwrap()
                },
            )
            .run(&options),
    );
    for pair in rows.chunks(2) {
        let [raw, ours] = pair else { continue };
        let ratio = ours.wall / raw.wall;
        println!("  {}: wall {ratio:.2}x of {}", ours.group, ours.reference);
    }
    rows
}
