//! The events that a subscriber of `tracing` receives.

use std::fmt::Debug;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use statewise::observer::TracingObserver;
use statewise::revocation::RevocationView;
use statewise::session::SessionAuthenticator;
use statewise::store::CachedStore;
use statewise::testkit::{Fault, ManualClock, Method, block_on, give_up_after};
use statewise::token::TokenAuthenticator;
use statewise::web::{AuthLayer, Denial, Transport};
use statewise::{Authenticator as _, DynAuthenticator, Edit, Login, Observed, PublicId};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

use crate::notes::{Line as Log, evict, secret, sessions, store, tokens};
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
    } = tracing::subscriber::with_default(captured.clone(), || everything(TracingObserver::new()));
    let lines = captured.0.lock().unwrap();
    secrets.check(&lines.join("\n"));
    let could_not = "unavailable: the store could not answer";
    let of_log = "unavailable: the revocation log could not answer";
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
        denied("INFO", "unknown_credential"),
        denied("DEBUG", "unclear"),
        denied("INFO", "failed_login"),
        denied("INFO", "failed_login") + " tried=\"alice\"",
        denied("INFO", "failed_second_factor") + " tried=\"alice\"",
        denied("INFO", "missing_role") + " required=\"admin or owner\" " + &alice(another),
        denied("INFO", "not_a_login"),
        denied("INFO", "forbidden"),
        denied("INFO", "weak_acr") + " required=\"aal2\"",
        denied("INFO", "too_old") + " max_age_seconds=300",
        denied("INFO", "too_old") + " required=\"aal2\" max_age_seconds=60",
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
        format!("WARN revocation log took no entry calls=2 error=\"{could_not}: full\""),
        "WARN revocation log began anew: its data were lost. Logins from before are rejected; to admit them, \
         set `accept_other_incarnations`"
            .to_owned(),
        "WARN revocation log lost its last entries: if a node stopped at the same time, or the same server \
         keeps sessions, end all logins"
            .to_owned(),
        "WARN logins of another revocation log are rejected as revoked: give all nodes one log, unless it was \
         lost before this node started"
            .to_owned(),
        format!(
            "INFO ended {} act=\"issue\" cause=\"replaced\" by={another} effective=Immediate",
            alice(another)
        ),
        format!(
            "INFO ended {} act=\"issue\" cause=\"replaced\"",
            alice(another)
        ),
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
        format!("WARN upkeep failed chore=Following error=\"{of_log}: cut off\""),
        format!("WARN unavailable act=\"verify\" error=\"{stale}\""),
    ];
    assert_eq!(*lines, expected);
}

/// Lines that repeat are *debug*, but for one of each kind in ten seconds.
#[test]
fn an_outage_is_one_line_per_call_and_cause() {
    let captured = Captured::default();
    tracing::subscriber::with_default(captured.clone(), || {
        let (clock, store) = (ManualClock::default(), store(100));
        let auth: SessionAuthenticator<_> = sessions(&store, &clock).build().unwrap();
        let auth = Observed::new(auth, Arc::new(TracingObserver::new()));
        block_on(async {
            let issued = auth.issue(Login::new("alice")).await.unwrap();
            for _ in 0..50 {
                store.fail_nth_of(Method::Load, 1, Fault::Fails);
                assert!(auth.verify(secret(&issued)).await.is_err());
                store.fail_nth_of(Method::Remove, 1, Fault::Fails);
                assert!(auth.revoke(secret(&issued)).await.is_err());
            }
            clock.stop();
            assert!(auth.verify(secret(&issued)).await.is_err());
        });
    });
    let lines = captured.0.lock().unwrap();
    let count = |start: &str| lines.iter().filter(|line| line.starts_with(start)).count();
    let of_store = "error=\"unavailable: the store could not answer";
    for act in ["verify", "revoke"] {
        assert_eq!(
            count(&format!("WARN unavailable act=\"{act}\" {of_store}")),
            1
        );
        assert_eq!(
            count(&format!("DEBUG unavailable act=\"{act}\" {of_store}")),
            49
        );
    }
    assert_eq!(count("WARN"), 3, "the clock is another cause: {lines:?}");
}

