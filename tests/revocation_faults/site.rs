//! Where a log is: a private server, and what can be done to it.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use statewise::revocation::log::DynRevocationLog;

use crate::support::servers::guard::is_running;
use crate::support::servers::wait_until;

/// How long a log waits for its server.
pub(crate) const DEADLINE: Duration = Duration::from_secs(1);

/// A server that keeps on its disk what it acknowledges.
pub(crate) trait Site: Send + Sync + Sized + 'static {
    /// Starts one, or says why not.
    fn start() -> Option<Self>;
    fn pid(&self) -> u32;
    fn socket(&self) -> PathBuf;
    /// The folder with all that it keeps.
    fn data(&self) -> PathBuf;
    /// The signal on which it ends in good order.
    const END: &str;
    fn kill9(&self);
    fn restart(&self);
    fn pause(&self);
    fn resume(&self);

    /// The log, over connections of a node's own through a socket, which may be a proxy's.
    fn log(&self, socket: PathBuf) -> impl Future<Output = Arc<dyn DynRevocationLog>> + Send;

    /// What an operator does with a server that is new.
    fn set_up(&self) -> impl Future<Output = ()> + Send;

    /// Lets it end in good order.
    fn stop(&self) {
        let pid = self.pid();
        run(
            "kill",
            ["-s".as_ref(), Self::END.as_ref(), pid.to_string().as_ref()],
        );
        let ended = || (!is_running(pid)).then_some(()).ok_or("it runs on");
        wait_until(ended).unwrap();
        // Whatever the signal left.
        self.kill9();
    }

    /// Copies the data of a server that does not run.
    fn keep(&self, name: &str) {
        copy(&self.data(), &self.data().with_file_name(name));
    }

    /// Gives a server that does not run the data that were [kept](Self::keep).
    fn bring_back(&self, name: &str) {
        copy(&self.data().with_file_name(name), &self.data());
    }
}

/// Copies a folder in place of another, with owners and modes.
fn copy(from: &Path, to: &Path) {
    run("rm", ["-rf".as_ref(), to.as_os_str()]);
    run("cp", ["-a".as_ref(), from.as_os_str(), to.as_os_str()]);
}

fn run<const N: usize>(program: &str, arguments: [&OsStr; N]) {
    let status = Command::new(program).args(arguments).status().unwrap();
    assert!(status.success(), "{program} {arguments:?}");
}
