//! The example `actix`, driven by curl. curl decides which cookies it stores and sends.

mod support;

use support::{Browser, Example, curl, follow_the_header};

const PASSWORD: &str = "correct horse battery staple";
const REMOVAL: &str = "__Host-id=; Path=/; Max-Age=0; Secure; HttpOnly; SameSite=Lax";

fn start() -> Example {
    Example::start("actix")
}

fn logged_in(site: &Example) -> Browser {
    let browser = Browser::at(site.origin());
    browser.log_in("alice", PASSWORD).expect(204);
    browser
}

/// Returns the status of `/me` for a request with these cookies.
fn me(site: &Example, cookies: &str) -> u16 {
    let (url, cookies) = (
        format!("{}/me", site.origin()),
        format!("Cookie: {cookies}"),
    );
    curl(&["-H", &cookies, &url]).status
}

#[test]
fn the_commands_in_its_header_work() {
    follow_the_header(include_str!("../actix.rs"), start().origin());
}

#[test]
fn a_caller_is_identified_by_the_cookie() {
    let site = start();
    let browser = Browser::at(site.origin());
    let answer = browser.get("/me").expect(401);
    assert_eq!(answer.field("www-authenticate"), "Cookie realm=\"api\"");
    assert_eq!(answer.field("cache-control"), "no-store");
    assert_eq!(answer.field("vary"), "Cookie");
    assert_eq!(answer.body, "401 Unauthorized\n");

    let answer = browser.log_in("alice", PASSWORD).expect(204);
    let set = answer.field("set-cookie");
    assert!(
        set.ends_with("; Path=/; Secure; HttpOnly; SameSite=Lax"),
        "{set}"
    );
    assert_eq!(browser.get("/me").expect(200).body, "You are alice.\n");
}

#[test]
fn a_login_ends_the_session_of_the_request() {
    let site = start();
    let browser = logged_in(&site);
    let old = browser.credential();
    browser.log_in("alice", PASSWORD).expect(204);
    assert_ne!(browser.credential(), old);
    assert_eq!(me(&site, &format!("__Host-id={old}")), 401);
    browser.get("/me").expect(200);
}

#[test]
fn a_logout_ends_the_session_and_removes_the_cookie() {
    let site = start();
    let browser = logged_in(&site);
    let old = browser.credential();
    let answer = browser.post("/logout").expect(204);
    assert_eq!(answer.field("set-cookie"), REMOVAL);
    assert!(browser.cookies().is_empty());
    assert_eq!(me(&site, &format!("__Host-id={old}")), 401);
}

#[test]
fn two_credentials_are_denied_and_a_logout_ends_both() {
    let site = start();
    let [one, other] = [logged_in(&site), logged_in(&site)].map(|browser| browser.credential());
    let both = format!("__Host-id={one}; __Host-id={other}");
    assert_eq!(me(&site, &both), 401);
    let url = format!("{}/logout", site.origin());
    let cookies = format!("Cookie: {both}");
    curl(&["-X", "POST", "-H", &cookies, &url]).expect(204);
    for credential in [one, other] {
        assert_eq!(me(&site, &format!("__Host-id={credential}")), 401);
    }
}

#[test]
fn pages_of_other_origins_cannot_act() {
    let site = start();
    let browser = logged_in(&site);
    for foreign in ["Sec-Fetch-Site: cross-site", "Origin: https://evil.example"] {
        for path in ["/me", "/login", "/logout"] {
            let form = ["-H", foreign, "-d", "user=alice&password=guess"];
            let answer = browser.run(path, &form).expect(403);
            assert!(answer.all("set-cookie").is_empty());
        }
    }
    let own = format!("Origin: {}", site.origin());
    browser.run("/me", &["-X", "POST", "-H", &own]).expect(200);
    let read = browser.run("/me", &["-H", "Sec-Fetch-Site: cross-site"]);
    read.expect(200);
}
