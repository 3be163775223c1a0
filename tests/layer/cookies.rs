//! Cookies from login to logout (WEB-01 to WEB-04 of the store behaviours), and rotation.

use std::sync::Arc;

use statewise::authenticator::Presented;
use statewise::session::SessionAuthenticator;
use statewise::testkit::{ManualClock, block_on};
use statewise::web::{Cookie, SameSite, Transport};
use statewise::{Affected, Authenticator, EditFn, Identity, Issued, Login, Logout, Result, Upkeep};

use crate::site::{
    ABSOLUTE, Browser, IDLE, Store, layer, rotating, seconds, sessions, store, transport,
};

fn browser() -> (Browser, ManualClock) {
    let clock = ManualClock::default();
    let auth = sessions(&store(), &clock);
    (Browser::of(&layer(auth, transport())), clock)
}

/// WEB-01.
#[test]
fn the_cookie_is_secure_by_default() {
    let (mut browser, _) = browser();
    let answer = browser.log_in("alice");
    let id = browser.id();
    assert_eq!(id.len(), 64);
    assert_eq!(
        answer.set_cookies(),
        [format!(
            "__Host-id={id}; Path=/; Secure; HttpOnly; SameSite=Lax"
        )]
    );
    let line = answer.headers.get("set-cookie").unwrap();
    assert!(line.is_sensitive());
    assert!(!format!("{answer:?}").contains(&id));
    assert_eq!(browser.get("/me").body, "alice");
}

/// WEB-09: printing the fields of a request prints no credential.
#[test]
fn credentials_of_a_request_are_marked_as_sensitive() {
    let clock = ManualClock::default();
    let site = layer(
        sessions(&store(), &clock),
        Transport::both(Cookie::default()),
    );
    let mut browser = Browser::of(&site);
    browser.log_in("alice");
    let id = browser.id();
    let fields = [
        ("authorization", "Basic c2VjcmV0"),
        ("cookie", "theme=dark"),
    ];
    let printed = browser.send("GET", "/fields", &fields).body;
    for secret in [&*id, "c2VjcmV0", "theme"] {
        assert!(!printed.contains(secret), "{printed}");
    }
    assert!(printed.contains("cookie") && printed.contains("authorization"));
}

/// WEB-08: malformed credentials are rejected before the store is asked.
#[test]
fn a_malformed_cookie_causes_no_call_of_the_store() {
    let clock = ManualClock::default();
    let store = store();
    let mut browser = Browser::of(&layer(sessions(&store, &clock), transport()));
    for planted in [
        "x",
        "../../etc/passwd",
        "a.b.c",
        &"A".repeat(63),
        &"~".repeat(64),
    ] {
        browser.plant(planted);
        assert_eq!(browser.get("/maybe").body, "anonymous", "{planted}");
        assert_eq!(browser.get("/me").status, 401);
    }
    assert_eq!(store.calls(), 0);
}

/// WEB-02: a cookie is set only when it changes.
#[test]
fn an_unchanged_cookie_is_not_set_again() {
    let (mut browser, clock) = browser();
    browser.log_in("alice");
    for _ in 0..5 {
        clock.advance(seconds(IDLE / 2));
        let answer = browser.get("/me");
        assert_eq!((answer.status, answer.set_cookies().len()), (200, 0));
    }
    assert!(browser.get("/open").set_cookies().is_empty());
}

#[test]
fn a_credential_that_is_due_is_rotated_once_also_on_a_5xx() {
    for then in [None, Some("500")] {
        let clock = ManualClock::default();
        let store = store();
        let mut browser = Browser::of(&layer(rotating(&store, &clock), transport()));
        browser.log_in("alice");
        let first = browser.id();
        assert!(browser.get("/me").set_cookies().is_empty());

        clock.advance(seconds(61));
        // A handler that does not ask for the caller causes no rotation.
        assert!(browser.get("/open").set_cookies().is_empty());
        let fields: Vec<_> = then.iter().map(|then| ("x-then", *then)).collect();
        let answer = browser.send("GET", "/me", &fields);
        assert_eq!(answer.status, if then.is_some() { 500 } else { 200 });
        assert_eq!(answer.set_cookies().len(), 1);
        assert_eq!(answer.one("cache-control"), Some("no-store"));
        let second = browser.id();
        assert_ne!(first, second);
        assert_eq!(browser.get("/me").body, "alice");
        assert_eq!(browser.id(), second);

        // Rotation does not move the absolute deadline.
        clock.advance(seconds(IDLE - 100));
        assert_eq!(browser.get("/me").body, "alice");
        clock.advance(seconds(ABSOLUTE));
        assert_eq!(browser.get("/me").status, 401);
    }
}

