//! A headless Chromium, driven by the WebDriver protocol.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use serde_json::{Value, json};

use crate::shared::servers::guard::{Guard, tree};
use crate::shared::servers::wait_until;

/// Key of an element's id in the protocol.
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";

pub(crate) struct Chromium {
    driver: Driver,
    session: String,
}

/// Shell command that starts the driver on a free port, which the driver prints. The whole process
/// group is killed when the driver ends or when the guard stops it: a browser that survived would
/// create its folder again.
const START_AS_GROUP: &str = r#"trap : TERM; "$0" --port=0 & wait; kill -KILL 0"#;

/// Driver and its browser. The guard ends both, even if the test is killed.
struct Driver {
    guard: Guard,
    pid: u32,
    address: String,
}

fn installed(program: &str) -> Option<PathBuf> {
    let folders = std::env::var_os("PATH")?;
    let mut files = std::env::split_paths(&folders).map(|folder| folder.join(program));
    files.find(|file| file.is_file())
}

impl Chromium {
    /// Starts a browser with a window of this size. If none is installed and none is required,
    /// prints the reason and returns `None`.
    pub(crate) fn start(width: u32, height: u32) -> Option<Self> {
        let programs = (installed("chromium"), installed("chromedriver"));
        let (Some(browser), Some(driver)) = programs else {
            assert!(
                std::env::var_os("STATEWISE_REQUIRE_BROWSER").is_none(),
                "chromium and chromedriver are required, but not installed"
            );
            println!("SKIPPED: no chromium and chromedriver (Debian: chromium, chromium-driver)");
            return None;
        };
        let driver = Driver::start(&driver);
        let folder = driver.guard.folder().join("profile");
        let arguments = [
            "--headless=new".to_owned(),
            "--no-sandbox".to_owned(),
            "--disable-gpu".to_owned(),
            "--disable-quic".to_owned(),
            "--disable-dev-shm-usage".to_owned(),
            "--no-first-run".to_owned(),
            "--disable-background-networking".to_owned(),
            "--disable-component-update".to_owned(),
            "--disable-sync".to_owned(),
            "--hide-scrollbars".to_owned(),
            "--force-color-profile=srgb".to_owned(),
            // A name of this machine that is not localhost.
            "--host-resolver-rules=MAP box.lan 127.0.0.1".to_owned(),
            format!("--user-data-dir={}", folder.display()),
            format!("--window-size={width},{height}"),
        ];
        let options = json!({ "binary": browser, "args": arguments });
        let capabilities = json!({ "capabilities": { "alwaysMatch": {
            "browserName": "chrome",
            "goog:chromeOptions": options,
            "goog:loggingPrefs": { "browser": "ALL" },
        }}});
        let started = driver.call("POST", "/session", &capabilities);
        let session = started["sessionId"].as_str().unwrap().to_owned();
        let this = Self { driver, session };
        // Sets the size of the page itself, because windows cannot be as narrow as phones.
        let metrics = json!({ "cmd": "Emulation.setDeviceMetricsOverride", "params": {
            "width": width, "height": height, "deviceScaleFactor": 1, "mobile": false,
        }});
        this.post("/goog/cdp/execute", &metrics);
        Some(this)
    }

    /// Returns the pids of the driver, the browser and all processes that it has started.
    pub(crate) fn pids(&self) -> Vec<u32> {
        tree(self.driver.pid)
    }

    /// Folder into which browser and driver write.
    pub(crate) fn folder(&self) -> &Path {
        self.driver.guard.folder()
    }

    fn post(&self, path: &str, body: &Value) -> Value {
        let path = format!("/session/{}{path}", self.session);
        self.driver.call("POST", &path, body)
    }

    fn get(&self, path: &str) -> Value {
        let path = format!("/session/{}{path}", self.session);
        self.driver.call("GET", &path, &Value::Null)
    }

    pub(crate) fn open(&self, address: &str) {
        self.post("/url", &json!({ "url": address }));
    }

    pub(crate) fn click(&self, selector: &str) {
        let by = json!({ "using": "css selector", "value": selector });
        let element = self.post("/element", &by);
        let element = element[ELEMENT].as_str().unwrap();
        self.post(&format!("/element/{element}/click"), &json!({}));
    }

    /// Sets a preference of the user, such as `prefers-color-scheme`.
    pub(crate) fn prefer(&self, name: &str, value: &str) {
        let features = json!([{ "name": name, "value": value }]);
        let media =
            json!({ "cmd": "Emulation.setEmulatedMedia", "params": { "features": features } });
        self.post("/goog/cdp/execute", &media);
    }