/// The log tells a step-up from a change of the profile, and names the class of each login.
#[test]
fn a_step_up_is_a_line_of_its_own() {
    let captured = Captured::default();
    let id = tracing::subscriber::with_default(captured.clone(), || {
        let (clock, store) = (ManualClock::default(), store(100));
        let auth: SessionAuthenticator<_> = sessions(&store, &clock).build().unwrap();
        let auth = Observed::new(auth, Arc::new(TracingObserver::new()));
        block_on(async {
            let login = Login::new("alice").role("reader").acr("aal1");
            let issued = auth.issue(login).await.unwrap();
            let lasts = Duration::from_secs(600);
            let step_up = &mut |login: &mut Edit| login.step_up("aal2", lasts);
            let stepped = auth.update(secret(&issued), step_up).await.unwrap();
            // The step-up is still in force: this update is none.
            let unchanged = auth.update(secret(&stepped), &mut |_| Ok(())).await;
            assert_eq!(unchanged.unwrap().identity().acr(), Some("aal2"));
            let too_large = &mut |login: &mut Edit| {
                login.roles = vec!["x".repeat(10_000)];
                login.step_up("aal3", lasts)
            };
            let failed = auth.update(secret(&stepped), too_large).await;
            assert!(failed.is_err());
            issued.identity().id()
        })
    });
    let lines = captured.0.lock().unwrap();
    let alice = format!("subject=\"alice\" login={id}");
    let roles = "roles=[\"reader\"]";
    let expected = [
        format!("INFO issued {alice} acr=\"aal1\""),
        format!("INFO stepped up {alice} act=\"update\" acr=\"aal2\" lasts_seconds=600 {roles}"),
        format!("INFO updated {alice} act=\"update\" {roles}"),
        "INFO refused act=\"update\" cause=\"too_large\"".to_owned(),
    ];
    assert_eq!(*lines, expected);
}

/// A layer around a bare authenticator logs denials alone, and says so.
#[test]
fn a_layer_without_observer_says_that_logins_are_not_logged() {
    for is_observed in [false, true] {
        let captured = Captured::default();
        tracing::subscriber::with_default(captured.clone(), || {
            let auth: TokenAuthenticator = tokens(&ManualClock::default()).build().unwrap();
            let auth: Arc<dyn DynAuthenticator<()>> = match is_observed {
                true => Arc::new(Observed::new(auth, Arc::new(TracingObserver::new()))),
                false => Arc::new(auth),
            };
            AuthLayer::new(auth, Transport::bearer()).unwrap();
        });
        let lines = captured.0.lock().unwrap();
        let start = "INFO logins, logouts and step-ups are not logged: ";
        match &lines[..] {
            [] => assert!(is_observed),
            [line] => assert!(line.starts_with(start) && !is_observed, "{line}"),
            lines => panic!("{lines:?}"),
        }
    }
}

#[test]
fn an_evicted_login_is_a_line_that_names_the_new_one() {
    let captured = Captured::default();
    let ids = tracing::subscriber::with_default(captured.clone(), || evict(TracingObserver::new()));
    let lines = captured.0.lock().unwrap();
    let line = |login| format!("INFO issued subject=\"alice\" login={login}");
    let ended = format!(
        "INFO ended subject=\"alice\" login={} act=\"issue\" cause=\"evicted\" by={}",
        ids[0], ids[1]
    );
    assert_eq!(*lines, [line(ids[0]), ended, line(ids[1])]);
}

#[test]
fn a_view_that_becomes_stale_and_fresh_is_two_lines() {
    let captured = Captured::default();
    tracing::subscriber::with_default(captured.clone(), || {
        let (clock, log) = (ManualClock::default(), Log::new());
        let view = view(&log, &clock);
        let upkeep = view.upkeep().observer(Arc::new(TracingObserver::new()));
        block_on(async {
            upkeep.tick().await.unwrap();
            *log.cut.lock().unwrap() = true;
            clock.advance(Duration::from_secs(10));
            for _ in 0..50 {
                assert!(upkeep.tick().await.is_err());
            }
            *log.cut.lock().unwrap() = false;
            for _ in 0..50 {
                upkeep.tick().await.unwrap();
            }
        });
    });
    let lines = captured.0.lock().unwrap();
    let warned: Vec<_> = lines
        .iter()
        .filter(|line| line.starts_with("WARN"))
        .collect();
    let could_not = "unavailable: the revocation log could not answer";
    let expected = [
        "WARN view is stale behind_seconds=10 facts=0",
        &format!("WARN upkeep failed chore=Following error=\"{could_not}: cut off\""),
        "WARN view is fresh again facts=0 suppressed=98",
    ];
    assert_eq!(warned, expected);
}

