//! The load: `wrk` with 64 connections, on another core than the server.

use std::fs::{self, File};
use std::io;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use rustix::param::clock_ticks_per_second;

use crate::Variant;
use crate::site::{USERS, subject};

const CONNECTIONS: usize = 64;
/// Header fields of a browser. With `Host` they are nine.
const FIELDS: [(&str, &str); 8] = [
    (
        "User-Agent",
        "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
    ),
    ("Accept", "application/json, text/plain, */*"),
    ("Accept-Language", "en-GB,en;q=0.7,de;q=0.3"),
    ("Accept-Encoding", "gzip, deflate, br, zstd"),
    ("Referer", "http://127.0.0.1/account"),
    ("Sec-Fetch-Dest", "empty"),
    ("Sec-Fetch-Mode", "cors"),
    ("Sec-Fetch-Site", "same-origin"),
];

/// Measured values of one round.
#[derive(Clone, Copy)]
pub struct Round {
    pub per_second: f64,
    pub p50_us: f64,
    pub p99_us: f64,
    /// CPU microseconds of the server for one request.
    pub cpu_us: f64,
    /// Part of the time for which the load generator used its core.
    pub generator: f64,
}

/// Returns an error if there is no `wrk`.
pub fn find_wrk() -> Result<(), String> {
    let version = Command::new("wrk").arg("-v").stdout(Stdio::null()).status();
    version.map(drop).map_err(|error| {
        format!("wrk does not start ({error}); install it, on Debian: apt-get install wrk")
    })
}

/// A running server process.
pub struct Server {
    process: Child,
    /// Closing it ends the process.
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
    port: u16,
    field: String,
    values: Vec<String>,
}

impl Server {
    pub fn start(variant: Variant, core: usize, redis: Option<&str>) -> Self {
        let program = std::env::current_exe().expect("this program");
        let mut process = Command::new(program)
            .args(["serve", variant.key(), &core.to_string()])
            .args(redis)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("a server process");
        let mut server = Self {
            input: process.stdin.take(),
            output: BufReader::new(process.stdout.take().expect("a piped output")),
            process,
            port: 0,
            field: String::new(),
            values: Vec::with_capacity(USERS),
        };
        server.port = server.line().parse().expect("a port");
        server.field = server.line();
        server.values = (0..USERS).map(|_| server.line()).collect();
        server
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        let read = self.output.read_line(&mut line).expect("a readable output");
        assert_ne!(read, 0, "the server ended: see its message above");
        line.trim_end().to_owned()
    }

    /// CPU nanoseconds of the process so far.
    fn cpu(&mut self) -> f64 {
        let input = self.input.as_mut().expect("open until the end");
        input.write_all(b"\n").expect("a running server");
        self.line().parse().expect("a number")
    }

    /// Asserts that some users get their own answer, and that a request without a credential gets
    /// the status 401.
    pub fn check(&self, variant: Variant) {
        for number in [0, 1, USERS / 2, USERS - 1] {
            let (status, body) = self.ask(Some(&self.values[number]));
            let user = subject(if variant == Variant::NoAuth {
                0
            } else {
                number
            });
            assert_eq!(status, 200, "{}", variant.name());
            let wanted = format!(r#"{{"subject":"{user}","roles":["admin","editor"]}}"#);
            assert_eq!(body, wanted, "{}", variant.name());
        }
        let (status, body) = self.ask(None);
        match variant {
            Variant::NoAuth => assert_eq!(status, 200),
            _ => assert_eq!(status, 401, "{}: {body}", variant.name()),
        }
    }

    fn ask(&self, value: Option<&str>) -> (u16, String) {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).expect("connected");
        let mut request = "GET /me HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n".to_owned();
        for (field, value) in FIELDS
            .into_iter()
            .chain(value.map(|value| (&*self.field, value)))
        {
            request.push_str(&format!("{field}: {value}\r\n"));
        }
        request.push_str("\r\n");
        stream.write_all(request.as_bytes()).expect("sent");
        let mut response = String::new();
        stream.read_to_string(&mut response).expect("a response");
        let status = response.get(9..12).and_then(|status| status.parse().ok());
        let (_, body) = response.split_once("\r\n\r\n").expect("a head");
        (status.expect("a status"), body.to_owned())
    }

