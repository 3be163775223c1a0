//! Dropped calls, on any kind of connection.

use std::time::Duration;

use redis::aio::ConnectionLike;
use statewise::authenticator::BoxFuture;
use statewise::clock::Timestamp;
use statewise::session::Limit;
use statewise::store::RedisStore;
use statewise::store::contract::{Load, Page, Scope, SessionStore, Updated};
use statewise::testkit::{Sample, give_up_after};

const NOW: Timestamp = Timestamp::from_unix(1_800_000_000);

/// A future dropped at any of its steps leaves every row intact, and the connection usable for the
/// next caller.
pub(crate) async fn may_be_dropped_at_every_step<C>(store: &RedisStore<C>)
where
    C: ConnectionLike + Clone + Send + Sync + 'static,
{
    let bystander = Sample::of("bob").data(b"bob").at(NOW);
    let _ = store
        .create(&bystander, Limit::Unlimited, NOW)
        .await
        .unwrap();
    for act in 0..9 {
        for polls in 0..8 {
            let row = Sample::of("alice").data(b"1").at(NOW);
            let next = Sample::of("alice").data(b"1").at(NOW);
            let _ = store.create(&row, Limit::Unlimited, NOW).await.unwrap();
            let call: BoxFuture<'_, ()> = match act {
                0 => Box::pin(async {
                    drop(store.create(&next, Limit::EvictOldest(1), NOW).await);
                }),
                1 => Box::pin(async {
                    let load = Load::new().touch(Duration::from_secs(60));
                    drop(store.load(row.handle(), load, NOW).await);
                }),
                2 => Box::pin(async {
                    let rotation = Sample::rotation_of(&row);
                    drop(store.rotate(row.handle(), &rotation, NOW).await);
                }),
                3 => Box::pin(async {
                    drop(
                        store
                            .update(row.handle(), 0, &Sample::update(b"2"), NOW)
                            .await,
                    );
                }),
                4 => Box::pin(async { drop(store.confirm(row.handle(), 0, NOW).await) }),
                5 => Box::pin(async {
                    drop(store.touch(&[(row.handle(), NOW)], NOW).await);
                }),
                6 => Box::pin(async {
                    drop(store.remove(row.handle(), "alice", NOW).await);
                }),
                7 => Box::pin(async {
                    drop(store.remove_subject("alice", Scope::all(), NOW).await);
                }),
                _ => Box::pin(async {
                    drop(store.list("alice", Page::first(1), NOW).await);
                }),
            };
            give_up_after(polls, call).await;
            let found = store.load(bystander.handle(), Load::new(), NOW).await;
            assert!(found.unwrap().unwrap().encode() == bystander.encode());
            // All data is intact: every row that the index names decodes and can be changed.
            let listed = store.list("alice", Page::first(9), NOW).await.unwrap();
            assert!(listed.records.len() <= 2);
            for found in listed.records {
                let updated = store
                    .update(found.handle(), found.version(), &Sample::update(b"3"), NOW)
                    .await;
                assert!(matches!(updated, Ok(Updated::Done { .. })));
            }
            let _ = store
                .remove_subject("alice", Scope::all(), NOW)
                .await
                .unwrap();
            for row in [&row, &next] {
                let found = store.load(row.handle(), Load::new(), NOW).await;
                assert!(
                    found.unwrap().is_none(),
                    "act {act}: a row without an index"
                );
            }
        }
    }
}