/// A full log fails each logout, and each step of the upkeep reports it.
#[test]
fn a_log_that_takes_no_entry_is_one_line_in_ten_seconds() {
    let captured = Captured::default();
    tracing::subscriber::with_default(captured.clone(), || {
        let (clock, log) = (ManualClock::default(), Log::new());
        let view = view(&log, &clock);
        let upkeep = view.upkeep().observer(Arc::new(TracingObserver::new()));
        for _ in 0..50 {
            *log.cut.lock().unwrap() = true;
            assert!(block_on(view.revoke_subject("alice")).is_err());
            *log.cut.lock().unwrap() = false;
            block_on(upkeep.tick()).unwrap();
        }
    });
    let lines = captured.0.lock().unwrap();
    let count = |level: &str| lines.iter().filter(|line| line.starts_with(level)).count();
    assert_eq!((count("WARN"), count("DEBUG")), (1, 49), "{lines:?}");
}

#[test]
fn an_upkeep_that_stops_is_logged() {
    let captured = Captured::default();
    tracing::subscriber::with_default(captured.clone(), || {
        let view = view(&Log::new(), &ManualClock::default());
        let upkeep = || view.upkeep().observer(Arc::new(TracingObserver::new()));
        let run = upkeep().run(|_| std::future::pending());
        assert!(block_on(give_up_after(1, run)).is_none());
        let run = upkeep().run(|_| async { panic!("a planned panic") });
        let run = std::panic::AssertUnwindSafe(|| block_on(run));
        assert!(std::panic::catch_unwind(run).is_err());
    });
    let lines = captured.0.lock().unwrap();
    let lag = "TRACE view lag behind_seconds=0 facts=0";
    let expected = [
        "INFO upkeep started",
        lag,
        "INFO upkeep stopped follows_view=true",
        "INFO upkeep started",
        lag,
        "ERROR upkeep panicked follows_view=true",
    ];
    assert_eq!(*lines, expected);
}

/// A view without upkeep refuses all logins. The mistake is logged once, without an observer: by a
/// call, and behind a bare layer.
#[test]
fn a_view_that_nobody_follows_is_logged_once() {
    for is_layered in [false, true] {
        let captured = Captured::default();
        tracing::subscriber::with_default(captured.clone(), || {
            let clock = ManualClock::default();
            let view = view(&Log::new(), &clock);
            let auth: TokenAuthenticator = tokens(&clock).revocations(&view).build().unwrap();
            let auth = Arc::new(auth);
            block_on(async {
                let issued = auth.issue(Login::new("alice")).await.unwrap();
                for passed in [0, 4, 1, 60] {
                    clock.advance(Duration::from_secs(passed));
                    match is_layered {
                        true => assert!(is_refused(&auth, secret(&issued)).await),
                        false => {
                            let error = auth.verify(secret(&issued)).await.unwrap_err();
                            assert!(error.is_unavailable());
                            assert!(error.to_string().contains("auth.upkeep().run("), "{error}");
                            assert!(auth.ready().await.is_err());
                        }
                    }
                    // In the first moments of a process the first read may not have begun.
                    let is_logged = mistakes(&captured).len();
                    assert_eq!(is_logged, usize::from(passed == 1 || passed == 60));
                }
                auth.upkeep().tick().await.unwrap();
                auth.verify(secret(&issued)).await.unwrap();
                auth.ready().await.unwrap();
            });
        });
        let lines = mistakes(&captured);
        let start = "ERROR the revocation view was never read, so it refuses all logins:";
        assert!(lines[0].starts_with(start), "{lines:?}");
    }
}

/// Returns the lines at *error*.
fn mistakes(captured: &Captured) -> Vec<String> {
    let lines = captured.0.lock().unwrap();
    let mistakes = lines.iter().filter(|line| line.starts_with("ERROR"));
    mistakes.cloned().collect()
}