    /// Sends requests for that many seconds.
    pub fn measure(&mut self, seconds: u32) -> Round {
        let script = unnamed_file(&self.script()).expect("a temporary file");
        let (cpu, generator) = (self.cpu(), children_cpu());
        let output = Command::new("wrk")
            .args([
                "-t1",
                &format!("-c{CONNECTIONS}"),
                &format!("-d{seconds}s"),
                // Each opening reads it from the start: wrk needs that twice.
                "-s/dev/stdin",
            ])
            .stdin(script)
            .arg(format!("http://127.0.0.1:{}", self.port))
            .output()
            .expect("wrk starts");
        let (cpu, generator) = (self.cpu() - cpu, children_cpu() - generator);
        let text = String::from_utf8_lossy(&output.stdout);
        let figures = text.lines().find_map(|line| line.strip_prefix("figures "));
        let figures = figures.unwrap_or_else(|| panic!("wrk gave no figures: {output:?}"));
        let figures: Vec<f64> = figures
            .split(' ')
            .map(|figure| figure.parse().expect("a number"))
            .collect();
        let [requests, us, failures, p50_us, p99_us] = figures[..] else {
            panic!("five figures, not {figures:?}");
        };
        assert_eq!(failures, 0.0, "requests failed: {text}");
        Round {
            per_second: requests / us * 1e6,
            p50_us,
            p99_us,
            cpu_us: cpu / requests / 1e3,
            generator: generator / us * 1e6,
        }
    }

    /// A script for wrk. It formats the requests of all users once, so that the rotation costs the
    /// load generator one index per request.
    fn script(&self) -> String {
        let fields: String = FIELDS
            .map(|(field, value)| format!("wrk.headers[{field:?}] = {value:?}\n"))
            .concat();
        let values: Vec<_> = self
            .values
            .iter()
            .map(|value| format!("{value:?}"))
            .collect();
        format!(
            "{fields}local values = {{{}}}\n\
             local requests, at = {{}}, 0\n\
             function init()\n\
               for number, value in ipairs(values) do\n\
                 wrk.headers[{:?}] = value\n\
                 requests[number] = wrk.format(\"GET\", \"/me\")\n\
               end\n\
             end\n\
             function request()\n\
               at = at % {USERS} + 1\n\
               return requests[at]\n\
             end\n\
             function done(summary, latency)\n\
               local errors = summary.errors\n\
               local failures = errors.connect + errors.read + errors.write + errors.status\n\
                 + errors.timeout\n\
               print(string.format(\"figures %d %d %d %.1f %.1f\", summary.requests,\n\
                 summary.duration, failures, latency:percentile(50), latency:percentile(99)))\n\
             end\n",
            values.join(",\n"),
            self.field,
        )
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.input = None;
        // A server that does not end at the end of its input.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// CPU seconds of all child processes that have ended.
fn children_cpu() -> f64 {
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // The name of the program may contain spaces.
    let (_, fields) = stat.rsplit_once(')').unwrap_or_default();
    let times = fields.split_whitespace().skip(13).take(2);
    let ticks: u64 = times.filter_map(|ticks| ticks.parse::<u64>().ok()).sum();
    ticks as f64 / clock_ticks_per_second() as f64
}

/// Returns an open file with this text and without a name, so that nothing is left behind.
fn unnamed_file(text: &str) -> io::Result<File> {
    let name = format!("statewise-server-{}.lua", std::process::id());
    let path = std::env::temp_dir().join(name);
    let mut file = File::create_new(&path)?;
    fs::remove_file(&path)?;
    file.write_all(text.as_bytes())?;
    Ok(file)
}
