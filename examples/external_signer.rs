//! Tokens that another process signs. Its private key never reaches this process, which only knows
//! the public key. A KMS or an HSM stands in the same place.
//!
//! ```text
//! cargo run --example external_signer --features ring
//! ```
//!
//! The program starts itself a second time as the signer. Both speak over a Unix socket in a folder
//! that only this user can enter: every program that reaches the socket can have tokens signed.

#![allow(
    clippy::future_not_send,
    reason = "the futures of an example run where they are made"
)]

use std::fs;
use std::future::ready;
use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::Shutdown;
use std::os::unix::fs::DirBuilderExt as _;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;

use statewise::clock::Clock as _;
use statewise::testkit::ManualClock;
use statewise::token::{
    ExternalKey, KeySetView, KeyState, Keyring, NeedsIssuer, PublicKey, Signature, Signer,
    SigningInput, SigningKey, TokenAuthenticator,
};
use statewise::{Authenticator as _, Error, Login};
use time::OffsetDateTime;

/// Path of the socket, in the environment of the signer.
const SOCKET: &str = "SIGNER_SOCKET";
/// Longest text that is signed: that of the longest token.
const MAX_BYTES: u64 = 8 * 1024;
const MINUTE: Duration = Duration::from_secs(60);
const DAY: Duration = Duration::from_secs(24 * 3600);

type Failure = Box<dyn std::error::Error + Send + Sync>;

#[tokio::main]
async fn main() -> Result<(), Failure> {
    match std::env::var_os(SOCKET) {
        Some(socket) => serve_signatures(Path::new(&socket)),
        None => issue_tokens(&[]).await,
    }
}

/// The process that has the private key: prints the public one, and signs until its input ends.
fn serve_signatures(socket: &Path) -> Result<(), Failure> {
    let pair = SigningKey::generate_es256()?;
    let listener = UnixListener::bind(socket)?;
    println!("{}", pair.public_key().to_pem());
    std::thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            // The next caller is served even if this one has gone.
            let _ = answer(&pair, &mut stream);
        }
    });
    io::stdin().read_to_end(&mut Vec::new())?;
    Ok(())
}

fn answer(pair: &SigningKey, stream: &mut UnixStream) -> Result<(), Failure> {
    stream.set_read_timeout(Some(MINUTE))?;
    let mut text = Vec::new();
    stream.take(MAX_BYTES).read_to_end(&mut text)?;
    stream.write_all(pair.sign(&text)?.as_bytes())?;
    Ok(())
}

/// A signer that is reached by a socket.
#[derive(Clone, Debug)]
struct Remote {
    socket: PathBuf,
}

impl Signer for Remote {
    async fn sign(&self, input: SigningInput<'_>) -> statewise::Result<Signature> {
        let (socket, text) = (self.socket.clone(), input.bytes().to_vec());
        // As for the blocking functions of PKCS #11: they must not stop the other tasks of a thread.
        let answered = tokio::task::spawn_blocking(move || ask(&socket, &text)).await;
        let bytes = answered.map_err(Error::unavailable)?;
        Signature::from_raw(&bytes.map_err(Error::unavailable)?)
    }
}

fn ask(socket: &Path, text: &[u8]) -> io::Result<Vec<u8>> {
    let mut stream = UnixStream::connect(socket)?;
    // So that no thread is left behind when the deadline has passed.
    stream.set_read_timeout(Some(Duration::from_secs(1)))?;
    stream.write_all(text)?;
    stream.shutdown(Shutdown::Write)?;
    let mut answer = Vec::new();
    stream.take(MAX_BYTES).read_to_end(&mut answer)?;
    Ok(answer)
}

/// The running signer, which is stopped when it is dropped, and its output.
struct Running(Child, Option<BufReader<ChildStdout>>);

