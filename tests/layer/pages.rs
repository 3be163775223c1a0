//! Answers to denials: the login page, the refresh page and those of the application.

use statewise::testkit::{Fault, ManualClock, Method, TestClient, block_on};
use statewise::web::{Answer, Auth, AuthLayer, Cookie, Denial, Require, SameSite, Transport};
use tower_service::Service;

use crate::hybrids::two_cookies;
use crate::redirecting::{redirected_around_guard, redirected_inside, redirected_outside};
use crate::site::{Browser, IDLE, guarded, hybrid, layer, seconds, sessions, store, transport};
use crate::steps::cases;

const NAVIGATION: [(&str, &str); 1] = [("sec-fetch-mode", "navigate")];
const SCRIPT: [(&str, &str); 1] = [("sec-fetch-mode", "cors")];

/// Navigates as a browser, which gives up after 20 redirects. Returns the last answer and the
/// addresses of all requests.
fn navigate<S, B>(browser: &mut Browser<S>, path: &str) -> (crate::site::Answer, Vec<String>)
where
    S: Service<http::Request<axum_core::body::Body>, Response = http::Response<B>, Error = String>,
    B: http_body::Body<Data: AsRef<[u8]>, Error: std::fmt::Debug>,
{
    let mut visited = vec![path.to_owned()];
    loop {
        let here = visited.last().unwrap().clone();
        let answer = browser.send("GET", &here, &NAVIGATION);
        if answer.status != 303 {
            return (answer, visited);
        }
        assert!(visited.len() < 20, "redirected for ever: {visited:?}");
        visited.push(answer.one("location").unwrap().to_owned());
    }
}

/// Returns a browser with the cookie of a session that has expired, and its layer.
fn expired() -> (Browser, AuthLayer) {
    let clock = ManualClock::default();
    let layer = layer(sessions(&store(), &clock), transport());
    let mut browser = Browser::of(&layer);
    browser.log_in("alice");
    clock.advance(seconds(IDLE + 1));
    (browser, layer)
}

#[test]
fn a_stale_cookie_leads_to_the_login_page_after_one_redirect() {
    let (mut browser, layer) = expired();
    browser.visit(&layer.login_page("/form").unwrap());
    let (answer, visited) = navigate(&mut browser, "/me?page=2&sort=a%20b");
    assert_eq!((answer.status, &*answer.body), (200, "anonymous"));
    assert_eq!(visited[1..], ["/form?next=/me%3Fpage%3D2%26sort%3Da%2520b"]);
    assert!(browser.jar.is_empty(), "the dead cookie stays");
}

/// With every arrangement of the layer and of a middleware that redirects.
#[test]
fn no_arrangement_redirects_for_ever() {
    for anew in [false, true] {
        let (browser, layer) = expired();
        let mut inside = redirected_inside(&layer, anew);
        inside.jar = browser.jar.clone();
        let (answer, visited) = navigate(&mut inside, "/me");
        assert_eq!((&*answer.body, visited.len()), ("anonymous", 2), "inside");
        assert!(inside.jar.is_empty());

        let mut outside = redirected_outside(&layer, anew);
        outside.jar = browser.jar.clone();
        let (answer, visited) = navigate(&mut outside, "/me");
        assert_eq!(visited.len(), 2, "outside");
        // A newly built response loses the removal; the login page removes the cookie.
        assert!(["anonymous", "former"].contains(&&*answer.body));
        assert!(outside.jar.is_empty());

        let mut guarded = redirected_around_guard(&layer, anew);
        guarded.jar = browser.jar.clone();
        let answer = guarded.send("GET", "/open", &NAVIGATION);
        assert_eq!(answer.one("location"), Some("/form"));
        assert!(guarded.jar.is_empty());
    }
}

