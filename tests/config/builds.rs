//! Authenticators built from a file: each strategy over stores, with keys of every kind.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use statewise::clock::Clock;
use statewise::config::Config;
use statewise::testkit::{ManualClock, block_on};
use statewise::token::MasterKey;
use statewise::web::AuthLayer;
use statewise::{Authenticator, DynAuthenticator, Login, Preset, Rejection, Revocation};

use crate::{complete, misuse, with};

type Auth = Arc<dyn DynAuthenticator<()>>;

const MINUTE: Duration = Duration::from_secs(60);

async fn built(config: Config, clock: &ManualClock) -> Auth {
    config.clock(clock.clone()).build().await.unwrap()
}

/// Lets time pass on a node that follows its log and sweeps its store.
async fn pass(auth: &Auth, clock: &ManualClock, by: Duration) {
    clock.advance(by);
    auth.upkeep().tick().await.unwrap();
}

/// One program, which does not know the strategy: login, verification, refresh, expiry and logout.
async fn run_program(auth: &Auth, clock: &ManualClock) -> Revocation {
    let issued = auth.issue(Login::new("alice").role("admin")).await.unwrap();
    let caller = auth.verify(issued.credential().reveal()).await.unwrap();
    assert!(caller.has_role("admin"));
    pass(auth, clock, 9 * MINUTE).await;
    let issued = auth.refresh(issued.refreshable().reveal()).await.unwrap();
    auth.verify(issued.credential().reveal()).await.unwrap();
    let idle = auth.issue(Login::new("idle")).await.unwrap();
    let logout = auth.revoke(issued.credential().reveal()).await.unwrap();
    let revoked = auth.verify(issued.credential().reveal()).await;
    let is_at_expiry = matches!(logout.effective, Revocation::AtExpiry(_));
    assert_eq!(revoked.is_ok(), is_at_expiry);
    pass(auth, clock, 31 * MINUTE).await;
    let expired = auth.verify(idle.credential().reveal()).await.unwrap_err();
    assert!(expired.is_rejected(), "{expired}");
    logout.effective
}

#[test]
fn one_line_changes_the_strategy_and_nothing_in_the_program() {
    block_on(async {
        for strategy in ["sessions", "tokens", "hybrid"] {
            let clock = ManualClock::default();
            let auth = built(with(complete(strategy), &json!({})), &clock).await;
            assert_eq!(auth.has_refresh_credentials(), strategy == "hybrid");
            let effective = run_program(&auth, &clock).await;
            match strategy {
                "sessions" => assert_eq!(effective, Revocation::Immediate),
                _ => assert_eq!(effective, Revocation::Within(Duration::from_secs(5))),
            }
        }
        let clock = ManualClock::default();
        let changes = json!({"store": null, "revocations": "none"});
        let auth = built(with(complete("tokens"), &changes), &clock).await;
        let effective = run_program(&auth, &clock).await;
        assert!(
            matches!(effective, Revocation::AtExpiry(_)),
            "{effective:?}"
        );
    });
}

/// The absolute timeout ends a login of every strategy, however much it is refreshed.
#[test]
fn lifetimes_are_those_of_the_file() {
    block_on(async {
        for strategy in ["sessions", "tokens", "hybrid"] {
            let clock = ManualClock::default();
            let changes =
                json!({"absolute": "1h", "remembered_idle": "1h", "remembered_absolute": "2h"});
            let auth = built(with(complete(strategy), &changes), &clock).await;
            for (login, minutes) in [
                (Login::new("alice"), 60),
                (Login::new("bob").remember(), 120),
            ] {
                let mut issued = auth.issue(login).await.unwrap();
                let begun = issued.identity().authenticated_at();
                let mut lasted = 0;
                loop {
                    pass(&auth, &clock, 8 * MINUTE).await;
                    match auth.refresh(issued.refreshable().reveal()).await {
                        Ok(refreshed) => issued = refreshed,
                        Err(error) => {
                            assert!(error.is_rejected(), "{strategy}: {error}");
                            break;
                        }
                    }
                    lasted += 8;
                }
                assert_eq!(lasted, (minutes - 1) / 8 * 8, "{strategy}");
                let deadline = issued.identity().deadline();
                assert_eq!(
                    deadline - begun,
                    time::Duration::minutes(minutes),
                    "{strategy}"
                );
            }
        }
    });
}

