//! Presets of sessions, tokens, the hybrid and cookies: the numbers of the standards, and weaker settings.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

use std::time::Duration;

use statewise::hybrid::HybridAuthenticator;
use statewise::revocation::{MemoryLog, RevocationView};
use statewise::session::{Limit, NeedsIdle, SessionAuthenticator, SessionBuilder};
use statewise::store::MemoryStore;
use statewise::testkit::{ManualClock, block_on};
use statewise::token::{Key, TokenAuthenticator, TokenBuilder};
use statewise::web::{Cookie, SameSite};
use statewise::{Authenticator, Login, Preset, Result};

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(24 * 3600);
const SECOND: Duration = Duration::from_secs(1);

/// Idle and absolute timeout: NIST SP 800-63B-4, sections 2.1.3, 2.2.3 and 2.3.3, and the OWASP
/// Session Management Cheat Sheet.
const NUMBERS: [(Preset, Duration, Duration); 4] = [
    (
        Preset::Aal1,
        Duration::from_secs(30 * 24 * 3600),
        Duration::from_secs(30 * 24 * 3600),
    ),
    (Preset::Aal2, HOUR, DAY),
    (
        Preset::Aal3,
        Duration::from_secs(15 * 60),
        Duration::from_secs(12 * 3600),
    ),
    (
        Preset::Asvs,
        Duration::from_secs(30 * 60),
        Duration::from_secs(8 * 3600),
    ),
];

/// The text of a mistake.
#[track_caller]
fn misuse<T>(result: Result<T>) -> String {
    let error = result.err().expect("was accepted");
    assert!(error.is_misuse(), "{error}");
    error.to_string()
}

fn sessions() -> NeedsIdle<MemoryStore> {
    SessionAuthenticator::builder(MemoryStore::with_capacity(100).unwrap())
}

fn within(preset: Preset, idle: Duration, absolute: Duration) -> SessionBuilder<MemoryStore> {
    sessions().idle(idle).absolute(absolute).preset(preset)
}

fn tokens() -> TokenBuilder {
    TokenAuthenticator::builder(Key::generate_hs256().unwrap())
        .issuer("https://auth.example")
        .audience("api")
        .lifetime(10 * MINUTE)
}

fn view(lifetime: Duration) -> RevocationView {
    let builder = RevocationView::builder(MemoryLog::new().unwrap());
    builder.max_lifetime(lifetime).build().unwrap()
}

#[test]
fn a_preset_has_the_numbers_of_its_standard() {
    for (preset, idle, absolute) in NUMBERS {
        assert_eq!(
            (preset.idle(), preset.absolute()),
            (idle, absolute),
            "{preset:?}"
        );
        block_on(async {
            let clock = ManualClock::default();
            let auth = sessions()
                .preset(preset)
                .clock(clock.clone())
                .build()
                .unwrap();
            let issued = auth.issue(Login::new("alice")).await.unwrap();
            let identity = issued.identity();
            let lasts = identity.deadline() - identity.authenticated_at();
            assert_eq!(lasts, absolute);
            clock.advance(idle - SECOND);
            let passive = statewise::Presented::new(issued.credential().reveal()).passive();
            assert!(auth.verify_with(passive).await.is_ok(), "{preset:?}");
            clock.advance(SECOND);
            assert!(auth.verify_with(passive).await.is_err(), "{preset:?}");
        });
    }
    assert_eq!(
        Preset::ALL.map(Preset::name),
        ["aal1", "aal2", "aal3", "asvs"]
    );
}

#[test]
fn what_is_stricter_is_kept_and_what_is_weaker_is_refused() {
    for (preset, idle, absolute) in NUMBERS {
        let build = |idle, absolute| within(preset, idle, absolute).build();
        assert!(build(idle, absolute).is_ok());
        assert!(build(idle - SECOND, absolute - SECOND).is_ok());
        let text = misuse(build(idle.min(absolute), absolute + SECOND));
        assert!(text.contains("the absolute timeout is longer"), "{text}");
        assert!(
            text.contains(&format!("weaker than the preset {}", preset.name())),
            "{text}"
        );
        if idle < absolute {
            let text = misuse(build(idle + SECOND, absolute));
            assert!(text.contains("the idle timeout is longer"), "{text}");
        }
        let remembered =
            |absolute| within(preset, MINUTE, HOUR).remembered(idle.min(absolute), absolute);
        assert!(remembered(absolute).build().is_ok());
        let text = misuse(remembered(absolute + SECOND).build());
        assert!(text.contains("of remembered logins is longer"), "{text}");
    }
    for (preset, obligation) in [
        (Preset::Aal1, "section 2.1.3 (SHOULD)"),
        (Preset::Aal2, "section 2.2.3 (SHOULD)"),
        (Preset::Aal3, "section 2.3.3 (SHALL)"),
        (Preset::Asvs, "OWASP ASVS 7.3.2"),
    ] {
        let text = misuse(within(preset, MINUTE, 31 * DAY).build());
        assert!(text.contains(obligation), "{text}");
    }
}

