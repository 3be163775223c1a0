//! A revocation log in another process, as lines of text on a connection.

use std::fmt::Write as _;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::str::FromStr;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use statewise::Result;
use statewise::clock::Timestamp;
use statewise::revocation::MemoryLog;
use statewise::revocation::log::{Draft, Entry, Fact, Nonce, Page, RevocationLog, Stamp};

use crate::support::now as done;

/// A connection on which each line is answered by one line.
#[derive(Debug)]
pub(super) struct Line(BufReader<TcpStream>);

impl Line {
    pub(super) fn to(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_nodelay(true).unwrap();
        let patience = Some(Duration::from_secs(60));
        stream.set_read_timeout(patience).unwrap();
        Self(BufReader::new(stream))
    }

    pub(super) fn ask(&mut self, question: &str) -> String {
        let line = format!("{question}\n");
        self.0.get_mut().write_all(line.as_bytes()).unwrap();
        let mut answer = String::new();
        self.0.read_line(&mut answer).unwrap();
        assert!(answer.ends_with('\n'), "no answer to {question}");
        answer.trim_end().to_owned()
    }
}

/// Answers each line of each connection in a thread of its own.
pub(super) fn serve(answer: impl Fn(&str) -> String + Send + Sync + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let answer = Arc::new(answer);
    thread::spawn(move || {
        for stream in listener.incoming().map_while(|stream| stream.ok()) {
            let answer = Arc::clone(&answer);
            thread::spawn(move || {
                stream.set_nodelay(true).unwrap();
                let mut sink = stream.try_clone().unwrap();
                for line in BufReader::new(stream).lines().map_while(|line| line.ok()) {
                    let answer = format!("{}\n", answer(&line));
                    if sink.write_all(answer.as_bytes()).is_err() {
                        return;
                    }
                }
            });
        }
    });
    address
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap();
        text
    })
}

fn bytes<const N: usize>(hex: &str) -> [u8; N] {
    std::array::from_fn(|at| u8::from_str_radix(&hex[2 * at..2 * at + 2], 16).unwrap())
}

/// Reads words, one after the other.
struct Words<'a>(std::str::SplitAsciiWhitespace<'a>);

impl Words<'_> {
    fn text(&mut self) -> &str {
        self.0.next().unwrap()
    }

    fn number<T: FromStr<Err: std::fmt::Debug>>(&mut self) -> T {
        self.text().parse().unwrap()
    }

    fn draft(&mut self) -> Draft {
        let nonce = Nonce::from_bytes(bytes(self.text()));
        let fact = Fact::from_bytes(&bytes(self.text())).unwrap();
        Draft::with_nonce(nonce, fact, Duration::from_secs(self.number()))
    }

    fn time(&mut self) -> Timestamp {
        Timestamp::from_unix(self.number())
    }

    fn stamp(&mut self) -> Stamp {
        Stamp::new(self.number(), self.number(), self.number())
    }
}

fn draft(nonce: Nonce, fact: Fact, life: Duration) -> String {
    let (nonce, fact) = (hex(nonce.as_bytes()), hex(&fact.to_bytes()));
    format!(" {nonce} {fact} {}", life.as_secs())
}

fn stamp(stamp: Stamp) -> String {
    let (incarnation, position) = (stamp.incarnation(), stamp.position());
    format!("{incarnation} {position} {}", stamp.mark())
}

/// Serves a log to other processes.
pub(super) fn serve_log() -> SocketAddr {
    let log = MemoryLog::new().unwrap();
    serve(move |line| {
        let mut words = Words(line.split_ascii_whitespace());
        match words.text() {
            "append" => {
                let (now, count) = (words.time(), words.number());
                let drafts: Vec<_> = (0..count).map(|_: usize| words.draft()).collect();
                stamp(done(log.append(&drafts, now)).unwrap())
            }
            "head" => stamp(done(log.head(words.time())).unwrap()),
            "read" => {
                let (from, limit, now) = (words.number(), words.number(), words.time());
                let page = done(log.read(from, limit, now)).unwrap();
                let (first, more) = (page.first, page.more);
                let count = page.entries.len();
                let head = format!("{} {first} {more} {count}", page.incarnation);
                page.entries.iter().fold(head, |text, entry| {
                    let draft = draft(entry.nonce, entry.fact, entry.life);
                    format!("{text} {}{draft}", entry.position)
                })
            }
            _ => done(log.fence(words.time()))
                .map(|()| "fenced".to_owned())
                .unwrap(),
        }
    })
}

/// The log that another process serves.
#[derive(Debug)]
pub(super) struct RemoteLog(Mutex<Line>);

impl RemoteLog {
    pub(super) fn at(address: SocketAddr) -> Self {
        Self(Mutex::new(Line::to(address)))
    }

    fn ask<T>(&self, question: &str, read: impl FnOnce(&mut Words<'_>) -> T) -> Result<T> {
        let answer = self.0.lock().unwrap().ask(question);
        Ok(read(&mut Words(answer.split_ascii_whitespace())))
    }
}

impl RevocationLog for RemoteLog {
    async fn append(&self, facts: &[Draft], now: Timestamp) -> Result<Stamp> {
        let head = format!("append {} {}", now.unix(), facts.len());
        let question = facts.iter().fold(head, |text, fact| {
            text + &draft(fact.nonce, fact.fact, fact.life)
        });
        self.ask(&question, |words| words.stamp())
    }

    async fn head(&self, now: Timestamp) -> Result<Stamp> {
        self.ask(&format!("head {}", now.unix()), |words| words.stamp())
    }

    async fn read(&self, from: u64, limit: usize, now: Timestamp) -> Result<Page> {
        self.ask(&format!("read {from} {limit} {}", now.unix()), |words| {
            let (incarnation, first, more) = (words.number(), words.number(), words.number());
            let count = words.number();
            let entry = |_: usize| Entry::new(words.number(), words.draft());
            Page::new(incarnation, first, (0..count).map(entry).collect(), more)
        })
    }

    async fn fence(&self, now: Timestamp) -> Result<()> {
        self.ask(&format!("fence {}", now.unix()), |_| ())
    }
}