#[test]
fn only_navigations_of_strangers_are_redirected() {
    let (mut browser, layer) = expired();
    browser.visit(&layer.login_page("/form?lang=en").unwrap());
    // A program without `Sec-Fetch-Mode`, a script, and a script that accepts HTML.
    for fields in [&[][..], &SCRIPT, &[SCRIPT[0], ("accept", "text/html")]] {
        let answer = browser.send("GET", "/me", fields);
        assert_eq!(answer.status, 401);
        assert!(answer.one("www-authenticate").is_some());
        browser.jar.clear();
    }
    // An old browser accepts HTML by name.
    let answer = browser.send("GET", "/me", &[("accept", "text/html,*/*")]);
    assert_eq!(answer.one("location"), Some("/form?lang=en&next=/me"));
    assert_eq!(answer.one("www-authenticate"), None);
    assert_eq!(answer.one("cache-control"), Some("no-store"));
    assert_eq!(answer.one("vary"), Some("Cookie"));
    // A browser cannot repeat a form after the login.
    let answer = browser.send("POST", "/me", &NAVIGATION);
    assert_eq!(answer.one("location"), Some("/form?lang=en"));
    // A wrong password belongs to the form, and the login page never leads to itself.
    assert_eq!(
        browser.send("POST", "/wrong-password", &NAVIGATION).status,
        401
    );
}

#[test]
fn the_login_page_never_leads_to_itself() {
    let clock = ManualClock::default();
    let layer = layer(sessions(&store(), &clock), transport());
    let site = layer.login_page("/me?lang=en").unwrap();
    assert_eq!(
        Browser::of(&site).send("GET", "/me", &NAVIGATION).status,
        401
    );
}

/// Each kind of denial that a login cures leads to the login page, which learns why. A script gets the
/// challenge.
#[test]
fn a_login_that_is_too_old_or_too_weak_leads_to_the_login_page() {
    let clock = ManualClock::default();
    for (auth, transport) in cases(&clock) {
        let layer = layer(auth, transport).clock(clock.clone());
        let mut browser = Browser::of(&layer.login_page("/form?lang=en").unwrap());
        browser.post("/auth/login", &[("x-user", "alice")]);
        let too_weak = browser.send("GET", "/sensitive?a=1", &NAVIGATION);
        assert_eq!(
            (too_weak.status, too_weak.one("location")),
            (
                303,
                Some("/form?lang=en&next=/sensitive%3Fa%3D1&acr_values=aal2")
            )
        );
        assert_eq!(too_weak.one("www-authenticate"), None);
        clock.advance(seconds(301));
        let before = browser.jar.clone();
        let (page, visited) = navigate(&mut browser, "/settings");
        // The login page is public, and the login goes on.
        assert_eq!((&*page.body, visited.len()), ("alice", 2));
        assert_eq!(visited[1], "/form?lang=en&next=/settings&max_age=300");
        assert_eq!(browser.jar, before);
        // A form cannot be repeated.
        let posted = browser.send("POST", "/settings", &NAVIGATION);
        assert_eq!(posted.one("location"), Some("/form?lang=en&max_age=300"));
        let script = browser.send("GET", "/settings", &SCRIPT);
        assert_eq!(script.status, 401);
        let challenge = script.one("www-authenticate").unwrap();
        assert!(challenge.ends_with("max_age=\"300\""), "{challenge}");

        browser.post("/auth/login", &[("x-user", "alice")]);
        assert_eq!(navigate(&mut browser, "/settings").0.body, "alice");
        browser.post("/step-up", &[]);
        assert_eq!(navigate(&mut browser, "/sensitive").0.body, "alice");
    }
}

/// A mistake of the application: the login page requires a recent login itself.
#[test]
fn a_guarded_login_page_never_leads_to_itself() {
    for page in ["/settings?lang=en", "/sensitive"] {
        let clock = ManualClock::default();
        let layer = layer(sessions(&store(), &clock), transport()).clock(clock.clone());
        let mut browser = Browser::of(&layer.login_page(page).unwrap());
        browser.log_in("alice");
        clock.advance(seconds(301));
        for path in ["/settings", "/sensitive"] {
            assert_eq!(navigate(&mut browser, path).0.status, 401, "{page} {path}");
        }
    }
}

