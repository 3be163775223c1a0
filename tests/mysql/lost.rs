//! Lost answers.

use sqlx::mysql::{MySqlConnectOptions, MySqlPoolOptions};
use statewise::session::Limit;
use statewise::store::contract::{Created, Rotated, SessionStore as _, Updated};
use statewise::testkit::Sample;

use super::cases::{count, get, is_unavailable, now, put};
use super::server::{database, store_in, table};
use super::shared::with_server;
use super::support::proxy::Proxy;

/// The answer to each call is cut at every byte. The change was made or not, and a retry reports
/// it. Rejects a store that takes a broken connection for an answer, that retries a login on its
/// own, or that leaves half a login behind.
#[test]
fn a_lost_answer_leaves_whole_rows() {
    with_server(async |shared| {
        let table = table();
        let proxy = Proxy::to(shared.server.socket());
        let socket = proxy.url().replace("unix://", "");
        let options = MySqlConnectOptions::new()
            .username("root")
            .database("statewise");
        let pool = MySqlPoolOptions::new()
            .max_connections(1)
            .test_before_acquire(false)
            .connect_lazy_with(options.socket(socket));
        let store = store_in(&pool, &table).await;
        let straight = database(&shared.pool, &table).sessions();

        let cuts = [
            0, 1, 4, 6, 7, 11, 12, 18, 22, 29, 40, 60, 90, 140, 200, 300, 450,
        ];
        for (limit, cut) in [Limit::Unlimited, Limit::EvictOldest(1)]
            .into_iter()
            .flat_map(|limit| cuts.map(|cut| (limit, cut)))
        {
            let subject = format!("{limit:?}, cut after {cut}");
            let old = Sample::of(&subject).at(now());
            put(&store, &old).await;
            let new = Sample::of(&subject).at(now());
            proxy.cut_after(cut);
            let created = store.create(&new, limit, now()).await;
            proxy.cut_after(usize::MAX);
            let was_done = get(&straight, &new).await.is_some();
            match &created {
                Ok(Created::Stored { .. }) => assert!(was_done, "{subject}"),
                created => assert!(is_unavailable(created), "{subject}: {created:?}"),
            }
            // The same record again, as a client sends it that got no answer.
            let again = store.create(&new, limit, now()).await.unwrap();
            match again {
                Created::Duplicate => {}
                Created::Stored { .. } => assert!(created.is_err(), "{subject}: twice"),
                other => panic!("{subject}: {other:?}"),
            }
            let left = if limit == Limit::Unlimited { 2 } else { 1 };
            assert_eq!(count(&straight, &subject).await, left, "{subject}");
            assert!(get(&straight, &new).await.is_some(), "{subject}");

            // The second attempt reports these too.
            let change = Sample::update(b"1");
            proxy.cut_after(cut);
            let updated = store.update(new.handle(), 0, &change, now()).await;
            proxy.cut_after(usize::MAX);
            let version = get(&straight, &new).await.unwrap().version();
            match updated {
                Ok(Updated::Done { record: row, .. }) => {
                    assert_eq!((row.version(), version), (1, 1));
                }
                other => assert!(is_unavailable(&other) && version <= 1, "{subject}"),
            }
            let rotation = Sample::rotation_of(&new);
            proxy.cut_after(cut);
            let rotated = store.rotate(new.handle(), &rotation, now()).await;
            proxy.cut_after(usize::MAX);
            assert!(
                matches!(rotated, Ok(Rotated::Done(_))) || is_unavailable(&rotated),
                "{subject}: {rotated:?}"
            );
            let rotated = store.rotate(new.handle(), &rotation, now()).await;
            let advanced = get(&straight, &new).await.unwrap();
            assert!(rotated.is_ok() && advanced.generation() == 1, "{subject}");
            proxy.cut_after(cut);
            let removed = store.remove(new.handle(), &subject, now()).await;
            proxy.cut_after(usize::MAX);
            assert!(removed.is_ok() || is_unavailable(&removed), "{subject}");
            let _ = store.remove(new.handle(), &subject, now()).await.unwrap();
            assert!(get(&straight, &new).await.is_none(), "{subject}");
        }
        assert!(proxy.cuts() > 60, "{} connections were cut", proxy.cuts());
    });
}
