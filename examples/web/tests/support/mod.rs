//! Runs the examples on free ports and checks their responses with curl.

#![allow(
    dead_code,
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "each test uses a part of it, and fails by panicking"
)]

pub(crate) mod program;

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use axum::Router;

/// Maximum time of a response, in seconds.
const MAX_SECONDS: &str = "30";

/// Temporary folder, removed at the end of the test.
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("statewise-web-{}-{count}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        fs::create_dir(&folder).expect("a fresh folder");
        Self(folder)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Running example. It is killed at the end of the test, even if the test fails.
pub(crate) struct Example {
    process: Child,
    /// Lines that it prints.
    output: Receiver<String>,
    origin: String,
}

impl Example {
    pub(crate) fn start(name: &str) -> Self {
        Self::start_with(name, &[])
    }

    /// Starts the example with variables of the environment.
    pub(crate) fn start_with(name: &str, variables: &[(&str, &str)]) -> Self {
        Self::start_logged(name, variables, Stdio::inherit())
    }

    /// Starts the example, which writes its log to `log`.
    pub(crate) fn start_logged(name: &str, variables: &[(&str, &str)], log: Stdio) -> Self {
        let mut process = Command::new(program::example(name))
            .arg("0")
            .envs(variables.iter().copied())
            .stderr(log)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the example starts");
        let printed = BufReader::new(process.stdout.take().expect("a piped output"));
        let (sender, output) = channel();
        // Ends with the output.
        std::thread::spawn(move || {
            let lines = printed.lines().map_while(Result::ok);
            lines
                .map_while(|line| sender.send(line).ok())
                .for_each(drop);
        });
        // From here on, `Drop` kills the process.
        let mut example = Self {
            process,
            output,
            origin: String::new(),
        };
        let line = example.printed();
        let origin = line.strip_prefix("listening on ");
        let origin = origin.unwrap_or_else(|| panic!("no address in {line:?}"));
        origin.clone_into(&mut example.origin);
        example
    }

    pub(crate) fn origin(&self) -> &str {
        &self.origin
    }

    /// Waits for the next line that the example prints.
    pub(crate) fn printed(&self) -> String {
        let line = self.output.recv_timeout(Duration::from_secs(30));
        line.expect("the example prints a line")
    }

    /// Terminates the example, as a service manager does, and returns how it ended.
    #[allow(dead_code, reason = "not all tests stop their example")]
    pub(crate) fn terminate(&mut self) -> ExitStatus {
        self.signal();
        self.process.wait().expect("the example ends")
    }

    /// Asks the example to terminate.
    pub(crate) fn signal(&self) {
        let pid = self.process.id().to_string();
        let signalled = Command::new("kill").args(["-TERM", &pid]).status();
        assert!(signalled.expect("kill is installed").success());
    }
}

impl Drop for Example {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Router that the test process serves.
pub(crate) struct Served {
    origin: String,
    // Stops its tasks when it is dropped.
    _runtime: tokio::runtime::Runtime,
}

impl Served {
    pub(crate) fn new(router: Router) -> Self {
        Self::with(|_| router)
    }

    /// Serves a router that knows its own origin.
    pub(crate) fn with(router: impl FnOnce(&str) -> Router) -> Self {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let listener = runtime.block_on(tokio::net::TcpListener::bind(("127.0.0.1", 0)));
        let listener = listener.unwrap();
        let origin = format!("http://{}", listener.local_addr().unwrap());
        let router = router(&origin);
        runtime.spawn(async move { axum::serve(listener, router).await });
        Self {
            origin,
            _runtime: runtime,
        }
    }

    pub(crate) fn origin(&self) -> &str {
        &self.origin
    }
}

/// Response of a server.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// Names in lower case.
    pub(crate) fields: Vec<(String, String)>,
    pub(crate) body: String,
}

impl Answer {
    /// Parses the output of `curl -i`.
    pub(crate) fn parse(printed: &str) -> Self {
        let (head, body) = printed
            .split_once("\r\n\r\n")
            .unwrap_or_else(|| panic!("no response: {printed:?}"));
        let mut lines = head.lines();
        let status = lines.next().and_then(|line| line.split(' ').nth(1));
        let status = status.and_then(|status| status.parse().ok());
        let fields = lines.filter_map(|line| line.split_once(": "));
        Self {
            status: status.unwrap_or_else(|| panic!("no status: {printed:?}")),
            fields: fields
                .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
                .collect(),
            body: body.to_owned(),
        }
    }

    pub(crate) fn all(&self, name: &str) -> Vec<&str> {
        let fields = self.fields.iter().filter(|(other, _)| other == name);
        fields.map(|(_, value)| value.as_str()).collect()
    }

    /// Returns the value of a field that must occur exactly once.
    pub(crate) fn field(&self, name: &str) -> &str {
        match self.all(name)[..] {
            [value] => value,
            _ => panic!("expected one field {name}: {self:?}"),
        }
    }

    #[track_caller]
    pub(crate) fn expect(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{self:?}");
        self
    }
}

/// Runs curl.
pub(crate) fn curl(args: &[&str]) -> Answer {
    let output = Command::new("curl")
        .args([
            "-q",
            "-sS",
            "-i",
            "--max-time",
            MAX_SECONDS,
            "--noproxy",
            "*",
        ])
        .args(args)
        .output()
        .expect("curl is installed (Debian: apt-get install curl)");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "curl {args:?}: {errors}");
    Answer::parse(&String::from_utf8(output.stdout).expect("text"))
}