/// A router of axum strips the prefix of a nested one before the layers of that one see the request.
#[test]
fn the_layer_of_a_nested_router_knows_the_whole_path() {
    async fn me(caller: Auth) -> String {
        caller.subject().to_owned()
    }
    let clock = ManualClock::default();
    let site = layer(sessions(&store(), &clock), transport());
    let site = site.login_page("/app/form").unwrap();
    let site = site.passive(|_, path, _| {
        assert!(path.starts_with("/app/"), "{path}");
        false
    });
    let me = || axum::routing::get(me);
    let inner = axum::Router::new().route("/me", me()).route("/form", me());
    let app: axum::Router = axum::Router::new()
        .nest("/app", inner.layer(site))
        .nest("/bare", axum::Router::new().route("/me", me()));
    let mut client = TestClient::new(app);
    let mut get = |path: &str| {
        let request = client.get(path).header("sec-fetch-mode", "navigate");
        block_on(request.send())
    };
    let denied = get("/app/me?page=2");
    assert_eq!(denied.status(), 303);
    assert_eq!(
        denied.headers()["location"],
        "/app/form?next=/app/me%3Fpage%3D2"
    );
    // The login page is recognized as such.
    assert_eq!(get("/app/form").status(), 401);
    // Without the layer, the error names the request, and not its query.
    let missing = get("/bare/me?ticket=secret");
    assert_eq!(missing.status(), 500);
    let denial = missing.extensions().get::<Denial>().unwrap().to_string();
    assert!(
        denial.contains("has seen the request GET /bare/me:"),
        "{denial}"
    );
}

#[test]
fn an_address_with_next_keeps_its_query_and_fragment() {
    use statewise::web::with_next;
    assert_eq!(
        with_next("/login", "/a?b=c&d"),
        "/login?next=/a%3Fb%3Dc%26d"
    );
    assert_eq!(
        with_next("/login?x=y#form", "/a"),
        "/login?x=y&next=/a#form"
    );
    for foreign in [
        "//evil.example",
        "https://evil.example",
        "/\\evil.example",
        "",
    ] {
        assert_eq!(with_next("/login", foreign), "/login");
    }
}

#[test]
fn next_is_a_path_on_this_origin() {
    let clock = ManualClock::default();
    let layer = layer(sessions(&store(), &clock), transport());
    let site = layer.clone().login_page("/form").unwrap();
    let mut browser = guarded(&site, &Require::authenticated());
    for (path, location) in [
        ("/me", "/form?next=/me"),
        ("//evil.example/me", "/form"),
        ("https://evil.example/me", "/form?next=/me"),
        (
            "/?next=https://evil.example",
            "/form?next=/%3Fnext%3Dhttps%3A//evil.example",
        ),
    ] {
        let answer = browser.send("GET", path, &NAVIGATION);
        assert_eq!(answer.one("location"), Some(location), "{path}");
    }
    for path in [
        "",
        "form",
        "//evil.example",
        "/\\evil.example",
        "https://evil.example",
        "/\t/a",
    ] {
        assert_eq!(statewise::web::local_path(path), None, "{path}");
        let wrong = AuthLayer::new(sessions(&store(), &clock), transport());
        assert!(wrong.unwrap().login_page(path).unwrap_err().is_misuse());
    }
    let with_fragment = layer.login_page("/form#a");
    assert!(with_fragment.unwrap_err().is_misuse());
}

