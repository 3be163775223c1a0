//! The example `magic_link`, driven by curl.

mod support;

use support::{Answer, Browser, Example, follow_the_header_with};

const ALICE: &str = "alice@example.com";

fn start() -> Example {
    Example::start("magic_link")
}

/// Asks for a link without a page in mind.
fn ask(browser: &Browser, address: &str) -> Answer {
    let address = format!("address={address}");
    browser.run("/login", &["--data-urlencode", &address])
}

/// Waits for the next mail, and returns its ticket.
fn ticket_of(site: &Example) -> String {
    let mail = site.printed();
    assert!(mail.starts_with(&format!("mail to {ALICE}: {}/", site.origin())));
    let (_, ticket) = mail.split_once("ticket=").expect("a link");
    ticket.to_owned()
}

fn redeem(browser: &Browser, ticket: &str) -> Answer {
    browser.run("/login/link", &["-d", &format!("ticket={ticket}")])
}

fn log_in(site: &Example) -> Browser {
    let browser = Browser::at(site.origin());
    ask(&browser, ALICE).expect(200);
    redeem(&browser, &ticket_of(site)).expect(303);
    browser
}

#[test]
fn the_commands_in_its_header_work() {
    let site = start();
    let origin = site.origin().to_owned();
    let mut ticket = String::new();
    follow_the_header_with(include_str!("../magic_link.rs"), &origin, |_| {
        if ticket.is_empty() {
            ticket = ticket_of(&site);
        }
        ticket.clone()
    });
}

#[test]
fn a_link_works_once_and_opening_it_spends_nothing() {
    let site = start();
    let browser = Browser::at(site.origin());
    ask(&browser, ALICE).expect(200);
    let ticket = ticket_of(&site);
    let path = format!("/login/link?ticket={ticket}");
    for _ in 0..3 {
        let page = browser.get(&path).expect(200);
        assert!(page.body.contains(&ticket), "{page:?}");
        assert_eq!(page.field("cache-control"), "no-store");
        assert_eq!(page.field("referrer-policy"), "no-referrer");
    }
    assert_eq!(browser.cookies().len(), 0);

    redeem(&browser, &ticket).expect(303);
    let me = browser.get("/me").expect(200);
    assert!(me.body.contains(&format!("You are {ALICE}.")), "{me:?}");
    let thief = Browser::at(site.origin());
    redeem(&thief, &ticket).expect(401);
    assert_eq!(thief.cookies().len(), 0);
    browser.get("/me").expect(200);
}

#[test]
fn a_forged_link_is_refused_and_spends_nothing() {
    let site = start();
    let browser = Browser::at(site.origin());
    ask(&browser, ALICE).expect(200);
    let ticket = ticket_of(&site);
    let last = if ticket.ends_with('A') { 'B' } else { 'A' };
    let mut forged = ticket.clone();
    forged.pop();
    forged.push(last);
    for forged in [&*forged, "", "x"] {
        redeem(&browser, forged).expect(401);
    }
    redeem(&browser, &ticket).expect(303);
}

/// The mail is sent after the answer, so the time does not tell either.
#[test]
fn an_unknown_address_has_the_same_answer_as_a_known_one() {
    let site = start();
    let [known, unknown] = [ALICE, "mallory@example.com"].map(|address| {
        let mut answer = ask(&Browser::at(site.origin()), address).expect(200);
        answer.fields.retain(|(name, _)| name != "date");
        answer
    });
    assert_eq!(known.fields, unknown.fields);
    assert_eq!(known.body, unknown.body);
    // Only one mail was sent: the next one is that of the next request.
    let first = ticket_of(&site);
    ask(&Browser::at(site.origin()), ALICE).expect(200);
    assert_ne!(ticket_of(&site), first);
}

#[test]
fn a_link_leads_to_the_page_that_the_visitor_wanted() {
    let site = start();
    for (next, led) in [("/me?a=1&b=2", "/me?a=1&b=2"), ("//evil.example/", "/me")] {
        let browser = Browser::at(site.origin());
        let (address, next) = (format!("address={ALICE}"), format!("next={next}"));
        let fields = ["--data-urlencode", &address, "--data-urlencode", &next];
        browser.run("/login", &fields).expect(200);
        let answer = redeem(&browser, &ticket_of(&site)).expect(303);
        assert_eq!(answer.field("location"), led);
    }
}

#[test]
fn a_logout_everywhere_ends_links_that_wait() {
    let site = start();
    let browser = log_in(&site);
    ask(&browser, ALICE).expect(200);
    let waiting = ticket_of(&site);
    browser.post("/logout-everywhere").expect(303);
    redeem(&browser, &waiting).expect(401);
    browser.get("/me").expect(401);
    // A link from after it works.
    ask(&browser, ALICE).expect(200);
    redeem(&browser, &ticket_of(&site)).expect(303);
}

/// Within a second, links are equally old: then any of them but the newest one ends.
#[test]
fn a_fourth_link_ends_another_one() {
    let site = start();
    let browser = Browser::at(site.origin());
    let tickets = [(); 4].map(|()| {
        ask(&browser, ALICE).expect(200);
        ticket_of(&site)
    });
    let statuses = tickets.map(|ticket| redeem(&browser, &ticket).status);
    assert_eq!(statuses[3], 303);
    let ended = statuses.iter().filter(|status| **status == 401);
    assert_eq!(ended.count(), 1, "{statuses:?}");
}
