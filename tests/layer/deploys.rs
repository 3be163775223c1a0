//! Deployments that change the cookie while users are logged in.

use std::sync::Arc;

use axum_core::body::Body;
use http::Request;
use statewise::testkit::{Fault, ManualClock, Method, block_on};
use statewise::web::{AuthLayer, Cookie, CookieBuilder, SameSite, Transport};
use statewise::{Authenticator as _, DynAuthenticator, Login};
use tower_service::Service as _;

use crate::jar::Jar;
use crate::site::{Browser, hybrid, layer, live, rotating, seconds, sessions, store};

const HOST: &str = "www.example.com";

/// A browser with its own cookies.
#[derive(Clone, Default)]
struct Visitor {
    user: String,
    jar: Jar,
}

/// Status, body and lines of `Set-Cookie`.
type Response = (u16, String, Vec<String>);

impl Visitor {
    fn of(user: &str) -> Self {
        Self {
            user: user.to_owned(),
            jar: Jar::default(),
        }
    }

    fn send(&mut self, site: &AuthLayer, method: &str, path: &str) -> Response {
        self.send_with(site, method, path, "")
    }

    fn send_with(&mut self, site: &AuthLayer, method: &str, path: &str, sent: &str) -> Response {
        let mut request = Request::builder().method(method).uri(path);
        let cookies = self.jar.line(true, HOST, path);
        if !cookies.is_empty() {
            request = request.header("cookie", cookies);
        }
        request = request.header("x-user", &self.user).header("x-token", sent);
        let request = request.body(Body::empty()).unwrap();
        let response = block_on(Browser::of(site).service.call(request)).unwrap();
        let lines = response.headers().get_all("set-cookie").iter();
        let lines: Vec<String> = lines
            .map(|line| line.to_str().unwrap().to_owned())
            .collect();
        for line in &lines {
            self.jar.receive(HOST, line);
        }
        let status = response.status().as_u16();
        (status, crate::site::text(response.into_body()), lines)
    }

    fn log_in(&mut self, site: &AuthLayer) {
        let (status, body, _) = self.send(site, "POST", "/auth/login");
        assert_eq!((status, &body), (200, &self.user));
    }

    #[track_caller]
    fn is_logged_in(&mut self, site: &AuthLayer, what: &str) {
        let (status, body, _) = self.send(site, "GET", "/auth/me");
        assert_eq!((status, &body), (200, &self.user), "{what}: {:?}", self.jar);
    }
}

fn new() -> CookieBuilder {
    Cookie::builder()
}

fn transport(cookie: CookieBuilder) -> Transport {
    Transport::cookie(cookie.build().unwrap())
}

/// Each attribute, before and after a deployment. The last field tells whether the browser keeps both
/// cookies, so that the old one must be named.
fn changes() -> Vec<(&'static str, CookieBuilder, CookieBuilder, bool)> {
    let secure = || new().name("__Secure-id");
    let shared = || secure().domain("example.com");
    let embedded = || new().same_site(SameSite::None);
    let mut changes = vec![
        ("name", new(), new().name("__Host-sid"), true),
        ("prefix", new().unprefixed(), new(), true),
        ("name and domain", new(), new().domain("example.com"), true),
        ("domain alone", secure(), shared(), true),
        ("another domain", secure().domain(HOST), shared(), true),
        ("path alone", secure(), secure().path("/auth"), true),
        ("name and path", new(), new().path("/auth"), true),
        (
            "partitioned alone",
            embedded(),
            embedded().partitioned(),
            true,
        ),
        ("same_site", new(), new().same_site(SameSite::Strict), false),
        ("max_age", new(), new().max_age(seconds(86_400)), false),
    ];
    let back = changes.to_vec();
    changes.extend(
        back.into_iter()
            .map(|(what, old, new, kept)| (what, new, old, kept)),
    );
    changes
}

fn after(old: &CookieBuilder, new: &CookieBuilder, keeps_both: bool) -> Transport {
    let (old, new) = (old.clone(), transport(new.clone()));
    match keeps_both {
        true => new.formerly(old.build().unwrap()).unwrap(),
        false => new,
    }
}