#[test]
fn a_public_page_greets_a_former_visitor_and_removes_the_cookie() {
    let (mut browser, _) = expired();
    // A script may have been sent before another tab logged in.
    let answer = browser.send("GET", "/visitor", &SCRIPT);
    assert_eq!((answer.status, &*answer.body), (200, "former"));
    assert!(!browser.jar.is_empty());
    let answer = browser.send("GET", "/visitor", &NAVIGATION);
    assert_eq!((answer.status, &*answer.body), (200, "former"));
    assert!(browser.jar.is_empty());
    assert_eq!(browser.get("/visitor").body, "anonymous");
    browser.log_in("bob");
    assert_eq!(browser.get("/visitor").body, "bob");
}

#[test]
fn an_outage_is_no_anonymous_visitor() {
    let (clock, store) = (ManualClock::default(), store());
    let mut browser = Browser::of(&layer(sessions(&store, &clock), transport()));
    browser.log_in("alice");
    store.fail_nth_of(Method::Load, 1, Fault::Fails);
    assert_eq!(browser.send("GET", "/visitor", &NAVIGATION).status, 503);
    assert_eq!(browser.get("/visitor").body, "alice");
}

/// A handler that takes `Result<Visitor, Denial>` may answer in an outage. The cookie stays.
#[test]
fn a_public_page_may_stay_up_in_an_outage() {
    let (clock, store) = (ManualClock::default(), store());
    let mut browser = Browser::of(&layer(sessions(&store, &clock), transport()));
    assert_eq!(browser.get("/front").body, "anonymous");
    browser.log_in("alice");
    store.fail_nth(1, Fault::Fails);
    let answer = browser.send("GET", "/front", &NAVIGATION);
    assert_eq!((answer.status, &*answer.body), (200, "unknown"));
    assert!(answer.set_cookies().is_empty());
    assert_eq!(browser.get("/front").body, "alice");
}

/// The application answers every denial, also that of the origin, and loses no field.
#[test]
fn the_application_answers_denials_in_its_own_form() {
    let (mut browser, layer) = expired();
    let site = layer.on_denial(|denial, request| {
        let status = denial.status();
        match (request.is_navigation(), denial) {
            (true, _) => Some(Answer::html(status, format!("<h1>{status}</h1>"))),
            (false, Denial::MissingRole { .. }) => None,
            _ => {
                let language = request.header("accept-language").unwrap_or("en");
                let body = format!("{}|{language}", request.path_and_query());
                Some(Answer::json(status, body).header("x-own", "1").unwrap())
            }
        }
    });
    browser.visit(&site);
    let answer = browser.send("GET", "/me", &NAVIGATION);
    assert_eq!((answer.status, &*answer.body), (401, "<h1>401</h1>"));
    assert_eq!(answer.one("content-type"), Some("text/html; charset=utf-8"));
    assert!(answer.one("www-authenticate").is_some());
    assert_eq!(answer.one("vary"), Some("Cookie"));
    assert_eq!(answer.one("cache-control"), Some("no-store"));
    assert_eq!(answer.set_cookies().len(), 1);

    let fields = [SCRIPT[0], ("accept-language", "de")];
    let answer = browser.send("GET", "/me?a=b", &fields);
    assert_eq!((answer.status, &*answer.body), (401, "/me?a=b|de"));
    assert_eq!(answer.one("x-own"), Some("1"));

    let foreign = [
        ("sec-fetch-site", "cross-site"),
        ("sec-fetch-mode", "navigate"),
    ];
    let answer = browser.send("POST", "/login", &foreign);
    assert_eq!((answer.status, &*answer.body), (403, "<h1>403</h1>"));
    assert_eq!(answer.one("cache-control"), Some("no-store"));
}

fn hybrid_site() -> (Browser, ManualClock) {
    let clock = ManualClock::default();
    let refresh = Cookie::builder()
        .name("__Secure-refresh")
        .path("/auth")
        .same_site(SameSite::Lax)
        .build()
        .unwrap();
    let transport = Transport::cookie(Cookie::default()).refresh_cookie(refresh);
    let layer = layer(hybrid(&store(), &clock), transport.unwrap());
    let layer = layer.refresh_page("/auth/renew").unwrap();
    let site = layer.login_page("/form").unwrap();
    (Browser::of(&site), clock)
}

