//! Redeeming.

use std::sync::{Arc, Mutex};

use statewise::Rejection;
use statewise::observer::{Event, Observer};
use statewise::session::SessionAuthenticator;
use statewise::store::MemoryStore;
use statewise::testkit::{ManualClock, block_on};
use statewise::tickets::Tickets;
use statewise::{Authenticator, Error, Login, Refusal, Result};

use crate::{LIFETIME, builder, issue, memory, redeem, seconds, sessions};

#[test]
fn a_ticket_gives_its_payload_once() {
    let clock = ManualClock::default();
    let tickets = builder(memory(), "reset", &clock).with_payload::<(String, f64)>();
    let tickets = tickets.build().unwrap();
    let payload = ("älice@example.org".to_owned(), 0.1 + 0.2);
    let ticket = block_on(tickets.issue("alice", payload.clone())).unwrap();
    let text = ticket.credential().reveal();
    assert!(text.starts_with("tk_") && text.len() == 67, "{text}");
    clock.advance(seconds(LIFETIME - 1));
    let redeemed = block_on(tickets.redeem(text, None)).unwrap();
    assert_eq!(
        (redeemed.subject.as_str(), redeemed.payload),
        ("alice", payload)
    );
    let again = block_on(tickets.redeem(text, None)).unwrap_err();
    assert_eq!(again.rejection(), Some(Rejection::Unknown));
}

/// A payload belongs to the application and may be secret, such as the verifier of a PKCE challenge.
#[test]
fn debug_omits_the_payload() {
    let clock = ManualClock::default();
    let tickets = builder(memory(), "login", &clock).with_payload::<String>();
    let tickets = tickets.build().unwrap();
    let ticket = block_on(tickets.issue("alice", "the verifier".to_owned())).unwrap();
    let text = ticket.credential().reveal();
    let updated = block_on(tickets.update(text, None, |_| Ok(()))).unwrap();
    let redeemed = block_on(tickets.redeem(text, None)).unwrap();
    for content in [&updated, &redeemed] {
        assert_eq!(content.payload, "the verifier");
        let printed = format!("{content:?}");
        assert!(printed.contains("alice") && !printed.contains("verifier"));
    }
}

#[test]
fn a_ticket_expires() {
    let clock = ManualClock::default();
    let tickets = builder(memory(), "reset", &clock).build().unwrap();
    let ticket = issue(&tickets, "alice");
    clock.advance(seconds(LIFETIME));
    assert!(redeem(&tickets, &ticket).is_none());
}

/// A ticket that is refused is not spent: forged, of another purpose, without its browser's secret,
/// with an unreadable payload.
#[test]
fn a_refused_ticket_is_not_spent() {
    let clock = ManualClock::default();
    let store = memory();
    let tickets = builder(store.clone(), "reset", &clock)
        .bound()
        .build()
        .unwrap();
    let other = builder(store.clone(), "email", &clock).build().unwrap();
    let numbers = builder(store.clone(), "reset", &clock).with_payload::<u8>();
    let numbers = numbers.bound().build().unwrap();
    let (ticket, stranger) = (issue(&tickets, "alice"), issue(&tickets, "mallory"));
    let text = ticket.credential().reveal();
    let secret = ticket.browser_secret().map(|secret| secret.reveal());
    let last = if text.ends_with('A') { "B" } else { "A" };
    let forged = format!("{}{last}", &text[..66]);
    let try_to = |tickets: &Tickets<Arc<MemoryStore>>, text: &str, secret: Option<&str>| {
        block_on(tickets.redeem(text, secret))
            .unwrap_err()
            .rejection()
    };
    assert_eq!(try_to(&tickets, "tk_", secret), Some(Rejection::Malformed));
    assert_eq!(
        try_to(&tickets, &text[3..], secret),
        Some(Rejection::Malformed)
    );
    assert_eq!(try_to(&tickets, &forged, secret), Some(Rejection::Unknown));
    assert_eq!(try_to(&other, text, secret), Some(Rejection::Unknown));
    let wrong = stranger.browser_secret().map(|secret| secret.reveal());
    for wrong in [None, Some(""), wrong] {
        assert_eq!(try_to(&tickets, text, wrong), Some(Rejection::WrongBrowser));
    }
    let unreadable = block_on(numbers.redeem(text, secret)).unwrap_err();
    assert!(unreadable.is_unreadable());
    assert!(redeem(&tickets, &ticket).is_some());
}

/// An update that is refused changes nothing: from another browser, of another purpose, too large, or by
/// its own error. One that is done leaves the ticket, its browser and its end as they are.
#[test]
fn an_update_changes_the_payload_alone() {
    let clock = ManualClock::default();
    let store = memory();
    let tickets = builder(store.clone(), "factor", &clock).with_payload::<Vec<u8>>();
    let tickets = tickets.bound().build().unwrap();
    let other = builder(store, "reset", &clock).with_payload::<Vec<u8>>();
    let other = other.build().unwrap();
    let ticket = block_on(tickets.issue("alice", vec![1])).unwrap();
    let text = ticket.credential().reveal();
    let secret = ticket.browser_secret().map(|secret| secret.reveal());
    let update = |secret, to: &(dyn Fn(&mut Vec<u8>) -> Result<()> + Sync)| {
        block_on(tickets.update(text, secret, |payload| to(payload)))
    };
    let push = |payload: &mut Vec<u8>| {
        payload.push(2);
        Ok(())
    };
    let wrong_browser = update(None, &push).unwrap_err();
    assert_eq!(wrong_browser.rejection(), Some(Rejection::WrongBrowser));
    let wrong_purpose = block_on(other.update(text, None, push)).unwrap_err();
    assert_eq!(wrong_purpose.rejection(), Some(Rejection::Unknown));
    let too_large = update(secret, &|payload| {
        *payload = vec![0; 100_000];
        Ok(())
    });
    assert_eq!(too_large.unwrap_err().refusal(), Some(Refusal::TooLarge));
    let own = update(secret, &|payload| {
        payload.clear();
        Err(Error::refused(Refusal::Capacity))
    });
    assert_eq!(own.unwrap_err().refusal(), Some(Refusal::Capacity));

    clock.advance(seconds(LIFETIME - 1));
    let updated = update(secret, &push).unwrap();
    assert_eq!(
        (&*updated.subject, &*updated.payload),
        ("alice", &[1, 2][..])
    );
    assert_eq!(updated.id, ticket.id());
    let looked_at = update(secret, &|_| Ok(())).unwrap();
    assert_eq!(looked_at.payload, [1, 2]);
    let without = block_on(tickets.redeem(text, None)).unwrap_err();
    assert_eq!(without.rejection(), Some(Rejection::WrongBrowser));
    clock.advance(seconds(1));
    let expired = update(secret, &push).unwrap_err();
    assert_eq!(expired.rejection(), Some(Rejection::Unknown));
}