/// Fifty browsers are logged in, and stay it: those that only come back, that are due for a renewal,
/// that log in again, and that log out first.
#[test]
fn no_change_of_an_attribute_logs_anyone_out() {
    for (what, old, new, keeps_both) in changes() {
        let (clock, store) = (ManualClock::default(), store());
        let auth = rotating(&store, &clock);
        let before = layer(auth.clone(), transport(old.clone()));
        let deployed = layer(auth.clone(), after(&old, &new, keeps_both));
        let mut visitors: Vec<_> = (0..50).map(|i| Visitor::of(&format!("user{i}"))).collect();
        for visitor in &mut visitors {
            visitor.log_in(&before);
        }
        for (i, visitor) in visitors.iter_mut().enumerate() {
            visitor.is_logged_in(&deployed, what);
            match i % 5 {
                0 => visitor.log_in(&deployed),
                1 => {
                    let (status, _, lines) = visitor.send(&deployed, "POST", "/auth/logout");
                    assert_eq!((status, lines.len()), (200, 1 + usize::from(keeps_both)));
                    assert_eq!(visitor.jar.0.len(), 0, "{what}");
                    let (status, ..) = visitor.send(&deployed, "GET", "/auth/me");
                    assert_eq!(status, 401);
                    visitor.log_in(&deployed);
                }
                _ => {}
            }
            visitor.is_logged_in(&deployed, what);
        }
        // A renewal moves the others to the present cookie.
        clock.advance(seconds(61));
        let sample = deployed_key(&new);
        for visitor in &mut visitors {
            visitor.is_logged_in(&deployed, what);
            visitor.is_logged_in(&deployed, what);
            let keys: Vec<_> = visitor
                .jar
                .0
                .iter()
                .map(|kept| format!("{:?}", kept.key()))
                .collect();
            assert_eq!(keys, std::slice::from_ref(&sample), "{what}");
        }
        // None of them has a second login, and nothing is left of the old cookie.
        assert!(
            visitors
                .iter()
                .all(|visitor| live(&auth, &visitor.user) == 1)
        );
        let only_new = layer(auth, transport(new));
        for visitor in &mut visitors {
            visitor.is_logged_in(&only_new, what);
        }
    }
}

/// Returns the key of the cookie that a browser keeps.
fn deployed_key(cookie: &CookieBuilder) -> String {
    let mut jar = Jar::default();
    let credential = statewise::Credential::new("sample".to_owned());
    let cookie = cookie.clone().build().unwrap();
    jar.receive(HOST, &cookie.set(&credential).unwrap());
    format!("{:?}", jar.0[0].key())
}

/// Nodes of two versions at the same time: the old one knows the coming cookie already.
#[test]
fn a_rolling_deployment_logs_nobody_out() {
    for (what, old, new, keeps_both) in changes() {
        let (clock, store) = (ManualClock::default(), store());
        let auth = rotating(&store, &clock);
        let nodes = [
            layer(auth.clone(), after(&new, &old, keeps_both)),
            layer(auth.clone(), after(&old, &new, keeps_both)),
        ];
        let mut visitor = Visitor::of("alice");
        visitor.log_in(&nodes[0]);
        for round in 0..20_usize {
            let node = &nodes[round * 7 / 3 % 2];
            visitor.is_logged_in(node, what);
            match round % 4 {
                1 => clock.advance(seconds(61)),
                3 => visitor.log_in(node),
                _ => {}
            }
        }
        assert_eq!(visitor.jar.0.len(), 1, "{what}");
    }
}

/// A deployment that forgot the former cookie: the login that was just handed out counts.
#[test]
fn a_login_counts_beside_a_cookie_that_was_left_behind() {
    for (what, old, new, _) in changes() {
        let (clock, store) = (ManualClock::default(), store());
        let auth = sessions(&store, &clock);
        let before = layer(auth.clone(), transport(old.clone()));
        let forgot = layer(auth.clone(), transport(new.clone()));
        let mut visitor = Visitor::of("alice");
        visitor.log_in(&before);
        for _ in 0..2 {
            visitor.log_in(&forgot);
            visitor.is_logged_in(&forgot, what);
        }
        let (status, ..) = visitor.send(&forgot, "POST", "/auth/logout");
        assert_eq!(status, 200);
        let (status, ..) = visitor.send(&forgot, "GET", "/auth/me");
        assert_eq!(status, 401, "{what}");
        visitor.log_in(&forgot);
        visitor.is_logged_in(&forgot, what);
    }
}