#[test]
fn a_navigation_with_an_expired_access_token_is_refreshed() {
    for page in ["/me?a=1", "/visitor?a=1"] {
        let (mut browser, clock) = hybrid_site();
        browser.post("/auth/login", &[("x-user", "alice")]);
        let before = browser.id();
        clock.advance(seconds(601));
        let (answer, visited) = navigate(&mut browser, page);
        assert_eq!(answer.body, "alice", "{visited:?}");
        assert_eq!((visited.len(), &*visited[2]), (3, page));
        assert_ne!(browser.id(), before);
    }
}

/// The mark against endless redirects stays in the browser for ten seconds. An access token that lives
/// shorter expires while it is there, and is refreshed all the same.
#[test]
fn a_mark_that_has_done_its_work_is_removed() {
    let (mut browser, clock) = hybrid_site();
    browser.post("/auth/login", &[("x-user", "alice")]);
    for _ in 0..3 {
        clock.advance(seconds(601));
        assert_eq!(navigate(&mut browser, "/me").0.body, "alice");
    }
    // On a public page too, where nothing but the caller proves that the cookie has arrived.
    clock.advance(seconds(601));
    assert_eq!(navigate(&mut browser, "/visitor").0.body, "alice");
    assert_eq!(browser.cookie("__Secure-refresh-done"), None);
}

/// The browser has dropped the access cookie, but not the refresh cookie.
#[test]
fn a_navigation_without_an_access_token_is_refreshed_where_a_caller_is_required() {
    let (mut browser, _) = hybrid_site();
    browser.post("/auth/login", &[("x-user", "alice")]);
    browser.jar.remove("__Host-id");
    let (answer, visited) = navigate(&mut browser, "/me");
    assert_eq!((&*answer.body, visited.len()), ("alice", 3));
}

#[test]
fn a_failed_refresh_leads_to_the_login_page_or_to_a_public_page() {
    for (page, last) in [("/me", "/form?next=/me"), ("/visitor", "/visitor")] {
        let (mut browser, clock) = hybrid_site();
        browser.post("/auth/login", &[("x-user", "alice")]);
        clock.advance(seconds(IDLE + 601));
        let (answer, visited) = navigate(&mut browser, page);
        assert_eq!(
            (&*answer.body, &**visited.last().unwrap()),
            ("anonymous", last)
        );
        browser.jar.remove("__Secure-refresh-done");
        assert!(browser.jar.is_empty());
        // A visitor without cookies.
        let (answer, visited) = navigate(&mut browser, page);
        assert_eq!(
            (&*answer.body, &**visited.last().unwrap()),
            ("anonymous", last)
        );
    }
}

#[test]
fn a_script_is_not_sent_to_the_refresh_page() {
    let (mut browser, clock) = hybrid_site();
    browser.post("/auth/login", &[("x-user", "alice")]);
    clock.advance(seconds(601));
    assert_eq!(browser.send("GET", "/me", &SCRIPT).status, 401);
    // Not the page of the layer: scripts refresh with a route of the application.
    assert_eq!(browser.send("GET", "/auth/renew", &SCRIPT).status, 404);
}

#[test]
fn the_refresh_page_leads_to_this_origin_only() {
    let (mut browser, _) = hybrid_site();
    browser.post("/auth/login", &[("x-user", "alice")]);
    for next in [
        "https://evil.example",
        "//evil.example",
        "%2F%2Fevil.example",
        "/%5Cevil",
        "%",
    ] {
        let answer = browser.send("GET", &format!("/auth/renew?next={next}"), &NAVIGATION);
        assert_eq!(answer.one("location"), Some("/"), "{next}");
    }
}

