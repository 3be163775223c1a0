//! Clients that send requests without pause, each over one connection, and check every response.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;

/// Maximum time of any response: a multiple of the store's deadline.
const MAX_TIME: Duration = Duration::from_secs(20);

/// State that all clients share.
#[derive(Default)]
pub(crate) struct Crowd {
    /// Tells the clients to stop.
    pub(crate) finished: AtomicBool,
    /// Number of responses by kind of request and status.
    counts: Mutex<BTreeMap<(&'static str, u16), u64>>,
    /// Client that received each credential.
    given: Mutex<HashMap<String, usize>>,
}

impl Crowd {
    pub(crate) fn counts(&self) -> BTreeMap<(&'static str, u16), u64> {
        self.counts
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    pub(crate) fn of_status(&self, wanted: u16) -> u64 {
        let counts = self.counts();
        let counts = counts.iter().filter(|((_, status), _)| *status == wanted);
        counts.map(|(_, count)| count).sum()
    }

    fn count(&self, kind: &'static str, status: u16) {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        *counts.entry((kind, status)).or_default() += 1;
    }

    /// Records the client that received a credential. Fails if another client had received it.
    fn note(&self, credential: &str, client: usize) -> Result<(), String> {
        let mut given = self.given.lock().unwrap_or_else(PoisonError::into_inner);
        match given.insert(credential.to_owned(), client) {
            None => Ok(()),
            Some(other) => Err(format!("one credential for clients {other} and {client}")),
        }
    }
}

/// Knowledge of a client about its login.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Login {
    /// The server confirmed the login.
    In,
    /// Never logged in, or the server confirmed the logout or rejected the credential.
    Out,
    /// The store failed during a login or logout.
    Unknown,
}

pub(crate) struct Client {
    number: usize,
    user: String,
    password: &'static str,
    address: String,
    crowd: Arc<Crowd>,
    connection: Option<BufReader<TcpStream>>,
    credential: Option<String>,
    login: Login,
    random: u64,
}

struct Answer {
    status: u16,
    fields: Vec<(String, String)>,
    body: String,
}

impl Client {
    pub(crate) fn new(
        number: usize,
        user: String,
        password: &'static str,
        address: String,
        crowd: Arc<Crowd>,
    ) -> Self {
        Self {
            number,
            user,
            password,
            address,
            crowd,
            connection: None,
            credential: None,
            login: Login::Out,
            random: 0x9e37_79b9_7f4a_7c15 ^ (number as u64 + 1),
        }
    }

    /// Sends requests until the run is finished. Fails at the first incorrect response.
    pub(crate) async fn run(mut self) -> Result<(), String> {
        while !self.crowd.finished.load(Ordering::Relaxed) {
            self.act().await.map_err(|error| {
                let (user, login) = (&self.user, self.login);
                format!("{user} (login: {login:?}): {error}")
            })?;
        }
        Ok(())
    }

    async fn act(&mut self) -> Result<(), String> {
        match (self.login, self.draw(100)) {
            (Login::Out, 0..20) | (_, 0) => self.log_in().await,
            (Login::In | Login::Unknown, 1..6) => self.log_out().await,
            (_, 6..12) => self.look("devices", "/devices").await,
            _ => self.look("me", "/me").await,
        }
    }

    /// Requests a page that shows the caller.
    async fn look(&mut self, kind: &'static str, path: &str) -> Result<(), String> {
        let answer = self.ask(kind, "GET", path, "").await?;
        match (answer.status, self.login) {
            (200, Login::Out) => Err(format!("served after the logout: {}", answer.body)),
            (200, _) if kind == "me" => {
                let expected = format!("<p>You are {}, since ", self.user);
                if !answer.body.contains(&expected) {
                    return Err(format!("another identity: {}", answer.body));
                }
                Ok(())
            }
            (200, _) => match answer.body.matches("(this one)").count() {
                1 => Ok(()),
                _ => Err(format!("devices of another user: {}", answer.body)),
            },
            (401, Login::In) => Err("a valid login was rejected".to_owned()),
            (401, _) => {
                // Unknown before, logged out for certain now.
                self.login = Login::Out;
                Ok(())
            }
            (503, _) => Ok(()),
            (status, _) => Err(format!("status {status} for {path}")),
        }
    }