/// The same with renewals. Two credentials of one login are no two logins. If the browser still sends
/// the old one when its grace has passed, that ends the login, as for any copy, and one more login
/// helps.
#[test]
fn a_renewed_login_counts_beside_its_old_credential() {
    let secure = || new().name("__Secure-id");
    for new in [secure().domain("example.com"), secure().path("/auth")] {
        let (clock, store) = (ManualClock::default(), store());
        let auth = rotating(&store, &clock);
        let before = layer(auth.clone(), transport(secure()));
        let forgot = layer(auth.clone(), transport(new));
        let mut visitor = Visitor::of("alice");
        visitor.log_in(&before);
        clock.advance(seconds(61));
        for _ in 0..3 {
            visitor.is_logged_in(&forgot, "renewed");
            assert_eq!(visitor.jar.0.len(), 2);
        }
        clock.advance(seconds(61));
        let _ = visitor.send(&forgot, "GET", "/auth/me");
        assert_eq!(visitor.send(&forgot, "GET", "/auth/me").0, 401);
        visitor.log_in(&forgot);
        for _ in 0..5 {
            clock.advance(seconds(61));
            visitor.is_logged_in(&forgot, "logged in again");
        }
    }
}

/// The application removes the cookie of an old scope itself.
#[test]
fn the_layer_keeps_lines_of_other_scopes() {
    let (clock, store) = (ManualClock::default(), store());
    let auth = sessions(&store, &clock);
    for (what, old, new, keeps_both) in changes() {
        let deployed = layer(auth.clone(), transport(new.clone()));
        let old = old.build().unwrap();
        let mut visitor = Visitor::of("alice");
        let path = "/login-clearing-itself";
        let (status, _, lines) = visitor.send_with(&deployed, "POST", path, old.remove());
        assert_eq!(status, 200);
        // The line of the same cookie is replaced by that of the layer.
        let removals = lines.iter().filter(|line| *line == old.remove()).count();
        assert_eq!(removals, usize::from(keeps_both), "{what}: {lines:?}");
        assert_eq!(lines.len(), 1 + removals);
        assert_eq!(visitor.jar.0.len(), 1);
    }
    // Browsers ignore case and a dot before the domain, and the last attribute of a name counts.
    let shared = new().domain("example.com").path("/auth").build().unwrap();
    let site = layer(auth, Transport::cookie(shared));
    for (line, same) in [
        ("__Secure-id=x; domain=.Example.COM; PATH=/auth", true),
        (
            "__Secure-id = x;Domain=a.example;Domain=example.com;Path=/;Path=/auth",
            true,
        ),
        ("__Secure-id=x; Domain=example.com; Path=/AUTH", false),
        ("__Secure-id=x; Domain=example.com", false),
        ("__Secure-id=x; Domain=; Path=/auth", false),
        ("__secure-id=x; Domain=example.com; Path=/auth", false),
        (
            "__Secure-id=x; Domain=example.com; Path=/auth; partitioned",
            false,
        ),
    ] {
        let request = Request::builder()
            .method("POST")
            .uri("/login-clearing-itself");
        let request = request.header("x-user", "bob").header("x-token", line);
        let request = request.body(Body::empty()).unwrap();
        let response = block_on(Browser::of(&site).service.call(request)).unwrap();
        let lines = response.headers().get_all("set-cookie").iter().count();
        assert_eq!(lines, 2 - usize::from(same), "{line}");
    }
}

fn cookies(pairs: &[(&str, &str)]) -> String {
    let pairs: Vec<_> = pairs
        .iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    pairs.join("; ")
}

/// Sends a request with these cookies and returns status and body.
fn ask(site: &AuthLayer, path: &str, cookies: &str) -> (u16, String, usize) {
    let request = Request::builder().uri(path).header("cookie", cookies);
    let request = request.body(Body::empty()).unwrap();
    let response = block_on(Browser::of(site).service.call(request)).unwrap();
    let lines = response.headers().get_all("set-cookie").iter().count();
    let status = response.status().as_u16();
    (status, crate::site::text(response.into_body()), lines)
}

fn credential(auth: &Arc<dyn DynAuthenticator<()>>, user: &str) -> String {
    let issued = block_on(auth.issue(Login::new(user))).unwrap();
    issued.credential().reveal().to_owned()
}