#[test]
fn limits_are_those_of_the_file() {
    block_on(async {
        for (reached, first, third) in [
            (json!("reject"), true, false),
            (json!("evict_oldest"), false, true),
            (json!("evict_least_recently_used"), false, true),
        ] {
            let clock = ManualClock::default();
            let changes = json!({"limit": 2, "limit_reached": reached, "capacity": 3});
            let auth = built(with(complete("sessions"), &changes), &clock).await;
            let mut issued = Vec::new();
            for _ in 0..3 {
                clock.advance(MINUTE);
                issued.push(auth.issue(Login::new("alice")).await);
            }
            assert_eq!(issued[2].is_ok(), third, "{reached}");
            let credential = issued[0].as_ref().unwrap().credential().reveal();
            assert_eq!(auth.verify(credential).await.is_ok(), first, "{reached}");
            if third {
                assert!(auth.issue(Login::new("bob")).await.is_ok());
                let full = auth.issue(Login::new("carol")).await.unwrap_err();
                assert!(full.is_refused(), "{full}");
            }
        }
    });
}

#[test]
fn sessions_rotate_at_the_age_of_the_file() {
    block_on(async {
        let clock = ManualClock::default();
        let changes = json!({"rotate_after": "5m"});
        let auth = built(with(complete("sessions"), &changes), &clock).await;
        let issued = auth.issue(Login::new("alice")).await.unwrap();
        for (minutes, is_due) in [(4, false), (1, true)] {
            clock.advance(minutes * MINUTE);
            let caller = auth.verify(issued.credential().reveal()).await.unwrap();
            assert_eq!(caller.refresh_due(), is_due);
        }
    });
}

/// A file in the target folder, removed at the end.
struct Text(PathBuf);

impl Text {
    fn new(name: &str, text: &str) -> Self {
        let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
        fs::write(&path, text).unwrap();
        Self(path)
    }

    fn path(&self) -> &str {
        self.0.to_str().unwrap()
    }
}

