//! Client of a service under test.

use std::fmt;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Buf;
use http::header::{AUTHORIZATION, CONTENT_TYPE, COOKIE, HOST, SET_COOKIE};
use http::{Method, Request, Response, request};
use http_body::Body;
use tower_service::Service;

use crate::authenticator::Authenticator as _;
use crate::clock::{Clock, Timestamp};
use crate::error::{Error, Result};
use crate::login::Login;
use crate::login::issued::Issued;
use crate::login::place::Place;
use crate::testkit::clock::ManualClock;
use crate::testkit::jar::{Address, CookieJar};
use crate::web::{Auth, AuthLayer};

/// Client of a service of tower, such as a `Router` of axum, without a server and a network.
///
/// It keeps cookies as browsers do (RFC 6265bis): told apart by name, domain, path and partition, sent
/// by host, path and `Secure`, and dropped after `Max-Age`. A cookie that browsers ignore is a
/// panic that names the broken rule. It does not follow redirects.
///
/// Requests have a `String` as body, which is an `http_body::Body`; a `Router` of axum takes any. For a
/// service that is written for one type of body, convert it with `map_request` of tower.
///
/// ```
/// use std::fmt::Debug;
///
/// use http::{Request, Response};
/// use statewise::testkit::TestClient;
/// use statewise::web::AuthLayer;
/// use statewise::Login;
/// use tower_service::Service;
///
/// /// `app` is a router below `layer`.
/// async fn test<S>(app: S, layer: &AuthLayer) -> statewise::Result<()>
/// where
///     S: Service<Request<String>, Response = Response<String>, Error: Debug>,
/// {
///     let mut client = TestClient::new(app);
///     assert_eq!(client.get("/account").send().await.status(), 401);
///     // Through the form ..
///     let fields = [("user", "alice"), ("password", "correct horse")];
///     assert_eq!(client.post("/login").form(&fields).send().await.status(), 303);
///     // .. or without it.
///     client.log_in(layer, Login::new("alice").role("owner")).await?;
///     assert_eq!(client.get("/account").send().await.body(), "hello alice");
///     Ok(())
/// }
/// ```
///
/// # Defaults
///
/// | setting | default |
/// |---|---|
/// | [`origin`](Self::origin) | `https://localhost` |
/// | [`clock`](Self::clock), for the age of cookies | a [`ManualClock`] of its own |
/// | header fields | `Host`, `Cookie`, `Authorization`; add others, such as `Accept: text/html` for a navigation |
pub struct TestClient<S> {
    service: S,
    jar: CookieJar,
    authorization: Option<String>,
    clock: ManualClock,
    is_secure: bool,
    host: String,
}

impl<S> TestClient<S> {
    /// Creates a client without cookies.
    #[must_use]
    pub fn new(service: S) -> Self {
        Self {
            service,
            jar: CookieJar::default(),
            authorization: None,
            clock: ManualClock::default(),
            is_secure: true,
            host: "localhost".to_owned(),
        }
    }

    /// Uses a clock that the authenticator under test has too, so that cookies age with the logins.
    #[must_use]
    pub fn clock(mut self, clock: &ManualClock) -> Self {
        self.clock = clock.clone();
        self
    }

    /// Sets scheme, host and perhaps port of the service, such as `http://box.lan:8080`. Cookies stay,
    /// so that a test can visit several hosts.
    ///
    /// # Panics
    ///
    /// If the scheme is neither `http` nor `https`.
    #[must_use]
    pub fn origin(mut self, origin: &str) -> Self {
        let (scheme, host) = origin.split_once("://").unwrap_or_default();
        assert!(
            matches!(scheme, "http" | "https"),
            "an origin has scheme and host: write https://app.example.com"
        );
        host.clone_into(&mut self.host);
        // Browsers trust the own machine without TLS.
        self.is_secure = scheme == "https" || self.address("/").host == "localhost";
        self
    }

    /// Moves the [`clock`](Self::clock).
    pub fn advance(&self, by: Duration) {
        self.clock.advance(by);
    }

    /// Logs in without the login flow of the service: issues a credential through the authenticator
    /// of the layer, and keeps it in the cookies. If the transport has no cookie, see
    /// [`log_in_with_token`](Self::log_in_with_token). Returns the caller.
    ///
    /// # Errors
    ///
    /// As for [`Authenticator::issue`](crate::Authenticator::issue).
    ///
    /// # Panics
    ///
    /// If browsers ignore the cookie.
    ///
    /// # Cancel safety
    ///
    /// A login may exist without a client.
    pub async fn log_in<D>(&mut self, layer: &AuthLayer<D>, login: Login<D>) -> Result<Auth<D>>
    where
        D: Send + Sync + 'static,
    {
        let transport = &layer.config.transport;
        if transport.access().is_none() {
            return self.log_in_with_token(layer, login).await;
        }
        let issued = layer.config.auth.issue(login.place(Place::Cookie)).await?;
        for line in layer.config.cookies_of(&issued)? {
            self.receive("/", &line);
        }
        Ok(caller(layer, issued))
    }

    /// Logs in as a program: as [`log_in`](Self::log_in), and sends the credential in `Authorization`
    /// from now on. To get a refresh credential, call the route of your service that issues tokens.
    ///
    /// # Errors
    ///
    /// *Misuse* if the transport reads no tokens; as for
    /// [`Authenticator::issue`](crate::Authenticator::issue).
    ///
    /// # Cancel safety
    ///
    /// A login may exist without a client.
    pub async fn log_in_with_token<D>(
        &mut self,
        layer: &AuthLayer<D>,
        login: Login<D>,
    ) -> Result<Auth<D>>
    where
        D: Send + Sync + 'static,
    {
        let transport = &layer.config.transport;
        if !transport.reads_bearer() {
            return Err(Error::misuse(
                "a test login with a token, but the transport reads cookies only: use `log_in`",
            ));
        }
        let issued = layer.config.auth.issue(login.place(Place::Bearer)).await?;
        self.authorization = Some(transport.authorization(issued.credential()));
        Ok(caller(layer, issued))
    }