impl Running {
    /// Starts it, and returns its public key.
    fn start(socket: &Path, args: &[&str]) -> Result<(Self, PublicKey), Failure> {
        let mut child = Command::new(std::env::current_exe()?)
            .args(args)
            .env(SOCKET, socket)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let printed = child.stdout.take().map(BufReader::new);
        let mut running = Self(child, printed);
        let mut lines = running.1.as_mut().ok_or("no output")?.lines();
        let mut pem = String::new();
        while !pem.contains("-----END") {
            let line = lines.next().ok_or("the signer has ended")??;
            if line.starts_with("-----BEGIN") || !pem.is_empty() {
                pem = pem + &line + "\n";
            }
        }
        Ok((running, PublicKey::from_pem(&pem)?))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A folder that only this user can enter, removed when it is dropped.
struct Folder(PathBuf);

impl Folder {
    fn new() -> io::Result<Self> {
        let name = format!("statewise-signer-{}", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::DirBuilder::new().mode(0o700).create(&path)?;
        Ok(Self(path))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// The service that issues tokens. `args` are those of the signer.
async fn issue_tokens(args: &[&str]) -> Result<(), Failure> {
    let folder = Folder::new()?;
    let socket = folder.0.join("socket");
    let (signer, public) = Running::start(&socket, args)?;
    let remote = Remote {
        socket: socket.clone(),
    };
    let external = ExternalKey::new(public, remote, tokio::time::sleep);
    // Finds a wrong key before the first login.
    external.check().await?;

    // Today a key of this process signs, tomorrow that of the signer, and then one of this process
    // again.
    let (first, last) = (SigningKey::generate_es256()?, SigningKey::generate_es256()?);
    let today = OffsetDateTime::now_utc();
    let clock = ManualClock::new(today);
    let ring = Keyring::new(first)
        .then(external.clone(), today + DAY)
        .then(last, today + 2 * DAY);
    let issuer: TokenAuthenticator = configured(TokenAuthenticator::builder(ring), &clock)?;
    let keys = issuer.key_set()?;
    let service = KeySetView::builder(move || ready(Ok(keys.json().to_owned())))
        .every(DAY)
        .bound(7 * DAY)
        .clock(clock.clone())
        .build()?;
    service.fetch().await?;
    let verifier: TokenAuthenticator = configured(TokenAuthenticator::verifier(&service), &clock)?;
    let mut tokens = Vec::new();
    for (day, by) in [
        ("today", "this process"),
        ("tomorrow", "the signer"),
        ("after that", "this process"),
    ] {
        let now = OffsetDateTime::from(clock.now().ok_or("a manual clock tells the time")?);
        let state = issuer.keyring().state(external.kid(), now);
        assert_eq!(state == Some(KeyState::Active), by == "the signer");
        let issued = issuer.issue(Login::new("alice")).await?;
        tokens.push(issued.credential().reveal().to_owned());
        for token in &tokens {
            assert_eq!(verifier.verify(token).await?.subject(), "alice");
        }
        println!("{day}, {by} signs; tokens accepted: {}", tokens.len());
        clock.advance(DAY);
    }

    let issuer: TokenAuthenticator =
        configured(TokenAuthenticator::builder(external.clone()), &clock)?;
    drop(signer);
    let error = refused(issuer.issue(Login::new("alice")).await)?;
    assert!(error.is_unavailable(), "{error:?}");
    println!("without the signer: {error}");
    assert!(issuer.verify(&tokens[1]).await.is_ok());
    println!("its tokens are still accepted");

    // A signer with another key, where this one was.
    fs::remove_file(&socket)?;
    let _other = Running::start(&socket, args)?;
    let error = refused(issuer.issue(Login::new("alice")).await)?;
    assert!(error.is_misuse(), "{error:?}");
    println!("with another key behind the socket: {error}");
    Ok(())
}

fn configured(builder: NeedsIssuer, clock: &ManualClock) -> statewise::Result<TokenAuthenticator> {
    builder
        .issuer("https://auth.example")
        .audience("api")
        .lifetime(7 * DAY)
        .clock(clock.clone())
        .build()
}

fn refused<T>(result: statewise::Result<T>) -> Result<Error, Failure> {
    match result {
        Ok(_) => Err("a token was issued".into()),
        Err(error) => Ok(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Not a test: the process of the signer.
    #[test]
    fn the_process_of_the_signer() {
        if let Some(socket) = std::env::var_os(SOCKET) {
            serve_signatures(Path::new(&socket)).expect("the signer listens");
        }
    }

    #[tokio::test]
    async fn the_example_runs() {
        let args = ["--exact", "tests::the_process_of_the_signer", "--nocapture"];
        issue_tokens(&args).await.expect("each step works");
    }
}
