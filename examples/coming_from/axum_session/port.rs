//! A user of a service with axum_session stays logged in while the service moves to statewise, and while
//! one deployment goes back.
//!
//! ```text
//! cargo run --example axum_session_port
//! ```

#[path = "../show.rs"]
mod show;

use std::sync::Arc;

use axum_session::SessionMode;
use coming_from::axum_session::pool::MemoryPool;
use coming_from::axum_session::steps::{Step, Stores, node};
use coming_from::users::Users;
use statewise::clock::SystemClock;
use statewise::store::MemoryStore;

use show::Deployed;

#[tokio::main]
async fn main() -> statewise::Result<()> {
    let stores = Stores {
        users: Users::default().with("alice", "open sesame", &[]),
        old: MemoryPool::new(SystemClock),
        new: Arc::new(MemoryStore::with_capacity(100)?),
        mode: SessionMode::Persistent,
    };
    let service = Deployed::default();
    let mut alice = service.client();
    let deployments = [
        Step::Before,
        Step::AcceptBoth,
        Step::IssueNew,
        Step::AcceptBoth,
        Step::IssueNew,
        Step::After,
    ];
    for step in deployments {
        let (router, upkeep) = node(step, &stores, SystemClock).await?;
        let upkeep = tokio::spawn(upkeep.run(tokio::time::sleep));
        service.deploy(router);
        if step == Step::Before {
            let form = [("user", "alice"), ("password", "open sesame")];
            let answer = alice.post("/login").form(&form).send().await;
            println!("Before      logs in: {}", answer.status());
            let form = [("language", "de")];
            let answer = alice.post("/language").form(&form).send().await;
            println!("Before      chooses a language: {}", answer.status());
        }
        let answer = alice.get("/account").send().await;
        println!(
            "{:11} {} {}; cookies: session {}, __Host-id {}",
            format!("{step:?}"),
            answer.status(),
            answer.body(),
            shown(alice.cookie("session")),
            shown(alice.cookie("__Host-id")),
        );
        upkeep.abort();
    }
    Ok(())
}

fn shown(cookie: Option<&str>) -> String {
    let length = cookie.map(|cookie| format!("of {} characters", cookie.len()));
    length.unwrap_or_else(|| "none".to_owned())
}
