//! A user logs in with express-session, and stays logged in while the service moves to statewise and
//! while one deployment goes back. Node is not needed: the session is a recorded one.
//!
//! ```text
//! cargo run --example express_port
//! ```

#[path = "../show.rs"]
mod show;

use std::sync::Arc;

use coming_from::express::old_sessions::Rows;
use coming_from::express::steps::{Step, Stores, node};
use coming_from::users::Users;
use statewise::clock::SystemClock;
use statewise::store::MemoryStore;

use show::Deployed;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let record: serde_json::Value =
        serde_json::from_str(include_str!("../tests/data/express.json"))?;
    let recorded = |name: &str| record["session"][name].as_str().unwrap_or_default();
    let stores = Stores {
        users: Users::default().with("alice", "open sesame", &[]),
        rows: Rows::new(SystemClock),
        secret: recorded("secret").to_owned(),
        new: Arc::new(MemoryStore::with_capacity(100)?),
    };
    stores
        .rows
        .set(recorded("id"), serde_json::from_str(recorded("row"))?);
    let service = Deployed::default();
    let mut alice = service.client();
    let carried = format!("connect.sid={}", recorded("cookie"));
    let [both, new, after] = Step::ALL;
    for step in [both, new, both, new, after] {
        let (router, upkeep) = node(step, &stores, SystemClock)?;
        let upkeep = tokio::spawn(upkeep.run(tokio::time::sleep));
        service.deploy(router);
        let has_cookie = ["connect.sid", "__Host-id"].map(|name| alice.cookie(name).is_some());
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
