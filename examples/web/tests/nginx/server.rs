//! A private nginx in front of a service.

use std::ffi::OsStr;
use std::net::TcpListener;

use crate::shared::servers::guard::Guard;
use crate::shared::servers::{find, skip, wait_until};

/// Environment variable with the folder of `nginx`.
const VARIABLE: &str = "STATEWISE_NGINX_BIN";

/// An nginx with its defaults, except for its files. The guard ends it, even if the test is killed.
pub(crate) struct Nginx {
    _guard: Guard,
    pub(crate) port: u16,
}

impl Nginx {
    /// Starts a proxy of `upstream`, an origin, with more lines in its location. If none is installed
    /// and none is required, prints the reason and returns `None`.
    pub(crate) fn start(upstream: &str, lines: &str) -> Option<Self> {
        let program = find::program("nginx", VARIABLE)
            .or_else(|| skip("no nginx on this machine (Debian: apt-get install nginx)"))?;
        let guard = Guard::new("nginx", None, "TERM");
        let folder = guard.folder().display().to_string();
        let address = TcpListener::bind(("127.0.0.1", 0)).and_then(|free| free.local_addr());
        let port = address.unwrap().port();
        let config = format!(
            "daemon off; pid {folder}/pid; error_log stderr; events {{}}
             http {{
                 access_log off;
                 client_body_temp_path {folder}/body;
                 proxy_temp_path {folder}/proxy;
                 fastcgi_temp_path {folder}/fastcgi;
                 uwsgi_temp_path {folder}/uwsgi;
                 scgi_temp_path {folder}/scgi;
                 server {{
                     listen 127.0.0.1:{port};
                     location / {{ proxy_pass {upstream}; {lines} }}
                 }}
             }}"
        );
        let file = format!("{folder}/nginx.conf");
        std::fs::write(&file, config).unwrap();
        let command = [program.to_str().unwrap(), "-p", &folder, "-c", &file];
        guard.start("nginx", &command.map(OsStr::new)).unwrap();
        // It writes the file when it listens.
        let listens = || match guard.folder().join("pid").exists() {
            true => Ok(()),
            false => Err(guard.log("nginx")),
        };
        wait_until(listens).unwrap_or_else(|log| panic!("nginx does not listen: {log}"));
        Some(Self {
            _guard: guard,
            port,
        })
    }
}
