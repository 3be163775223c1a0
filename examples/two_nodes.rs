//! Start a server with `redis-server --port 6379`, then: `REDIS_URL=redis://127.0.0.1:6379 cargo run --example two_nodes --features redis`.
//!
//! A logout on one node takes effect on the other: for a token, which needs no store, and for a
//! session that the other node verifies from its memory. The nodes are two processes with one
//! Redis. Without Redis, and with `--features redb`, they are two nodes of one process with one
//! file.

#![allow(
    clippy::future_not_send,
    reason = "the futures of an example run where they are made"
)]
#![cfg_attr(
    not(any(feature = "redis", feature = "redb")),
    allow(
        dead_code,
        unused_imports,
        reason = "without these features the nodes have nothing to share"
    )
)]

use std::sync::mpsc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use statewise::revocation::RevocationView;
use statewise::revocation::log::RevocationLog;
use statewise::session::SessionAuthenticator;
use statewise::store::CachedStore;
use statewise::store::contract::SessionStore;
use statewise::token::{Key, TokenAuthenticator};
use statewise::{Authenticator, DynAuthenticator, Login};

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// The configuration of every node: the same key, a view of the same log, copies of the same
/// sessions.
struct Node {
    view: RevocationView,
    tokens: TokenAuthenticator,
    sessions: Box<dyn DynAuthenticator<()>>,
}

impl Node {
    async fn start(log: impl RevocationLog, store: impl SessionStore) -> Result<Self, Failure> {
        let hours = |count: u64| Duration::from_secs(count * 3600);
        let view = RevocationView::builder(log)
            .max_lifetime(hours(12))
            .build()?;
        // A service reads its key from a secret store.
        let tokens = TokenAuthenticator::builder(Key::hs256(b"an example key, which is public!")?)
            .issuer("auth.example")
            .audience("api")
            .lifetime(hours(1))
            .revocations(&view)
            .build()?;
        let store = CachedStore::builder(store, &view).build()?;
        let sessions = SessionAuthenticator::builder(store)
            .idle(hours(1))
            .absolute(hours(12))
            .build()?;
        // A node refuses logins until it has read the log once; its upkeep then follows the log.
        view.follow().await?;
        tokio::spawn(view.upkeep().run(tokio::time::sleep));
        Ok(Self {
            view,
            tokens,
            sessions: Box::new(sessions),
        })
    }

    async fn accepts(&self, credential: &str) -> Result<bool, Failure> {
        let verdict = if self.tokens.is_well_formed(credential) {
            self.tokens.verify_now(credential)
        } else {
            self.sessions.verify(credential).await
        };
        match verdict {
            Ok(_) => Ok(true),
            Err(error) if error.is_rejected() => Ok(false),
            // Not a verdict on this credential.
            Err(error) => Err(error.into()),
        }
    }
}

/// The other node: uses each credential until it is refused, and prints when that was.
async fn other_node(
    node: Node,
    credentials: [String; 2],
    say: impl Fn(String),
) -> Result<(), Failure> {
    for credential in &credentials {
        assert!(
            node.accepts(credential).await?,
            "the other node refused a credential before its logout"
        );
    }
    say("accepted".to_owned());
    for credential in &credentials {
        while node.accepts(credential).await? {
            tokio::time::sleep(Duration::from_micros(100)).await;
        }
        say(since_1970().as_nanos().to_string());
    }
    Ok(())
}

/// This node: logs in and out. `start` starts the other node and returns the channel on which it
/// reports.
async fn this_node(
    node: Node,
    start: impl AsyncFnOnce([String; 2]) -> Result<mpsc::Receiver<String>, Failure>,
) -> Result<(), Failure> {
    let token = node.tokens.issue(Login::new("alice")).await?;
    let session = node.sessions.issue(Login::new("alice")).await?;
    let [token, session] = [&token, &session].map(|issued| issued.credential().reveal());
    let other = start([token, session].map(str::to_owned)).await?;
    let hear = || other.recv_timeout(Duration::from_secs(30));
    assert_eq!(hear()?, "accepted");
    println!("logged in on this node; the other one accepts the token and the session");

    for (what, credential) in [("token", token), ("session", session)] {
        let revoked_at = since_1970();
        let started = Instant::now();
        let effective = match what {
            "token" => node.tokens.revoke(credential).await?,
            _ => node.sessions.revoke(credential).await?,
        };
        println!(
            "logged out by the {what} in {:.1?}, {effective:?}",
            started.elapsed()
        );
        assert!(
            !node.accepts(credential).await?,
            "this node still accepts the credential after its logout"
        );
        let refused_at = Duration::from_nanos(hear()?.parse()?);
        let delay = refused_at.saturating_sub(revoked_at);
        println!("  the other node refuses the {what} {delay:.1?} after the call");
        assert!(delay <= node.view.bound());
    }
    Ok(())
}

