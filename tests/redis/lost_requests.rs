//! Clients that silently lose a request.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use redis::aio::{ConnectionLike, MultiplexedConnection};
use redis::{Cmd, ErrorKind, Pipeline, RedisFuture, Value};
use statewise::clock::Timestamp;
use statewise::session::Limit;
use statewise::store::Redis;
use statewise::store::contract::{Load, Page, Scope, SessionStore};
use statewise::testkit::Sample;

use crate::common::{multiplexed, run, store};
use crate::support::servers::redis::RedisServer;

const NOW: Timestamp = Timestamp::from_unix(1_800_000_000);
/// Half of it must suffice on a busy machine.
const DEADLINE: Duration = Duration::from_secs(8);

/// The fate of a request that never reaches the server.
#[derive(Clone, Copy)]
enum Lost {
    /// No error is reported.
    Silently,
    /// The client gives up.
    TimedOut,
    /// The client knows that its connection is closed.
    Broken,
}

/// A connection that loses its first requests.
#[derive(Clone)]
struct LossyConnection {
    lost: Arc<Mutex<VecDeque<Lost>>>,
    connection: MultiplexedConnection,
}

impl ConnectionLike for LossyConnection {
    fn req_packed_command<'a>(&'a mut self, cmd: &'a Cmd) -> RedisFuture<'a, Value> {
        let broken = |kind: io::ErrorKind| Err(io::Error::from(kind).into());
        match self.lost.lock().unwrap().pop_front() {
            None => self.connection.req_packed_command(cmd),
            Some(Lost::Silently) => Box::pin(std::future::pending()),
            Some(Lost::TimedOut) => Box::pin(async move { broken(io::ErrorKind::TimedOut) }),
            Some(Lost::Broken) => Box::pin(async move { broken(io::ErrorKind::BrokenPipe) }),
        }
    }

    fn req_packed_commands<'a>(
        &'a mut self,
        _: &'a Pipeline,
        _: usize,
        _: usize,
    ) -> RedisFuture<'a, Vec<Value>> {
        Box::pin(async { Err((ErrorKind::Client, "the store sends no pipelines").into()) })
    }

    fn get_db(&self) -> i64 {
        0
    }
}

/// A request handed to a client just as it loses its connection may never complete. Repeatable
/// commands are sent again, in time. Rejects a store that waits for the first answer until its
/// deadline, and one that treats the second loss, which only reports the first one, as final.
#[test]
fn a_request_that_the_client_loses_is_sent_again() {
    let Some(server) = RedisServer::start() else {
        return;
    };
    run(async {
        let connection = multiplexed(&server).await;
        let straight = store(connection.clone());
        let row = Sample::of("alice").at(NOW);
        for row in [&row, &Sample::of("bob").at(NOW)] {
            let _ = straight.create(row, Limit::Unlimited, NOW).await.unwrap();
        }
        let losing = |lost: &[Lost], deadline: Duration| {
            let lost = Arc::new(Mutex::new(lost.iter().copied().collect()));
            let connection = connection.clone();
            let redis = Redis::over(LossyConnection { lost, connection }).prefix(straight.prefix());
            redis.deadline(deadline).build().unwrap().sessions()
        };
        let load = Load::new().touch(Duration::from_secs(3_600));

        let begun = Instant::now();
        let timed_out = losing(&[Lost::TimedOut, Lost::Broken], DEADLINE);
        let found = timed_out.load(row.handle(), load, NOW).await.unwrap();
        assert!(found.is_some());
        assert!(
            begun.elapsed() < DEADLINE / 2,
            "waited longer than necessary"
        );

        let stores = [(); 5].map(|()| losing(&[Lost::Silently, Lost::Broken], DEADLINE));
        let uses = [(row.handle(), NOW)];
        let (found, listed, confirmed, touched, removed) = tokio::join!(
            stores[0].load(row.handle(), load, NOW),
            stores[1].list("alice", Page::first(9), NOW),
            stores[2].confirm(row.handle(), 0, NOW),
            stores[3].touch(&uses, NOW),
            stores[4].remove_subject("bob", Scope::all(), NOW),
        );
        assert!(found.unwrap().is_some());
        assert_eq!(listed.unwrap().records.len(), 1);
        confirmed.unwrap();
        touched.unwrap();
        assert_eq!(removed.unwrap().count, 1);

        // Other commands are not repeated.
        let hasty = losing(&[Lost::Silently], Duration::from_millis(100));
        let new = Sample::of("alice").at(NOW);
        let created = hasty.create(&new, Limit::Unlimited, NOW).await;
        assert!(created.is_err_and(|error| error.is_unavailable()));
        let found = straight.load(new.handle(), load, NOW).await.unwrap();
        assert!(found.is_none(), "the command was sent a second time");
    });
}