/// A response to a login or logout rotates no credential.
#[test]
fn an_ended_login_is_not_rotated() {
    let clock = ManualClock::default();
    let mut browser = Browser::of(&layer(rotating(&store(), &clock), transport()));
    browser.log_in("alice");
    clock.advance(seconds(61));
    let answer = browser.post("/logout-all", &[]);
    assert_eq!(answer.status, 200);
    assert_eq!(answer.set_cookies().len(), 1);
    assert!(browser.jar.is_empty());
}

/// Sessions that mark each refreshed identity as due for a refresh.
#[derive(Debug)]
struct AlwaysDue(Arc<SessionAuthenticator<Store>>);

impl Authenticator for AlwaysDue {
    type Data = ();

    fn is_well_formed(&self, credential: &str) -> bool {
        self.0.is_well_formed(credential)
    }

    async fn issue(&self, login: Login) -> Result<Issued> {
        self.0.issue(login).await
    }

    async fn verify_with(&self, presented: Presented<'_>) -> Result<Identity> {
        self.0.verify_with(presented).await
    }

    async fn refresh_with(&self, presented: Presented<'_>) -> Result<Issued> {
        let issued = self.0.refresh_with(presented).await?;
        let (credential, outcome) = (issued.credential().clone(), issued.outcome());
        let identity = issued.into_identity().with_refresh_due(true);
        Ok(Issued::new(credential, identity, outcome))
    }

    async fn revoke(&self, credential: &str) -> Result<Logout> {
        self.0.revoke(credential).await
    }

    async fn revoke_all(&self, subject: &str) -> Result<Affected> {
        self.0.revoke_all(subject).await
    }

    async fn update(&self, credential: &str, edit: EditFn<'_, ()>) -> Result<Issued> {
        self.0.update(credential, edit).await
    }

    async fn update_all(&self, subject: &str, edit: EditFn<'_, ()>) -> Result<Affected> {
        self.0.update_all(subject, edit).await
    }

    fn upkeep(&self) -> Upkeep {
        self.0.upkeep()
    }
}

/// A handler refreshes a credential from the body. The cookie beside it was not verified, so it is
/// not rotated.
#[test]
fn a_caller_of_another_credential_causes_no_rotation() {
    let clock = ManualClock::default();
    let sessions = sessions(&store(), &clock);
    let program = block_on(sessions.issue(Login::new("program"))).unwrap();
    let site = layer(Arc::new(AlwaysDue(sessions.clone())), transport());
    let mut browser = Browser::of(&site);
    browser.log_in("alice");
    let id = browser.id();
    let fields = [("x-token", program.credential().reveal())];
    let answer = browser.post("/refresh-token", &fields);
    assert_eq!((answer.status, answer.set_cookies().len()), (200, 0));
    let verified = block_on(sessions.verify(&id)).unwrap();
    assert!(!verified.refresh_due());
    assert_eq!(verified.subject(), "alice");
}

/// WEB-03.
#[test]
fn each_cookie_is_set_once() {
    let (mut browser, _) = browser();
    let answer = browser.post("/login-twice", &[]);
    assert_eq!((answer.status, answer.set_cookies().len()), (200, 1));
    assert_eq!(browser.get("/me").body, "second");
    let answer = browser.post("/login-logout", &[]);
    assert_eq!((answer.status, answer.set_cookies().len()), (200, 1));
    assert!(browser.jar.is_empty());
}

/// At a login, the layer overrides what the handler sets for the same cookie and for caches.
#[test]
fn the_layer_overrides_cookies_of_the_same_name() {
    let (mut browser, _) = browser();
    let answer = browser.post("/login-with-fields", &[]);
    let lines = answer.set_cookies();
    assert_eq!(lines.len(), 2, "{lines:?}");
    assert_eq!(lines[0], "__Host-id2=other; Path=/");
    assert_eq!(browser.id().len(), 64);
    assert_eq!(answer.one("cache-control"), Some("no-store"));
    assert_eq!(browser.get("/me").body, "alice");
}

