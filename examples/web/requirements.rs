//! Prints, for a configuration, each requirement of NIST SP 800-63B-4 and OWASP ASVS 5.0 on sessions:
//! how it is met, and by which test of this repository, or that the application must meet it.
//!
//! ```text
//! cargo run --example requirements -- aal2                  # sessions in memory with that preset
//! cargo run --example requirements -- my.toml               # a file of `statewise::config`
//! cargo run --example requirements -- my.toml aal3          # the same, held to another preset
//! ```
//!
//! The command fails if the configuration breaks a requirement.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use statewise::Preset;
use statewise::config::Config;

type Failure = Box<dyn std::error::Error>;

fn main() -> Result<(), Failure> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let (text, preset) = match args[..] {
        [name] if preset(name).is_some() => (IN_MEMORY.to_owned(), Some(name)),
        [path] => (std::fs::read_to_string(path)?, None),
        [path, name] => (std::fs::read_to_string(path)?, Some(name)),
        _ => return Err("name a preset (aal1, aal2, aal3, asvs), a file, or both".into()),
    };
    let (page, is_met) = report(&text, preset)?;
    print!("{page}");
    match is_met {
        true => Ok(()),
        false => Err("the configuration breaks a requirement".into()),
    }
}

const IN_MEMORY: &str = "strategy = \"sessions\"\nstore = \"memory\"\n";

fn preset(name: &str) -> Option<Preset> {
    Preset::ALL.into_iter().find(|preset| preset.name() == name)
}

