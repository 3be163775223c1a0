//! Locations of server programs, and the user that runs them.

use std::fs;
use std::path::{Path, PathBuf};

/// Finds a program: in the folder that the environment variable names, else on the path, else where
/// Debian's packages install it.
pub(crate) fn program(name: &str, variable: &str) -> Option<PathBuf> {
    if let Some(folder) = std::env::var_os(variable) {
        return Some(Path::new(&folder).join(name)).filter(|found| found.is_file());
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let usual = ["/usr/bin", "/usr/sbin", "/usr/local/bin", "/usr/local/sbin"];
    std::env::split_paths(&path)
        .chain(usual.map(PathBuf::from))
        .chain(newest_postgres())
        .map(|folder| folder.join(name))
        .find(|found| found.is_file())
}

/// The programs of the newest Postgres, which Debian keeps off the path.
fn newest_postgres() -> Option<PathBuf> {
    let versions = fs::read_dir("/usr/lib/postgresql").ok()?;
    let versions = versions.flatten().filter_map(|entry| {
        let number: u32 = entry.file_name().to_str()?.parse().ok()?;
        Some((number, entry.path().join("bin")))
    });
    versions.max().map(|(_, folder)| folder)
}

/// A user without rights.
#[derive(Clone, Copy, Debug)]
pub(crate) struct User {
    pub(crate) uid: u32,
    pub(crate) gid: u32,
}

impl User {
    /// The first of these users that exists, if this process runs as root: some servers refuse to
    /// run as root.
    pub(crate) fn instead_of_root(names: &[&str]) -> Option<Self> {
        let status = fs::read_to_string("/proc/self/status").ok()?;
        let uids = status.lines().find_map(|line| line.strip_prefix("Uid:"))?;
        if uids.split_whitespace().nth(1)? != "0" {
            return None;
        }
        let users = fs::read_to_string("/etc/passwd").ok()?;
        names.iter().find_map(|name| {
            let mut fields = users
                .lines()
                .map(|line| line.split(':'))
                .find(|fields| fields.clone().next() == Some(name))?
                .skip(2);
            Some(Self {
                uid: fields.next()?.parse().ok()?,
                gid: fields.next()?.parse().ok()?,
            })
        })
    }
}
