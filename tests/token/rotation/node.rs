//! A node: another process, which signs and verifies on demand.

use std::env;
use std::io::{BufRead as _, BufReader, Read as _};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::sync::RwLock;
use std::time::Duration;

use statewise::revocation::RevocationView;
use statewise::token::{Key, Keyring, TokenAuthenticator};
use statewise::{Authenticator, Login};

use super::log::{Line, RemoteLog, serve};
use super::{BOUND, LIFE};
use crate::support::{Hands, START, at, now as done};

/// Environment variables of a node: the address of the log, and the first ring.
const LOG: &str = "STATEWISE_TEST_LOG";
const RING: &str = "STATEWISE_TEST_RING";
const LISTENS: &str = "the node listens on ";

/// Key number `number`.
pub(super) fn key(number: u64) -> Key {
    let number = number.to_be_bytes();
    Key::hs256(&std::array::from_fn::<u8, 32, _>(|at| {
        number[at % 8] ^ at as u8
    }))
    .unwrap()
}

/// Reads a ring such as `new=1 then=2@600 spare=3 verify=4`.
fn ring(text: &str) -> Keyring {
    let part = |part: &str| {
        let (method, key) = part.split_once('=').unwrap();
        let (number, time) = key.split_once('@').unwrap_or((key, "0"));
        let time = at(time.parse().unwrap());
        (method.to_owned(), self::key(number.parse().unwrap()), time)
    };
    let mut parts = text.split(' ').map(part);
    let ring = Keyring::new(parts.next().unwrap().1);
    parts.fold(ring, |ring, (method, key, time)| match &*method {
        "then" => ring.then(key, time),
        "spare" => ring.spare(key),
        _ => ring.verify_with(key),
    })
}

/// Not a test: the process of a node. It ends with its standard input.
#[test]
fn the_process_of_a_node() {
    let (Ok(log), Ok(first)) = (env::var(LOG), env::var(RING)) else {
        return;
    };
    let clock = Hands::at(START);
    let view = RevocationView::builder(RemoteLog::at(log.parse().unwrap()))
        .max_lifetime(Duration::from_secs(LIFE))
        .bound(Duration::from_secs(BOUND))
        .clock(clock.clone())
        .build()
        .unwrap();
    done(view.follow()).unwrap();
    let auth: TokenAuthenticator = TokenAuthenticator::builder(ring(&first))
        .issuer("https://auth.example")
        .audience("api")
        .lifetime(Duration::from_secs(LIFE))
        .revocations(&view)
        .clock(clock.clone())
        .build()
        .unwrap();
    let said = |result: statewise::Result<String>| match result {
        Ok(text) => format!("ok {text}"),
        Err(error) => format!("err {error}"),
    };
    // No time passes within an act: a step of this clock is longer than any act of a real service.
    let steps = RwLock::new(());
    let answer = move |line: &str| {
        let (act, what) = line.split_once(' ').unwrap_or((line, ""));
        let step = matches!(act, "time" | "behind").then(|| steps.write().unwrap());
        let _act = step.is_none().then(|| steps.read().unwrap());
        match act {
            "time" => {
                clock.set(what.parse().unwrap());
                said(done(view.follow()).map(|()| String::new()))
            }
            // The time passes, and the log is not read.
            "behind" => {
                clock.set(what.parse().unwrap());
                said(Ok(String::new()))
            }
            "ring" => said(auth.replace_keyring(ring(what)).map(|()| String::new())),
            "retire" => {
                let retired = done(auth.retire_key(key(what.parse().unwrap()).kid()));
                said(retired.map(|_| String::new()))
            }
            "issue" => {
                let issued = done(auth.issue(Login::new(what)));
                said(issued.map(|issued| issued.credential().reveal().to_owned()))
            }
            _ => {
                let verified = |token| match auth.verify_now(token) {
                    Ok(_) => "ok".to_owned(),
                    Err(error) => error.to_string().replace(' ', "-"),
                };
                let verdicts: Vec<_> = what.split(' ').map(verified).collect();
                verdicts.join(" ")
            }
        }
    };
    println!("\n{LISTENS}{}", serve(answer));
    let _ = std::io::stdin().read(&mut [0]);
}

/// A running node, which is stopped when it is dropped.
pub(super) struct Node {
    process: Child,
    pub(super) address: SocketAddr,
}

impl Node {
    pub(super) fn start(log: SocketAddr, ring: &str) -> Self {
        let mut process = Command::new(env::current_exe().unwrap())
            .args([
                "--exact",
                "rotation::node::the_process_of_a_node",
                "--nocapture",
            ])
            .env(LOG, log.to_string())
            .env(RING, ring)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let printed = BufReader::new(process.stdout.take().unwrap()).lines();
        let mut printed = printed.map_while(|line| line.ok());
        let address = printed.find_map(|line| line.strip_prefix(LISTENS)?.parse().ok());
        Self {
            process,
            address: address.expect("the node does not listen"),
        }
    }

    pub(super) fn line(&self) -> Line {
        Line::to(self.address)
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
