//! Measures the time from `update_all`, which takes a role from a user with 2 000 logins, until no
//! node accepts the role: sessions, cached sessions and the hybrid, on four processes over one Redis.
//!
//! Every node verifies all logins all the time, and notes when it first saw each without the role.
//! Clients of the hybrid refresh an outdated access token once. One node logs the user in again and
//! again meanwhile: it begins the login, reads the role from its database, and issues the login.
//!
//! The bench fails if a login ends, if a node accepts the role after it had seen the login without
//! it, or if a login of afterwards has the role.

use std::collections::HashMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use statewise::hybrid::HybridAuthenticator;
use statewise::revocation::RevocationView;
use statewise::session::SessionAuthenticator;
use statewise::store::{CachedStore, Redis};
use statewise::token::{Key, TokenAuthenticator};
use statewise::{Authenticator, DynAuthenticator, Edit, Login, Refusal, Rejection};

use crate::harness::options::Options;
use crate::harness::{Row, quantile, sorted};
use crate::node::clock;
use crate::process::Process;
use crate::support::servers::redis::RedisServer;

const NODES: usize = 4;
const USER: &str = "alice";
const ROLE: &str = "admin";
const SECRET: [u8; 32] = *b"thirty-two bytes, for benches on";
const HOUR: Duration = Duration::from_secs(3600);
/// Verifications of a node at a time.
const AT_ONCE: usize = 16;
/// Load before the update.
const BEFORE: Duration = Duration::from_millis(500);
/// Load after the last node has seen all logins without the role.
const AFTER: Duration = Duration::from_millis(500);
/// Time after which a login counts as never demoted.
const PATIENCE: Duration = Duration::from_secs(20);
/// Key of the user in the database of the application, which says whether it has the role.
const DATABASE: &str = "database:alice";

type Auth = Arc<dyn DynAuthenticator<()>>;

const STRATEGIES: [&str; 3] = ["sessions", "cached sessions", "hybrid"];

fn name_of(strategy: &str) -> String {
    format!("demotion, {strategy}, redis")
}

/// Measures the strategies that the options want.
pub fn measure(options: &Options) -> Vec<Row> {
    let wanted = STRATEGIES
        .into_iter()
        .filter(|strategy| options.wants(&name_of(strategy)));
    let mut rows = Vec::new();
    for strategy in wanted {
        // `None`, after printing the reason.
        if let Some(server) = RedisServer::start() {
            rows.extend(measured(strategy, &server.socket(), options));
        }
    }
    rows
}

async fn connection(socket: &Path) -> redis::aio::ConnectionManager {
    let client = redis::Client::open(format!("unix://{}", socket.display())).unwrap();
    client.get_connection_manager().await.unwrap()
}

async fn authenticator(strategy: &str, socket: &Path) -> (Auth, Option<RevocationView>) {
    let redis = Redis::over(connection(socket).await).build().unwrap();
    let view = || {
        let builder = RevocationView::builder(redis.revocations());
        builder.max_lifetime(HOUR).build().unwrap()
    };
    match strategy {
        "sessions" => {
            let auth = SessionAuthenticator::builder(redis.sessions());
            let auth = auth.idle(HOUR).absolute(HOUR).build().unwrap();
            (Arc::new(auth), None)
        }
        "cached sessions" => {
            let view = view();
            let store = CachedStore::builder(redis.sessions(), &view)
                .build()
                .unwrap();
            let auth = SessionAuthenticator::builder(store)
                .idle(HOUR)
                .absolute(HOUR);
            (Arc::new(auth.build().unwrap()), Some(view))
        }
        _ => {
            let view = view();
            let tokens = TokenAuthenticator::builder(Key::hs256(&SECRET).unwrap())
                .issuer("auth.acme.dev")
                .audience("api")
                .lifetime(HOUR / 4)
                .revocations(&view);
            let logins = SessionAuthenticator::builder(redis.sessions());
            let logins = logins.idle(HOUR).absolute(HOUR);
            let auth = HybridAuthenticator::new(tokens, logins).unwrap();
            (Arc::new(auth), Some(view))
        }
    }
}

/// Reads a line of numbers.
fn numbers(node: &mut Process) -> Vec<u64> {
    let line = node.line();
    let words = line.split_whitespace();
    words.map(|word| word.parse().unwrap()).collect()
}