/// Of several cookies, the one with the only valid login counts. The present cookie counts
/// before the former ones.
#[test]
fn exactly_one_valid_login_counts() {
    let (clock, store) = (ManualClock::default(), store());
    let auth: Arc<dyn DynAuthenticator<()>> = sessions(&store, &clock);
    let (old, older) = (new().name("__Host-old"), new().name("__Host-older"));
    let transport = Transport::cookie(Cookie::default())
        .formerly(old.build().unwrap())
        .and_then(|transport| transport.formerly(older.build().unwrap()))
        .unwrap();
    let site = layer(auth.clone(), transport);
    let (alice, bob) = (credential(&auth, "alice"), credential(&auth, "bob"));
    let dead = [(); 8].map(|()| credential(&auth, "carol"));
    let _ = block_on(auth.revoke_all("carol")).unwrap();
    let id = "__Host-id";
    let (old, older) = ("__Host-old", "__Host-older");
    for (pairs, user) in [
        (&[(id, &*alice)][..], Some("alice")),
        (&[(id, &dead[0]), (id, &alice)], Some("alice")),
        (&[(id, &alice), (id, &dead[0])], Some("alice")),
        (&[(id, &alice), (id, "deleted")], Some("alice")),
        (&[(id, &alice), (id, &alice)], Some("alice")),
        (&[(id, &alice), (id, &bob)], None),
        (&[(id, &alice), (id, &dead[0]), (id, &bob)], None),
        (&[(id, &dead[0]), (id, &dead[1])], None),
        (&[(old, &bob)], Some("bob")),
        (&[(older, &bob)], Some("bob")),
        (&[(id, &dead[0]), (old, &bob)], Some("bob")),
        (&[(id, "deleted"), (older, &bob)], Some("bob")),
        (
            &[(id, &dead[0]), (old, &dead[1]), (older, &bob)],
            Some("bob"),
        ),
        // A planted former cookie hides no present login.
        (&[(old, &bob), (id, &alice)], Some("alice")),
        (&[(older, &bob), (old, &alice)], Some("alice")),
        (&[(old, &bob), (old, &alice)], None),
        (&[(id, &dead[0]), (id, &dead[1]), (old, &bob)], Some("bob")),
    ] {
        let (status, body, _) = ask(&site, "/me", &cookies(pairs));
        let expected = user.map_or((401, "401 Unauthorized\n"), |user| (200, user));
        assert_eq!((status, &*body), expected, "{pairs:?}");
    }
    // At most eight are verified.
    let seven: Vec<_> = dead[..7].iter().map(|dead| (id, &**dead)).collect();
    let eight = [&seven[..], &[(id, &alice)]].concat();
    assert_eq!(ask(&site, "/me", &cookies(&eight)).1, "alice");
    let nine = [&seven[..], &[(id, &dead[7]), (old, &alice)]].concat();
    let calls = store.calls();
    assert_eq!(ask(&site, "/me", &cookies(&nine)).0, 401);
    // The first of them is not even read.
    assert_eq!(store.calls(), calls);

    // A rejection removes all of them, and a dead cookie beside a valid one stays.
    let (status, _, lines) = ask(&site, "/me", &cookies(&[(id, &dead[0]), (old, &dead[1])]));
    assert_eq!((status, lines), (401, 3));
    let (status, _, lines) = ask(&site, "/me", &cookies(&[(id, &dead[0]), (id, &dead[1])]));
    assert_eq!((status, lines), (401, 3));
    let (status, _, lines) = ask(&site, "/me", &cookies(&[(id, &dead[0]), (old, &bob)]));
    assert_eq!((status, lines), (200, 0));
    // Two valid logins: it is unknown which one to remove.
    let (status, _, lines) = ask(&site, "/me", &cookies(&[(id, &alice), (id, &bob)]));
    assert_eq!((status, lines), (401, 0));
}

/// During an outage it is unknown if a login is valid.
#[test]
fn an_outage_decides_between_no_cookies() {
    let (clock, store) = (ManualClock::default(), store());
    let auth: Arc<dyn DynAuthenticator<()>> = sessions(&store, &clock);
    let site = layer(auth.clone(), transport(new()));
    let both = [credential(&auth, "alice"), credential(&auth, "bob")];
    let both = both.map(|value| format!("__Host-id={value}")).join("; ");
    for nth in [1, 2] {
        store.fail_nth_of(Method::Load, nth, Fault::Fails);
        let (status, _, lines) = ask(&site, "/me", &both);
        assert_eq!((status, lines), (503, 0), "{nth}");
    }
}

