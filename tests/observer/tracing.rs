//! The events that a subscriber of `tracing` receives.

use std::fmt::Debug;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use statewise::observer::TracingObserver;
use statewise::testkit::{ManualClock, block_on};
use statewise::token::TokenAuthenticator;
use statewise::{Authenticator as _, Login, PublicId};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

use crate::notes::{Line as Log, secret, tokens};
use crate::redaction::{Said, everything};
use crate::tokens::view;

/// Writes each event down: level, message, and fields by name.
#[derive(Clone, Default)]
struct Captured(Arc<Mutex<Vec<String>>>);

#[derive(Default)]
struct Line {
    message: String,
    fields: String,
}

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        if field.name() == "message" {
            self.message = format!("{value:?}");
        } else {
            self.fields += &format!(" {}={value:?}", field.name());
        }
    }
}

impl Subscriber for Captured {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target() == "statewise"
    }
    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }
    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn event(&self, event: &Event<'_>) {
        let mut line = Line::default();
        event.record(&mut line);
        let level = event.metadata().level();
        let text = format!("{level} {}{}", line.message, line.fields);
        self.0.lock().unwrap().push(text);
    }
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

#[test]
fn events_by_level_with_fields_by_name() {
    let captured = Captured::default();
    let Said {
        secrets,
        session,
        another,
        ended,
        token,
    } = tracing::subscriber::with_default(captured.clone(), || everything(TracingObserver));
    let lines = captured.0.lock().unwrap();
    secrets.check(&lines.join("\n"));
    let could_not = "unavailable: the store could not answer";
    let stale = "unavailable: the revocation view is stale";
    let empty = "misuse: the subject of a login is empty: name the user";
    let denied = |level: &str, cause: &str| {
        format!("{level} denied cause=\"{cause}\" method=\"POST\" path=\"/orders\"")
    };
    let alice = |id: PublicId| format!("subject=\"alice\" login={id}");
    let on_phone = format!("{} device=\"phone\"", alice(another));
    let expected = [
        format!("INFO issued {}", alice(session)),
        format!("TRACE rotated login={session}"),
        format!("TRACE replayed login={session}"),
        format!("TRACE verified login={session}"),
        "DEBUG rejected act=\"verify\" cause=\"unknown\"".to_owned(),
        format!(
            "WARN unavailable act=\"verify\" error=\"{could_not}: a planned fault of the test\""
        ),
        format!("WARN theft act=\"verify\" {}", alice(session)),
        "DEBUG rejected act=\"verify\" cause=\"unknown\"".to_owned(),
        "DEBUG rejected act=\"verify\" cause=\"malformed\"".to_owned(),
        "DEBUG rejected act=\"refresh\" cause=\"malformed\"".to_owned(),
        "DEBUG rejected act=\"revoke\" cause=\"malformed\"".to_owned(),
        format!("ERROR misused act=\"issue\" error=\"{empty}\""),
        "INFO refused act=\"issue\" cause=\"too_large\"".to_owned(),
        format!("INFO issued {}", alice(another)),
        format!("WARN unreadable act=\"verify\" login={another}"),
        format!("TRACE verified login={another}"),
        format!("INFO updated {on_phone} act=\"update\" roles=[\"reader\", \"a b\\n\"]"),
        format!("INFO revoked others {on_phone} count=0 effective=Immediate"),
        denied("TRACE", "no_credential"),
        denied("DEBUG", "unclear"),
        denied("INFO", "failed_login"),
        denied("INFO", "failed_login") + " tried=\"alice\"",
        denied("INFO", "missing_role") + " required=\"admin or owner\" " + &alice(another),
        denied("INFO", "not_a_login"),
        denied("INFO", "forbidden"),
        denied("INFO", "cross_origin") + " origin=\"https://evil.example\"",
        format!(
            "WARN revoked {} act=\"leaked\" effective=Immediate",
            alice(another)
        ),
        format!(
            "INFO revoked nothing {} act=\"revoke_id\" effective=Immediate",
            alice(session)
        ),
        "WARN revoked everything effective=Immediate".to_owned(),
        "WARN key retired kid=\"FT-zxqrzbyc\" effective=Immediate".to_owned(),
        format!("INFO issued {}", alice(ended)),
        format!(
            "INFO revoked {} act=\"revoke\" effective=Immediate",
            alice(ended)
        ),
        "INFO revoked nothing act=\"revoke\" effective=Immediate".to_owned(),
        "INFO revoked all subject=\"bob\" count=0 effective=Immediate".to_owned(),
        "TRACE clock skew ahead_seconds=2".to_owned(),
        "WARN clock differs from that of the store ahead_seconds=-7".to_owned(),
        "TRACE swept rows=0".to_owned(),
        "TRACE swept rows=1".to_owned(),
        "TRACE view lag behind_seconds=0 facts=0".to_owned(),
        format!("INFO issued {}", alice(token)),
        format!("TRACE verified login={token}"),
        format!("TRACE rotated login={token}"),
        format!("TRACE verified login={token}"),
        "INFO rejected act=\"verify\" cause=\"bad_signature\"".to_owned(),
        "WARN view is stale behind_seconds=60 facts=0".to_owned(),
        format!("WARN upkeep failed chore=Following error=\"{could_not}: cut off\""),
        format!("WARN unavailable act=\"verify\" error=\"{stale}\""),
    ];
    assert_eq!(*lines, expected);
}

/// A view without upkeep refuses all logins. The mistake is logged once, without an observer.
#[test]
fn a_view_that_nobody_follows_is_logged_once() {
    let captured = Captured::default();
    tracing::subscriber::with_default(captured.clone(), || {
        let clock = ManualClock::default();
        let view = view(&Log::new(), &clock);
        let auth: TokenAuthenticator = tokens(&clock).revocations(&view).build().unwrap();
        block_on(async {
            let issued = auth.issue(Login::new("alice")).await.unwrap();
            for passed in [0, 4, 1, 60] {
                clock.advance(Duration::from_secs(passed));
                let error = auth.verify(secret(&issued)).await.unwrap_err();
                assert!(error.is_unavailable());
                assert!(error.to_string().contains("auth.upkeep().run("), "{error}");
                assert!(auth.ready().await.is_err());
                // In the first moments of a process the first read may not have begun.
                let is_logged = captured.0.lock().unwrap().len();
                assert_eq!(is_logged, usize::from(passed == 1 || passed == 60));
            }
            auth.upkeep().tick().await.unwrap();
            auth.verify(secret(&issued)).await.unwrap();
            auth.ready().await.unwrap();
        });
    });
    let lines = captured.0.lock().unwrap();
    assert!(lines[0].starts_with("ERROR the revocation view was never read"));
}

/// Without a layer there is no observer, and only debug builds say it in the body.
#[test]
fn a_missing_layer_is_logged_once() {
    let captured = Captured::default();
    tracing::subscriber::with_default(captured.clone(), || {
        for _ in 0..2 {
            let request = http::Extensions::new();
            assert!(statewise::web::SignIn::<u8>::of(&request).is_err());
        }
    });
    let lines = captured.0.lock().unwrap();
    assert_eq!(lines.len(), 1);
    assert!(
        lines[0].starts_with("ERROR misuse: no `AuthLayer`"),
        "{lines:?}"
    );
    assert!(lines[0].contains("`u8`"), "{lines:?}");
}