    async fn log_in(&mut self) -> Result<(), String> {
        let form = format!("user={}&password={}", self.user, self.password);
        let answer = self.ask("login", "POST", "/login", &form).await?;
        self.login = match answer.status {
            303 => Login::In,
            503 if self.login == Login::Out => Login::Out,
            503 => Login::Unknown,
            status => return Err(format!("status {status} for a login")),
        };
        Ok(())
    }

    async fn log_out(&mut self) -> Result<(), String> {
        let ended = self.credential.clone();
        let answer = self.ask("logout", "POST", "/logout", "").await?;
        match answer.status {
            303 => {
                // Keeps presenting the old credential, as an attacker with a copy would.
                self.login = Login::Out;
                self.credential = ended;
                Ok(())
            }
            503 => {
                if self.login == Login::In {
                    self.login = Login::Unknown;
                }
                Ok(())
            }
            status => Err(format!("{status} for a logout")),
        }
    }

    /// Sends a request and checks what holds for every answer.
    async fn ask(
        &mut self,
        kind: &'static str,
        method: &str,
        path: &str,
        form: &str,
    ) -> Result<Answer, String> {
        let cookie = self.credential.as_ref();
        let cookie = cookie.map_or(String::new(), |value| {
            format!("Cookie: __Host-id={value}\r\n")
        });
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: {}\r\n{cookie}\
             Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n{form}",
            self.address,
            form.len()
        );
        let exchange = self.exchange(&request);
        let answer = match tokio::time::timeout(MAX_TIME, exchange).await {
            Ok(answer) => answer.map_err(|error| format!("{method} {path}: {error}"))?,
            Err(_) => return Err(format!("{method} {path}: no response within {MAX_TIME:?}")),
        };
        self.crowd.count(kind, answer.status);
        let field = |name: &str| {
            let mut fields = answer.fields.iter().filter(|(other, _)| other == name);
            let first = fields.next().map(|(_, value)| value.as_str());
            match fields.next() {
                None => Ok(first),
                Some(_) => Err(format!("two fields {name}")),
            }
        };
        let retry_after = field("retry-after")?.and_then(|after| after.parse::<u64>().ok());
        if (answer.status == 503) != retry_after.is_some() {
            return Err(format!(
                "status {} with Retry-After {retry_after:?}",
                answer.status
            ));
        }
        if (answer.status == 401) != field("www-authenticate")?.is_some() {
            return Err(format!(
                "status {} and a challenge do not match",
                answer.status
            ));
        }
        if let Some(set) = field("set-cookie")? {
            let value = set
                .strip_prefix("__Host-id=")
                .and_then(|set| set.split(';').next());
            match value {
                None => return Err(format!("another cookie: {set}")),
                // A removal: the client keeps the credential, which must stay rejected.
                Some("") => {}
                Some(value) if kind == "login" => {
                    self.crowd.note(value, self.number)?;
                    self.credential = Some(value.to_owned());
                }
                Some(_) => return Err(format!("a cookie without a login, for {path}")),
            }
        }
        if kind == "login"
            && answer.status == 503
            && field("set-cookie")?.is_some_and(|set| !set.starts_with("__Host-id=;"))
        {
            return Err("a login that failed sets a cookie".to_owned());
        }
        Ok(answer)
    }

    async fn exchange(&mut self, request: &str) -> std::io::Result<Answer> {
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => BufReader::new(TcpStream::connect(&self.address).await?),
        };
        connection.get_mut().write_all(request.as_bytes()).await?;
        let mut lines = Vec::new();
        loop {
            let mut line = String::new();
            if connection.read_line(&mut line).await? == 0 {
                return Err(std::io::Error::other("the server hung up"));
            }
            match line.trim_end() {
                "" => break,
                line => lines.push(line.to_owned()),
            }
        }
        let fields = lines.iter().filter_map(|line| line.split_once(": "));
        let fields: Vec<_> = fields
            .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
            .collect();
        let length = fields.iter().find(|(name, _)| name == "content-length");
        let length = length.and_then(|(_, length)| length.parse().ok());
        let mut body = vec![0; length.ok_or_else(|| std::io::Error::other("no length"))?];
        connection.read_exact(&mut body).await?;
        self.connection = Some(connection);
        let status = lines.first().and_then(|line| line.split(' ').nth(1));
        Ok(Answer {
            status: status.and_then(|status| status.parse().ok()).unwrap_or(0),
            fields,
            body: String::from_utf8_lossy(&body).into_owned(),
        })
    }

    /// Returns a pseudo-random number below a bound (xorshift).
    fn draw(&mut self, below: u64) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random % below
    }
}