/// The chosen credential is the one that is rotated, refreshed and listed.
#[test]
fn a_renewal_renews_the_chosen_credential() {
    let (clock, store) = (ManualClock::default(), store());
    let sessions = rotating(&store, &clock);
    let auth: Arc<dyn DynAuthenticator<()>> = sessions.clone();
    let site = layer(auth.clone(), transport(new()));
    let (gone, alice) = (credential(&auth, "carol"), credential(&auth, "alice"));
    let _ = block_on(auth.revoke_all("carol")).unwrap();
    clock.advance(seconds(61));
    let both = cookies(&[("__Host-id", &gone), ("__Host-id", &alice)]);
    let (status, body, lines) = ask(&site, "/me", &both);
    assert_eq!((status, &*body, lines), (200, "alice", 1));
    // A refresh asks for the login first.
    let (status, body, lines) = ask(&site, "/auth/refresh", &both);
    assert_eq!((status, &*body, lines), (200, "alice", 1));
    assert_eq!(live(&sessions, "alice"), 1);
    let two = [credential(&auth, "bob"), alice];
    let two = two.map(|value| format!("__Host-id={value}")).join("; ");
    assert_eq!(ask(&site, "/auth/refresh", &two).0, 401);
}

/// The refresh cookie changes too.
#[test]
fn a_former_refresh_cookie_is_refreshed_and_removed() {
    let (clock, store) = (ManualClock::default(), store());
    let auth = hybrid(&store, &clock);
    let refresh = |name: &str, path: &str| {
        let refresh = new().name(name).path(path).same_site(SameSite::Strict);
        refresh.build().unwrap()
    };
    let before = Transport::cookie(Cookie::default())
        .refresh_cookie(refresh("__Secure-refresh", "/auth"))
        .unwrap();
    let deployed = transport(new().name("__Host-access"))
        .formerly(Cookie::default())
        .and_then(|new| new.refresh_cookie(refresh("__Secure-r", "/auth/")))
        .and_then(|new| new.refresh_formerly(refresh("__Secure-refresh", "/auth")))
        .unwrap();
    let (before, deployed) = (layer(auth.clone(), before), layer(auth, deployed));
    let mut visitor = Visitor::of("alice");
    visitor.log_in(&before);
    visitor.is_logged_in(&deployed, "access token");
    clock.advance(seconds(700));
    let mut other = visitor.clone();
    let (status, body, lines) = visitor.send(&deployed, "POST", "/auth/refresh");
    assert_eq!((status, &*body, lines.len()), (200, "alice", 4));
    visitor.is_logged_in(&deployed, "refreshed");
    assert_eq!(visitor.jar.0.len(), 2);
    let names = ["__Host-access", "__Secure-r"];
    assert!(
        visitor
            .jar
            .0
            .iter()
            .all(|kept| names.contains(&&*kept.name))
    );
    clock.advance(seconds(700));
    let (status, ..) = visitor.send(&deployed, "POST", "/auth/refresh");
    assert_eq!(status, 200);
    // A logout removes all four.
    let (status, _, lines) = other.send(&deployed, "POST", "/auth/logout");
    assert_eq!((status, lines.len(), other.jar.0.len()), (200, 4, 0));
}

#[test]
fn a_former_cookie_that_browsers_replace_is_refused() {
    let same = new()
        .same_site(SameSite::None)
        .max_age(seconds(60))
        .build()
        .unwrap();
    let refused = transport(new()).formerly(same).unwrap_err();
    assert!(refused.is_misuse() && refused.to_string().contains("leave it out"));
    let old = || Cookie::builder().name("__Host-old").build().unwrap();
    assert!(Transport::bearer().formerly(old()).unwrap_err().is_misuse());
    assert!(
        transport(new())
            .refresh_formerly(old())
            .unwrap_err()
            .is_misuse()
    );
}

/// A credential that fits into no cookie is the fault of the service.
#[test]
fn a_cookie_that_proxies_would_refuse_is_a_failure_of_the_service() {
    let clock = ManualClock::default();
    let auth = crate::site::tokens(&clock);
    for (limit, expected) in [(500, 200), (100, 500)] {
        let site = layer(auth.clone(), transport(new().max_bytes(limit)));
        let (status, _, lines) = Visitor::of("alice").send(&site, "POST", "/auth/login");
        assert_eq!(status, expected);
        assert_eq!(lines.is_empty(), expected == 500);
    }
}
