//! Events that the layer reports to an observer.

use std::sync::{Arc, Mutex};

use statewise::migrating::Migrating;
use statewise::observer::{Denied, Event, Observer};
use statewise::revocation::MemoryLog;
use statewise::testkit::{Fault, FaultyLog, ManualClock, block_on};
use statewise::token::{Key, TokenAuthenticator};
use statewise::web::{Cookie, Require, Transport};
use statewise::{Authenticator as _, DynAuthenticator, Login, Observed, Revocation};
use tower_service::Service as _;

use crate::hybrids::two_cookies;
use crate::site::{
    Browser, guarded, hybrid, layer, revocable_hybrid, seconds, sessions, store, tokens, transport,
};

/// Writes each event down in a few words.
#[derive(Clone, Debug, Default)]
struct Notes(Arc<Mutex<Vec<String>>>);

impl Notes {
    fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

impl Observer for Notes {
    fn observe(&self, event: &Event<'_>) {
        let note = match event {
            Event::Denied {
                denied,
                login,
                method,
                path,
            } => {
                let subject = login.map_or("-", |login| login.subject());
                let (method, path) = (method.unwrap(), path.unwrap());
                let request = format!("{method} {path}");
                match denied {
                    Denied::CrossOrigin { origin, host } => {
                        format!("cross_origin {origin:?} {host:?} {request}")
                    }
                    Denied::FailedLogin { tried: Some(tried) } => {
                        format!("failed_login {subject} {request} as {tried}")
                    }
                    Denied::FailedSecondFactor { tried } => {
                        format!("failed_second_factor {subject} {request} as {tried}")
                    }
                    Denied::MissingRole { any_of } => {
                        format!("missing_role {any_of:?} {subject} {request}")
                    }
                    Denied::WeakAcr { acr } => format!("weak_acr {acr} {subject} {request}"),
                    Denied::TooOld { max_age, acr } => {
                        format!("too_old {max_age:?} {acr:?} {subject} {request}")
                    }
                    denied => format!("{} {subject} {request}", denied.name()),
                }
            }
            Event::Misused { act, error } => format!("{} {error}", act.name()),
            Event::Revoked {
                login, effective, ..
            } => {
                let subject = login.map_or("-", |login| login.subject());
                format!("revoked {subject} {effective:?}")
            }
            Event::Updated { stepped_up, .. } => match stepped_up {
                Some(proof) => format!("stepped up to {} for {:?}", proof.acr, proof.lasts),
                None => "updated".to_owned(),
            },
            Event::Issued { login } => format!("issued {}", login.id()),
            Event::Ended {
                login, cause, by, ..
            } => {
                let by = by.map(|by| by.id());
                format!("{cause:?} {} by {}", login.id(), by.unwrap())
            }
            other => format!("{other:?}"),
        };
        self.0.lock().unwrap().push(note);
    }
}

#[test]
fn denials_are_reported_once_with_the_caller() {
    let (clock, notes) = (ManualClock::default(), Notes::default());
    let auth = tokens(&clock);
    let site = layer(auth.clone(), Transport::bearer())
        .clock(clock.clone())
        .observer(Arc::new(notes.clone()));
    let login = Login::new("alice").role("user").acr("aal1");
    let issued = statewise::testkit::block_on(auth.issue(login)).unwrap();
    let alice = format!("Bearer {}", issued.credential().reveal());
    clock.advance(seconds(61));
    let strict = || Require::authenticated();
    for (require, credential, note) in [
        (strict(), "", "no_credential -"),
        (strict(), "Bearer", "unclear -"),
        (
            strict().role("admin"),
            &*alice,
            "missing_role [\"admin\"] alice",
        ),
        (
            strict().role("user").any_role(["editor", "owner"]),
            &*alice,
            "missing_role [\"editor\", \"owner\"] alice",
        ),
        (strict().when(|_| false), &*alice, "forbidden alice"),
        (
            strict().fresh(seconds(60)),
            &*alice,
            "too_old 60s None alice",
        ),
        (strict().acr("aal2"), &*alice, "weak_acr aal2 alice"),
        (
            strict().fresh(seconds(60)).acr("aal2"),
            &*alice,
            "weak_acr aal2 alice",
        ),
        (
            strict().fresh(seconds(60)).acr("aal1"),
            &*alice,
            "too_old 60s Some(\"aal1\") alice",
        ),
    ] {
        let mut browser = guarded(&site, &require);
        let field = [("authorization", credential)];
        let fields = if credential.is_empty() {
            &[][..]
        } else {
            &field
        };
        // A query may hold a ticket.
        browser.send("GET", "/open?ticket=secret", fields);
        assert_eq!(notes.take(), [format!("{note} GET /open")]);
    }
    // A rejected credential is reported by the authenticator, and an admitted request is no denial.
    let mut browser = guarded(&site, &strict());
    browser.send("GET", "/open", &[("authorization", "Bearer forged")]);
    browser.send("GET", "/open", &[("authorization", &alice)]);
    assert!(notes.take().is_empty());
}

/// A token of a key that the node does not have counts as absent in a cookie, as it is none of its own. The
/// operator learns of it.
#[test]
fn a_cookie_of_another_key_is_reported() {
    let (clock, notes) = (ManualClock::default(), Notes::default());
    let other = TokenAuthenticator::builder(Key::generate_hs256().unwrap())
        .issuer("https://auth.example")
        .audience("api")
        .lifetime(seconds(900))
        .clock(clock.clone());
    let mut there = Browser::of(&layer(Arc::new(other.build().unwrap()), transport()));
    there.log_in("alice");
    let auth = Observed::new(tokens(&clock), Arc::new(notes.clone()));
    let mut here = Browser::of(&layer(Arc::new(auth), transport()));
    here.get("/me");
    assert_eq!(notes.take(), ["no_credential - GET /me"]);
    let (name, value) = there.jar.iter().next().unwrap();
    for (value, expected) in [
        (value.0.as_str(), "unknown_credential - GET /me"),
        ("text", "unknown_credential - GET /me"),
        ("", "no_credential - GET /me"),
    ] {
        let answer = here.send("GET", "/me", &[("cookie", &format!("{name}={value}"))]);
        assert_eq!(answer.status, 401);
        assert_eq!(notes.take(), [expected]);
    }
}

#[test]
fn a_failed_login_and_a_request_of_another_origin_are_reported() {
    let (clock, notes) = (ManualClock::default(), Notes::default());
    let site = layer(sessions(&store(), &clock), transport()).observer(Arc::new(notes.clone()));
    let mut browser = Browser::of(&site);
    browser.post("/wrong-password", &[]);
    assert_eq!(notes.take(), ["failed_login - POST /wrong-password"]);
    // The application knows the user, and the answer is the same.
    let known = browser.post("/wrong-password-of", &[("x-user", "alice")]);
    assert_eq!((known.status, &*known.body), (401, "401 Unauthorized\n"));
    let noted = notes.take();
    assert_eq!(noted, ["failed_login - POST /wrong-password-of as alice"]);
    // A wrong code has the same answer, and a cause of its own.
    let wrong = browser.post("/wrong-code-of", &[("x-user", "alice")]);
    assert_eq!((wrong.status, &wrong.body), (401, &known.body));
    assert_eq!(wrong.one("www-authenticate"), known.one("www-authenticate"));
    let noted = notes.take();
    assert_eq!(
        noted,
        ["failed_second_factor - POST /wrong-code-of as alice"]
    );
    let foreign = [("origin", "https://evil.example"), ("host", "a.example")];
    browser.post("/login", &foreign);
    let refused = "cross_origin Some(\"https://evil.example\") Some(\"a.example\") POST /login";
    assert_eq!(notes.take(), [refused]);
}

/// Nothing else would tell the developer than the body, and that only in debug builds.
#[test]
fn a_wrong_data_type_and_a_missing_cookie_are_reported() {
    let (clock, notes) = (ManualClock::default(), Notes::default());
    let site = layer(tokens(&clock), Transport::bearer()).observer(Arc::new(notes.clone()));
    let mut browser = Browser::of(&site);
    assert_eq!(browser.get("/other").status, 500);
    let noted = notes.take();
    assert!(noted.len() == 1 && noted[0].contains("`u32`"), "{noted:?}");
    assert_eq!(browser.post("/login", &[("x-user", "alice")]).status, 500);
    let noted = notes.take();
    assert!(
        noted.len() == 1 && noted[0].contains("no cookie"),
        "{noted:?}"
    );
}

/// Each mistake that the layer answers is one event, also after the caller is known, and with an
/// authenticator that reports its own mistakes.
#[test]
fn each_misuse_is_reported_once() {
    let clock = ManualClock::default();
    for is_observed in [false, true] {
        let notes = Notes::default();
        let observer = Arc::new(notes.clone());
        let observed = |auth: Arc<dyn DynAuthenticator<()>>| match is_observed {
            true => Arc::new(Observed::new(auth, observer.clone())),
            false => auth,
        };
        let misused = || {
            let mut noted = notes.take();
            noted.retain(|note| note.contains("misuse: "));
            noted
        };
        let site = layer(observed(tokens(&clock)), transport()).observer(observer.clone());
        let mut browser = Browser::of(&site);
        for (path, expected) in [
            (
                "/me-other",
                "verify misuse: no `AuthLayer` for logins with data of the type `u32`",
            ),
            ("/login-promote", "update misuse: an update after a login"),
            (
                "/logout-others",
                "misuse: this strategy keeps no row of each login",
            ),
        ] {
            browser.post("/login", &[("x-user", "alice")]);
            let answer = browser.post(path, &[("x-user", "alice")]);
            assert_eq!(answer.status, 500, "{path}");
            let noted = misused();
            assert_eq!(noted.len(), 1, "{path} {noted:?}");
            assert!(noted[0].contains(expected), "{path} {noted:?}");
        }
        let site = layer(observed(tokens(&clock)), Transport::bearer()).observer(observer.clone());
        let mut program = Browser::of(&site);
        let issued = program.post("/token", &[("x-user", "alice")]).json();
        let bearer = format!("Bearer {}", issued["access_token"].as_str().unwrap());
        assert_eq!(
            program
                .post("/step-up", &[("authorization", &bearer)])
                .status,
            500
        );
        let noted = misused();
        assert_eq!(noted.len(), 1, "{noted:?}");
        assert!(noted[0].contains("whose credential does not reach the client"));
    }
}

/// A mistake in a task has no response.
#[test]
fn a_login_after_the_response_is_reported() {
    let (clock, notes) = (ManualClock::default(), Notes::default());
    let site = layer(sessions(&store(), &clock), transport()).observer(Arc::new(notes.clone()));
    let mut browser = Browser::of(&site);
    browser.log_in("alice");
    let (request, kept) = crate::late::keeping(&browser, "/keep");
    let _ = block_on(browser.service.call(request)).unwrap();
    let sign_in = kept.0.lock().unwrap().take().unwrap();
    for act in ["issue", "refresh", "update"] {
        let late = match act {
            "issue" => block_on(sign_in.issue(Login::new("bob"))),
            "refresh" => block_on(sign_in.refresh()),
            _ => block_on(sign_in.update(|_| Ok(()))),
        };
        assert_eq!(late.unwrap_err().status(), 500);
        let noted = notes.take();
        assert_eq!(noted.len(), 1, "{noted:?}");
        let expected = format!("{act} misuse: a login in a cookie after the handler has returned");
        assert!(noted[0].starts_with(&expected), "{noted:?}");
    }
}

/// Both credentials of a hybrid are one login: its logout is one event.
#[test]
fn a_logout_of_a_hybrid_is_reported_once() {
    let (clock, notes) = (ManualClock::default(), Notes::default());
    let auth = Observed::new(hybrid(&store(), &clock), Arc::new(notes.clone()));
    let mut browser = Browser::of(&layer(Arc::new(auth), two_cookies()).clock(clock.clone()));
    let misplaced = |noted: &[String]| {
        let [note] = noted else {
            panic!("{noted:?}");
        };
        let expected =
            "revoke misuse: a logout at a path to which the browser does not send the cookie";
        assert!(note.starts_with(expected) && note.ends_with("below /auth"));
        assert!(note.contains("`__Secure-refresh`"), "{note}");
    };
    let mut reported = 0;
    for path in ["/auth/logout", "/logout"] {
        for later in [0, 601] {
            browser.post("/auth/login", &[("x-user", "alice")]);
            clock.advance(seconds(later));
            notes.take();
            assert_eq!(browser.post(path, &[]).status, 200);
            let mut noted = notes.take();
            let lifetime = seconds(600);
            let expected = format!("revoked alice {:?}", Revocation::Within(lifetime));
            assert_eq!(noted.pop(), Some(expected));
            // Its first logout tells the service of a route at the wrong path, while it still works.
            if !noted.is_empty() {
                assert_eq!(path, "/logout");
                misplaced(&noted);
                reported += 1;
            }
        }
    }
    assert_eq!(reported, 1);
    // A second click ends nothing. At a path without the refresh cookie, a login may go on: a mistake of the
    // service.
    browser.post("/auth/logout", &[]);
    assert!(notes.take().is_empty());
    for _ in 0..2 {
        assert_eq!(browser.post("/logout", &[]).status, 500);
        let mut noted = notes.take();
        noted.retain(|event| event.contains("misuse"));
        misplaced(&noted);
    }
}

/// The browser sends no session at another path either.
#[test]
fn a_logout_at_a_path_without_the_session_is_reported() {
    let (clock, notes) = (ManualClock::default(), Notes::default());
    let auth = Observed::new(sessions(&store(), &clock), Arc::new(notes.clone()));
    let cookie = Cookie::builder().name("__Secure-id").path("/auth");
    let narrow = Transport::cookie(cookie.build().unwrap());
    let mut browser = Browser::of(&layer(Arc::new(auth), narrow));
    browser.post("/auth/login", &[("x-user", "alice")]);
    let mut copy = browser.clone();
    notes.take();
    let answer = browser.post("/logout", &[]);
    assert_eq!((answer.status, answer.set_cookies().len()), (500, 1));
    let mut noted = notes.take();
    noted.retain(|note| note.contains("misuse"));
    assert!(
        noted.len() == 1 && noted[0].contains("`__Secure-id`") && noted[0].contains("below /auth")
    );
    // The login goes on.
    assert_eq!(copy.post("/auth/logout", &[]).body, "Immediate");
    assert_eq!(notes.take(), ["revoked alice Immediate"]);
}

/// A logout that ends nothing names no login: it has ended before, and with its own event.
#[test]
fn the_end_of_a_hybrid_is_reported_once() {
    let clock = ManualClock::default();
    for has_log in [true, false] {
        let notes = Notes::default();
        let log = Arc::new(FaultyLog::new(MemoryLog::new().unwrap()));
        let auth: Arc<dyn DynAuthenticator<()>> = match has_log {
            true => Arc::new(Observed::new(
                revocable_hybrid(&log, &clock),
                Arc::new(notes.clone()),
            )),
            false => Arc::new(Observed::new(
                hybrid(&store(), &clock),
                Arc::new(notes.clone()),
            )),
        };
        block_on(auth.upkeep().tick()).unwrap();
        let within = |secs| Revocation::Within(seconds(secs));
        let bound = within(if has_log { 5 } else { 600 });
        let mut browser = Browser::of(&layer(auth.clone(), two_cookies()).clock(clock.clone()));
        browser.post("/auth/login", &[("x-user", "alice")]);
        let copy = browser.clone();
        notes.take();
        browser.post("/auth/logout", &[]);
        assert_eq!(notes.take(), [format!("revoked alice {bound:?}")]);
        // Again, with both credentials.
        let answer = copy.clone().post("/auth/logout", &[]);
        assert_eq!(answer.body, format!("{bound:?}"));
        assert!(
            notes
                .take()
                .iter()
                .all(|note| note.starts_with("revoked - "))
        );
        // A new login replaces nothing then, nor after a logout everywhere.
        for ends_all in [false, true] {
            let mut again = copy.clone();
            if ends_all {
                again.post("/auth/login", &[("x-user", "alice")]);
                block_on(auth.revoke_all("alice")).map(drop).unwrap();
            }
            notes.take();
            assert_eq!(
                again.post("/auth/login", &[("x-user", "alice")]).status,
                200
            );
            let noted = notes.take();
            assert!(
                noted.len() == 1 && noted[0].starts_with("issued "),
                "{noted:?}"
            );
        }
    }
}

/// A change of strategy, within the overlap: the login is a row of each strategy, and a logout by any of its
/// credentials, or by all of them, is one event.
#[test]
fn a_logout_in_a_change_of_strategy_is_reported_once() {
    let (clock, notes) = (ManualClock::default(), Notes::default());
    let old = sessions(&store(), &clock);
    let both = Migrating::builder(old.clone(), hybrid(&store(), &clock)).clock(clock.clone());
    let auth = Observed::new(both.build().unwrap(), Arc::new(notes.clone()));
    let site = layer(Arc::new(auth), two_cookies()).clock(clock.clone());
    for path in ["/auth/logout", "/logout", "/auth/logout-all"] {
        let mut before = Browser::of(&layer(old.clone(), transport()));
        before.log_in("alice");
        let mut browser = Browser::of(&site);
        browser.jar = before.jar;
        browser.post("/auth/refresh", &[]);
        assert_eq!(browser.jar.len(), 2, "{:?}", browser.jar);
        notes.take();
        assert_eq!(browser.post(path, &[]).status, 200);
        let mut noted = notes.take();
        noted.retain(|note| !note.contains("misuse: a logout at a path"));
        noted.retain(|note| !note.starts_with("Verified") && !note.starts_with("Rotated"));
        let (others, acts): (Vec<_>, Vec<_>) =
            noted.iter().partition(|note| note.starts_with("LoggedOut"));
        assert_eq!(acts.len(), 1, "{path} {noted:?}");
        assert!(others.len() <= 1, "{path} {noted:?}");
    }
}

/// A log that takes no entry is asked once for each logout, and the answer is the later time.
#[test]
fn a_logout_is_appended_to_the_log_once() {
    let (clock, notes) = (ManualClock::default(), Notes::default());
    let log = Arc::new(FaultyLog::new(MemoryLog::new().unwrap()));
    let auth = Observed::new(revocable_hybrid(&log, &clock), Arc::new(notes.clone()));
    let upkeep = auth.upkeep();
    block_on(upkeep.tick()).unwrap();
    let mut browser = Browser::of(&layer(Arc::new(auth), two_cookies()).clock(clock.clone()));
    for (fault, effective) in [(None, 5), (Some(Fault::Fails), 600)] {
        browser.post("/auth/login", &[("x-user", "alice")]);
        notes.take();
        if let Some(fault) = fault {
            log.fail_all(fault);
        }
        let answer = browser.post("/auth/logout", &[]);
        log.reset();
        let effective = Revocation::Within(seconds(effective));
        assert_eq!(answer.body, format!("{effective:?}"));
        assert_eq!(notes.take(), [format!("revoked alice {effective:?}")]);
        block_on(upkeep.tick()).unwrap();
        let mut failed = notes.take();
        failed.retain(|note| note.starts_with("LogFailed"));
        assert_eq!(failed.len(), usize::from(fault.is_some()));
        assert!(
            failed.iter().all(|note| note.contains("calls: 1")),
            "{failed:?}"
        );
    }
}

/// Two users in one browser, by a cookie that was planted: both logins end, and both are reported.
#[test]
fn the_logout_of_two_logins_is_two_events() {
    let (clock, notes) = (ManualClock::default(), Notes::default());
    let auth = Observed::new(hybrid(&store(), &clock), Arc::new(notes.clone()));
    let site = layer(Arc::new(auth), two_cookies());
    let mut browsers = ["alice", "bob"].map(|user| {
        let mut browser = Browser::of(&site);
        browser.post("/auth/login", &[("x-user", user)]);
        browser
    });
    let refresh = browsers[1].jar["__Secure-refresh"].clone();
    browsers[0]
        .jar
        .insert("__Secure-refresh".to_owned(), refresh);
    notes.take();
    browsers[0].post("/auth/logout", &[]);
    let mut noted = notes.take();
    noted.sort();
    assert_eq!(noted.len(), 2, "{noted:?}");
    assert!(noted[0].starts_with("revoked alice") && noted[1].starts_with("revoked bob"));
}

#[test]
fn the_observer_of_the_authenticator_gets_the_denials_too() {
    let (clock, notes) = (ManualClock::default(), Notes::default());
    let auth = Observed::new(sessions(&store(), &clock), Arc::new(notes.clone()));
    let mut browser = Browser::of(&layer(Arc::new(auth), transport()));
    browser.post("/wrong-password", &[]);
    assert_eq!(notes.take(), ["failed_login - POST /wrong-password"]);
}

/// A browser that logs in again: its former login ends, which is no logout. Both cookies name it.
#[test]
fn the_login_that_a_browser_had_is_reported_once() {
    let (clock, notes) = (ManualClock::default(), Notes::default());
    let auth = Observed::new(hybrid(&store(), &clock), Arc::new(notes.clone()));
    let mut browser = Browser::of(&layer(Arc::new(auth), two_cookies()));
    let mut log_in = |user| {
        browser.post("/auth/login", &[("x-user", user)]);
        notes.take()
    };
    let mut before = log_in("alice")[0].clone();
    for user in ["alice", "bob"] {
        let noted = log_in(user);
        let ids = [&before, &noted[1]].map(|issued| issued.trim_start_matches("issued "));
        let ended = format!("Replaced {} by {}", ids[0], ids[1]);
        assert_eq!(noted, [ended, format!("issued {}", ids[1])]);
        before = noted[1].clone();
    }
}

/// An auditor sees the step-up, in each kind of login.
#[test]
fn a_step_up_of_the_caller_is_reported() {
    let clock = ManualClock::default();
    for (auth, transport) in crate::steps::cases(&clock) {
        let notes = Notes::default();
        let auth = Observed::new(auth, Arc::new(notes.clone()));
        let mut browser = Browser::of(&layer(Arc::new(auth), transport).clock(clock.clone()));
        browser.post("/auth/login", &[("x-user", "alice")]);
        notes.take();
        browser.post("/step-up", &[]);
        let stepped = "stepped up to aal2 for 600s".to_owned();
        assert!(notes.take().contains(&stepped));
    }
}

/// A login over plain HTTP answers 200, the browser drops the cookie, and nothing else says why.
#[test]
fn a_browser_that_drops_secure_cookies_is_reported_once() {
    let (clock, notes) = (ManualClock::default(), Notes::default());
    let site = layer(sessions(&store(), &clock), transport()).observer(Arc::new(notes.clone()));
    let mut browser = Browser::of(&site);
    let local = [
        ("x-user", "alice"),
        ("host", "localhost:3000"),
        ("origin", "http://localhost:3000"),
    ];
    assert_eq!(browser.post("/login", &local).status, 200);
    assert!(notes.take().is_empty());
    let plain = [
        ("x-user", "alice"),
        ("host", "box.lan"),
        ("origin", "http://box.lan"),
    ];
    assert_eq!(browser.post("/login", &plain).status, 200);
    let noted = notes.take();
    assert!(
        noted.len() == 1 && noted[0].contains("insecure()"),
        "{noted:?}"
    );
    browser.post("/login", &plain);
    assert!(notes.take().is_empty());
}

/// Runs this test again as a process of its own, which makes two mistakes. Returns what it prints to the
/// standard error stream.
fn printed_by_mistakes(log: &str) -> String {
    let name = "events::mistakes_are_printed_where_no_log_shows_them";
    let child = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", name, "--nocapture"])
        .env(LOG_OF_CHILD, log)
        .output()
        .unwrap();
    assert!(child.status.success(), "{child:?}");
    String::from_utf8(child.stderr).unwrap()
}

const LOG_OF_CHILD: &str = "STATEWISE_TEST_LOG";

/// The first program of a developer has no observer and no log.
#[test]
fn mistakes_are_printed_where_no_log_shows_them() {
    if let Ok(log) = std::env::var(LOG_OF_CHILD) {
        if log == "subscriber" {
            let subscriber = tracing::subscriber::NoSubscriber::default();
            tracing::subscriber::set_global_default(subscriber).unwrap();
        }
        let auth = sessions(&store(), &ManualClock::default());
        let mut browser = Browser::of(&layer(auth, transport()));
        let plain = [
            ("x-user", "alice"),
            ("origin", "http://box.lan"),
            ("host", "box.lan"),
        ];
        for _ in 0..2 {
            browser.post("/login", &plain);
            crate::site::bare().get("/me?ticket=secret");
        }
        return;
    }
    let printed = printed_by_mistakes("none");
    let lines = |begin: &str| {
        printed
            .lines()
            .filter(|line| line.starts_with(begin))
            .count()
    };
    if cfg!(debug_assertions) {
        let lost = "statewise: a page that is served over plain HTTP has sent a request";
        assert_eq!(lines(lost), 1, "{printed}");
        assert_eq!(lines("statewise: "), 2, "{printed}");
        assert!(
            printed.contains("has seen the request GET /me:"),
            "{printed}"
        );
    } else {
        assert_eq!(lines("statewise: "), 0, "{printed}");
    }
    let printed = printed_by_mistakes("subscriber");
    assert!(!printed.contains("statewise: "), "{printed}");
}

#[test]
fn a_login_too_large_for_its_cookie_is_reported() {
    let (clock, notes) = (ManualClock::default(), Notes::default());
    let cookie = statewise::web::Cookie::builder()
        .max_bytes(300)
        .build()
        .unwrap();
    let site = layer(tokens(&clock), Transport::cookie(cookie)).observer(Arc::new(notes.clone()));
    let user = "a".repeat(250);
    let mut browser = Browser::of(&site);
    assert_eq!(browser.post("/login", &[("x-user", &user)]).status, 500);
    let noted = notes.take();
    assert!(
        noted.len() == 1 && noted[0].contains("TooLarge"),
        "{noted:?}"
    );
}