/// Side that meets a requirement.
enum Met {
    /// This crate: how, and a test that shows it.
    By(String, &'static str),
    /// The application, by this step.
    Application(&'static str),
    /// Neither, against a recommendation. The text says how to follow it.
    Deviates(&'static str),
    /// Neither. The text is the remedy.
    Broken(&'static str),
}

/// Returns the page, and whether no requirement is broken.
pub(crate) fn report(text: &str, preset: Option<&str>) -> Result<(String, bool), Failure> {
    let text = match preset {
        Some(name) => with_preset(text, name),
        None => text.to_owned(),
    };
    let config: Config = toml::from_str(&text)?;
    config.check()?;
    let fields: BTreeMap<&str, String> = config.effective().into_iter().collect();
    let mut page = String::from("Configuration\n");
    for (name, value) in &fields {
        writeln!(page, "  {name} = {value}")?;
    }
    let mut is_met = true;
    for (standard, rows) in [
        ("NIST SP 800-63B-4", nist(&fields)),
        ("OWASP ASVS 5.0", asvs(&fields)),
    ] {
        writeln!(page, "\n{standard}")?;
        for (section, what, met) in rows {
            writeln!(page, "  {section:14} {what}")?;
            let (mark, how) = match met {
                Met::By(how, test) => ("met", format!("{how}\n{:20}test: {test}", "")),
                Met::Application(what) => ("yours", what.to_owned()),
                Met::Deviates(what) => ("DEVIATES", what.to_owned()),
                Met::Broken(what) => {
                    is_met = false;
                    ("BROKEN", what.to_owned())
                }
            };
            writeln!(page, "{:17}{mark}: {how}", "")?;
        }
    }
    Ok((page, is_met))
}

/// Replaces the preset of a file.
fn with_preset(text: &str, name: &str) -> String {
    let others = text.lines().filter(|line| {
        let field = line.split('=').next().unwrap_or_default();
        field.trim() != "preset"
    });
    let others: Vec<&str> = others.collect();
    format!("preset = \"{name}\"\n{}", others.join("\n"))
}

type Rows = Vec<(&'static str, String, Met)>;

fn by(how: impl Into<String>, test: &'static str) -> Met {
    Met::By(how.into(), test)
}

/// Requirements on timeouts, credentials and cookies: sections 2.1.3 to 2.3.3, 5.1 and 5.2.
fn nist(fields: &BTreeMap<&str, String>) -> Rows {
    let of = |name: &str| fields.get(name).map_or("", String::as_str);
    let (idle, absolute) = (of("idle"), of("absolute"));
    let preset = preset(of("preset"));
    let (section, overall, inactivity) = match preset {
        Some(Preset::Aal1) => ("2.1.3", "SHOULD be no more than 30 days", "MAY be applied"),
        Some(Preset::Aal2) => (
            "2.2.3",
            "SHOULD be no more than 24 hours",
            "SHOULD be no more than 1 hour",
        ),
        Some(Preset::Aal3) => (
            "2.3.3",
            "SHALL be no more than 12 hours",
            "SHOULD be no more than 15 minutes",
        ),
        _ => ("2.1.3 to 2.3.3", "no level named", "no level named"),
    };
    let is_token = of("strategy") == "tokens";
    let mut rows: Rows = vec![
        (
            section,
            "A definite overall timeout SHALL be established".into(),
            by(
                format!("absolute = {absolute}, which no use and no refresh extends"),
                match is_token {
                    true => {
                        "tests/token/own.rs::refreshing_moves_neither_the_authentication_nor_the_deadline"
                    }
                    false => {
                        "tests/session/main.rs::a_hundred_refreshes_move_neither_authentication_time_nor_deadline"
                    }
                },
            ),
        ),
        (
            section,
            format!("The overall timeout: {overall}"),
            by(
                format!("absolute = {absolute}; a longer one fails at build if a preset is named"),
                "tests/compose/presets.rs::a_preset_has_the_numbers_of_its_standard",
            ),
        ),
        (
            section,
            format!("The inactivity timeout: {inactivity}"),
            by(
                match is_token {
                    true => format!(
                        "token_lifetime = {}: a token that is not refreshed expires",
                        of("token_lifetime")
                    ),
                    false => format!("idle = {idle}"),
                },
                "tests/compose/presets.rs::what_is_stricter_is_kept_and_what_is_weaker_is_refused",
            ),
        ),
    ];
    rows.extend(authentication(preset));
    rows.extend(secrets(fields));
    rows.push((
        "5.2",
        "When either timeout expires, the session SHALL be terminated; activity SHALL reset the inactivity timeout".into(),
        by("judged at each verification, by one clock", "src/testkit/laws/expiry.rs::expiry_01_the_first_limit_ends_it"),
    ));
    rows.push((
        "5.2",
        "Limits SHALL be documented".into(),
        Met::Application("put the first part of this page into your security plan"),
    ));
    rows
}

/// Requirements on the authentication itself, before this crate is called.
fn authentication(preset: Option<Preset>) -> Rows {
    let factors = match preset {
        Some(Preset::Aal1) => "verify one authenticator of section 2.1.1",
        Some(Preset::Aal3) => {
            "verify two factors, one of them a key that cannot be exported (2.3.1)"
        }
        _ => "verify two factors (2.2.1)",
    };
    vec![
        (
            "2",
            "Authenticators of the level SHALL be verified".into(),
            Met::Application(factors),
        ),
        (
            "5.1",
            "A session SHALL NOT be considered of a higher level than its authentication".into(),
            by(
                "pass the level as `Login::acr`, and guard routes with `Require::acr`",
                "tests/layer/guards.rs::role_age_and_acr_are_checked_before_the_service_runs",
            ),
        ),
    ]
}

/// Section 5.1 on session secrets, and 5.1.1 on cookies.
fn secrets(fields: &BTreeMap<&str, String>) -> Rows {
    let of = |name: &str| fields.get(name).map_or("", String::as_str);
    let is_token = of("strategy") == "tokens";
    let is_cookie = of("transport") != "bearer";
    let mut rows: Rows = vec![
        (
            "5.1",
            "Secrets SHALL be made by the session host during authentication, at least 64 bits, by an approved generator".into(),
            match is_token {
                true => by("a signature by a key of 256 bits or more", "tests/token/own.rs::weak_keys_and_other_kinds_of_keys_are_refused"),
                false => by("128 bits that find the session and 256 that prove it, of the operating system", "tests/session/main.rs::a_quarter_of_a_million_credentials_are_unique_and_uniform"),
            },
        ),
        (
            "5.1",
            "Secrets SHALL be invalidated when the subscriber logs out".into(),
            logout(fields),
        ),
        (
            "5.1",
            "Secrets SHALL be sent only over an authenticated protected channel".into(),
            Met::Application("serve over TLS only; cookies are `Secure`"),
        ),
    ];
    if !is_cookie {
        rows.push((
            "5.1",
            "Secrets SHOULD NOT be kept in insecure places such as local storage".into(),
            Met::Application(
                "clients keep their tokens in memory or in the keystore of the system",
            ),
        ));
        return rows;
    }
    let given = |name: &str| !matches!(of(name), "" | "false");
    const DEFAULT: &str = "tests/layer/cookies.rs::the_cookie_is_secure_by_default";
    const STRICT: &str = "tests/compose/presets.rs::cookies_are_as_strict_as_the_standard";
    let unless = |is_other, met, test| match is_other {
        true => met,
        false => by("the cookie of this configuration", test),
    };
    let (is_insecure, has_domain) = (given("cookie.insecure"), given("cookie.domain"));
    let domain =
        Met::Application("all hosts below cookie.domain get the cookie: each must need it");
    let is_shared = has_domain || given("cookie.path");
    let is_for_all = of("cookie.same_site") == "None";
    for (what, met) in [
        (
            "Cookies SHALL be Secure",
            unless(is_insecure, Met::Broken("remove cookie.insecure"), DEFAULT),
        ),
        (
            "Cookies SHALL be accessible to the minimum of hosts and paths",
            unless(has_domain, domain, STRICT),
        ),
        ("Cookies SHOULD be HttpOnly", by("always", DEFAULT)),
        (
            "Cookies SHOULD have the prefix __Host- and Path=/",
            unless(
                is_shared,
                Met::Deviates("remove cookie.domain and cookie.path"),
                DEFAULT,
            ),
        ),
        (
            "Cookies SHOULD be SameSite=Lax or Strict",
            unless(
                is_for_all,
                Met::Deviates("set cookie.same_site to Lax"),
                STRICT,
            ),
        ),
        (
            "Cookies SHOULD be opaque, and SHALL NOT contain cleartext personal information",
            match is_token || of("strategy") == "hybrid" {
                true => Met::Application(
                    "tokens show subject and roles to their holder: use a subject that is no name, or sessions",
                ),
                false => by(
                    "random characters",
                    "tests/session/main.rs::a_quarter_of_a_million_credentials_are_unique_and_uniform",
                ),
            },
        ),
    ] {
        rows.push(("5.1.1", what.into(), met));
    }
    rows.push((
        "5.1",
        "Secrets SHOULD NOT persist across a restart of the browser".into(),
        match given("cookie.max_age") {
            true => Met::Deviates("remove cookie.max_age"),
            false => by("no Max-Age, unless the login is remembered", DEFAULT),
        },
    ));
    rows.push((
        "5.1",
        "POST and PUT SHALL carry a value that the relying party verifies against request forgery"
            .into(),
        by(
            "Sec-Fetch-Site and Origin of each unsafe request are compared",
            "tests/web/origins.rs::every_combination_is_decided_as_in_the_table",
        ),
    ));
    rows
}

/// End of a credential at a logout.
fn logout(fields: &BTreeMap<&str, String>) -> Met {
    let of = |name: &str| fields.get(name).map_or("", String::as_str);
    match (of("strategy"), of("revocations")) {
        ("sessions", _) => by(
            "the session is removed at once",
            "src/testkit/laws/delete.rs::delete_01_removed_is_gone",
        ),
        (_, "none") => {
            Met::Broken("tokens live until they expire: set revocations, such as \"5s\"")
        }
        ("tokens", bound) => by(
            format!("revocations = {bound}: every node rejects the token within that time"),
            "tests/revocation/main.rs::a_token_revoked_on_one_node_is_rejected_on_all",
        ),
        (_, bound) => by(
            format!("refreshing ends at once; revocations = {bound} for access tokens"),
            "tests/compose/hybrid/revoked.rs::an_access_token_ends_with_its_login_on_every_node",
        ),
    }
}

/// Chapter V7, and what V3 and V9 say about credentials.
fn asvs(fields: &BTreeMap<&str, String>) -> Rows {
    let of = |name: &str| fields.get(name).map_or("", String::as_str);
    let is_session = of("strategy") == "sessions";
    let limit = match of("limit") {
        "" if of("preset").is_empty() || of("strategy") == "tokens" => "unlimited".to_owned(),
        "" => "10 (preset), the oldest one ends".to_owned(),
        limit => format!("{limit}, {}", of("limit_reached")),
    };
    let everywhere = match is_session {
        true => "src/testkit/laws/delete.rs::delete_06_ends_all_that_were_created_before",
        false => "tests/revocation/main.rs::logout_everywhere_and_a_new_login_within_one_second",
    };
    let mut rows: Rows = vec![
        (
            "7.1.1 (L2)",
            "Inactivity timeout and absolute lifetime are documented".into(),
            Met::Application(
                "put the first part of this page into your documentation, with your analysis of the risk",
            ),
        ),
        (
            "7.1.2 (L2)",
            "The number of concurrent sessions, and what happens at the maximum, are documented"
                .into(),
            by(
                format!("sessions per user: {limit}"),
                "src/testkit/laws/limit.rs::limit_01_rejects_above_the_limit",
            ),
        ),
        (
            "7.1.3 (L2)",
            "Systems of a single sign-on are documented".into(),
            Met::Application("document them, if there are any"),
        ),
        (
            "7.2.1 (L1)",
            "Verification in a trusted backend service".into(),
            by(
                "the layer verifies; nothing is decided in the client",
                "tests/layer/guards.rs::role_age_and_acr_are_checked_before_the_service_runs",
            ),
        ),
        (
            "7.2.2 (L1)",
            "Dynamically generated tokens, no static secrets".into(),
            by(
                "each login has a new credential",
                "tests/layer/fixation.rs::made_up_credentials_are_not_adopted",
            ),
        ),
        (
            "7.2.3 (L1)",
            "Reference tokens are unique, from a secure generator, with at least 128 bits".into(),
            by(
                "128 bits that find the session and 256 that prove it",
                "tests/session/main.rs::a_quarter_of_a_million_credentials_are_unique_and_uniform",
            ),
        ),
        (
            "7.2.4 (L1)",
            "A new token at each authentication, and the end of the current one".into(),
            by(
                "SignIn::issue revokes what the request carries",
                "tests/layer/fixation.rs::the_old_session_ends_with_a_new_login_of_the_same_user",
            ),
        ),
        (
            "7.3.1 (L2)",
            "Inactivity timeout".into(),
            by(
                format!("idle = {}", of("idle")),
                "src/testkit/laws/expiry.rs::expiry_01_the_first_limit_ends_it",
            ),
        ),
        (
            "7.3.2 (L2)",
            "Absolute maximum lifetime".into(),
            by(
                format!("absolute = {}", of("absolute")),
                "src/testkit/laws/rotate.rs::rotate_05_keeps_beginning_and_deadline",
            ),
        ),
        (
            "7.4.1 (L1)",
            "No further use after a logout or the end, of self-contained tokens too".into(),
            logout(fields),
        ),
        (
            "7.4.2 (L1)",
            "All sessions end when an account is disabled or deleted".into(),
            by("call `revoke_all(subject)` there", everywhere),
        ),
        (
            "7.4.3 (L2)",
            "An option to end all other sessions after a change of a factor".into(),
            by(
                "`SignIn::revoke_all`, and a new login",
                "examples/web/tests/sessions.rs::a_new_password_ends_all_other_logins",
            ),
        ),
        (
            "7.4.4 (L2)",
            "Every page has a visible logout".into(),
            Met::Application("put a button on each page"),
        ),
        (
            "7.4.5 (L2)",
            "Administrators can end the sessions of one user or of all".into(),
            by(
                "`revoke_all(subject)`; for all, `RevocationView::revoke_everything` or an empty store",
                everywhere,
            ),
        ),
        (
            "7.5.1 (L2)",
            "Re-authentication before sensitive attributes are changed".into(),
            by(
                "`Auth::require_fresh` in those handlers",
                "tests/layer/guards.rs::a_rotation_is_no_authentication",
            ),
        ),
        (
            "7.5.2 (L2)",
            "Users can view and end their sessions".into(),
            match of("strategy") {
                "tokens" => Met::Application(
                    "tokens cannot be listed: keep a list of your own, or choose sessions or hybrid",
                ),
                _ => by(
                    "`sessions` and `revoke_id`, which need the builders instead of a file",
                    "tests/session/main.rs::lists_and_ends_sessions_by_their_ids",
                ),
            },
        ),
        (
            "7.5.3 (L3)",
            "Further authentication before highly sensitive transactions".into(),
            by(
                "`SignIn::step_up` and `Require::acr` there",
                "tests/layer/steps.rs::a_rotation_keeps_the_class",
            ),
        ),
        (
            "7.6.1 (L2)",
            "Sessions and those of an identity provider behave as documented".into(),
            Met::Application("end logins at a logout of the provider: call `revoke_all`"),
        ),
        (
            "7.6.2 (L2)",
            "No session without the user's consent or action".into(),
            by(
                "only `issue` makes one",
                "src/testkit/laws/read.rs::read_07_looking_creates_nothing",
            ),
        ),
    ];
    if of("strategy") == "tokens" {
        // There are no reference tokens.
        rows.retain(|(id, ..)| !id.starts_with("7.2.3"));
    }
    if !is_session {
        rows.extend([
            ("9.1.1 (L1)", "Self-contained tokens are verified by their signature before their content is used".into(), by("the payload is read after the signature", "tests/token/own.rs::a_change_of_any_byte_is_rejected")),
            ("9.1.2 (L1)", "Only algorithms of an allowlist".into(), by("the header is compared with that of the key", "tests/token/jwt_cases.rs::every_case_is_judged_as_the_strict_reading_does")),
            ("9.2.1 (L1)", "Tokens are accepted within their validity only".into(), by(format!("token_lifetime = {}", of("token_lifetime")), "tests/token/jwt_cases.rs::every_case_is_judged_as_the_strict_reading_does")),
            ("9.2.3 (L2)", "Only tokens for this audience".into(), by(format!("audience = {}", of("audience")), "tests/token/jwt_cases.rs::every_case_is_judged_as_the_strict_reading_does")),
        ]);
    }
    rows
}