/// A clock that two processes of one machine share.
fn since_1970() -> Duration {
    let elapsed = SystemTime::now().duration_since(UNIX_EPOCH);
    elapsed.unwrap_or_default()
}

#[cfg(feature = "redis")]
mod on_redis {
    use std::io::{BufRead as _, BufReader};
    use std::process::{Command, Stdio};
    use std::sync::mpsc;

    use statewise::store::Redis;

    use super::{Failure, Node, other_node, this_node};

    const PREFIX: &str = "statewise-two-nodes:";

    async fn node(url: &str) -> Result<Node, Failure> {
        let connection = redis::Client::open(url)?.get_connection_manager().await?;
        let redis = Redis::over(connection).prefix(PREFIX).build()?;
        Node::start(redis.revocations(), redis.sessions()).await
    }

    pub(super) async fn run(url: &str) -> Result<(), Failure> {
        if let Ok(given) = std::env::var("CREDENTIALS") {
            let (token, session) = given
                .split_once(' ')
                .ok_or("CREDENTIALS must hold two credentials separated by a space")?;
            let credentials = [token, session].map(str::to_owned);
            return other_node(node(url).await?, credentials, |line| println!("{line}")).await;
        }
        println!("two processes on {url}");
        this_node(node(url).await?, async |credentials| {
            let mut process = Command::new(std::env::current_exe()?)
                .env("CREDENTIALS", credentials.join(" "))
                .stdout(Stdio::piped())
                .spawn()?;
            let printed = process
                .stdout
                .take()
                .ok_or("the child process has no stdout pipe")?;
            let (sender, receiver) = mpsc::channel();
            std::thread::spawn(move || {
                for line in BufReader::new(printed).lines().map_while(Result::ok) {
                    let _ = sender.send(line);
                }
                let _ = process.wait();
            });
            Ok(receiver)
        })
        .await
    }
}

#[cfg(feature = "redb")]
mod on_redb {
    use std::sync::mpsc;

    use statewise::store::Redb;

    use super::{Failure, Node, other_node, this_node};

    pub(super) async fn run() -> Result<(), Failure> {
        let name = format!("statewise-two-nodes-{}.redb", std::process::id());
        let file = std::env::temp_dir().join(name);
        println!("two nodes of one process on {}", file.display());
        let done = on(&file).await;
        std::fs::remove_file(&file)?;
        done
    }

    async fn on(file: &std::path::Path) -> Result<(), Failure> {
        let redb = Redb::open(file).build()?;
        let node = Node::start(redb.revocations(), redb.sessions()).await?;
        let other = Node::start(redb.revocations(), redb.sessions()).await?;
        this_node(node, async |credentials| {
            let (sender, receiver) = mpsc::channel();
            let say = move |line| drop(sender.send(line));
            tokio::spawn(other_node(other, credentials, say));
            Ok(receiver)
        })
        .await
    }
}

#[tokio::main]
async fn main() -> Result<(), Failure> {
    #[cfg(feature = "redis")]
    if let Ok(url) = std::env::var("REDIS_URL") {
        return on_redis::run(&url).await;
    }
    println!("Two nodes share a Redis server: start it with `redis-server --port 6379`, then");
    println!("REDIS_URL=redis://127.0.0.1:6379 cargo run --example two_nodes --features redis");
    #[cfg(feature = "redb")]
    on_redb::run().await?;
    #[cfg(not(feature = "redb"))]
    println!("or, without a server, cargo run --example two_nodes --features redb");
    Ok(())
}
