//! The examples as they are, on a port of their own, and curl to judge what they answer.

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
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use axum::Router;

/// What the server would take to answer at the most, in seconds.
const PATIENCE: &str = "30";

/// A folder that is gone with the test.
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

/// A running example. It ends with the test, also with one that fails.
pub(crate) struct Example {
    process: Child,
    origin: String,
}

impl Example {
    pub(crate) fn start(name: &str) -> Self {
        let process = Command::new(program::example(name))
            .arg("0")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the example starts");
        // From here on it is stopped whatever happens.
        let mut example = Self {
            process,
            origin: String::new(),
        };
        let mut line = String::new();
        let output = example.process.stdout.as_mut().expect("a piped output");
        let read = BufReader::new(output).read_line(&mut line);
        read.expect("the example says where it listens");
        let origin = line.trim_end().strip_prefix("listening on ");
        let origin = origin.unwrap_or_else(|| panic!("not where it listens: {line:?}"));
        origin.clone_into(&mut example.origin);
        example
    }

    pub(crate) fn origin(&self) -> &str {
        &self.origin
    }
}

impl Drop for Example {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A router that is served from within the test.
pub(crate) struct Served {
    origin: String,
    // Ends what it runs when it is dropped.
    _runtime: tokio::runtime::Runtime,
}

impl Served {
    pub(crate) fn new(router: Router) -> Self {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let listener = runtime.block_on(tokio::net::TcpListener::bind(("127.0.0.1", 0)));
        let listener = listener.unwrap();
        let origin = format!("http://{}", listener.local_addr().unwrap());
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

/// What a server has answered.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// Names in lower case.
    pub(crate) fields: Vec<(String, String)>,
    pub(crate) body: String,
}

impl Answer {
    /// Reads what `curl -i` prints.
    fn parse(printed: &str) -> Self {
        let (head, body) = printed
            .split_once("\r\n\r\n")
            .unwrap_or_else(|| panic!("no answer: {printed:?}"));
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

    /// The one field of that name.
    pub(crate) fn field(&self, name: &str) -> &str {
        match self.all(name)[..] {
            [value] => value,
            _ => panic!("not one field {name}: {self:?}"),
        }
    }

    #[track_caller]
    pub(crate) fn expect(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{self:?}");
        self
    }
}

/// Runs curl, with whatever arguments.
pub(crate) fn curl(args: &[&str]) -> Answer {
    let output = Command::new("curl")
        .args(["-q", "-sS", "-i", "--max-time", PATIENCE, "--noproxy", "*"])
        .args(args)
        .output()
        .expect("curl is installed (Debian: apt-get install curl)");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "curl {args:?}: {errors}");
    Answer::parse(&String::from_utf8(output.stdout).expect("text"))
}

/// curl with a jar of cookies: what it takes from `Set-Cookie`, and sends again, is its decision.
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

    /// The cookies that curl keeps: lines with the fields of the file format.
    pub(crate) fn cookies(&self) -> Vec<Vec<String>> {
        let jar = fs::read_to_string(&self.jar).unwrap_or_default();
        let lines = jar.lines().map(|line| {
            let fields = line.split('\t').map(str::to_owned);
            fields.collect::<Vec<_>>()
        });
        lines.filter(|fields| fields.len() == 7).collect()
    }

    /// The one cookie's value.
    pub(crate) fn credential(&self) -> String {
        match &self.cookies()[..] {
            [cookie] => cookie[6].clone(),
            others => panic!("not one cookie: {others:?}"),
        }
    }
}

/// The lines of a shell in the header of an example, each with the status that it says comes.
pub(crate) fn documented(source: &str) -> Vec<(String, Option<u16>)> {
    let header = source.lines().take_while(|line| line.starts_with("//!"));
    let lines = header.filter_map(|line| line.strip_prefix("//! "));
    lines
        .filter(|line| line.starts_with("curl ") || line.starts_with("sed "))
        .map(|line| {
            let said = line.rsplit_once("# ").map(|(_, status)| status.trim());
            let status = said.and_then(|status| status.parse().ok());
            assert!(
                status.is_some() || !line.starts_with("curl "),
                "does not say what comes: {line}"
            );
            (line.to_owned(), status)
        })
        .collect()
}

/// Runs the lines in the header of an example, on a running one, and compares what comes.
pub(crate) fn follow_the_header(source: &str, origin: &str) {
    let lines = documented(source);
    assert!(lines.len() > 5, "no lines to try");
    let folder = Folder::new();
    for (line, status) in lines {
        let output = Command::new("sh")
            .args(["-c", &line.replace("http://127.0.0.1:3000", origin)])
            .current_dir(folder.path())
            // Neither the settings nor the proxies of who runs the test.
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
