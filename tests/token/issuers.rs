//! Any number of other issuers, each with its keys, and what their claims mean.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::json;
use statewise::clock::{Clock, Timestamp};
use statewise::token::{
    Algorithm, ForeignClaims, Interop, Key, Keyring, TokenAuthenticator, TokenBuffer, TokenBuilder,
};
use statewise::{Authenticator, Error, Identity, Login, Rejection, Result, Revocation};

use crate::support::*;

const HOUR: Duration = Duration::from_secs(3600);
const OLD: &str = "https://old.example";
const JOBS: &str = "https://jobs.example";

/// Secret of each issuer. The ring has another one.
fn secret(issuer: u8) -> [u8; 32] {
    std::array::from_fn(|at| (at as u8).wrapping_mul(7) ^ issuer)
}

fn key_of(issuer: u8) -> Key {
    Key::hs256(&secret(issuer)).unwrap()
}

/// A token under the header of jsonwebtoken.
fn token(secret: &[u8], claims: &serde_json::Value) -> String {
    let header = URL_SAFE_NO_PAD.encode(r#"{"typ":"JWT","alg":"HS256"}"#);
    let claims = URL_SAFE_NO_PAD.encode(claims.to_string());
    signed_with(secret, &format!("{header}.{claims}"))
}

/// Claims of `issuer` for an hour, with `more`.
fn claims(issuer: &str, more: serde_json::Value) -> serde_json::Value {
    let mut claims = json!({ "iss": issuer, "iat": START, "exp": START + 3600 });
    let serde_json::Value::Object(more) = more else {
        panic!("no object");
    };
    claims.as_object_mut().unwrap().extend(more);
    claims
}

fn old() -> Interop {
    Interop::from_issuer(OLD, HOUR).key(key_of(1))
}

/// Verifies claims of the issuer `OLD`, owned and borrowed.
fn read(interop: Interop, more: serde_json::Value) -> Result<Identity<serde_json::Value>> {
    let auth = builder(key(), &Hands::at(START))
        .with_data()
        .interop(interop)
        .build()?;
    let token = token(&secret(1), &claims(OLD, more));
    let owned = auth.verify_now(&token);
    let mut buffer = TokenBuffer::new();
    match (&owned, auth.verify_borrowed(&token, &mut buffer)) {
        (Ok(owned), Ok(borrowed)) => {
            assert_eq!(borrowed.subject(), owned.subject());
            assert_eq!(borrowed.acr(), owned.acr());
            assert_eq!(borrowed.device(), owned.device());
            assert!(borrowed.roles().eq(owned.roles()));
            assert_eq!(borrowed.id(), owned.id());
            let data = borrowed.data_json().unwrap_or("null");
            let data: serde_json::Value = serde_json::from_str(data).unwrap();
            assert_eq!(&data, owned.data());
        }
        (Err(owned), borrowed) => {
            let borrowed = borrowed.unwrap_err();
            assert_eq!(owned.to_string(), borrowed.to_string());
        }
        (Ok(_), Err(error)) => panic!("{error}"),
    }
    owned
}

fn subject(interop: Interop, more: serde_json::Value) -> String {
    read(interop, more).unwrap().subject().to_owned()
}

fn roles(interop: Interop, more: serde_json::Value) -> Vec<String> {
    let caller = read(interop, more).unwrap();
    caller.roles().map(str::to_owned).collect()
}

/// Cause and claim of a rejection.
fn rejected<T>(result: Result<T>) -> (Rejection, Option<String>) {
    let Err(error) = result else {
        panic!("was accepted");
    };
    (error.rejection().unwrap(), error.claim().map(str::to_owned))
}

#[test]
fn the_subject_comes_from_any_claim() {
    let by = |claim: &str| old().subject_from(claim);
    for (claim, more, expected) in [
        ("user_id", json!({ "user_id": 4711 }), "4711"),
        ("user_id", json!({ "user_id": "\"al\"\n" }), "\"al\"\n"),
        (
            "sub",
            json!({ "sub": 18_446_744_073_709_551_615_u64 }),
            "18446744073709551615",
        ),
        ("user.id", json!({ "user": { "id": "a" } }), "a"),
        ("a.b.c", json!({ "a.b": { "c": "b" } }), "b"),
        (
            "https://x.example/id",
            json!({ "https://x": { "example/id": "nested" }, "https://x.example/id": "whole" }),
            "whole",
        ),
    ] {
        assert_eq!(subject(by(claim), more), expected, "{claim}");
    }
    // The claim `sub` has no meaning then, but keeps its type.
    let more = json!({ "user_id": 1, "sub": "other" });
    assert_eq!(subject(by("user_id"), more), "1");
    let more = json!({ "user_id": 1, "sub": 2 });
    let sub = (Rejection::WrongClaimType, Some("sub".to_owned()));
    assert_eq!(rejected(read(by("user_id"), more)), sub);
}

#[test]
fn no_subject_is_silently_empty() {
    let by = |claim: &str| old().subject_from(claim);
    let missing = |claim: &str| (Rejection::MissingClaim, Some(claim.to_owned()));
    let wrong = |claim: &str| (Rejection::WrongClaimType, Some(claim.to_owned()));
    assert_eq!(rejected(read(old(), json!({}))), missing("sub"));
    assert_eq!(rejected(read(old(), json!({ "sub": "" }))), missing("sub"));
    assert_eq!(rejected(read(old(), json!({ "sub": 4711 }))), wrong("sub"));
    assert_eq!(
        rejected(read(by("pid"), json!({ "sub": "a" }))),
        missing("pid")
    );
    assert_eq!(
        rejected(read(by("pid"), json!({ "pid": "" }))),
        missing("pid")
    );
    assert_eq!(
        rejected(read(by("u.id"), json!({ "u": "a" }))),
        missing("u.id")
    );
    for other in [
        json!(null),
        json!(1.5),
        json!(-1),
        json!(true),
        json!(["a"]),
        json!({}),
    ] {
        assert_eq!(
            rejected(read(by("pid"), json!({ "pid": other }))),
            wrong("pid")
        );
    }
    let jobs = || old().subject_or("jobs");
    assert_eq!(subject(jobs(), json!({})), "jobs");
    assert_eq!(subject(jobs(), json!({ "sub": "" })), "jobs");
    assert_eq!(subject(jobs(), json!({ "sub": "a" })), "a");
    assert_eq!(rejected(read(jobs(), json!({ "sub": 1 }))), wrong("sub"));
    let empty = old().map(|_| Ok(Login::new("").data(json!(1))));
    assert_eq!(rejected(read(empty, json!({}))), missing("sub"));
}

#[test]
fn roles_come_from_an_array_or_the_words_of_a_text() {
    let by = |claim: &str| old().roles_from(claim);
    let alice = |name: &str, value: serde_json::Value| json!({ "sub": "alice", name: value });
    assert_eq!(
        roles(old(), alice("roles", json!(["a", "b c"]))),
        ["a", "b c"]
    );
    assert_eq!(roles(old(), alice("roles", json!("admin"))), ["admin"]);
    assert_eq!(
        roles(by("scope"), alice("scope", json!(" read \"x\"  "))),
        ["read", "\"x\""]
    );
    assert_eq!(roles(by("scope"), alice("scope", json!(""))), [""; 0]);
    assert_eq!(
        roles(by("scope"), alice("roles", json!(["admin"]))),
        [""; 0]
    );
    let nested = alice("realm_access", json!({ "roles": ["admin"] }));
    assert_eq!(roles(by("realm_access.roles"), nested), ["admin"]);
    for other in [
        json!(7),
        json!(["a", 7]),
        json!(null),
        json!({ "admin": true }),
    ] {
        let answer = rejected(read(by("scope"), alice("scope", other)));
        assert_eq!(
            answer,
            (Rejection::WrongClaimType, Some("scope".to_owned()))
        );
    }
}

#[test]
fn data_come_from_one_claim_or_from_all() {
    let more = || json!({ "sub": "alice", "profile": { "plan": ["gold", "\"x\""] } });
    assert_eq!(read(old(), more()).unwrap().data(), &claims(OLD, more()));
    let one = read(old().data_from("profile.plan"), more()).unwrap();
    assert_eq!(one.data(), &json!(["gold", "\"x\""]));
    let none = read(old().data_from("other"), more()).unwrap();
    assert_eq!(none.data(), &json!(null));
    // A claim that is no data of the application rejects the token.
    let auth = builder(key(), &Hands::at(START))
        .with_data::<Profile>()
        .interop(old().data_from("profile"))
        .build()
        .unwrap();
    let token = token(&secret(1), &claims(OLD, more()));
    assert_eq!(rejection(auth.verify_now(&token)), Rejection::InvalidClaims);
}

fn tenant(claims: &ForeignClaims<'_>) -> Result<Login<serde_json::Value>> {
    if claims.has("delegated") {
        return Err(Error::rejected_claim(
            Rejection::WrongClaimType,
            "delegated",
        ));
    }
    let level: u8 = claims.read("level")?;
    let subject = format!("{}/{}", claims.text("tenant")?, claims.text("user.id")?);
    let whole: serde_json::Value = serde_json::from_str(claims.json()).unwrap();
    Ok(Login::new(subject)
        .roles(claims.words("scope")?)
        .device("their \"phone\"")
        .acr(format!("aal{level}"))
        .authenticated_at(at(START - 100))
        .deadline(at(START + 60))
        .data(json!({ "iss": whole["iss"] })))
}

#[test]
fn a_closure_maps_everything_else() {
    let more = json!({ "tenant": "t", "user": { "id": 7 }, "level": 2, "scope": "r w" });
    let with = |name: &str, value: serde_json::Value| {
        let mut more = more.clone();
        more[name] = value;
        read(old().map(tenant), more)
    };
    let caller = with("x", json!(1)).unwrap();
    assert_eq!(caller.subject(), "t/7");
    assert!(caller.roles().eq(["r", "w"]));
    assert_eq!(caller.device(), Some("their \"phone\""));
    assert_eq!(caller.acr(), Some("aal2"));
    assert_eq!(caller.authenticated_at(), at(START - 100));
    assert_eq!(
        (caller.expires_at(), caller.deadline()),
        (at(START + 60), at(START + 60))
    );
    assert_eq!(caller.data(), &json!({ "iss": OLD }));
    let answer = |claim: &str, cause| (cause, Some(claim.to_owned()));
    let wrong = |claim| answer(claim, Rejection::WrongClaimType);
    assert_eq!(
        rejected(with("delegated", json!(false))),
        wrong("delegated")
    );
    assert_eq!(rejected(with("level", json!(300))), wrong("level"));
    let missing = answer("user.id", Rejection::MissingClaim);
    assert_eq!(rejected(with("user", json!("alice"))), missing);

    // It is called for no token that the other checks reject.
    let never = || old().map(|_| -> Result<Login<serde_json::Value>> { panic!("was called") });
    for (claim, value) in [
        ("iss", json!("x")),
        ("aud", json!("x")),
        ("nbf", json!(START + 99)),
        ("exp", json!(START + 9_999)),
        ("jti", json!(1)),
    ] {
        assert!(read(never(), json!({ claim: value })).is_err(), "{claim}");
    }
}

#[test]
fn each_issuer_is_bound_to_its_keys() {
    let clock = Hands::at(START);
    let auth = builder(key(), &clock)
        .interop(old().key(key_of(2)))
        .interop(Interop::from_issuer(JOBS, HOUR).key(key_of(3)))
        .interop(Interop::from_any_issuer(HOUR).key(key_of(4)))
        .build()
        .unwrap();
    let verify = |secret: &[u8], issuer: &str| {
        let claims = claims(issuer, json!({ "sub": "alice" }));
        let answer = auth.verify_now(&token(secret, &claims));
        answer.err().map(|error| error.rejection().unwrap())
    };
    for (signer, issuer, cause) in [
        (1, OLD, None),
        (2, OLD, None),
        (3, OLD, Some(Rejection::WrongIssuer)),
        (1, JOBS, Some(Rejection::WrongIssuer)),
        (2, JOBS, Some(Rejection::WrongIssuer)),
        (3, JOBS, None),
        (4, OLD, None),
        (4, "https://any.example", None),
        (1, "https://any.example", Some(Rejection::WrongIssuer)),
        (5, OLD, Some(Rejection::BadSignature)),
    ] {
        assert_eq!(verify(&secret(signer), issuer), cause, "{signer} {issuer}");
    }
    // The key of the ring signs for none of them, and theirs sign nothing of ours.
    assert_eq!(verify(&SECRET[..32], OLD), Some(Rejection::BadSignature));
    let ours = token_of(&now(auth.issue(Login::new("bob"))).unwrap());
    assert_eq!(auth.verify_now(&ours).unwrap().subject(), "bob");
    let payload = &ours[..ours.rfind('.').unwrap()];
    for signer in 1..=4 {
        let forged = signed_with(&secret(signer), payload);
        assert_eq!(rejection(auth.verify_now(&forged)), Rejection::BadSignature);
        let kid = key_of(signer).kid().to_owned();
        let header =
            URL_SAFE_NO_PAD.encode(format!(r#"{{"alg":"HS256","typ":"JWT","kid":"{kid}"}}"#));
        let claims = claims_of(&ours);
        let renamed = format!("{header}.{}", URL_SAFE_NO_PAD.encode(claims));
        assert!(
            auth.verify_now(&signed_with(&secret(signer), &renamed))
                .is_err()
        );
    }
}

#[test]
fn a_kid_of_one_issuer_leads_to_no_other_key() {
    let auth = builder(key(), &Hands::at(START))
        .interop(old())
        .interop(Interop::from_issuer(JOBS, HOUR).key(key_of(3)))
        .build()
        .unwrap();
    let kid = key_of(3).kid().to_owned();
    let header = URL_SAFE_NO_PAD.encode(format!(r#"{{"kid":"{kid}","alg":"HS256"}}"#));
    let payload =
        |issuer| URL_SAFE_NO_PAD.encode(claims(issuer, json!({ "sub": "a" })).to_string());
    let signed = |signer, issuer| {
        let input = format!("{header}.{}", payload(issuer));
        auth.verify_now(&signed_with(&secret(signer), &input))
    };
    assert!(signed(3, JOBS).is_ok());
    assert_eq!(rejection(signed(1, OLD)), Rejection::BadSignature);
    assert_eq!(rejection(signed(3, OLD)), Rejection::WrongIssuer);
}

#[test]
fn issuers_that_could_be_confused_are_not_built() {
    let clock = Hands::at(START);
    let jobs = || Interop::from_issuer(JOBS, HOUR);
    let any = || Interop::from_any_issuer(HOUR);
    let misuse = |change: &dyn Fn(TokenBuilder) -> TokenBuilder| {
        let ring = Keyring::new(key()).verify_with(key_of(9));
        let built = change(builder(ring, &clock)).build();
        built.err().map(|error| {
            assert!(error.is_misuse());
            error.to_string()
        })
    };
    for (two, says) in [
        (vec![old(), old()], "the same issuer"),
        (
            vec![old(), Interop::from_issuer(OLD, HOUR).key(key_of(2))],
            "the same issuer",
        ),
        (vec![jobs(), any()], "keys of the ring"),
        (
            vec![old(), jobs().key(key_of(2)).key(key_of(1))],
            "have the same key",
        ),
        (vec![old(), any().key(key_of(1))], "have the same key"),
        (vec![jobs().key(key_of(9))], "is in the ring"),
        (vec![old(), jobs().key(key())], "is in the ring"),
        (vec![old().subject_from("")], "is empty"),
        (vec![old().subject_or("")], "is empty"),
        (
            vec![old().map(|_| Ok(Login::new("a").data(7_u8)))],
            "another type",
        ),
        (
            vec![old().map(|_| Ok(Login::new("a"))).roles_from("scope")],
            "no effect",
        ),
        (
            vec![old().leeway(Duration::from_millis(300_001))],
            "five minutes",
        ),
    ] {
        let error = misuse(&|builder| two.iter().cloned().fold(builder, TokenBuilder::interop));
        assert!(
            error.as_deref().is_some_and(|error| error.contains(says)),
            "{says}: {error:?}"
        );
    }
    for good in [
        vec![old(), jobs().key(key_of(2)), any()],
        vec![
            any().key(key_of(1)),
            jobs().key(key_of(2)),
            Interop::from_any_issuer(HOUR),
        ],
        vec![old().map(|_| Ok(Login::new("a")))],
    ] {
        let error = misuse(&|builder| good.iter().cloned().fold(builder, TokenBuilder::interop));
        assert_eq!(error, None);
    }
    // Nor does a later ring take a key of another issuer.
    let auth = builder(key(), &clock).interop(old()).build().unwrap();
    let ring = Keyring::new(key()).verify_with(key_of(1));
    assert!(auth.replace_keyring(ring).unwrap_err().is_misuse());
}

#[test]
fn a_weak_secret_verifies_until_its_end() {
    let clock = Hands::at(START);
    let weak = b"secret";
    assert!(Key::hs256(weak).is_err());
    let until = at(START + 100);
    let interop = Interop::from_issuer(OLD, HOUR)
        .weak_secret(Algorithm::HS256, weak, until)
        .unwrap()
        .key(key_of(1));
    let auth = builder(key(), &clock).interop(interop).build().unwrap();
    let claims = claims(OLD, json!({ "sub": "alice" }));
    let (old, new) = (token(weak, &claims), token(&secret(1), &claims));
    assert!(auth.verify_now(&old).is_ok() && auth.verify_now(&new).is_ok());
    clock.set(START + 100);
    assert_eq!(rejection(auth.verify_now(&old)), Rejection::BadSignature);
    assert!(auth.verify_now(&new).is_ok());
    for refused in [&b""[..], b"-----BEGIN PUBLIC KEY-----"] {
        let interop = Interop::from_issuer(OLD, HOUR).weak_secret(Algorithm::HS256, refused, until);
        assert!(interop.unwrap_err().is_misuse());
    }
}

/// A clock that shows milliseconds.
#[derive(Clone, Copy, Debug)]
struct Millis(u64);

impl Clock for Millis {
    fn now(&self) -> Option<Timestamp> {
        Some(Timestamp::from_unix(self.0 / 1000))
    }

    fn since_epoch(&self) -> Option<Duration> {
        Some(Duration::from_millis(self.0))
    }
}

#[test]
fn fractions_of_dates_are_judged_by_a_clock_with_fractions() {
    let verify = |leeway: Option<u64>, millis: u64, dates: serde_json::Value| {
        let mut interop = old();
        if let Some(leeway) = leeway {
            interop = interop.leeway(Duration::from_secs(leeway));
        }
        let auth = builder(key(), &Hands::at(0))
            .clock(Millis(START * 1000 + millis))
            .interop(interop)
            .build()
            .unwrap();
        let mut claims = claims(OLD, json!({ "sub": "alice" }));
        claims
            .as_object_mut()
            .unwrap()
            .extend(dates.as_object().unwrap().clone());
        let answer = auth.verify_now(&token(&secret(1), &claims));
        answer.err().map(|error| error.rejection().unwrap())
    };
    let date = |millis: u64| (START * 1000 + millis) as f64 / 1000.0;
    let early = Some(Rejection::NotYetValid);
    for name in ["iat", "nbf"] {
        // Minted and presented within one second.
        assert_eq!(
            verify(Some(0), 900, json!({ name: date(700) })),
            None,
            "{name}"
        );
        assert_eq!(
            verify(Some(0), 600, json!({ name: date(700) })),
            early,
            "{name}"
        );
        assert_eq!(
            verify(Some(1), 0, json!({ name: date(1_000) })),
            None,
            "{name}"
        );
        assert_eq!(
            verify(Some(1), 0, json!({ name: date(1_100) })),
            early,
            "{name}"
        );
        // By default for clocks that differ by five seconds.
        assert_eq!(
            verify(None, 0, json!({ name: date(4_900) })),
            None,
            "{name}"
        );
        assert_eq!(
            verify(None, 0, json!({ name: date(5_100) })),
            early,
            "{name}"
        );
    }
    // The last second of a token with a fraction counts as expired, on whichever clock.
    let past = json!({ "exp": date(500) });
    assert_eq!(verify(Some(0), 200, past.clone()), Some(Rejection::Expired));
    assert_eq!(verify(None, 4_999, past.clone()), None);
    assert_eq!(verify(None, 5_000, past), Some(Rejection::Expired));
    // An hour from one fraction of a second to another is an hour.
    let hour = json!({ "iat": date(900), "exp": date(3_600_900) });
    assert_eq!(verify(Some(0), 900, hour), None);
    let longer = json!({ "iat": date(0), "exp": date(3_601_000) });
    assert_eq!(verify(None, 0, longer), Some(Rejection::LivesTooLong));
}

#[test]
fn an_issuer_without_iat_whose_clock_is_ahead_is_accepted_at_once() {
    let auth = |leeway| {
        let interop = old()
            .allow_missing_issued_at()
            .leeway(Duration::from_secs(leeway));
        builder(key(), &Hands::at(START))
            .interop(interop)
            .build()
            .unwrap()
    };
    let ahead = |seconds| {
        let claims = json!({ "iss": OLD, "sub": "alice", "exp": START + 3600 + seconds });
        token(&secret(1), &claims)
    };
    assert!(auth(5).verify_now(&ahead(5)).is_ok());
    assert_eq!(
        rejection(auth(5).verify_now(&ahead(6))),
        Rejection::LivesTooLong
    );
    assert_eq!(
        rejection(auth(0).verify_now(&ahead(1))),
        Rejection::LivesTooLong
    );
}

#[test]
fn our_own_tokens_get_no_leeway() {
    let clock = Hands::at(START);
    let auth = builder(key(), &clock)
        .interop(
            Interop::from_any_issuer(HOUR)
                .audience("api")
                .leeway(Duration::from_secs(300)),
        )
        .build()
        .unwrap();
    let ours = token_of(&now(auth.issue(Login::new("alice"))).unwrap());
    clock.set(START + 899);
    assert!(auth.verify_now(&ours).is_ok());
    clock.set(START + 900);
    assert_eq!(rejection(auth.verify_now(&ours)), Rejection::Expired);
}

#[test]
fn tokens_without_iat_are_revocable_within_the_lifetime_of_the_view() {
    let clock = Hands::at(START);
    let build = |lifetime: Duration| {
        let view = view(&clock, lifetime);
        let interop = old().allow_missing_issued_at();
        builder(key(), &clock)
            .interop(interop)
            .revocations(&view)
            .build()
    };
    // Twice the leeway more than the tokens, for clocks on both sides of ours.
    assert!(
        build(HOUR + Duration::from_secs(9))
            .unwrap_err()
            .is_misuse()
    );
    let auth = build(HOUR + Duration::from_secs(10)).unwrap();
    let claims = |sub: &str, exp| json!({ "iss": OLD, "sub": sub, "exp": exp });
    let alice = token(&secret(1), &claims("alice", START + 3600));
    let bob = token(&secret(1), &claims("bob", START + 3600));
    assert!(auth.verify_now(&alice).is_ok() && auth.verify_now(&bob).is_ok());
    assert!(matches!(
        now(auth.revoke_all("alice")).unwrap().effective,
        Revocation::Within(_)
    ));
    assert_eq!(rejection(auth.verify_now(&alice)), Rejection::Revoked);
    assert!(matches!(
        now(auth.revoke(&bob)).unwrap().effective,
        Revocation::Within(_)
    ));
    assert_eq!(rejection(auth.verify_now(&bob)), Rejection::Revoked);
    // The cap is that of the issuer: no more than the maximum lifetime may be left.
    let far = token(&secret(1), &claims("carol", START + 7200));
    assert_eq!(rejection(auth.verify_now(&far)), Rejection::LivesTooLong);
}

#[test]
fn a_subject_from_a_claim_is_the_one_that_is_revoked() {
    let clock = Hands::at(START);
    let view = view(&clock, 2 * HOUR);
    let auth = builder(key(), &clock)
        .interop(old().subject_from("user_id"))
        .revocations(&view)
        .build()
        .unwrap();
    let of = |id: u64| {
        token(
            &secret(1),
            &claims(OLD, json!({ "user_id": id, "jti": "same" })),
        )
    };
    assert_ne!(
        auth.verify_now(&of(1)).unwrap().id(),
        auth.verify_now(&of(2)).unwrap().id()
    );
    let _ = now(auth.revoke_all("1")).unwrap();
    assert_eq!(rejection(auth.verify_now(&of(1))), Rejection::Revoked);
    assert!(auth.verify_now(&of(2)).is_ok());
}

#[test]
fn a_key_of_another_issuer_can_be_retired_in_the_log() {
    let clock = Hands::at(START);
    let view = view(&clock, 2 * HOUR);
    let auth = builder(key(), &clock)
        .interop(old())
        .revocations(&view)
        .build()
        .unwrap();
    let token = token(&secret(1), &claims(OLD, json!({ "sub": "alice" })));
    assert!(auth.verify_now(&token).is_ok());
    let _ = now(auth.retire_key(key_of(1).kid())).unwrap();
    assert_eq!(
        rejection(auth.verify_now(&token)),
        Rejection::UnacceptableHeader
    );
    assert!(now(auth.issue(Login::new("bob"))).is_ok());
}

#[test]
fn a_token_under_the_header_of_another_ring_is_not_well_formed() {
    let clock = Hands::at(START);
    let auth = builder(key(), &clock).interop(old()).build().unwrap();
    let other = builder(key_of(7), &clock);
    let typed = builder(key_of(7), &clock).access_tokens();
    for other in [other, typed] {
        let other: TokenAuthenticator = other.build().unwrap();
        let theirs = token_of(&now(other.issue(Login::new("a"))).unwrap());
        assert!(other.is_well_formed(&theirs) && !auth.is_well_formed(&theirs));
    }
    let foreign = token(&secret(1), &claims(OLD, json!({ "sub": "alice" })));
    assert!(auth.is_well_formed(&foreign));
    let samples = auth.sample_credentials();
    assert!(samples.iter().all(|sample| auth.is_well_formed(sample)));
}
