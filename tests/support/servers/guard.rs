//! The shell that runs the servers and outlives the test by a moment.

use std::ffi::OsStr;
use std::fmt::Write as _;
use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError};

use super::find::User;
use super::wait_until;

/// A folder with running servers. Both are removed on drop, and also if this process ends in
/// another way: see `guard.sh`.
pub(crate) struct Guard {
    folder: PathBuf,
    user: Option<User>,
    shell: Mutex<Shell>,
}

struct Shell {
    child: Child,
    /// Closing it tells the shell to end. Close-on-exec, so that no other child of this process,
    /// and no server, keeps it open.
    commands: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
}

impl Guard {
    /// Creates a fresh folder for servers that run as `user`, if given, and that `signal` ends.
    pub(crate) fn new(kind: &str, user: Option<User>, signal: &str) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("statewise-{kind}-{}-{count}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        let mut child = Command::new("sh")
            .args(["-c", include_str!("guard.sh"), "guard"])
            .args([folder.as_os_str(), OsStr::new(signal)])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            // Readers of this process's output must not wait for the shell.
            .stderr(Stdio::null())
            // Ctrl-C at a terminal is meant for the test only.
            .process_group(0)
            .spawn()
            .expect("sh starts");
        let commands = child.stdin.take();
        let answers = BufReader::new(child.stdout.take().expect("a piped output"));
        let guard = Self {
            folder,
            user,
            shell: Mutex::new(Shell {
                child,
                commands,
                answers,
            }),
        };
        assert_eq!(guard.answer(""), "ready", "no folder for a server");
        if let Some(user) = user {
            let owner = std::os::unix::fs::chown(&guard.folder, Some(user.uid), Some(user.gid));
            owner.expect("root gives a folder away");
        }
        guard
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Runs a program and asserts that it succeeds.
    pub(crate) fn run(&self, name: &str, command: &[&OsStr]) -> Result<(), String> {
        self.script(name, command)?;
        match self.answer(&format!("run {name}")).as_str() {
            "0" => Ok(()),
            _ => Err(format!("{name} failed:\n{}", self.log(name))),
        }
    }

    /// Starts a program and returns its pid.
    pub(crate) fn start(&self, name: &str, command: &[&OsStr]) -> Result<u32, String> {
        self.script(name, command)?;
        let pid = self.answer(&format!("start {name}"));
        pid.parse().map_err(|_| format!("{name} did not start"))
    }

    /// Returns the output of a program.
    pub(crate) fn log(&self, name: &str) -> String {
        fs::read_to_string(self.folder.join(format!("{name}.log"))).unwrap_or_default()
    }

    /// Sends a signal to a server and all its children.
    pub(crate) fn signal(&self, signal: &str, server: u32) {
        self.signal_all(signal, &tree(server));
    }

    /// Stops a server and all its children, and returns when all their threads have stopped: a
    /// running thread would still answer.
    pub(crate) fn stop(&self, server: u32) {
        let pids = tree(server);
        self.signal_all("STOP", &pids);
        let stands = || match pids.iter().find(|pid| has_moving_threads(**pid)) {
            Some(pid) => Err(format!("{pid} runs on after SIGSTOP")),
            None => Ok(()),
        };
        wait_until(stands).unwrap();
    }

    fn signal_all(&self, signal: &str, pids: &[u32]) {
        let mut command = format!("signal {signal}");
        for pid in pids {
            let _ = write!(command, " {pid}");
        }
        self.answer(&command);
    }

    /// Kills a server and all its children, and returns when they are gone.
    pub(crate) fn kill(&self, server: u32) {
        let pids = tree(server);
        self.signal_all("KILL", &pids);
        self.answer(&format!("reap {server}"));
        let gone = || {
            let left = pids.iter().find(|pid| is_running(**pid));
            left.map_or(Ok(()), |pid| Err(format!("{pid} survived SIGKILL")))
        };
        wait_until(gone).unwrap();
    }

    /// Writes the command line, including the user that runs it.
    fn script(&self, name: &str, command: &[&OsStr]) -> Result<(), String> {
        let mut script = match self.user {
            Some(User { uid, gid }) => format!(
                "exec setpriv --reuid={uid} --regid={gid} --clear-groups $dies_with_parent --"
            ),
            None => "exec ${dies_with_parent:+setpriv $dies_with_parent --}".to_owned(),
        };
        for word in command {
            let word = word.to_str().expect("a path in UTF-8");
            let _ = write!(script, " '{}'", word.replace('\'', r"'\''"));
        }
        // Not in the folder of the test, which the user may not enter.
        let script = format!("cd '{}' && {script}\n", self.folder.display());
        fs::write(self.folder.join(format!("{name}.sh")), script).map_err(|error| {
            let folder = self.folder.display();
            format!("the server's folder {folder} is gone, nothing can be started there: {error}")
        })
    }

    /// The pid of the shell.
    pub(crate) fn pid(&self) -> u32 {
        let shell = self.shell.lock().unwrap_or_else(PoisonError::into_inner);
        shell.child.id()
    }

    /// Kills the shell.
    pub(crate) fn kill_itself(&self) {
        let mut shell = self.shell.lock().unwrap_or_else(PoisonError::into_inner);
        shell.child.kill().expect("a child is killed");
    }

    /// Sends a command to the shell, if it runs, and reads one line of answer.
    fn answer(&self, command: &str) -> String {
        let mut shell = self.shell.lock().unwrap_or_else(PoisonError::into_inner);
        if !command.is_empty() {
            let commands = shell.commands.as_mut().expect("open until dropped");
            writeln!(commands, "{command}").expect("the guard of the server listens");
        }
        let mut answer = String::new();
        let read = shell.answers.read_line(&mut answer);
        read.expect("the guard of the server answers");
        answer.trim().to_owned()
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        let shell = self.shell.get_mut();
        let shell = shell.unwrap_or_else(PoisonError::into_inner);
        shell.commands = None;
        let _ = shell.child.wait();
        // Empty, unless the shell was killed.
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// A process and all its children, itself first.
pub(crate) fn tree(root: u32) -> Vec<u32> {
    let mut parents = Vec::new();
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let name = entry.file_name();
        let Some(pid) = name.to_str().and_then(|name| name.parse::<u32>().ok()) else {
            continue;
        };
        if let Some((_, parent)) = state(pid) {
            parents.push((pid, parent));
        }
    }
    let mut found = vec![root];
    let mut at = 0;
    while let Some(parent) = found.get(at).copied() {
        let children = parents.iter().filter(|(_, of)| *of == parent);
        found.extend(children.map(|(pid, _)| *pid));
        at += 1;
    }
    found
}

/// Returns true if a thread of the process is neither stopped nor gone.
fn has_moving_threads(pid: u32) -> bool {
    let threads = fs::read_dir(format!("/proc/{pid}/task"));
    threads.into_iter().flatten().flatten().any(|thread| {
        let stat = fs::read_to_string(thread.path().join("stat")).unwrap_or_default();
        parsed(&stat).is_some_and(|(state, _)| !matches!(state, 'T' | 't' | 'Z' | 'X'))
    })
}

/// Returns true if the process exists and has not ended.
pub(crate) fn is_running(pid: u32) -> bool {
    state(pid).is_some_and(|(state, _)| state != 'Z' && state != 'X')
}

/// The state of a process and the pid of its parent.
fn state(pid: u32) -> Option<(char, u32)> {
    parsed(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

fn parsed(stat: &str) -> Option<(char, u32)> {
    // The name in parentheses may contain any character.
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
    let state = fields.next()?.chars().next()?;
    Some((state, fields.next()?.parse().ok()?))
}