#[test]
fn defaults_of_rotation_and_limit_give_way() {
    async fn facts(builder: SessionBuilder<MemoryStore>) -> Result<(bool, u32)> {
        let clock = ManualClock::default();
        let auth = builder.clock(clock.clone()).build()?;
        let issued = auth.issue(Login::new("alice")).await?;
        clock.advance(15 * MINUTE - SECOND);
        let caller = auth.verify(issued.credential().reveal()).await?;
        clock.advance(SECOND);
        let due = auth
            .verify(issued.credential().reveal())
            .await?
            .refresh_due();
        assert!(!caller.refresh_due() || due);
        for _ in 0..20 {
            clock.advance(SECOND);
            let _ = auth.issue(Login::new("bob")).await?;
        }
        let page = auth.sessions("bob", None).await?;
        Ok((due, page.sessions.len() as u32))
    }
    block_on(async {
        let plain = |preset| within(preset, 15 * MINUTE, HOUR * 8);
        assert_eq!(facts(plain(Preset::Aal3)).await.unwrap(), (true, 10));
        assert_eq!(facts(plain(Preset::Aal2)).await.unwrap(), (false, 10));
        let other = || {
            plain(Preset::Aal3)
                .rotate_after(30 * MINUTE)
                .limit(Limit::Unlimited)
        };
        assert_eq!(facts(other()).await.unwrap(), (false, 20));
        let none = sessions().idle(15 * MINUTE).absolute(HOUR);
        assert_eq!(facts(none).await.unwrap(), (false, 20));
    });
}

#[test]
fn tokens_must_be_revocable_and_short() {
    let view = view(DAY);
    let revocable = || tokens().preset(Preset::Aal2).revocations(&view);
    let built = revocable().build().unwrap();
    let issued = block_on(async {
        view.follow().await.unwrap();
        built.issue(Login::new("alice")).await.unwrap()
    });
    let identity = issued.identity();
    assert_eq!(identity.deadline() - identity.authenticated_at(), DAY);
    let text = misuse(tokens().preset(Preset::Aal2).build());
    assert!(
        text.contains("call `revocations`") && text.contains("ASVS 7.4.1"),
        "{text}"
    );
    let text = misuse(revocable().max_lifetime(DAY + SECOND).build());
    assert!(
        text.contains("the maximum lifetime of a login is longer"),
        "{text}"
    );
    let text = misuse(
        revocable()
            .max_lifetime(HOUR)
            .remembered(DAY + SECOND)
            .build(),
    );
    assert!(
        text.contains("the maximum lifetime of a login is longer"),
        "{text}"
    );
    assert!(revocable().max_lifetime(HOUR).build().is_ok());
    let long = TokenAuthenticator::builder(Key::generate_hs256().unwrap())
        .issuer("https://auth.example")
        .audience("api")
        .lifetime(HOUR + SECOND)
        .preset(Preset::Aal2)
        .revocations(&view);
    let text = misuse(long.build());
    assert!(
        text.contains("the lifetime of a token, after which an unused login ends"),
        "{text}"
    );
}

#[test]
fn a_preset_of_either_builder_counts_for_the_whole_hybrid() {
    let view = view(DAY);
    let plain = || sessions().idle(2 * HOUR).absolute(DAY);
    assert!(HybridAuthenticator::new(tokens(), plain()).is_ok());
    // In the sessions: the tokens must be revocable.
    let preset = || sessions().preset(Preset::Aal2);
    let text = misuse(HybridAuthenticator::new(tokens(), preset()));
    assert!(text.contains("call `revocations`"), "{text}");
    assert!(HybridAuthenticator::new(tokens().revocations(&view), preset()).is_ok());
    // In the tokens: the sessions must be short.
    let revocable = tokens().preset(Preset::Aal2).revocations(&view);
    let text = misuse(HybridAuthenticator::new(revocable, plain()));
    assert!(
        text.contains("the idle timeout is longer than 60 minutes"),
        "{text}"
    );
}

#[test]
fn cookies_are_as_strict_as_the_standard() {
    for preset in Preset::ALL {
        let cookie = || Cookie::builder().preset(preset);
        assert_eq!(cookie().build().unwrap(), Cookie::default());
        assert!(cookie().same_site(SameSite::Strict).build().is_ok());
        assert!(
            cookie()
                .path("/auth")
                .name("__Secure-refresh")
                .build()
                .is_ok()
        );
        let old = cookie().max_age(DAY).build();
        assert_eq!(old.is_ok(), preset == Preset::Aal1, "{preset:?}");
        for (weak, expected) in [
            (cookie().insecure(), "remove insecure()"),
            (cookie().domain("example.com"), "remove domain()"),
            (cookie().unprefixed(), "remove unprefixed()"),
            (cookie().same_site(SameSite::None), "use `Lax` or `Strict`"),
        ] {
            let text = misuse(weak.build());
            assert!(text.contains(expected) && text.contains("5.1.1"), "{text}");
        }
    }
    assert!(Cookie::builder().insecure().build().is_ok());
}
