//! A node: another process, which signs and verifies on demand.
//!
//! All nodes of a fleet share secrets, or one issues with key pairs and the others follow the keys that
//! it publishes.

use std::env;
use std::io::{BufRead as _, BufReader, Read as _};
use std::net::SocketAddr;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::{Arc, RwLock};
use std::time::Duration;

use statewise::revocation::RevocationView;
use statewise::token::{Key, Keyring, NeedsIssuer, RingKey, TokenAuthenticator, TokenBuilder};
use statewise::{Authenticator, Login};

use super::log::{Line, RemoteLog, serve};
use super::{BOUND, LIFE};
use crate::support::{Hands, START, at, now as done};

/// Environment variables of a node: the address of the log, the first ring, and the kind of its keys.
const LOG: &str = "STATEWISE_TEST_LOG";
const RING: &str = "STATEWISE_TEST_RING";
const KEYS: &str = "STATEWISE_TEST_KEYS";
const LISTENS: &str = "the node listens on ";

/// Keys of a node.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Keys {
    /// Secrets, which all nodes have.
    Secrets,
    /// Key pairs, which this node alone has.
    #[cfg(any(feature = "aws-lc-rs", feature = "ring", feature = "rustcrypto"))]
    Pairs,
    /// The keys that the node at this address publishes.
    #[cfg(any(feature = "aws-lc-rs", feature = "ring", feature = "rustcrypto"))]
    Published(SocketAddr),
    /// The same, by a mistaken node that knows no revocation log.
    #[cfg(any(feature = "aws-lc-rs", feature = "ring", feature = "rustcrypto"))]
    PublishedWithoutLog(SocketAddr),
}

impl Keys {
    fn to_text(self) -> String {
        match self {
            Self::Secrets => "secrets".to_owned(),
            #[cfg(any(feature = "aws-lc-rs", feature = "ring", feature = "rustcrypto"))]
            Self::Pairs => "pairs".to_owned(),
            #[cfg(any(feature = "aws-lc-rs", feature = "ring", feature = "rustcrypto"))]
            Self::Published(address) => format!("published {address}"),
            #[cfg(any(feature = "aws-lc-rs", feature = "ring", feature = "rustcrypto"))]
            Self::PublishedWithoutLog(address) => format!("without-log {address}"),
        }
    }

    fn from_text(text: &str) -> Self {
        #[cfg(any(feature = "aws-lc-rs", feature = "ring", feature = "rustcrypto"))]
        match text.split_once(' ') {
            Some(("published", address)) => return Self::Published(address.parse().unwrap()),
            Some((_, address)) => return Self::PublishedWithoutLog(address.parse().unwrap()),
            None if text == "pairs" => return Self::Pairs,
            None => {}
        }
        assert_eq!(text, "secrets");
        Self::Secrets
    }