    /// Drops all cookies and the token, as a client that comes for the first time.
    pub fn forget(&mut self) {
        self.jar = CookieJar::default();
        self.authorization = None;
    }

    /// Returns the value of a cookie. It may be a credential.
    #[must_use]
    pub fn cookie(&self, name: &str) -> Option<&str> {
        self.jar.value(name, self.now())
    }

    /// Begins a GET request of path and query.
    pub fn get(&mut self, path: &str) -> TestRequest<'_, S> {
        self.request(Method::GET, path)
    }

    /// Begins a POST request.
    pub fn post(&mut self, path: &str) -> TestRequest<'_, S> {
        self.request(Method::POST, path)
    }

    /// Begins a request.
    pub fn request(&mut self, method: Method, path: &str) -> TestRequest<'_, S> {
        let mut head = Request::builder().method(method).uri(path);
        head = head.header(HOST, &self.host);
        let path = path.split(['?', '#']).next().unwrap_or_default();
        if let Some(cookies) = self.jar.line(self.address(path), self.now()) {
            head = head.header(COOKIE, cookies);
        }
        if let Some(authorization) = &self.authorization {
            head = head.header(AUTHORIZATION, authorization);
        }
        TestRequest {
            path: path.to_owned(),
            client: self,
            head,
            body: String::new(),
        }
    }

    fn receive(&mut self, path: &str, line: &str) {
        let (now, mut jar) = (self.now(), std::mem::take(&mut self.jar));
        let received = jar.receive(self.address(path), line, now);
        let name = line.split('=').next().unwrap_or_default();
        if let Err(broken) = received {
            panic!("browsers ignore the cookie {name}: {broken}");
        }
        self.jar = jar;
    }

    fn address<'a>(&'a self, path: &'a str) -> Address<'a> {
        let port = self.host.rsplit_once(':');
        let port = port.filter(|(_, port)| port.parse::<u16>().is_ok());
        Address {
            is_secure: self.is_secure,
            host: port.map_or(&self.host, |(host, _)| host),
            path,
        }
    }

    /// Cookies do not age under a stopped clock.
    fn now(&self) -> Timestamp {
        self.clock.now().unwrap_or(Timestamp::MIN)
    }
}

/// Request of a [`TestClient`].
#[must_use = "a request does nothing until it is sent"]
pub struct TestRequest<'c, S> {
    client: &'c mut TestClient<S>,
    path: String,
    head: request::Builder,
    body: String,
}

impl<S> TestRequest<'_, S> {
    /// Adds a header field.
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.head = self.head.header(name, value);
        self
    }

    /// Sends the fields of a form, as browsers encode them.
    pub fn form(self, fields: &[(&str, &str)]) -> Self {
        let fields = fields.iter();
        let pairs = fields.map(|(name, value)| format!("{}={}", encoded(name), encoded(value)));
        let body = pairs.collect::<Vec<_>>().join("&");
        self.body("application/x-www-form-urlencoded", body)
    }

    /// Sends JSON text.
    pub fn json(self, json: impl Into<String>) -> Self {
        self.body("application/json", json)
    }

    /// Sends text of any content type.
    pub fn body(mut self, content_type: &str, text: impl Into<String>) -> Self {
        self.head = self.head.header(CONTENT_TYPE, content_type);
        self.body = text.into();
        self
    }

    /// Sends the request, and stores the cookies of the response. Its [`Denial`](crate::web::Denial)
    /// is in the extensions. Bytes of the body that are not UTF-8 are replaced.
    ///
    /// # Panics
    ///
    /// If the path or a header field is malformed, if the service fails instead of responding, or if
    /// browsers ignore a cookie of the response.
    pub async fn send<R>(self) -> Response<String>
    where
        S: Service<Request<String>, Response = Response<R>, Error: fmt::Debug>,
        R: Body<Error: fmt::Debug>,
    {
        let client = self.client;
        let request = self.head.body(self.body);
        let request = request.expect("a path begins with /, and header fields are plain text");
        let ready = poll_fn(|context| client.service.poll_ready(context)).await;
        ready.expect("the service is ready");
        let response = client.service.call(request).await;
        let (head, body) = response.expect("the service responds").into_parts();
        for line in head.headers.get_all(SET_COOKIE) {
            client.receive(&self.path, &String::from_utf8_lossy(line.as_bytes()));
        }
        let (mut body, mut bytes) = (pin!(body), Vec::new());
        while let Some(frame) = poll_fn(|context| body.as_mut().poll_frame(context)).await {
            let frame = frame.expect("the body is complete");
            if let Ok(mut data) = frame.into_data() {
                bytes.extend_from_slice(&data.copy_to_bytes(data.remaining()));
            }
        }
        Response::from_parts(head, String::from_utf8_lossy(&bytes).into_owned())
    }
}

fn caller<D: Send + Sync + 'static>(layer: &AuthLayer<D>, issued: Issued<D>) -> Auth<D> {
    Auth::new(issued.into_identity(), Arc::clone(&layer.config.clock))
}

/// Encodes a field of a form (application/x-www-form-urlencoded).
fn encoded(text: &str) -> String {
    let mut encoded = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._*".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}

impl<S> fmt::Debug for TestClient<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TestClient")
            .field("host", &self.host)
            .field("cookies", &self.jar.names().collect::<Vec<_>>())
            .finish_non_exhaustive()
    }
}

impl<S> fmt::Debug for TestRequest<'_, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TestRequest")
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}