/// curl with a cookie jar. curl decides which cookies it stores and sends.
pub(crate) struct Browser {
    origin: String,
    jar: PathBuf,
    _folder: Folder,
}

impl Browser {
    pub(crate) fn at(origin: &str) -> Self {
        let folder = Folder::new();
        Self {
            origin: origin.to_owned(),
            jar: folder.path().join("jar"),
            _folder: folder,
        }
    }

    pub(crate) fn run(&self, path: &str, args: &[&str]) -> Answer {
        let url = format!("{}{path}", self.origin);
        let jar = self.jar.to_str().expect("a path in UTF-8");
        curl(&[args, &["-b", jar, "-c", jar, &url]].concat())
    }

    pub(crate) fn get(&self, path: &str) -> Answer {
        self.run(path, &[])
    }

    pub(crate) fn post(&self, path: &str) -> Answer {
        self.run(path, &["-X", "POST"])
    }

    pub(crate) fn log_in(&self, user: &str, password: &str) -> Answer {
        let (user, password) = (format!("user={user}"), format!("password={password}"));
        let fields = ["--data-urlencode", &user, "--data-urlencode", &password];
        self.run("/login", &fields)
    }

    /// Returns the cookies that curl has stored, as fields of its file format.
    pub(crate) fn cookies(&self) -> Vec<Vec<String>> {
        let jar = fs::read_to_string(&self.jar).unwrap_or_default();
        let lines = jar.lines().map(|line| {
            let fields = line.split('\t').map(str::to_owned);
            fields.collect::<Vec<_>>()
        });
        lines.filter(|fields| fields.len() == 7).collect()
    }

    /// Returns the value of a cookie.
    pub(crate) fn cookie(&self, name: &str) -> String {
        let mut cookies = self.cookies().into_iter();
        let cookie = cookies.find(|fields| fields[5] == name);
        cookie.unwrap_or_else(|| panic!("no cookie {name}"))[6].clone()
    }

    /// Returns the value of the only cookie.
    pub(crate) fn credential(&self) -> String {
        match &self.cookies()[..] {
            [cookie] => cookie[6].clone(),
            others => panic!("expected one cookie: {others:?}"),
        }
    }
}

/// Returns the shell commands in the header of an example, each with the status that it announces.
pub(crate) fn documented(source: &str) -> Vec<(String, Option<u16>)> {
    let header = source.lines().take_while(|line| line.starts_with("//!"));
    let lines = header.filter_map(|line| line.strip_prefix("//! "));
    lines
        .filter(|line| line.starts_with("curl ") || line.starts_with("sed "))
        .map(|line| {
            let comment = line.rsplit_once("# ").map(|(_, status)| status.trim());
            let status = comment.and_then(|status| status.parse().ok());
            assert!(
                status.is_some() || !line.starts_with("curl "),
                "announces no status: {line}"
            );
            (line.to_owned(), status)
        })
        .collect()
}

/// Runs the shell commands in the header of an example against a running one, and compares the
/// statuses.
pub(crate) fn follow_the_header(source: &str, origin: &str) {
    follow_the_header_with(source, origin, |_| String::new());
}

/// Does the same with shell variables. `value` is called for each command that uses a variable, with
/// the name of the variable.
pub(crate) fn follow_the_header_with(
    source: &str,
    origin: &str,
    mut value: impl FnMut(&str) -> String,
) {
    let lines = documented(source);
    assert!(lines.len() > 5, "too few commands: {lines:?}");
    let folder = Folder::new();
    for (line, status) in lines {
        let name: Option<String> = line.split_once("=$").map(|(_, rest)| {
            let is_part = |c: &char| c.is_ascii_uppercase();
            rest.chars().take_while(is_part).collect()
        });
        let variable = name.filter(|name| !name.is_empty());
        let variable = variable.map(|name| (value(&name), name));
        let output = Command::new("sh")
            .args(["-c", &line.replace("http://127.0.0.1:3000", origin)])
            .envs(variable.map(|(value, name)| (name, value)))
            .current_dir(folder.path())
            // Ignores curl settings and proxies of the machine.
            .env("CURL_HOME", folder.path())
            .env("no_proxy", "*")
            .output()
            .expect("sh starts");
        let printed = String::from_utf8(output.stdout).expect("text");
        match status {
            Some(status) => {
                let answer = Answer::parse(&printed);
                assert_eq!(answer.status, status, "{line}\n{printed}");
            }
            None => assert!(output.status.success() && printed.is_empty(), "{line}"),
        }
    }
}