fn measured(strategy: &str, socket: &Path, options: &Options) -> Vec<Row> {
    let count = if options.quick { 200 } else { 2_000 };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let (auth, view, mut database) = runtime.block_on(async {
        let (auth, view) = authenticator(strategy, socket).await;
        if let Some(view) = &view {
            view.follow().await.unwrap();
        }
        (auth, view, connection(socket).await)
    });
    let logins = runtime.block_on(async {
        let _: () = redis::cmd("SET")
            .arg(DATABASE)
            .arg(1)
            .query_async(&mut database)
            .await
            .unwrap();
        let mut logins = Vec::new();
        for _ in 0..count {
            let issued = auth.issue(Login::new(USER).role(ROLE)).await.unwrap();
            let [access, refresh] = [issued.credential(), issued.refreshable()];
            logins.push(format!("{} {}", access.reveal(), refresh.reveal()));
        }
        logins
    });
    let mut nodes: Vec<Process> = (0..NODES)
        .map(|number| {
            let number = number.to_string();
            Process::start(&[
                "demotion".as_ref(),
                strategy.as_ref(),
                number.as_ref(),
                socket.as_os_str(),
            ])
        })
        .collect();
    for node in &mut nodes {
        node.say(&logins.join("\n"));
        node.say("");
        assert_eq!(numbers(node), [1]);
    }
    std::thread::sleep(BEFORE);
    let (began, took, affected) = runtime.block_on(async {
        let _: () = redis::cmd("SET")
            .arg(DATABASE)
            .arg(0)
            .query_async(&mut database)
            .await
            .unwrap();
        if let Some(view) = &view {
            view.follow().await.unwrap();
        }
        let mut demote = |login: &mut Edit<()>| {
            login.roles.retain(|role| role != ROLE);
            Ok(())
        };
        let began = clock();
        let affected = auth.update_all(USER, &mut demote).await.unwrap();
        (began, clock() - began, affected.count.unwrap_or_default())
    });
    let answered = began + took;
    let mut delays = vec![[0.0; NODES]; count];
    let (mut verified, mut issued, mut outdated) = (0, 0, 0);
    for (number, node) in nodes.iter_mut().enumerate() {
        node.say(&answered.to_string());
        for delay in &mut delays {
            let seen = numbers(node)[0];
            assert!(seen != 0, "a node accepted the role to the end");
            delay[number] = seen.saturating_sub(began) as f64 / 1e6;
        }
        let [verifications, ended, logins, refused] = numbers(node)[..] else {
            panic!("the totals of a node");
        };
        assert_eq!(ended, 0, "logins ended");
        verified += verifications;
        issued += logins;
        outdated += refused;
    }
    println!(
        "\n{}: {count} logins, {NODES} processes, {verified} verifications; `update_all` took {:.1} ms \
         and changed {affected}; {issued} logins meanwhile, {outdated} refused as outdated; nobody \
         was logged out",
        name_of(strategy),
        took as f64 / 1e6,
    );
    let last = delays
        .iter()
        .map(|delays| delays.iter().copied().fold(0.0, f64::max));
    let last = sorted(last.collect());
    let each = sorted(delays.concat());
    let mut rows = Vec::new();
    for (name, delays) in [("until a node", &each), ("until every node", &last)] {
        let parts = [("median", 0.5), ("99th percentile", 0.99), ("maximum", 1.0)];
        let parts = parts.map(|(part, at)| (part, quantile(delays, at)));
        let shown = parts
            .map(|(part, value)| format!("{part} {value:.1} ms"))
            .join(", ");
        println!(
            "  {name} refuses the role: {} delays, {shown}",
            delays.len()
        );
        for (part, value) in parts {
            let name = format!("{name} refuses the role, {part}");
            rows.push(Row::figure(&name_of(strategy), &name, value, "ms"));
        }
    }
    rows
}

/// A login that a node verifies again and again.
struct Watched {
    access: std::sync::Mutex<String>,
    refresh: String,
    has_refreshed: AtomicBool,
    /// Time at which it was first seen without the role.
    seen_at: AtomicU64,
}