#[test]
fn after_a_logout_the_same_request_has_no_caller() {
    let (mut browser, _) = browser();
    browser.log_in("alice");
    let answer = browser.post("/me-logout-me", &[]);
    assert_eq!(answer.body, "alice, no credential");
}

/// WEB-04, and the case `cache_headers` of the vectors.
#[test]
fn no_cache_stores_a_response_that_depends_on_a_credential() {
    let (mut browser, _) = browser();
    let open = browser.get("/open");
    assert_eq!((open.one("vary"), open.one("cache-control")), (None, None));
    // Also without a credential: the response would differ with one.
    for path in ["/maybe", "/me"] {
        let answer = browser.get(path);
        assert_eq!(answer.one("vary"), Some("Cookie"), "{path}");
        assert_eq!(answer.one("cache-control"), Some("no-store"), "{path}");
    }
    let login = browser.log_in("alice");
    assert_eq!(login.one("cache-control"), Some("no-store"));
    // Fields that the handler has set stay, and nothing is added twice.
    let private = browser.get("/private");
    assert_eq!(private.one("vary"), Some("Cookie"));
    assert_eq!(private.one("cache-control"), Some("private, max-age=60"));
    let private = browser.get("/private-last");
    assert_eq!(private.one("vary"), Some("Accept, cookie"));
    assert_eq!(private.one("cache-control"), Some("max-age=60, private"));
    // Fields for caches of one kind (RFC 9213) are removed.
    let targeted = browser.get("/targeted");
    assert_eq!(targeted.one("cache-control"), Some("private, max-age=60"));
    for name in [
        "cdn-cache-control",
        "edge-control",
        "example-cache-control",
        "surrogate-control",
        "x-accel-expires",
    ] {
        assert_eq!(targeted.one(name), None, "{name}");
    }
    assert_eq!(targeted.one("x-cache"), Some("kept"));
    // `private` within a quoted argument does not count.
    let quoted = browser.get("/private-quoted");
    assert_eq!(quoted.one("cache-control"), Some("no-store"));
    let logout = browser.post("/logout", &[]);
    assert_eq!(logout.one("vary"), Some("Cookie"));
    assert_eq!(logout.one("cache-control"), Some("no-store"));
}

#[test]
fn a_logout_removes_the_cookie_with_its_attributes() {
    let clock = ManualClock::default();
    let cookie = Cookie::builder()
        .name("__Secure-sid")
        .domain("example.com")
        .path("/app")
        .same_site(SameSite::Strict)
        .max_age(seconds(600))
        .build()
        .unwrap();
    let auth = sessions(&store(), &clock);
    let mut browser = Browser::of(&layer(auth, Transport::cookie(cookie)));
    browser.log_in("alice");
    let kept = browser.jar.clone();
    // Outside of its path the cookie is not sent, so the logout ends no session: a mistake of the service.
    assert_eq!(browser.post("/logout", &[]).status, 500);
    browser.jar = kept;
    let sent = browser.cookie("__Secure-sid").unwrap();
    let cookie = format!("__Secure-sid={sent}");
    let answer = browser.post("/logout", &[("cookie", &cookie)]);
    assert_eq!(
        answer.set_cookies(),
        [
            "__Secure-sid=; Domain=example.com; Path=/app; Max-Age=0; Secure; HttpOnly; SameSite=Strict"
        ]
    );
    assert_eq!(
        browser.send("GET", "/me", &[("cookie", &cookie)]).status,
        401
    );
}

/// A rejected cookie is removed, so that the next visit is anonymous. For a request of a script it
/// stays: the request may be older than the login of another tab.
#[test]
fn a_rejected_cookie_is_removed_unless_a_script_sent_it() {
    let (mut browser, clock) = browser();
    browser.log_in("alice");
    clock.advance(seconds(IDLE + 1));
    for mode in ["cors", "same-origin", "no-cors", "websocket"] {
        let answer = browser.send("GET", "/maybe", &[("sec-fetch-mode", mode)]);
        assert_eq!((answer.status, answer.set_cookies().len()), (401, 0));
    }
    for fields in [&[("sec-fetch-mode", "navigate")][..], &[]] {
        let mut browser = browser.clone();
        assert_eq!(browser.send("GET", "/maybe", fields).status, 401);
        assert!(browser.jar.is_empty());
        assert_eq!(browser.get("/maybe").body, "anonymous");
    }
}
