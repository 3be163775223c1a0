//! The server of a log, and acts of its operator.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use statewise::revocation::log::DynRevocationLog;

use crate::support::servers::guard::is_running;
use crate::support::servers::wait_until;

/// Time that a log waits for its server.
pub(crate) const DEADLINE: Duration = Duration::from_secs(1);

/// A server that keeps acknowledged changes on disk.
pub(crate) trait Site: Send + Sync + Sized + 'static {
    /// Starts a server, or reports why it cannot.
    fn start() -> Option<Self>;
    fn pid(&self) -> u32;
    fn socket(&self) -> PathBuf;
    /// The folder with all of its data.
    fn data(&self) -> PathBuf;
    /// The signal for an orderly shutdown.
    const END: &str;
    fn kill9(&self);
    fn restart(&self);
    fn pause(&self);
    fn resume(&self);

    /// The log, over separate connections of a node through a socket, which may be a proxy's.
    fn log(&self, socket: PathBuf) -> impl Future<Output = Arc<dyn DynRevocationLog>> + Send;

    /// Prepares a new server as an operator would.
    fn set_up(&self) -> impl Future<Output = ()> + Send;

    /// Shuts it down in order.
    fn stop(&self) {
        let pid = self.pid();
        run(
            "kill",
            ["-s".as_ref(), Self::END.as_ref(), pid.to_string().as_ref()],
        );
        let ended = || (!is_running(pid)).then_some(()).ok_or("it runs on");
        wait_until(ended).unwrap();
        // Removes remains of the shutdown.
        self.kill9();
    }

    /// Copies the data of a stopped server.
    fn keep(&self, name: &str) {
        copy(&self.data(), &self.data().with_file_name(name));
    }

    /// Restores [kept](Self::keep) data to a stopped server.
    fn bring_back(&self, name: &str) {
        copy(&self.data().with_file_name(name), &self.data());
    }
}

/// Replaces one folder with a copy of another, with owners and modes.
fn copy(from: &Path, to: &Path) {
    run("rm", ["-rf".as_ref(), to.as_os_str()]);
    run("cp", ["-a".as_ref(), from.as_os_str(), to.as_os_str()]);
}

fn run<const N: usize>(program: &str, arguments: [&OsStr; N]) {
    let status = Command::new(program).args(arguments).status().unwrap();
    assert!(status.success(), "{program} {arguments:?}");
}