#[test]
fn an_outage_during_a_refresh_keeps_the_cookies() {
    let (clock, store) = (ManualClock::default(), store());
    let site = layer(hybrid(&store, &clock), two_cookies());
    let mut browser = Browser::of(&site.refresh_page("/auth/renew").unwrap());
    browser.post("/auth/login", &[("x-user", "alice")]);
    clock.advance(seconds(601));
    store.fail_nth_of(Method::Rotate, 1, Fault::Fails);
    let before = browser.jar.clone();
    let answer = browser.send("GET", "/auth/renew?next=/me", &NAVIGATION);
    assert_eq!(answer.status, 503);
    assert_eq!(browser.jar, before);
}

#[test]
fn a_refresh_page_needs_a_refresh_cookie_that_reaches_it() {
    let auth = || hybrid(&store(), &ManualClock::default());
    let with = |transport| AuthLayer::new(auth(), transport).unwrap();
    assert!(
        with(Transport::bearer())
            .refresh_page("/auth/renew")
            .is_err()
    );
    for page in ["/renew", "/authrenew", "/auth/renew?a=b", "auth"] {
        assert!(with(two_cookies()).refresh_page(page).is_err(), "{page}");
    }
    assert!(with(two_cookies()).refresh_page("/auth").is_ok());
}

/// Navigates as a browser. The closure changes its cookies before each request, because it does not
/// store or send one of them.
fn navigate_with(
    browser: &mut Browser,
    page: &str,
    change: impl Fn(&mut Browser),
) -> (String, Vec<String>) {
    let mut visited = vec![page.to_owned()];
    loop {
        let here = visited.last().unwrap().clone();
        change(browser);
        let answer = browser.send("GET", &here, &NAVIGATION);
        if answer.status != 303 {
            return (answer.body, visited);
        }
        assert!(visited.len() < 20, "redirected for ever: {visited:?}");
        visited.push(answer.one("location").unwrap().to_owned());
    }
}

/// A sibling host has planted it under a domain, so the layer cannot remove it.
#[test]
fn a_dead_access_cookie_that_stays_is_no_loop() {
    for (page, last) in [("/me", "/form?next=/me"), ("/visitor", "/visitor")] {
        let (mut browser, clock) = hybrid_site();
        browser.post("/auth/login", &[("x-user", "alice")]);
        let dead = browser.id();
        browser.jar.clear();
        clock.advance(seconds(601));
        let (_, visited) = navigate_with(&mut browser, page, |browser| browser.plant(&dead));
        assert_eq!(visited.last().unwrap(), last);
    }
}

/// The browser sends the refresh cookie after a link from another site, but not an access cookie with
/// `SameSite=Strict`.
#[test]
fn an_access_cookie_that_is_not_sent_back_is_no_loop() {
    let (mut browser, clock) = hybrid_site();
    browser.post("/auth/login", &[("x-user", "alice")]);
    clock.advance(seconds(601));
    let (body, visited) = navigate_with(&mut browser, "/me", |browser| {
        browser.jar.remove("__Host-id");
    });
    assert_eq!((&*body, visited.len()), ("anonymous", 4), "{visited:?}");
    // Ten seconds later.
    browser.jar.remove("__Secure-refresh-done");
    assert_eq!(navigate(&mut browser, "/me").0.body, "alice");
}

/// The browser does not send it after a link from another site.
#[test]
fn a_refresh_cookie_that_is_not_sent_is_not_removed() {
    let (mut browser, clock) = hybrid_site();
    browser.post("/auth/login", &[("x-user", "alice")]);
    clock.advance(seconds(601));
    let refresh = browser.jar.remove("__Secure-refresh").unwrap();
    let answer = browser.send("GET", "/auth/renew?next=/me&required=1", &NAVIGATION);
    assert_eq!(answer.one("location"), Some("/form?next=/me"));
    assert!(
        answer
            .set_cookies()
            .iter()
            .all(|line| !line.contains("refresh")),
        "{answer:?}"
    );
    browser.jar.insert("__Secure-refresh".to_owned(), refresh);
    assert_eq!(navigate(&mut browser, "/me").0.body, "alice");
}