/// A node: verifies all logins until each was seen without the role, and prints when that was, and
/// the numbers of its verifications, ended logins, new logins and refused ones.
pub fn run(strategy: &str, number: usize, socket: &Path) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let mut lines = BufReader::new(std::io::stdin())
        .lines()
        .map_while(Result::ok);
    let logins: Arc<Vec<Watched>> = Arc::new(
        lines
            .by_ref()
            .take_while(|line| !line.is_empty())
            .map(|line| {
                let (access, refresh) = line.split_once(' ').unwrap();
                Watched {
                    access: access.to_owned().into(),
                    refresh: refresh.to_owned(),
                    has_refreshed: AtomicBool::new(false),
                    seen_at: AtomicU64::new(0),
                }
            })
            .collect(),
    );
    let answered = Arc::new(AtomicU64::new(0));
    let ends = Arc::new(AtomicBool::new(false));
    std::thread::spawn({
        let answered = Arc::clone(&answered);
        move || {
            let line = lines.next();
            match line.and_then(|line| line.parse().ok()) {
                Some(time) => answered.store(time, Ordering::Relaxed),
                // The parent process has gone.
                None => std::process::exit(1),
            }
        }
    });
    let totals = runtime.block_on(async {
        let (auth, view) = authenticator(strategy, socket).await;
        if let Some(view) = view {
            view.follow().await.unwrap();
            tokio::spawn(auth.upkeep().run(tokio::time::sleep));
        }
        println!("1");
        std::io::stdout().flush().unwrap();
        let mut workers = tokio::task::JoinSet::new();
        for worker in 0..AT_ONCE {
            let (auth, logins, ends) = (Arc::clone(&auth), Arc::clone(&logins), Arc::clone(&ends));
            workers.spawn(async move { watch(&auth, &logins, number, worker, &ends).await });
        }
        let newcomers = (number == 1).then(|| {
            let (auth, ends) = (Arc::clone(&auth), Arc::clone(&ends));
            let database = socket.to_owned();
            tokio::spawn(async move { log_in(&auth, connection(&database).await, &ends).await })
        });
        let mut until = None;
        loop {
            tokio::time::sleep(Duration::from_millis(5)).await;
            let is_answered = answered.load(Ordering::Relaxed) != 0;
            let is_seen = |login: &Watched| login.seen_at.load(Ordering::Relaxed) != 0;
            let patience = AFTER.as_nanos() as u64;
            if until.is_none() && is_answered && logins.iter().all(is_seen) {
                until = Some(clock() + patience);
            }
            let late = answered.load(Ordering::Relaxed) + PATIENCE.as_nanos() as u64;
            if until.is_some_and(|until| clock() >= until) || is_answered && clock() > late {
                break;
            }
        }
        ends.store(true, Ordering::Relaxed);
        let mut totals = [0_u64; 4];
        while let Some(seen) = workers.join_next().await {
            let (verified, ended) = seen.unwrap();
            totals[0] += verified;
            totals[1] += ended;
        }
        if let Some(newcomers) = newcomers {
            let (credentials, refused) = newcomers.await.unwrap();
            (totals[2], totals[3]) = (credentials.len() as u64, refused);
            for credential in credentials {
                match auth.verify(&credential).await {
                    Ok(caller) => assert!(!caller.has_role(ROLE), "a new login has the role"),
                    // An access token of before the update.
                    Err(error) => assert_eq!(error.rejection(), Some(Rejection::Outdated)),
                }
            }
        }
        totals
    });
    let mut report = String::new();
    for login in logins.iter() {
        report += &format!("{}\n", login.seen_at.load(Ordering::Relaxed));
    }
    let totals = totals.map(|total| total.to_string()).join(" ");
    println!("{report}{totals}");
    std::io::stdout().flush().unwrap();
}

/// Verifies a share of the logins in turn. Returns the number of verifications and of ended logins.
async fn watch(
    auth: &Auth,
    logins: &[Watched],
    number: usize,
    worker: usize,
    ends: &AtomicBool,
) -> (u64, u64) {
    let (mut verified, mut ended) = (0, 0);
    while !ends.load(Ordering::Relaxed) {
        for (at, login) in logins.iter().enumerate().skip(worker).step_by(AT_ONCE) {
            let access = login.access.lock().unwrap().clone();
            verified += 1;
            match auth.verify(&access).await {
                Ok(caller) if caller.has_role(ROLE) => {
                    let seen_at = login.seen_at.load(Ordering::Relaxed);
                    assert_eq!(seen_at, 0, "the role came back");
                }
                Ok(_) => note(login),
                Err(error) if error.rejection() == Some(Rejection::Outdated) => {
                    note(login);
                    // One client holds the credentials, and refreshes them once.
                    if at % NODES == number {
                        assert!(!login.has_refreshed.swap(true, Ordering::Relaxed));
                        match auth.refresh(&login.refresh).await {
                            Ok(issued) => {
                                let access = issued.credential().reveal().to_owned();
                                *login.access.lock().unwrap() = access;
                            }
                            Err(error) => {
                                eprintln!("{error}");
                                ended += 1;
                            }
                        }
                    }
                }
                Err(error) => {
                    eprintln!("{error}");
                    ended += 1;
                }
            }
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    (verified, ended)
}

fn note(login: &Watched) {
    let now = clock();
    let _ = login
        .seen_at
        .compare_exchange(0, now, Ordering::Relaxed, Ordering::Relaxed);
}

/// Logs the user in with the role that the database shows. Returns the credentials, and the number
/// of logins that were refused.
async fn log_in(
    auth: &Auth,
    mut database: redis::aio::ConnectionManager,
    ends: &AtomicBool,
) -> (Vec<String>, u64) {
    let (mut credentials, mut refused) = (Vec::new(), 0);
    let mut causes: HashMap<Refusal, u64> = HashMap::new();
    while !ends.load(Ordering::Relaxed) {
        let begun = auth.begin().await.unwrap();
        let has_role: u8 = redis::cmd("GET")
            .arg(DATABASE)
            .query_async(&mut database)
            .await
            .unwrap();
        let roles = [ROLE].into_iter().filter(|_| has_role == 1);
        match auth.issue(Login::new(USER).roles(roles).begun(begun)).await {
            Ok(issued) => credentials.push(issued.credential().reveal().to_owned()),
            Err(error) => match error.refusal() {
                Some(Refusal::Outdated) => refused += 1,
                other => *causes.entry(other.unwrap()).or_default() += 1,
            },
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    assert!(causes.is_empty(), "{causes:?}");
    (credentials, refused)
}