    /// Starts the authenticator of a node with this ring, or with the keys that it follows.
    #[cfg_attr(
        not(any(feature = "aws-lc-rs", feature = "ring", feature = "rustcrypto")),
        allow(unused_variables, reason = "no node follows keys")
    )]
    fn authenticator(self, ring: &str, clock: &Hands) -> NeedsIssuer {
        #[cfg(any(feature = "aws-lc-rs", feature = "ring", feature = "rustcrypto"))]
        if let Self::Published(address) | Self::PublishedWithoutLog(address) = self {
            return super::published::follow(address, clock);
        }
        TokenAuthenticator::builder(self.ring(ring))
    }

    /// Gives a node the log, and the time in which its keys are known.
    fn completed(self, builder: TokenBuilder, view: &RevocationView) -> TokenBuilder {
        #[cfg(any(feature = "aws-lc-rs", feature = "ring", feature = "rustcrypto"))]
        {
            use super::published::PROPAGATION;
            match self {
                Self::Secrets => {}
                Self::PublishedWithoutLog(_) => return builder,
                _ => return builder.revocations(view).propagation(PROPAGATION),
            }
        }
        builder.revocations(view)
    }

    /// Key number `number`, and its id.
    fn number(self, number: u64) -> (RingKey, String) {
        let bytes = number.to_be_bytes();
        let secret: [u8; 32] = std::array::from_fn(|at| bytes[at % 8] ^ at as u8);
        #[cfg(any(feature = "aws-lc-rs", feature = "ring", feature = "rustcrypto"))]
        if self == Self::Pairs {
            let pair = super::published::pair(&secret);
            let kid = pair.kid().to_owned();
            return (pair.into(), kid);
        }
        let key = Key::hs256(&secret).unwrap();
        let kid = key.kid().to_owned();
        (key.into(), kid)
    }

    /// Checks if the header of a token names key number `number`.
    pub(super) fn is_named(self, kid: &str, number: u64) -> bool {
        // The header of Ed25519 has room for a part of the id.
        self.number(number).1.starts_with(kid)
    }

    /// Reads a ring such as `new=1 then=2@600 spare=3 verify=4 retire=4@700`.
    fn ring(self, text: &str) -> Keyring {
        let part = |part: &str| {
            let (method, key) = part.split_once('=').unwrap();
            let (number, time) = key.split_once('@').unwrap_or((key, "0"));
            let time = at(time.parse().unwrap());
            (
                method.to_owned(),
                self.number(number.parse().unwrap()),
                time,
            )
        };
        let mut parts = text.split(' ').map(part);
        let ring = Keyring::new(parts.next().unwrap().1.0);
        parts.fold(ring, |ring, (method, (key, kid), time)| match &*method {
            "then" => ring.then(key, time),
            "spare" => ring.spare(key),
            "retire" => ring.retire(&kid, time),
            _ => ring.verify_with(key),
        })
    }
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
    let keys = Keys::from_text(&env::var(KEYS).unwrap());
    let builder = keys
        .authenticator(&first, &clock)
        .issuer("https://auth.example")
        .audience("api")
        .lifetime(Duration::from_secs(LIFE))
        .clock(clock.clone());
    let builder = keys.completed(builder, &view);
    let auth: TokenAuthenticator = builder.build().unwrap();
    let upkeep = auth.upkeep().clock(Arc::new(clock.clone()));
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
                let read = done(view.follow()).and_then(|()| done(upkeep.tick()));
                said(read.map(|_| String::new()))
            }
            // The time passes, and the log is not read.
            "behind" => {
                clock.set(what.parse().unwrap());
                said(Ok(String::new()))
            }
            "ring" => said(
                auth.replace_keyring(keys.ring(what))
                    .map(|()| String::new()),
            ),
            "retire" => {
                let (_, kid) = keys.number(what.parse().unwrap());
                said(done(auth.retire_key(&kid)).map(|_| String::new()))
            }
            #[cfg(any(feature = "aws-lc-rs", feature = "ring", feature = "rustcrypto"))]
            "keys" => said(auth.key_set().map(|set| {
                let max_age = set.max_age().as_secs();
                format!("{max_age} {}", set.json())
            })),
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
    /// Kept open: after a minute, the test program of the node writes that its test is slow, and ends if
    /// it cannot.
    _output: BufReader<ChildStdout>,
    pub(super) address: SocketAddr,
}

impl Node {
    pub(super) fn start(log: SocketAddr, ring: &str, keys: Keys) -> Self {
        let mut process = Command::new(env::current_exe().unwrap())
            .args([
                "--exact",
                "rotation::node::the_process_of_a_node",
                "--nocapture",
            ])
            .env(LOG, log.to_string())
            .env(RING, ring)
            .env(KEYS, keys.to_text())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut output = BufReader::new(process.stdout.take().unwrap());
        let mut printed = output.by_ref().lines().map_while(|line| line.ok());
        let address = printed.find_map(|line| line.strip_prefix(LISTENS)?.parse().ok());
        Self {
            process,
            _output: output,
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