    /// Presses a key.
    pub(crate) fn key(&self, key: &str) {
        let press = [
            json!({ "type": "keyDown", "value": key }),
            json!({ "type": "keyUp", "value": key }),
        ];
        let actions = json!({ "actions": [{ "type": "key", "id": "keys", "actions": press }] });
        self.post("/actions", &actions);
    }

    pub(crate) fn run(&self, script: &str, arguments: &[Value]) -> Value {
        let body = json!({ "script": script, "args": arguments });
        self.post("/execute/sync", &body)
    }

    pub(crate) fn run_async(&self, script: &str) -> Value {
        let body = json!({ "script": script, "args": [] });
        self.post("/execute/async", &body)
    }

    /// Returns the cookies that the browser sends to the page.
    pub(crate) fn cookies(&self) -> Vec<Value> {
        self.get("/cookie").as_array().unwrap().clone()
    }

    /// Returns all cookies that the browser stores, for all paths.
    pub(crate) fn all_cookies(&self) -> Vec<Value> {
        let ask = json!({ "cmd": "Network.getAllCookies", "params": {} });
        let kept = self.post("/goog/cdp/execute", &ask);
        kept["cookies"].as_array().unwrap().clone()
    }

    /// Returns the errors that the browser has logged, except for expected denials.
    pub(crate) fn errors(&self) -> Vec<String> {
        let log = self.post("/se/log", &json!({ "type": "browser" }));
        let lines = log.as_array().unwrap().iter();
        let lines = lines.map(|line| line["message"].as_str().unwrap().to_owned());
        let denials = [
            "401 (Unauthorized)",
            "403 (Forbidden)",
            "503 (Service Unavailable)",
        ];
        let is_denial = |line: &String| denials.iter().any(|denial| line.contains(denial));
        lines.filter(|line| !is_denial(line)).collect()
    }

    pub(crate) fn screenshot(&self) -> Vec<u8> {
        let picture = self.get("/screenshot");
        let picture = picture.as_str().unwrap();
        base64::engine::general_purpose::STANDARD
            .decode(picture)
            .unwrap()
    }
}

impl Drop for Chromium {
    fn drop(&mut self) {
        // The browser ends with its session; the driver is stopped after it.
        let path = format!("/session/{}", self.session);
        let _ = self.driver.try_call("DELETE", &path, &Value::Null);
    }
}

impl Driver {
    fn start(program: &Path) -> Self {
        let guard = Guard::new("browser", None, "TERM");
        let [home, temporary] =
            ["HOME", "TMPDIR"].map(|name| format!("{name}={}", guard.folder().display()));
        let command: [&OsStr; 8] = [
            "env".as_ref(),
            home.as_ref(),
            temporary.as_ref(),
            "setsid".as_ref(),
            "sh".as_ref(),
            "-c".as_ref(),
            START_AS_GROUP.as_ref(),
            program.as_os_str(),
        ];
        let pid = guard.start("chromedriver", &command).unwrap();
        let mut address = String::new();
        let listens = || {
            let printed = guard.log("chromedriver");
            let port = printed.split_once("started successfully on port ");
            let port = port.and_then(|(_, rest)| rest.split_once('.'));
            let (port, _) = port.ok_or(printed.clone())?;
            address = format!("http://127.0.0.1:{port}");
            Ok(())
        };
        wait_until(listens).unwrap_or_else(|printed: String| panic!("no driver: {printed}"));
        Self {
            guard,
            pid,
            address,
        }
    }

    fn call(&self, method: &str, path: &str, body: &Value) -> Value {
        let answer = self.try_call(method, path, body);
        answer.unwrap_or_else(|error| panic!("{method} {path}: {error}"))
    }

    fn try_call(&self, method: &str, path: &str, body: &Value) -> Result<Value, String> {
        let agent = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .build()
            .new_agent();
        let address = format!("{}{path}", self.address);
        let answer = match method {
            "GET" => agent.get(&address).call(),
            "DELETE" => agent.delete(&address).call(),
            _ => agent.post(&address).send_json(body),
        };
        let mut answer = answer.map_err(|error| error.to_string())?;
        let text: Value = answer
            .body_mut()
            .read_json()
            .map_err(|error| error.to_string())?;
        if !answer.status().is_success() {
            return Err(text["value"]["message"].to_string());
        }
        Ok(text["value"].clone())
    }
}
