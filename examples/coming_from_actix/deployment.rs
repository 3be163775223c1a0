//! The nodes of all steps, over the stores that they share.

use std::net::TcpListener;
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::thread::JoinHandle;

use actix_web::cookie::Key;
use actix_web::dev::ServerHandle;
use statewise::Authenticator as _;
use statewise::clock::{Clock as _, SystemClock};
use statewise::store::MemoryStore;
use statewise::testkit::ManualClock;
use statewise::web::Transport;

use crate::steps::{self, OldSessions};
use crate::store::Store;
use crate::{after, before};

/// A failure of the example or of a test.
pub type Failure = Box<dyn std::error::Error + Send + Sync>;

/// A step of the deployment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// The old service.
    Before,
    /// Accepts both kinds of sessions, and issues the old one.
    AcceptBoth,
    /// Accepts both kinds of sessions, and issues the new one.
    IssueNew,
    /// New sessions alone.
    NewAlone,
    /// The cookie has another name.
    NewName,
}

impl Step {
    /// All steps in their order.
    pub const ALL: [Self; 5] = [
        Self::Before,
        Self::AcceptBoth,
        Self::IssueNew,
        Self::NewAlone,
        Self::NewName,
    ];
}

/// The stores, the key and the clock that all nodes share.
#[derive(Debug)]
pub struct Deployment {
    pub clock: ManualClock,
    pub old_store: Store,
    pub new_store: Arc<MemoryStore>,
    pub key: [u8; 64],
}

impl Deployment {
    /// Returns a deployment without users. Its clock begins now, because actix-identity reads that of
    /// the machine.
    ///
    /// # Errors
    ///
    /// The machine has no time.
    pub fn new() -> Result<Self, Failure> {
        let clock = ManualClock::at(SystemClock.now().ok_or("no time")?);
        Ok(Self {
            old_store: Store::new(clock.clone()),
            new_store: Arc::new(MemoryStore::with_capacity(1_000)?),
            clock,
            key: [7; 64],
        })
    }

    /// Starts a node on a free port of loopback.
    ///
    /// # Errors
    ///
    /// The node cannot be built, or has no port.
    pub fn node(&self, step: Step) -> Result<Node, Failure> {
        let key = Key::from(&self.key);
        let listener = TcpListener::bind(("127.0.0.1", 0))?;
        let origin = format!("http://{}", listener.local_addr()?);
        if step == Step::Before {
            let store = self.old_store.clone();
            return Node::run(origin, move || before::server(listener, store, key));
        }
        let clock = &self.clock;
        let old = OldSessions::new(self.old_store.clone(), key, clock.clone());
        let new = steps::new_sessions(Arc::clone(&self.new_store), clock.clone())?;
        let (auth, transport) = match step {
            Step::Before | Step::AcceptBoth => {
                let cookie = Transport::cookie(steps::old_cookie()?);
                (steps::accept_both(old, new)?, cookie)
            }
            Step::IssueNew => {
                let cookie = Transport::cookie(steps::old_cookie()?);
                (steps::issue_new(old, new, clock.clone())?, cookie)
            }
            Step::NewAlone => (Arc::new(new) as _, steps::both_names()?),
            Step::NewName => (Arc::new(new) as _, steps::new_name()?),
        };
        let upkeep = auth.upkeep();
        let layer = after::layer(auth, transport, clock.clone())?;
        Node::run(origin, move || after::server(listener, layer, upkeep))
    }
}

/// A running node. It stops when it is dropped.
pub struct Node {
    origin: String,
    handle: ServerHandle,
    thread: Option<JoinHandle<()>>,
}

impl Node {
    fn run(
        origin: String,
        server: impl FnOnce() -> std::io::Result<actix_web::dev::Server> + Send + 'static,
    ) -> Result<Self, Failure> {
        let (sender, handle) = channel();
        let thread = std::thread::spawn(move || {
            actix_web::rt::System::new().block_on(async {
                let Ok(server) = server() else { return };
                if sender.send(server.handle()).is_ok() {
                    let _ended = server.await;
                }
            });
        });
        let handle = handle.recv().map_err(|_| "the node did not start")?;
        Ok(Self {
            origin,
            handle,
            thread: Some(thread),
        })
    }

    /// Scheme, host and port.
    #[must_use]
    pub fn origin(&self) -> &str {
        &self.origin
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        // The command is sent at once; the future only waits for it.
        drop(self.handle.stop(false));
        let _ended = self.thread.take().map(JoinHandle::join);
    }
}
