//! A user logs in with iron-session, and stays logged in while the service moves to statewise and
//! while one deployment goes back. Node is not needed: the session is a recorded one.
//!
//! ```text
//! cargo run --example iron_session_port
//! ```

#[path = "../show.rs"]
mod show;

use std::sync::Arc;

use coming_from::iron_session::old_sessions::Ended;
use coming_from::iron_session::seal::open;
use coming_from::iron_session::steps::{Step, Stores, node};
use coming_from::users::Users;
use statewise::clock::Timestamp;
use statewise::store::MemoryStore;
use statewise::testkit::ManualClock;

use show::Deployed;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let record: serde_json::Value =
        serde_json::from_str(include_str!("../tests/data/iron_session.json"))?;
    let recorded = |name: &str| record["session"][name].as_str().unwrap_or_default();
    let stores = Stores {
        users: Users::default().with("alice", "open sesame", &[]),
        password: recorded("password").to_owned(),
        ended: Ended::default(),
        new: Arc::new(MemoryStore::with_capacity(100)?),
    };
    // A day before the recorded session expires.
    let opened = open(&stores.password, recorded("cookie"))?;
    let now = (opened.expires / 1000).unsigned_abs() - 24 * 3600;
    let clock = ManualClock::new(Timestamp::from_unix(now).into());
    let service = Deployed::default();
    let mut alice = service.client();
    let carried = format!("session={}", recorded("cookie"));
    let [both, new, after] = Step::ALL;
    for step in [both, new, both, new, after] {
        let (router, upkeep) = node(step, &stores, clock.clone())?;
        let upkeep = tokio::spawn(upkeep.run(tokio::time::sleep));
        service.deploy(router);
        let has_cookie = ["session", "__Host-id"].map(|name| alice.cookie(name).is_some());
        let mut request = alice.get("/account");
        if has_cookie == [false, false] {
            // The cookie that Node has set.
            request = request.header("cookie", &carried);
        }
        let answer = request.send().await;
        println!(
            "{:11} {} {}",
            format!("{step:?}"),
            answer.status(),
            answer.body()
        );
        upkeep.abort();
    }
    Ok(())
}
