//! A socket in front of the server that closes connections, within an answer or all of them, and
//! that delays answers.

use std::io::{Read as _, Write as _};
use std::net::Shutdown;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use std::time::{Duration, Instant};

pub(crate) struct Proxy {
    socket: PathBuf,
    state: Arc<State>,
}

#[derive(Default)]
struct State {
    /// Number of answer bytes that still pass; the maximum means all.
    left: AtomicUsize,
    cuts: AtomicUsize,
    /// Milliseconds by which answers are late.
    delay: AtomicU64,
    clients: Mutex<Clients>,
}

/// The open connections.
#[derive(Default)]
struct Clients {
    /// True if no connection may pass.
    isolated: bool,
    streams: Vec<UnixStream>,
}

impl Proxy {
    /// Listens beside the socket of the server, in its folder. Its threads end with the test.
    pub(crate) fn to(server: PathBuf) -> Self {
        let socket = server.with_file_name("proxy");
        let listener = UnixListener::bind(&socket).unwrap();
        let state = Arc::new(State::default());
        state.left.store(usize::MAX, Ordering::SeqCst);
        let shared = Arc::clone(&state);
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                pass(client, &server, &shared);
            }
        });
        Self { socket, state }
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.socket.clone()
    }

    pub(crate) fn url(&self) -> String {
        format!("unix://{}", self.socket.display())
    }

    /// Closes the connection after that many answer bytes. Later connections stay open.
    pub(crate) fn cut_after(&self, bytes: usize) {
        self.state.left.store(bytes, Ordering::SeqCst);
    }

    /// Delays each answer, as a long way does: any number of answers are on the way at once.
    pub(crate) fn delay(&self, by: Duration) {
        let by = u64::try_from(by.as_millis()).unwrap();
        self.state.delay.store(by, Ordering::SeqCst);
    }

    /// Closes all connections, and new ones too, until [`connect`](Self::connect).
    pub(crate) fn isolate(&self) {
        let mut clients = self.state.clients.lock().unwrap();
        clients.isolated = true;
        for stream in clients.streams.drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    /// Accepts connections again.
    pub(crate) fn connect(&self) {
        self.state.clients.lock().unwrap().isolated = false;
    }

    /// Number of connections closed within an answer.
    pub(crate) fn cuts(&self) -> usize {
        self.state.cuts.load(Ordering::SeqCst)
    }
}

impl State {
    /// Returns how many of that many bytes may pass. Decides before they pass, because their
    /// receiver may request the next cut.
    fn pass(&self, bytes: usize) -> usize {
        let rest = |left: usize| match left {
            usize::MAX => Some(left),
            left => Some(left.checked_sub(bytes).unwrap_or(usize::MAX)),
        };
        let left = self
            .left
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, rest);
        let passed = left.map_or(bytes, |left| left.min(bytes));
        if passed < bytes {
            self.cuts.fetch_add(1, Ordering::SeqCst);
        }
        passed
    }
}

fn pass(mut client: UnixStream, server: &Path, state: &Arc<State>) {
    let Ok(server) = UnixStream::connect(server) else {
        return;
    };
    {
        let mut clients = state.clients.lock().unwrap();
        if clients.isolated {
            return;
        }
        clients.streams.push(client.try_clone().unwrap());
    }
    let (mut asks, mut asked) = (client.try_clone().unwrap(), server.try_clone().unwrap());
    thread::spawn(move || {
        let _ = std::io::copy(&mut asks, &mut asked);
        let _ = asked.shutdown(Shutdown::Both);
    });
    let state = Arc::clone(state);
    let (sender, answers) = mpsc::channel::<(Instant, Vec<u8>)>();
    let (mut answered, shared) = (server.try_clone().unwrap(), Arc::clone(&state));
    thread::spawn(move || {
        let mut buffer = vec![0; 1 << 16];
        while let Ok(read @ 1..) = answered.read(&mut buffer) {
            let delay = Duration::from_millis(shared.delay.load(Ordering::SeqCst));
            let due = Instant::now() + delay;
            if sender.send((due, buffer[..read].to_vec())).is_err() {
                break;
            }
        }
    });
    thread::spawn(move || {
        for (due, answer) in answers {
            thread::sleep(due.saturating_duration_since(Instant::now()));
            let passed = state.pass(answer.len());
            if client.write_all(&answer[..passed]).is_err() || passed < answer.len() {
                break;
            }
        }
        let _ = client.shutdown(Shutdown::Both);
        let _ = server.shutdown(Shutdown::Both);
    });
}