impl Drop for Text {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

#[test]
fn keys_of_every_kind_are_read_from_a_file() {
    block_on(async {
        let clock = ManualClock::default();
        let master = MasterKey::generate().unwrap();
        let derived = master.key_for("https://auth.example", "api").unwrap();
        let hex = "860cef640b3f5ca17323c277f16fe952a61aa563f6fa83d78a17cb7eea6be87b\n";
        let issued = |text: &str| {
            let clock = clock.clone();
            let file = Text::new(&format!("key-{}", text.len()), text);
            async move {
                let changes = json!({"key_in_clear": null, "key_file": file.path()});
                let auth = built(with(complete("tokens"), &changes), &clock).await;
                let issued = auth.issue(Login::new("alice")).await.unwrap();
                let token = issued.credential().reveal().to_owned();
                assert!(auth.verify(&token).await.is_ok());
                token
            }
        };
        issued(hex).await;
        let of_master = issued(&format!("{}\n", master.reveal())).await;
        assert_eq!(of_master[..63], issued(&derived.reveal()).await[..63]);
    });
}

/// The order of a rotation: the new key verifies on all nodes before one of them signs with it.
#[test]
fn a_second_key_verifies_and_does_not_sign() {
    block_on(async {
        let clock = ManualClock::default();
        let new = "860cef640b3f5ca17323c277f16fe952a61aa563f6fa83d78a17cb7eea6be87b\n";
        let old = complete("tokens")["key_in_clear"]
            .as_str()
            .unwrap()
            .to_owned();
        let (new, old) = (Text::new("new-key", new), Text::new("old-key", &old));
        let free = json!({"store": null, "revocations": "none", "key_in_clear": null});
        let node = |signs: &Text, verifies: Option<&Text>| {
            let mut changes = free.clone();
            changes["key_file"] = json!(signs.path());
            changes["verify_key_file"] = verifies.map_or(Value::Null, |file| json!(file.path()));
            built(with(complete("tokens"), &changes), &clock)
        };
        let before = node(&old, None).await;
        let first = node(&old, Some(&new)).await;
        let second = node(&new, Some(&old)).await;
        let token = |auth: Auth| async move {
            let issued = auth.issue(Login::new("alice")).await.unwrap();
            issued.credential().reveal().to_owned()
        };
        let (of_first, of_second) = (
            token(Arc::clone(&first)).await,
            token(Arc::clone(&second)).await,
        );
        for auth in [&first, &second] {
            assert!(auth.verify(&of_first).await.is_ok());
            assert!(auth.verify(&of_second).await.is_ok());
        }
        assert!(before.verify(&of_first).await.is_ok());
        let refused = before.verify(&of_second).await.unwrap_err();
        assert_eq!(refused.rejection(), Some(Rejection::UnacceptableHeader));
    });
}

#[cfg(any(feature = "aws-lc-rs", feature = "ring", feature = "rustcrypto"))]
#[test]
fn a_private_key_in_pem_signs() {
    use statewise::token::SigningKey;

    block_on(async {
        let clock = ManualClock::default();
        let pair = SigningKey::generate_es256().unwrap();
        let file = Text::new("key.pem", &pair.reveal());
        let changes = json!({"key_in_clear": null, "key_file": file.path()});
        let auth = built(with(complete("hybrid"), &changes), &clock).await;
        let _ = run_program(&auth, &clock).await;
    });
}

/// The layer carries the credential as the file says, and refreshes a hybrid.
#[test]
fn the_layer_is_that_of_the_file() {
    block_on(async {
        for strategy in ["sessions", "tokens", "hybrid"] {
            for (transport, cookie) in [("cookie", true), ("bearer", false), ("both", true)] {
                let mut changes = json!({"transport": transport});
                if cookie {
                    changes["cookie"] = json!({"refresh_path": "/account"});
                }
                let config = with(complete(strategy), &changes);
                let auth = config.build::<()>().await.unwrap();
                let issued = auth.issue(Login::new("alice")).await.unwrap();
                let credential = issued.credential().reveal().to_owned();
                let layer = config.layer(auth).unwrap();
                let cookies = format!("__Host-id={credential}");
                let bearer = format!("Bearer {credential}");
                for (name, value, counts) in [
                    ("cookie", &cookies, cookie),
                    ("authorization", &bearer, transport != "cookie"),
                ] {
                    let found = has_caller(&layer, name, value).await;
                    assert_eq!(found, counts, "{strategy} {transport} {name}");
                }
            }
        }
        let config = with(complete("hybrid"), &json!({"cookie": {"name": "id"}}));
        assert!(misuse(config.check()).contains("`cookie`: other hosts can plant"));
        let insecure = json!({"cookie": {"insecure": true}});
        let config = with(complete("hybrid"), &insecure);
        let auth = config.build::<()>().await.unwrap();
        assert!(config.layer(auth).is_ok());
    });
}

/// Returns whether a request with this field has a caller.
async fn has_caller(layer: &AuthLayer, name: &str, value: &str) -> bool {
    let request = [(name.to_owned(), value.to_owned())];
    let serving = layer.begin("GET", "/", None, &request).await.unwrap();
    let caller = serving.sign_in().verify().await;
    drop(serving);
    caller.is_ok()
}

#[test]
fn a_file_names_a_preset_instead_of_times() {
    for strategy in ["sessions", "tokens", "hybrid"] {
        for preset in Preset::ALL {
            let times = json!({"idle": null, "absolute": null, "token_lifetime": "5m", "preset": preset.name()});
            let config = with(complete(strategy), &times);
            let auth = block_on(config.build::<()>()).unwrap();
            let issued = block_on(auth.issue(Login::new("alice"))).unwrap();
            let identity = issued.identity();
            let lasts = identity.deadline() - identity.authenticated_at();
            assert_eq!(lasts, preset.absolute(), "{strategy} {preset:?}");
        }
    }
}

#[cfg(feature = "redb")]
#[test]
fn a_file_of_redb_keeps_sessions_and_revocations() {
    block_on(async {
        let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("configured.redb");
        let _ = fs::remove_file(&path);
        let changes = json!({"store": format!("redb:{}", path.display()), "require_durable": true});
        for strategy in ["sessions", "hybrid", "tokens"] {
            let clock = ManualClock::default();
            let auth = built(with(complete(strategy), &changes), &clock).await;
            let issued = auth.issue(Login::new("alice")).await.unwrap();
            drop(auth);
            let auth = built(with(complete(strategy), &changes), &clock).await;
            let caller = auth.verify(issued.credential().reveal()).await.unwrap();
            assert_eq!(caller.subject(), "alice", "{strategy}");
            let _ = run_program(&auth, &clock).await;
        }
        fs::remove_file(path).unwrap();
    });
}

#[test]
fn the_clock_of_a_test_counts_for_everything() {
    block_on(async {
        let clock = ManualClock::default();
        let auth = built(with(complete("sessions"), &json!({})), &clock).await;
        let issued = auth.issue(Login::new("alice")).await.unwrap();
        let now = clock.now().unwrap().unix();
        assert_eq!(
            issued.identity().authenticated_at().unix_timestamp() as u64,
            now
        );
    });
}
