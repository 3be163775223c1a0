//! A user of an API with jsonwebtoken keeps an old token while the API moves to statewise, and while one
//! deployment goes back. Another one logs in at each deployment.
//!
//! ```text
//! cargo run --example jsonwebtoken_port
//! ```

#[path = "../show.rs"]
mod show;

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use coming_from::jsonwebtoken::steps::{Shared, Step, node};
use coming_from::users::Users;
use serde_json::{Value, json};
use statewise::clock::SystemClock;
use statewise::revocation::MemoryLog;
use statewise::token::Key;

use show::Deployed;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let shared = Shared {
        users: Users::default().with("alice", "open sesame", &["reports"]),
        key: Key::generate_hs256()?,
        log: Arc::new(MemoryLog::new()?),
        old_until: (SystemTime::now() + Duration::from_secs(7 * 24 * 3600)).into(),
    };
    let service = Deployed::default();
    let mut client = service.client();
    let deployments = [
        Step::Before,
        Step::AcceptBoth,
        Step::IssueNew,
        Step::AcceptBoth,
        Step::IssueNew,
    ];
    let mut tokens: Vec<(Step, String)> = Vec::new();
    for step in deployments {
        let (router, upkeep) = node(step, &shared, SystemClock).await?;
        let upkeep = tokio::spawn(upkeep.run(tokio::time::sleep));
        service.deploy(router);
        let given = json!({ "user": "alice", "password": "open sesame" });
        let answer = client.post("/token").json(given.to_string()).send().await;
        let body: Value = serde_json::from_str(answer.body())?;
        let token = body["access_token"].as_str().unwrap_or_default();
        tokens.push((step, token.to_owned()));
        for (issued_at, token) in &tokens {
            let field = format!("Bearer {token}");
            let answer = client
                .get("/me")
                .header("authorization", &field)
                .send()
                .await;
            println!(
                "{step:?}: a token of {issued_at:?}: {} {}",
                answer.status(),
                answer.body()
            );
        }
        upkeep.abort();
    }
    Ok(())
}
