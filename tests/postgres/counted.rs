//! Numbers of statements, counted by the server.

use std::sync::Arc;

use statewise::clock::Timestamp;
use statewise::session::Limit;
use statewise::store::Postgres;
use statewise::store::contract::{
    DynSessionStore, Load, Page, Rotated, Scope, SessionStore, Updated,
};
use statewise::testkit::Sample;

use crate::fixture::{client_of, patient, run, sqlx_pool};
use crate::support::servers::postgres::PostgresServer;

type Store = Arc<dyn DynSessionStore>;

const NOW: Timestamp = Timestamp::from_unix(1_000_000);

/// Each call is one statement, except a change of data, which reads first, and a login that does not
/// exist, which is asked for twice. Rejects a read before a
/// write, one statement per row of a batch, and a transaction around a login.
#[test]
fn each_operation_is_one_statement() {
    run(async {
        let Some(server) = PostgresServer::with(&["fsync=off", "log_statement=all"]) else {
            return;
        };
        let server: &'static PostgresServer = Box::leak(Box::new(server));
        let sqlx = patient(Postgres::over(sqlx_pool(server, 1)));
        sqlx.migrate().await.unwrap();
        let pipelined = patient(Postgres::connect(|| client_of(server)));
        let stores: [(_, Store); 2] = [
            ("sqlx", Arc::new(sqlx.sessions())),
            ("pipelined", Arc::new(pipelined.sessions())),
        ];
        let known = || -> Vec<String> {
            let log = server.guard().log("postgres");
            let is_statement =
                |line: &&str| line.contains("LOG:  execute ") || line.contains("LOG:  statement: ");
            log.lines()
                .filter(is_statement)
                .map(str::to_owned)
                .collect()
        };
        for (name, store) in stores {
            // The first call connects and prepares statements.
            for first in [true, false] {
                let rows = [(); 3].map(|()| Sample::of("alice").idle(1_000).at(NOW));
                let mut before = known().len();
                let mut counts = |act: &str, most: usize| {
                    let all = known();
                    let new = &all[before..];
                    assert!(first || new.len() == most, "{name}, {act}: {new:#?}");
                    before = all.len();
                };
                for (row, limit) in
                    rows.iter()
                        .zip([Limit::Unlimited, Limit::Reject(9), Limit::EvictOldest(9)])
                {
                    let _ = store.create(row, limit, NOW).await.unwrap();
                    counts("create", 1);
                }
                let handle = rows[0].handle();
                let found = store.load(handle, Load::new(), NOW).await.unwrap();
                assert!(found.is_some());
                counts("load", 1);
                let later = NOW.saturating_add(500);
                let uses: Vec<_> = rows.iter().map(|row| (row.handle(), later)).collect();
                store.touch(&uses, later).await.unwrap();
                counts("touch", 1);
                let rotation = Sample::rotation_of(&rows[0]);
                let rotated = store.rotate(handle, &rotation, NOW).await.unwrap();
                assert!(matches!(rotated, Rotated::Done(_)));
                counts("rotate", 1);
                let updated = store.update(handle, 0, &Sample::update(b"1"), NOW).await;
                assert!(matches!(updated, Ok(Updated::Done { .. })));
                counts("update", 2);
                store.confirm(handle, 1, NOW).await.unwrap();
                counts("confirm", 1);
                let listed = store.list("alice", Page::first(2), NOW).await.unwrap();
                assert_eq!(listed.records.len(), 2);
                counts("list", 1);
                let _ = store.sweep(100, NOW).await.unwrap();
                counts("sweep", 1);
                let removed = store.remove(handle, "alice", NOW).await.unwrap();
                assert_eq!(removed.count, 1);
                counts("remove", 1);
                let gone = store.load(handle, Load::new(), NOW).await.unwrap();
                assert!(gone.is_none());
                counts("load of none", 2);
                let removed = store.remove_subject("alice", Scope::all(), NOW).await;
                assert_eq!(removed.unwrap().count, 2);
                counts("remove_subject", 1);
            }
        }
        server.kill9();
    });
}
