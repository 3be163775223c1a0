//! The events that a subscriber of `tracing` receives.

use std::fmt::Debug;
use std::sync::{Arc, Mutex};

use statewise::observer::TracingObserver;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

use crate::redaction::{Said, everything};

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
        token,
    } = tracing::subscriber::with_default(captured.clone(), || everything(TracingObserver));
    let lines = captured.0.lock().unwrap();
    secrets.check(&lines.join("\n"));
    let could_not = "error=Error(\"unavailable: the store could not answer\"";
    let stale = "error=Error(\"unavailable: the revocation view is stale\")";
    let empty = "error=Error(\"misuse: the subject of a login is empty: name the user\")";
    let expected = [
        format!("TRACE issued login={session}"),
        format!("TRACE rotated login={session}"),
        format!("TRACE replayed login={session}"),
        format!("TRACE verified login={session}"),
        "DEBUG rejected act=\"verify\" cause=\"unknown\"".to_owned(),
        format!(
            "DEBUG unavailable act=\"verify\" {could_not}, source: \"a planned fault of the test\")"
        ),
        format!("WARN theft act=\"verify\" subject=\"alice\" login={session}"),
        "DEBUG rejected act=\"verify\" cause=\"unknown\"".to_owned(),
        "DEBUG rejected act=\"verify\" cause=\"malformed\"".to_owned(),
        "DEBUG rejected act=\"refresh\" cause=\"malformed\"".to_owned(),
        "DEBUG rejected act=\"revoke\" cause=\"malformed\"".to_owned(),
        format!("DEBUG misused act=\"issue\" {empty}"),
        "DEBUG refused act=\"issue\" cause=\"too_large\"".to_owned(),
        format!("TRACE issued login={another}"),
        format!("WARN unreadable act=\"verify\" login={another}"),
        "TRACE revoked effective=Immediate".to_owned(),
        "TRACE revoked all subject=\"bob\" effective=Immediate".to_owned(),
        "TRACE swept rows=0".to_owned(),
        "TRACE swept rows=1".to_owned(),
        "TRACE view lag behind_seconds=0 facts=0".to_owned(),
        format!("TRACE issued login={token}"),
        format!("TRACE verified login={token}"),
        format!("TRACE rotated login={token}"),
        format!("TRACE verified login={token}"),
        "DEBUG rejected act=\"verify\" cause=\"bad_signature\"".to_owned(),
        "WARN view is stale behind_seconds=60 facts=0".to_owned(),
        format!("WARN upkeep failed chore=Following {could_not}, source: \"cut off\")"),
        format!("DEBUG unavailable act=\"verify\" {stale}"),
    ];
    assert_eq!(*lines, expected);
}