/// A bound purpose takes no ticket from before it was bound.
#[test]
fn a_ticket_without_a_browser_is_not_taken_for_a_bound_one() {
    let clock = ManualClock::default();
    let store = memory();
    let before = builder(store.clone(), "reset", &clock).build().unwrap();
    let bound = builder(store, "reset", &clock).bound().build().unwrap();
    let ticket = issue(&before, "alice");
    let refused = block_on(bound.redeem(ticket.credential().reveal(), None)).unwrap_err();
    assert_eq!(refused.rejection(), Some(Rejection::WrongBrowser));
    assert!(redeem(&before, &ticket).is_some());
}

/// No session is a ticket, and no ticket a session, whatever prefix it gets.
#[test]
fn a_ticket_is_no_login() {
    let clock = ManualClock::default();
    let store = memory();
    let tickets = builder(store.clone(), "reset", &clock).build().unwrap();
    let auth: SessionAuthenticator<_> = sessions(store, &clock).build().unwrap();
    let (ticket, session) = (issue(&tickets, "alice"), Login::new("alice"));
    let session = block_on(auth.issue(session)).unwrap();
    let (ticket, session) = (ticket.credential().reveal(), session.credential().reveal());
    for credential in [ticket, &ticket[3..]] {
        assert!(block_on(auth.verify(credential)).is_err());
        assert!(block_on(auth.refresh(credential)).is_err());
        let _ = block_on(auth.revoke(credential));
    }
    for credential in [session, &format!("tk_{session}")] {
        assert!(block_on(tickets.redeem(credential, None)).is_err());
    }
    assert!(block_on(auth.verify(session)).is_ok());
    assert!(block_on(tickets.redeem(ticket, None)).is_ok());
}

#[test]
fn misuse_fails_at_build() {
    let build = |purpose: &str, lifetime, outstanding| {
        Tickets::builder(memory())
            .purpose(purpose)
            .lifetime(lifetime)
            .outstanding(outstanding)
            .build()
    };
    assert!(build("reset", seconds(1), 1).is_ok());
    let long = "p".repeat(65);
    for (purpose, lifetime, outstanding) in [
        ("", seconds(1), 1),
        (&long, seconds(1), 1),
        ("re\u{1}set", seconds(1), 1),
        ("reset", seconds(0), 1),
        ("reset", seconds(1), 0),
    ] {
        let error = build(purpose, lifetime, outstanding).unwrap_err();
        assert!(error.is_misuse(), "{error:?}");
        assert!(!error.to_string().contains("session"), "{error}");
    }
}

#[derive(Debug, Default)]
struct Notes(Mutex<Vec<String>>);

impl Observer for Notes {
    fn observe(&self, event: &Event<'_>) {
        let note = match event {
            Event::TicketIssued { purpose, ticket } => {
                format!("{purpose} for {}", ticket.subject())
            }
            Event::TicketUpdated { purpose, ticket } => {
                format!("{purpose} of {} updated", ticket.subject())
            }
            Event::TicketRedeemed { purpose, ticket } => {
                format!("{purpose} of {}", ticket.subject())
            }
            Event::Rejected { act, cause, .. } => format!("{} {}", act.name(), cause.name()),
            Event::Misused { act, .. } => format!("{} misused", act.name()),
            other => format!("{other:?}"),
        };
        self.0.lock().unwrap().push(note);
    }
}

/// Each call is reported once, with the cause of a refusal.
#[test]
fn an_observer_sees_each_call() {
    let (clock, notes) = (ManualClock::default(), Arc::new(Notes::default()));
    let tickets = builder(memory(), "reset", &clock).bound();
    let tickets = tickets.observer(notes.clone()).build().unwrap();
    let ticket = issue(&tickets, "alice");
    let text = ticket.credential().reveal();
    for (presented, browser) in [("", None), (text, None)] {
        assert!(block_on(tickets.redeem(presented, browser)).is_err());
    }
    let secret = ticket.browser_secret().map(|secret| secret.reveal());
    for browser in [None, secret] {
        let _ = block_on(tickets.update(text, browser, |()| Ok(())));
    }
    assert!(redeem(&tickets, &ticket).is_some_and(|redeemed| redeemed.id == ticket.id()));
    assert!(redeem(&tickets, &ticket).is_none());
    assert!(block_on(tickets.issue("", ())).is_err());
    let expected = [
        "reset for alice",
        "redeem malformed",
        "redeem wrong_browser",
        "update_ticket wrong_browser",
        "reset of alice updated",
        "reset of alice",
        "redeem unknown",
        "issue_ticket misused",
    ];
    assert_eq!(*notes.0.lock().unwrap(), expected);
}