/// Verifies a token behind a layer without an observer. Returns true if the answer is a 503.
async fn is_refused(auth: &Arc<TokenAuthenticator>, token: &str) -> bool {
    let layer = AuthLayer::new(auth.clone(), Transport::bearer()).unwrap();
    let mut headers = http::HeaderMap::new();
    headers.insert("authorization", format!("Bearer {token}").parse().unwrap());
    let serving = layer.begin("GET", "/", None, &headers).await.unwrap();
    let denial = serving.sign_in().verify().await.unwrap_err();
    matches!(denial, Denial::Failed(error) if error.is_unavailable())
}

/// A view that was followed, and is no longer, is logged once, also if it accepts logins then.
#[test]
fn a_view_whose_upkeep_has_ended_is_logged_once() {
    for accepts in [false, true] {
        let captured = Captured::default();
        tracing::subscriber::with_default(captured.clone(), || {
            let (clock, log) = (ManualClock::default(), Log::new());
            let builder = RevocationView::builder(log.clone())
                .max_lifetime(Duration::from_secs(3600))
                .bound(Duration::from_secs(5))
                .clock(clock.clone());
            let view = match accepts {
                true => builder.accept_when_stale().build().unwrap(),
                false => builder.build().unwrap(),
            };
            let auth: TokenAuthenticator = tokens(&clock).revocations(&view).build().unwrap();
            block_on(async {
                let issued = auth.issue(Login::new("alice")).await.unwrap();
                let is_logged = || captured.0.lock().unwrap().len();
                // The log fails, and the upkeep goes on.
                auth.upkeep().tick().await.unwrap();
                *log.cut.lock().unwrap() = true;
                for _ in 0..20 {
                    clock.advance(Duration::from_secs(1));
                    assert!(auth.upkeep().tick().await.is_err());
                    let _ = auth.verify(secret(&issued)).await;
                    assert_eq!(is_logged(), 0);
                }
                *log.cut.lock().unwrap() = false;
                for count in [1, 2] {
                    auth.upkeep().tick().await.unwrap();
                    auth.verify(secret(&issued)).await.unwrap();
                    // A machine that was suspended finds the view stale before its first read.
                    clock.advance(Duration::from_secs(100));
                    assert_eq!(auth.verify(secret(&issued)).await.is_ok(), accepts);
                    assert_eq!(is_logged(), count - 1);
                    for passed in [4, 1, 60] {
                        clock.advance(Duration::from_secs(passed));
                        assert_eq!(auth.verify(secret(&issued)).await.is_ok(), accepts);
                        assert_eq!(is_logged(), count - usize::from(passed == 4));
                    }
                }
            });
        });
        let effect = match accepts {
            true => "it accepts logins that have been ended since:",
            false => "it refuses all logins:",
        };
        let start = format!("ERROR the revocation view is no longer read, so {effect}");
        let lines = captured.0.lock().unwrap();
        assert!(
            lines.iter().all(|line| line.starts_with(&start)),
            "{lines:?}"
        );
    }
}

/// A cached store without upkeep works, and asks its store each time: nothing else would show it.
#[test]
fn a_cache_that_nobody_keeps_up_is_logged_once() {
    for refuses in [false, true] {
        let captured = Captured::default();
        tracing::subscriber::with_default(captured.clone(), || {
            let clock = ManualClock::default();
            let view = view(&Log::new(), &clock);
            let builder = CachedStore::builder(store(10), &view).max_age(Duration::from_secs(20));
            let cached = match refuses {
                true => builder.refuse_when_stale().build().unwrap(),
                false => builder.build().unwrap(),
            };
            let auth: SessionAuthenticator<_> = SessionAuthenticator::builder(cached)
                .idle(Duration::from_secs(600))
                .absolute(Duration::from_secs(3000))
                .clock(clock.clone())
                .build()
                .unwrap();
            block_on(async {
                let issued = auth.issue(Login::new("alice")).await.unwrap();
                for passed in [0, 4, 1, 60] {
                    clock.advance(Duration::from_secs(passed));
                    let verified = auth.verify(secret(&issued)).await;
                    assert_eq!(verified.is_ok(), !refuses);
                    let is_logged = captured.0.lock().unwrap().len();
                    assert_eq!(is_logged, usize::from(passed == 1 || passed == 60));
                }
            });
        });
        let effect = match refuses {
            true => "cached sessions are unavailable:",
            false => "the cache asks its store each time:",
        };
        let start = format!("ERROR the revocation view was never read, so {effect}");
        let lines = captured.0.lock().unwrap();
        assert!(lines[0].starts_with(&start), "{lines:?}");
    }
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
