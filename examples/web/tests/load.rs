//! Load test: the router of `axum_sessions` on a Redis that first hangs and later crashes, while
//! many clients send requests. Every response must be correct.
//!
//! It takes three seconds, or the number in `STATEWISE_LOAD_SECONDS`.

#![allow(
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a test, which prints what it counted"
)]

#[path = "load/client.rs"]
mod client;
#[allow(dead_code, reason = "the main function is not called")]
#[path = "../axum_sessions.rs"]
mod example;
#[path = "../../../tests/support/mod.rs"]
mod stores;
mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use argon2::{Argon2, Params};
use redis::aio::ConnectionManagerConfig;
use statewise::observer::TracingObserver;
use statewise::session::{Limit, SessionAuthenticator};
use statewise::store::Redis;
use statewise::web::{AuthLayer, Cookie, Transport};
use statewise::{Authenticator as _, Observed};

use client::{Client, Crowd};
use example::passwords::Passwords;
use stores::servers::redis::RedisServer;
use support::{Browser, Served};

const PASSWORD: &str = "correct";
const CLIENTS: usize = 48;
/// Fewer than clients: several clients are one user, each with its own session.
const USERS: usize = 12;
/// Deadline of each call of the store.
const DEADLINE: Duration = Duration::from_millis(300);
/// Maximum time from the return of the store to the next successful response.
const RECOVERY: Duration = Duration::from_secs(5);

static PANICS: AtomicUsize = AtomicUsize::new(0);

#[test]
fn responses_are_correct_while_the_store_hangs_and_crashes() {
    let Some(redis) = RedisServer::with(&["--appendonly", "yes", "--appendfsync", "always"]) else {
        return;
    };
    let seconds = std::env::var("STATEWISE_LOAD_SECONDS").unwrap_or_else(|_| "3".to_owned());
    let phase = Duration::from_secs(seconds.parse().unwrap()) / 5;
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        PANICS.fetch_add(1, Ordering::SeqCst);
        before(info);
    }));

    let runtime = tokio::runtime::Runtime::new().unwrap();
    let site = serve(&runtime, &redis);
    let crowd = Arc::new(Crowd::default());
    let address = site.origin().strip_prefix("http://").unwrap();
    let clients: Vec<_> = (0..CLIENTS)
        .map(|number| {
            let user = format!("user-{}", number % USERS);
            let (address, crowd) = (address.to_owned(), Arc::clone(&crowd));
            runtime.spawn(Client::new(number, user, PASSWORD, address, crowd).run())
        })
        .collect();
    let witness = Browser::at(site.origin());
    witness.log_in("witness", PASSWORD).expect(303);

    pass(phase);
    redis.pause();
    pass(phase);
    witness.get("/me").expect(503);
    redis.resume();
    let resumed = served_again(&witness);

    pass(phase);
    redis.kill9();
    pass(phase);
    witness.get("/me").expect(503);
    redis.restart();
    let restarted = served_again(&witness);

    pass(phase);
    crowd.finished.store(true, Ordering::Relaxed);
    for client in clients {
        runtime.block_on(client).unwrap().unwrap();
    }
    let counts = crowd.counts();
    for ((kind, status), count) in &counts {
        println!("{kind:8}{status}{count:9}");
    }
    println!("served again {resumed:?} after a pause, and {restarted:?} after a crash");
    let known = [200, 303, 401, 503];
    assert!(counts.keys().all(|(_, status)| known.contains(status)));
    for status in known {
        assert!(
            crowd.of_status(status) > 0,
            "no response {status}: the run proves nothing"
        );
    }
    assert_eq!(PANICS.load(Ordering::SeqCst), 0, "a thread panicked");
}

fn serve(runtime: &tokio::runtime::Runtime, redis: &RedisServer) -> Served {
    let client = redis::Client::open(redis.url()).unwrap();
    // Maximum pause between two attempts to connect: how late it notices the return of the store.
    let config = ConnectionManagerConfig::new().set_max_delay(DEADLINE);
    let connection = client.get_connection_manager_with_config(config);
    let connection = runtime.block_on(connection).unwrap();
    let redis = Redis::over(connection).deadline(DEADLINE);
    let hour = Duration::from_secs(3600);
    let auth = SessionAuthenticator::builder(redis.build().unwrap().sessions())
        .idle(hour)
        .absolute(hour)
        // A failed login may leave a row behind, and several clients are one user.
        .limit(Limit::Unlimited)
        .build();
    let auth = Observed::new(auth.unwrap(), Arc::new(TracingObserver::new()));
    let auth = Arc::new(auth);
    runtime.spawn(auth.upkeep().run(tokio::time::sleep));
    let layer = AuthLayer::new(auth.clone(), Transport::cookie(Cookie::default())).unwrap();
    let users: Vec<_> = (0..USERS).map(|user| format!("user-{user}")).collect();
    let mut users: Vec<_> = users.iter().map(|user| (user.as_str(), PASSWORD)).collect();
    users.push(("witness", PASSWORD));
    // Cheap hashes: the load is meant for the store.
    let cheap = Params::new(Params::MIN_M_COST, 1, 1, None).unwrap();
    let passwords = Passwords::hashed_by(&Argon2::from(cheap), &users).unwrap();
    Served::new(example::router(auth, layer, passwords))
}

/// Lets the load continue for a while.
fn pass(time: Duration) {
    std::thread::sleep(time);
}

/// Returns the time until the witness is served again. The witness must stay logged in all the
/// time.
fn served_again(witness: &Browser) -> Duration {
    let begun = Instant::now();
    loop {
        let answer = witness.get("/me");
        let taken = begun.elapsed();
        match answer.status {
            200 => return taken,
            503 if taken < RECOVERY => {}
            status => panic!("status {status} {taken:?} after the return of the store"),
        }
    }
}
