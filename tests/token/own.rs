//! Our own tokens.

use std::error::Error as _;
use std::sync::atomic::Ordering;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use statewise::token::{
    Algorithm, Interop, Key, Keyring, TokenAuthenticator, TokenBuffer, TokenBuilder,
};
use statewise::{Authenticator, Identity, Login, Outcome, Presented, Refusal};
use statewise::{Rejection, Revocation};

use crate::support::*;

#[test]
fn issued_tokens_are_verified_with_each_algorithm() {
    let clock = Hands::at(START);
    for (algorithm, key) in [
        (Algorithm::HS256, Key::hs256(&SECRET).unwrap()),
        (Algorithm::HS384, Key::hs384(&SECRET).unwrap()),
        (Algorithm::HS512, Key::hs512(&SECRET).unwrap()),
    ] {
        let kid = key.kid().to_owned();
        let auth = builder(key, &clock).build().unwrap();
        let login = Login::new("alice").role("admin").role("").device("phone");
        let issued = now(auth.issue(login)).unwrap();
        assert_eq!(issued.outcome(), Outcome::New);
        let token = token_of(&issued);
        assert!(auth.is_well_formed(&token));

        let (header, rest) = token.split_at(64);
        let json = format!(r#"{{"alg":"{algorithm}","typ":"JWT","kid":"{kid}"}}"#);
        assert_eq!(header, format!("{}.", URL_SAFE_NO_PAD.encode(json)));
        assert_eq!(rest.split('.').count(), 2);

        let caller = now(auth.verify(&token)).unwrap();
        assert_eq!(format!("{caller:?}"), format!("{:?}", issued.identity()));
        assert_eq!(caller.subject(), "alice");
        assert_eq!(caller.roles().collect::<Vec<_>>(), ["admin", ""]);
        assert_eq!(caller.device(), Some("phone"));
        assert_eq!(caller.issued_at(), at(START));
        assert_eq!(caller.authenticated_at(), at(START));
        assert_eq!(caller.expires_at(), at(START + 900));
        assert_eq!(caller.deadline(), at(START + 3600));
        assert!(!caller.refresh_due() && caller.version() == 0);

        let authoritative = Presented::new(&token).authoritative();
        assert_eq!(
            now(auth.verify_with(authoritative)).unwrap().id(),
            caller.id()
        );

        let mut buffer = TokenBuffer::new();
        let borrowed = auth.verify_borrowed(&token, &mut buffer).unwrap();
        assert_eq!(borrowed.subject(), "alice");
        assert_eq!(borrowed.roles().collect::<Vec<_>>(), ["admin", ""]);
        assert!(borrowed.has_role("admin") && !borrowed.has_role("Admin"));
        assert_eq!(borrowed.device(), Some("phone"));
        assert_eq!(borrowed.id(), caller.id());
        assert_eq!(borrowed.issued_at(), caller.issued_at());
        assert_eq!(borrowed.authenticated_at(), caller.authenticated_at());
        assert_eq!(borrowed.expires_at(), caller.expires_at());
        assert_eq!(borrowed.deadline(), caller.deadline());
        assert_eq!(borrowed.data_json(), None);
    }
}

/// The wire format never changes unnoticed, because other versions and other nodes read it.
#[test]
fn the_wire_format_is_pinned() {
    let clock = Hands::at(START);
    let auth = builder(key(), &clock)
        .with_data::<serde_json::Value>()
        .entropy(Counting::default())
        .build()
        .unwrap();
    let login = Login::new("alice")
        .roles(["admin", "a \"quoted\" one\n"])
        .device("phone")
        .authenticated_at(at(START - 60))
        .deadline(at(START + 1800))
        .data(serde_json::json!({"plan": "pro"}));
    let token = token_of(&now(auth.issue(login)).unwrap());
    assert_eq!(
        claims_of(&token),
        concat!(
            r#"{"iss":"https://auth.example","aud":"api","exp":1700000900,"iat":1700000000,"#,
            r#""auth_time":1699999940,"abs":1700001800,"sid":"K9IAAAAGBwgJCgsMDQ4PEA","#,
            r#""sub":"alice","roles":["admin","a \"quoted\" one\n"],"device":"phone","#,
            r#""data":{"plan":"pro"}}"#
        )
    );
    assert_eq!(token, GOLDEN);
    let classed = now(builder(key(), &clock)
        .entropy(Counting::default())
        .build()
        .unwrap()
        .issue(Login::new("alice").acr("aal2")))
    .unwrap();
    assert_eq!(token_of(&classed), CLASSED);
    let least = token_of(
        &now(builder(key(), &clock)
            .build()
            .unwrap()
            .issue(Login::new("a")))
        .unwrap(),
    );
    let (dates, _) = claims_of(&least)
        .split_once(",\"sid\"")
        .map(|(a, b)| (a.to_owned(), b.to_owned()))
        .unwrap();
    assert_eq!(
        dates,
        r#"{"iss":"https://auth.example","aud":"api","exp":1700000900,"iat":1700000000,"abs":1700003600"#
    );
    assert!(claims_of(&least).ends_with(r#"","sub":"a"}"#));
}

const CLASSED: &str = concat!(
    "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCIsImtpZCI6IkZBRGJMY05yMDBFIn0.eyJpc3MiOiJodHRw",
    "czovL2F1dGguZXhhbXBsZSIsImF1ZCI6ImFwaSIsImV4cCI6MTcwMDAwMDkwMCwiaWF0IjoxNzAwMDAw",
    "MDAwLCJhYnMiOjE3MDAwMDM2MDAsInNpZCI6Iks5SUFBQUFHQndnSkNnc01EUTRQRUEiLCJzdWIiOiJh",
    "bGljZSIsImFjciI6ImFhbDIifQ.n3XNw43PyQlHI5Z4VFkWo-YvupKCyhJIqJVakCWyuRE",
);

const GOLDEN: &str = concat!(
    "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCIsImtpZCI6IkZBRGJMY05yMDBFIn0.eyJpc3MiOiJodHRw",
    "czovL2F1dGguZXhhbXBsZSIsImF1ZCI6ImFwaSIsImV4cCI6MTcwMDAwMDkwMCwiaWF0IjoxNzAwMDAw",
    "MDAwLCJhdXRoX3RpbWUiOjE2OTk5OTk5NDAsImFicyI6MTcwMDAwMTgwMCwic2lkIjoiSzlJQUFBQUdC",
    "d2dKQ2dzTURRNFBFQSIsInN1YiI6ImFsaWNlIiwicm9sZXMiOlsiYWRtaW4iLCJhIFwicXVvdGVkXCIg",
    "b25lXG4iXSwiZGV2aWNlIjoicGhvbmUiLCJkYXRhIjp7InBsYW4iOiJwcm8ifX0.Q0mgD5P-bztdAkbe",
    "L9Wpz6oqdNX8NGBE0Hq0o5PzCJI",
);

/// The claim `acr` stands in front of the data, and every way to continue a login keeps it.
#[test]
fn the_authentication_context_class_is_the_claim_acr() {
    let clock = Hands::at(START);
    let auth = builder(key(), &clock)
        .entropy(Counting::default())
        .build()
        .unwrap();
    for acr in ["aal2", "", "é \"quoted\"\n"] {
        let login = Login::new("alice").device("phone").acr(acr);
        let issued = now(auth.issue(login)).unwrap();
        let mut token = token_of(&issued);
        let written = serde_json::to_string(acr).unwrap();
        let end = format!(r#""sub":"alice","device":"phone","acr":{written}}}"#);
        assert!(claims_of(&token).ends_with(&end));
        for _ in 0..2 {
            let caller = auth.verify_now(&token).unwrap();
            assert_eq!(caller.acr(), Some(acr));
            let mut buffer = TokenBuffer::new();
            let borrowed = auth.verify_borrowed(&token, &mut buffer).unwrap();
            assert_eq!(borrowed.acr(), Some(acr));
            let again = now(auth.issue(caller.into_login())).unwrap();
            assert_eq!(again.identity().acr(), Some(acr));
            token = token_of(&now(auth.refresh(&token)).unwrap());
            assert_eq!(claims_of(&token).matches("\"acr\"").count(), 1);
        }
    }
    let issued = now(auth.issue(Login::new("alice").acr("aal2"))).unwrap();
    let token = token_of(&issued);
    for bad in ["2", "null", "[\"aal2\"]", "\"aal2\",\"acr\":\"aal3\""] {
        let claims = claims_of(&token).replace("\"aal2\"", bad);
        let token = signed_own(&token[..63], &claims);
        assert_eq!(rejection(auth.verify_now(&token)), Rejection::InvalidClaims);
    }
    let large = now(auth.issue(Login::new("alice").acr("c".repeat(5_000))));
    assert_eq!(large.unwrap_err().refusal(), Some(Refusal::TooLarge));
}

#[test]
fn a_change_of_any_byte_is_rejected() {
    let clock = Hands::at(START);
    let strict = plain(&clock);
    let interop = builder(key(), &clock)
        .interop(Interop::from_any_issuer(Duration::from_secs(900)).audience("api"))
        .build()
        .unwrap();
    let token = token_of(&now(strict.issue(Login::new("alice").role("admin"))).unwrap());
    for position in 0..token.len() {
        for replacement in [
            "A", "B", "g", "_", "-", ".", "=", " ", "\n", "\0", "+", "/", "~", "é",
        ] {
            let mut changed = token.clone();
            changed.replace_range(position..=position, replacement);
            if changed == token {
                continue;
            }
            for auth in [&strict, &interop] {
                assert!(
                    auth.verify_now(&changed).unwrap_err().is_rejected(),
                    "{changed}"
                );
                assert!(now(auth.refresh(&changed)).is_err());
                assert!(now(auth.revoke(&changed)).unwrap_err().is_rejected());
            }
        }
    }
    for length in 0..token.len() {
        for part in [&token[..length], &token[length + 1..]] {
            assert!(strict.verify_now(part).unwrap_err().is_rejected());
            assert!(interop.verify_now(part).unwrap_err().is_rejected());
        }
    }
    for wrong in [
        format!("{token}="),
        format!("{token}."),
        format!("{token}.e30"),
        format!(" {token}"),
        format!("{token}\n"),
        format!("Bearer {token}"),
        token.repeat(2),
    ] {
        assert!(strict.verify_now(&wrong).is_err() && interop.verify_now(&wrong).is_err());
    }
}

#[test]
fn a_rejection_names_its_cause() {
    let clock = Hands::at(START);
    let auth = plain(&clock);
    let token = token_of(&now(auth.issue(Login::new("alice"))).unwrap());
    let cut = token.len() - 43;
    for (presented, cause) in [
        (String::new(), Rejection::Malformed),
        ("a.b".to_owned(), Rejection::Malformed),
        (format!("{}{}", &token[..64], "x"), Rejection::Malformed),
        (token[..token.len() - 1].to_owned(), Rejection::Malformed),
        (
            format!("{}{}", &token[..cut], "A".repeat(43)),
            Rejection::BadSignature,
        ),
        (signed("e30.e30"), Rejection::UnacceptableHeader),
        (signed_own(&token[..63], "{}"), Rejection::InvalidClaims),
        (signed_own(&token[..63], "[]"), Rejection::InvalidClaims),
        (
            signed_own(&token[..63], "\u{feff}{}"),
            Rejection::InvalidClaims,
        ),
    ] {
        assert_eq!(rejection(auth.verify_now(&presented)), cause, "{presented}");
        let accepts = !matches!(cause, Rejection::Malformed | Rejection::UnacceptableHeader);
        assert_eq!(auth.is_well_formed(&presented), accepts);
    }
    let other = builder(Key::generate_hs256().unwrap(), &clock)
        .build()
        .unwrap();
    assert_eq!(
        rejection(other.verify_now(&token)),
        Rejection::UnacceptableHeader
    );
}

#[test]
fn a_wrong_alphabet_is_malformed_before_the_signature_is_checked() {
    let clock = Hands::at(START);
    let auth = plain(&clock);
    let token = token_of(&now(auth.issue(Login::new("alice"))).unwrap());
    for at in [64, 100, token.len() - 45] {
        for stray in ["!", "=", ".", "+", " ", "\0"] {
            let mut wrong = token.clone();
            wrong.replace_range(at..=at, stray);
            assert_eq!(rejection(auth.verify_now(&wrong)), Rejection::Malformed);
        }
    }
}

#[test]
fn a_shorter_lifetime_takes_effect_at_once() {
    let clock = Hands::at(START);
    let with = |lifetime, max_lifetime| -> TokenAuthenticator {
        TokenAuthenticator::builder(key())
            .issuer("https://auth.example")
            .audience("api")
            .lifetime(Duration::from_secs(lifetime))
            .max_lifetime(Duration::from_secs(max_lifetime))
            .clock(clock.clone())
            .build()
            .unwrap()
    };
    let (before, after) = (with(1000, 8000), with(60, 100));
    let token = token_of(&now(before.issue(Login::new("alice"))).unwrap());
    let caller = after.verify_now(&token).unwrap();
    assert_eq!(caller.expires_at(), at(START + 100));
    assert_eq!(caller.deadline(), at(START + 100));
    clock.set(START + 100);
    assert_eq!(rejection(after.verify_now(&token)), Rejection::Expired);
    assert!(before.verify_now(&token).is_ok());

    // A deadline in the token counts, even if the token would live longer.
    let abs = |at| format!(",\"abs\":{at},");
    let claims = claims_of(&token).replace(&abs(START + 8000), &abs(START + 300));
    let early = signed_own(&token[..63], &claims);
    assert_eq!(
        before.verify_now(&early).unwrap().expires_at(),
        at(START + 300)
    );
    clock.set(START + 300);
    assert_eq!(rejection(before.verify_now(&early)), Rejection::Expired);
}

#[test]
fn a_longer_lifetime_moves_no_deadline() {
    let clock = Hands::at(START);
    let with = |max_lifetime| -> TokenAuthenticator {
        TokenAuthenticator::builder(key())
            .issuer("https://auth.example")
            .audience("api")
            .lifetime(Duration::from_secs(60))
            .max_lifetime(Duration::from_secs(max_lifetime))
            .clock(clock.clone())
            .build()
            .unwrap()
    };
    for before in [60, 100] {
        clock.set(START);
        let token = token_of(&now(with(before).issue(Login::new("alice"))).unwrap());
        clock.set(START + 59);
        let refreshed = now(with(10_000).refresh(&token)).unwrap();
        assert_eq!(refreshed.identity().deadline(), at(START + before));
        assert_eq!(refreshed.expires_at(), at(START + before));
    }
}

#[test]
fn claims_of_a_later_version_are_kept_or_rejected() {
    let clock = Hands::at(START);
    let auth = plain(&clock);
    let token = token_of(&now(auth.issue(Login::new("alice"))).unwrap());
    let with = |added: &str| {
        let claims = claims_of(&token).replacen(",\"sub\"", &format!(",{added},\"sub\""), 1);
        signed_own(&token[..63], &claims)
    };
    let newer = with(r#""cnf":{"jkt":"x\ny"}"#);
    assert!(auth.verify_now(&newer).is_ok());
    let refreshed = token_of(&now(auth.refresh(&newer)).unwrap());
    assert!(claims_of(&refreshed).contains(r#""cnf":{"jkt":"x\ny"}"#));
    assert!(auth.verify_now(&refreshed).is_ok());
    assert_eq!(
        rejection(auth.verify_now(&with(r#""crit":["cnf"]"#))),
        Rejection::InvalidClaims
    );
}

#[test]
fn every_issued_token_can_be_refreshed() {
    let clock = Hands::at(START);
    let auth = |max_lifetime| {
        builder(key(), &clock)
            .max_lifetime(Duration::from_secs(max_lifetime))
            .max_length(512)
            .build()
            .unwrap()
    };
    let (same, longer) = (auth(900), auth(3600));
    let mut refreshed = 0;
    for (auth, length) in (0..200).flat_map(|length| [(&same, length), (&longer, length)]) {
        clock.set(START);
        let Ok(issued) = now(auth.issue(Login::new("alice").device("d".repeat(length)))) else {
            continue;
        };
        // In the second of the login: a token that is updated then has no `auth_time` either.
        let updated = now(auth.update(issued.credential().reveal(), &mut |login| {
            login.device = Some("e".repeat(length + 10));
            Ok(())
        }));
        clock.set(START + 1);
        for issued in [Ok(issued), updated].into_iter().flatten() {
            assert!(
                now(auth.refresh(issued.credential().reveal())).is_ok(),
                "{length}"
            );
            refreshed += 1;
        }
    }
    assert!(refreshed > 100, "only {refreshed} could be refreshed");
}

#[test]
fn a_refresh_is_due_only_if_it_extends_the_login() {
    let clock = Hands::at(START);
    let auth = plain(&clock);
    let token = token_of(&now(auth.issue(Login::new("alice"))).unwrap());
    let due = |seconds| {
        clock.set(START + seconds);
        auth.verify_now(&token).unwrap().refresh_due()
    };
    assert!(!due(0) && !due(449) && due(450) && due(899));
    clock.set(START);
    let last = Login::new("alice").deadline(at(START + 900));
    let last = token_of(&now(auth.issue(last)).unwrap());
    clock.set(START + 899);
    assert!(!auth.verify_now(&last).unwrap().refresh_due());
}

/// The last character of a 32-byte signature has two unused bits.
#[test]
fn no_token_has_a_second_spelling() {
    let clock = Hands::at(START);
    let auth = plain(&clock);
    let token = token_of(&now(auth.issue(Login::new("alice"))).unwrap());
    let alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let spellings = alphabet.chars().filter(|last| {
        let spelling = format!("{}{last}", &token[..token.len() - 1]);
        auth.verify_now(&spelling).is_ok()
    });
    assert_eq!(spellings.count(), 1);
    // The same for a payload, with a signature over it.
    let header = &token[..63];
    let claims = format!("{} }}", claims_of(&token).strip_suffix('}').unwrap());
    let mut payload = URL_SAFE_NO_PAD.encode(claims);
    while payload.len() % 4 == 0 {
        let json = String::from_utf8(URL_SAFE_NO_PAD.decode(&payload).unwrap()).unwrap();
        payload = URL_SAFE_NO_PAD.encode(format!("{json} "));
    }
    assert!(
        auth.verify_now(&signed(&format!("{header}.{payload}")))
            .is_ok()
    );
    let last = alphabet.find(payload.pop().unwrap()).unwrap();
    payload.push(char::from(alphabet.as_bytes()[last + 1]));
    let changed = signed(&format!("{header}.{payload}"));
    assert_eq!(rejection(auth.verify_now(&changed)), Rejection::Malformed);
}

#[test]
fn a_token_is_rejected_from_the_second_of_its_expiry_on() {
    let clock = Hands::at(START);
    let auth = plain(&clock);
    let token = token_of(&now(auth.issue(Login::new("alice"))).unwrap());
    clock.set(START + 899);
    assert!(auth.verify_now(&token).is_ok());
    clock.set(START + 900);
    assert_eq!(rejection(auth.verify_now(&token)), Rejection::Expired);
    assert_eq!(rejection(now(auth.refresh(&token))), Rejection::Expired);
    let mut buffer = TokenBuffer::new();
    assert_eq!(
        rejection(auth.verify_borrowed(&token, &mut buffer)),
        Rejection::Expired
    );
}

#[test]
fn a_node_whose_clock_is_behind_accepts_and_refreshes_a_fresh_token() {
    let clock = Hands::at(START);
    let auth = plain(&clock);
    let token = token_of(&now(auth.issue(Login::new("alice"))).unwrap());
    clock.set(START - 2);
    assert!(auth.verify_now(&token).is_ok());
    let again = now(auth.refresh(&token)).unwrap();
    let caller = auth.verify_now(again.credential().reveal()).unwrap();
    assert_eq!(caller.authenticated_at(), at(START));
    assert_eq!(caller.deadline(), at(START + 3600));
}

#[test]
fn refreshing_moves_neither_the_authentication_nor_the_deadline() {
    let clock = Hands::at(START);
    let auth = plain(&clock);
    let login = Login::new("alice").role("admin").device("phone");
    let mut issued = now(auth.issue(login)).unwrap();
    let (id, deadline) = (issued.identity().id(), issued.identity().deadline());
    assert_eq!(deadline, at(START + 3600));
    for step in 1.. {
        clock.set(START + step * 400);
        match now(auth.refresh(issued.refreshable().reveal())) {
            Ok(next) => {
                assert_eq!(next.outcome(), Outcome::Rotated);
                let caller = auth.verify_now(next.credential().reveal()).unwrap();
                assert_eq!(caller.id(), id);
                assert_eq!(caller.authenticated_at(), at(START));
                assert_eq!(caller.deadline(), deadline);
                assert_eq!(caller.issued_at(), at(START + step * 400));
                assert_eq!(
                    caller.expires_at(),
                    at(START + (step * 400 + 900).min(3600))
                );
                assert!(caller.has_role("admin") && caller.device() == Some("phone"));
                let until = now(auth.revoke(next.credential().reveal())).unwrap();
                assert_eq!(until.effective, Revocation::AtExpiry(deadline));
                issued = next;
            }
            Err(error) => {
                assert_eq!((step, error.rejection()), (9, Some(Rejection::Expired)));
                break;
            }
        }
    }
}

#[test]
fn a_login_may_set_its_times_within_the_policy() {
    let clock = Hands::at(START);
    let auth = plain(&clock);
    let issue = |login: Login| now(auth.issue(login)).map(statewise::Issued::into_identity);

    let late = issue(Login::new("a").authenticated_at(at(START + 50))).unwrap();
    assert_eq!(late.authenticated_at(), at(START));
    let old = issue(Login::new("a").authenticated_at(at(START - 3000))).unwrap();
    assert_eq!(
        (old.deadline(), old.expires_at()),
        (at(START + 600), at(START + 600))
    );
    let over = issue(Login::new("a").authenticated_at(at(START - 3600)));
    assert_eq!(rejection(over), Rejection::Expired);
    let short = issue(Login::new("a").deadline(at(START + 10))).unwrap();
    assert_eq!(
        (short.deadline(), short.expires_at()),
        (at(START + 10), at(START + 10))
    );
    let long = issue(Login::new("a").deadline(at(START + 100_000))).unwrap();
    assert_eq!(long.deadline(), at(START + 3600));
    assert_eq!(
        rejection(issue(Login::new("a").deadline(at(START)))),
        Rejection::Expired
    );
    assert!(issue(Login::new("")).unwrap_err().is_misuse());
}

#[test]
fn revoking_answers_when_it_takes_effect() {
    let clock = Hands::at(START);
    let auth = plain(&clock);
    let issued = now(auth.issue(Login::new("alice").deadline(at(START + 1000)))).unwrap();
    let until = now(auth.revoke(issued.credential().reveal())).unwrap();
    assert_eq!(until.effective, Revocation::AtExpiry(at(START + 1000)));
    assert!(auth.verify_now(issued.credential().reveal()).is_ok());
    let all = now(auth.revoke_all("alice")).unwrap();
    assert_eq!(all.count, None, "tokens are not counted");
    assert_eq!(all.effective, Revocation::AtExpiry(at(START + 3600)));
    // A token that was refreshed before it expired lives on in its successor.
    let early = token_of(&now(auth.issue(Login::new("alice"))).unwrap());
    clock.set(START + 899);
    let late = token_of(&now(auth.refresh(&early)).unwrap());
    clock.set(START + 901);
    assert!(auth.verify_now(&late).is_ok());
    let until = now(auth.revoke(&early)).unwrap();
    assert_eq!(until.effective, Revocation::AtExpiry(at(START + 3600)));
    clock.set(START + 3600);
    let over = now(auth.revoke(&early)).unwrap();
    assert_eq!(over.effective, Revocation::Immediate);
    clock.set(START);
    let with_others = builder(key(), &clock)
        .interop(Interop::from_any_issuer(Duration::from_secs(9000)).leeway(Duration::from_secs(9)))
        .build()
        .unwrap();
    let all = now(with_others.revoke_all("alice")).unwrap().effective;
    assert_eq!(all, Revocation::AtExpiry(at(START + 9018)));
}

#[test]
fn an_invalid_replaced_credential_is_ignored_but_an_outage_is_not() {
    let clock = Hands::at(START);
    let auth = plain(&clock);
    let token = token_of(&now(auth.issue(Login::new("alice"))).unwrap());
    for replaced in [
        token.clone(),
        "planted".to_owned(),
        format!("{}A", &token[..token.len() - 1]),
    ] {
        assert!(now(auth.issue(Login::new("alice").replaces(replaced))).is_ok());
    }
    clock.set(u64::MAX);
    let error = now(auth.issue(Login::new("alice").replaces(token))).unwrap_err();
    assert!(error.is_unavailable());
}

#[test]
fn replacing_keys_rejects_no_valid_token() {
    let clock = Hands::at(START);
    let (old, new) = (key(), Key::hs512(&SECRET).unwrap());
    let before = builder(Keyring::new(old.clone()).verify_with(new.clone()), &clock)
        .build()
        .unwrap();
    let after = builder(
        Keyring::new(new.clone())
            .verify_with(old.clone())
            .verify_with(old),
        &clock,
    )
    .build()
    .unwrap();
    let done = builder(new, &clock).build().unwrap();
    let first = token_of(&now(before.issue(Login::new("alice"))).unwrap());
    let second = token_of(&now(after.refresh(&first)).unwrap());
    assert!(after.verify_now(&first).is_ok() && before.verify_now(&second).is_ok());
    assert!(done.verify_now(&second).is_ok());
    assert_eq!(
        rejection(done.verify_now(&first)),
        Rejection::UnacceptableHeader
    );
    assert_ne!(first[..63], second[..63]);
}

#[test]
fn issuer_and_audience_separate_services_that_share_a_key() {
    let clock = Hands::at(START);
    let with = |issuer: &str, audience: &str| -> TokenAuthenticator {
        TokenAuthenticator::builder(key())
            .issuer(issuer)
            .audience(audience)
            .lifetime(Duration::from_secs(900))
            .clock(clock.clone())
            .build()
            .unwrap()
    };
    let ours = with("https://auth.example", "api");
    for (issuer, audience, cause) in [
        ("https://auth.example.evil", "api", Rejection::WrongIssuer),
        ("https://auth.exampl", "api", Rejection::WrongIssuer),
        ("HTTPS://auth.example", "api", Rejection::WrongIssuer),
        ("https://auth.example", "api2", Rejection::WrongAudience),
        ("https://auth.example", "ap", Rejection::WrongAudience),
        ("https://auth.example", "API", Rejection::WrongAudience),
        (
            r#"https://auth.example","aud":"api"#,
            "x",
            Rejection::WrongIssuer,
        ),
    ] {
        let theirs = with(issuer, audience);
        let token = token_of(&now(theirs.issue(Login::new("alice"))).unwrap());
        assert!(theirs.verify_now(&token).is_ok());
        assert_eq!(
            rejection(ours.verify_now(&token)),
            cause,
            "{issuer} {audience}"
        );
    }
    let header = &token_of(&now(ours.issue(Login::new("a"))).unwrap())[..63];
    let sid = r#""sid":"AAECAwQFBgcICQoLDA0ODw""#;
    let dates = format!(r#""exp":{},"iat":{START},{sid},"sub":"a""#, START + 900);
    for (names, cause) in [
        (r#""aud":"api""#, Rejection::WrongIssuer),
        (r#""iss":"https://auth.example""#, Rejection::WrongAudience),
        (
            r#""iss":"https://auth.example","aud":[]"#,
            Rejection::WrongAudience,
        ),
        (
            r#""iss":["https://auth.example"],"aud":"api""#,
            Rejection::InvalidClaims,
        ),
        (
            r#""iss":"https://auth.example","aud":["api",1]"#,
            Rejection::InvalidClaims,
        ),
        (r#""iss":null,"aud":"api""#, Rejection::InvalidClaims),
    ] {
        let token = signed_own(header, &format!("{{{names},{dates}}}"));
        assert_eq!(rejection(ours.verify_now(&token)), cause, "{names}");
    }
}

#[test]
fn claims_in_any_order_and_spelling_give_the_same_identity() {
    let clock = Hands::at(START);
    let auth = plain(&clock);
    let token = token_of(&now(auth.issue(Login::new("alice").role("admin"))).unwrap());
    let header = &token[..63];
    let expected = format!("{:?}", auth.verify_now(&token).unwrap());
    let serde_json::Value::Object(claims) = serde_json::from_str(&claims_of(&token)).unwrap()
    else {
        panic!("the claims are not an object");
    };
    let mut members: Vec<_> = claims
        .iter()
        .map(|(name, value)| format!("\"{name}\" : {value}"))
        .collect();
    for _ in 0..members.len() {
        members.rotate_left(1);
        let claims = format!("{{ {} }}", members.join(" ,\n"));
        let same = auth.verify_now(&signed_own(header, &claims)).unwrap();
        assert_eq!(format!("{same:?}"), expected);
        let twice = format!("{{{},{}}}", members.join(","), members[0]);
        let twice = auth.verify_now(&signed_own(header, &twice));
        assert_eq!(rejection(twice), Rejection::InvalidClaims);
    }
    let escaped = claims_of(&token)
        .replace("alice", "\\u0061lice")
        .replace("\"exp\"", "\"\\u0065xp\"");
    let same = auth.verify_now(&signed_own(header, &escaped)).unwrap();
    assert_eq!(format!("{same:?}"), expected);
    let mut buffer = TokenBuffer::new();
    let escaped = signed_own(header, &escaped);
    assert_eq!(
        auth.verify_borrowed(&escaped, &mut buffer)
            .unwrap()
            .subject(),
        "alice"
    );

    let claims = claims_of(&token);
    let with = |more: &str| {
        signed_own(
            header,
            &format!("{},{more}}}", claims.strip_suffix('}').unwrap()),
        )
    };
    assert!(
        auth.verify_now(&with(r#""unknown":[{}],"jti":"x""#))
            .is_ok()
    );
    assert_eq!(
        rejection(auth.verify_now(&with(r#""jti":1"#))),
        Rejection::InvalidClaims
    );
    assert_eq!(
        rejection(auth.verify_now(&with(r#""rev":"x""#))),
        Rejection::InvalidClaims
    );
    let later = with(&format!("\"nbf\":{}.5", START));
    assert_eq!(rejection(auth.verify_now(&later)), Rejection::NotYetValid);
    clock.set(START + 1);
    assert!(auth.verify_now(&later).is_ok());
}

#[test]
fn data_survive_a_refresh_by_a_service_that_does_not_know_them() {
    let clock = Hands::at(START);
    let profiles = builder(key(), &clock)
        .with_data::<Profile>()
        .build()
        .unwrap();
    let values = builder(key(), &clock)
        .with_data::<serde_json::Value>()
        .build()
        .unwrap();
    let numbers = builder(key(), &clock).with_data::<u32>().build().unwrap();
    let options = builder(key(), &clock)
        .with_data::<Option<Profile>>()
        .build()
        .unwrap();
    let nothing = plain(&clock);
    let pro = Profile {
        plan: "pro".to_owned(),
    };
    let token = token_of(&now(profiles.issue(Login::new("alice").data(pro.clone()))).unwrap());
    assert_eq!(profiles.verify_now(&token).unwrap().data(), &pro);
    assert_eq!(
        options.verify_now(&token).unwrap().data(),
        &Some(pro.clone())
    );
    assert_eq!(values.verify_now(&token).unwrap().data()["plan"], "pro");
    assert!(numbers.verify_now(&token).unwrap_err().is_unreadable());
    // A caller without data accepts the token, and a refresh keeps the data.
    let refreshed = token_of(&now(nothing.refresh(&token)).unwrap());
    assert_eq!(profiles.verify_now(&refreshed).unwrap().data(), &pro);
    let mut buffer = TokenBuffer::new();
    let borrowed = nothing.verify_borrowed(&token, &mut buffer).unwrap();
    assert_eq!(borrowed.data_json(), Some(r#"{"plan":"pro"}"#));

    let none = token_of(&now(options.issue(Login::new("alice").data(None))).unwrap());
    assert!(!claims_of(&none).contains("data"));
    assert_eq!(options.verify_now(&none).unwrap().data(), &None);
    assert!(profiles.verify_now(&none).unwrap_err().is_unreadable());

    let mut deep = serde_json::json!(1);
    for _ in 0..31 {
        deep = serde_json::json!([deep]);
    }
    let fits = token_of(&now(values.issue(Login::new("alice").data(deep.clone()))).unwrap());
    assert_eq!(values.verify_now(&fits).unwrap().data(), &deep);
    let too_deep = serde_json::json!([deep]);
    assert!(
        now(values.issue(Login::new("alice").data(too_deep)))
            .unwrap_err()
            .is_misuse()
    );
}

#[test]
fn a_refresh_keeps_the_stamp_of_the_revocation_log() {
    let clock = Hands::at(START);
    let auth = plain(&clock);
    let token = token_of(&now(auth.issue(Login::new("alice"))).unwrap());
    let stamp = statewise::store::contract::Stamp::new(7, 9, 0);
    let rev = URL_SAFE_NO_PAD.encode(stamp.to_bytes());
    let claims = claims_of(&token).replace(
        r#","sub":"alice"}"#,
        &format!(r#","sub":"alice","rev":"{rev}"}}"#),
    );
    assert!(claims.contains("rev"));
    let stamped = signed_own(&token[..63], &claims);
    let refreshed = token_of(&now(auth.refresh(&stamped)).unwrap());
    assert!(claims_of(&refreshed).contains(&format!("\"rev\":\"{rev}\"")));
    let continued: Identity = auth.verify_now(&refreshed).unwrap();
    let again = token_of(&now(auth.issue(continued.into_login())).unwrap());
    assert!(claims_of(&again).contains(&format!("\"rev\":\"{rev}\"")));
}

/// As at a gateway, which issues tokens of a minute for a session of hours ago. Rejects a default
/// maximum that counts from the authentication, and a refresh that extends such a token.
#[test]
fn a_token_that_continues_an_older_login_lasts_one_lifetime() {
    const MINUTE: u64 = 60;
    const HOUR: u64 = 3600;
    let clock = Hands::at(START);
    let builder = |audience, lifetime| {
        TokenAuthenticator::builder(key())
            .issuer("https://auth.example")
            .audience(audience)
            .lifetime(Duration::from_secs(lifetime))
            .clock(clock.clone())
    };
    let edge = builder("edge", 24 * HOUR).build().unwrap();
    let caller = now(edge.issue(Login::new("alice")))
        .unwrap()
        .into_identity();
    let login = || caller.clone().into_login();
    let open = builder("api", MINUTE).build().unwrap();
    let max_lifetime = Duration::from_secs(HOUR);
    let limited = builder("api", MINUTE)
        .max_lifetime(max_lifetime)
        .build()
        .unwrap();

    clock.set(START + 2 * HOUR);
    let token = token_of(&now(open.issue(login())).unwrap());
    let seen: Identity = open.verify_now(&token).unwrap();
    assert_eq!(seen.authenticated_at(), caller.authenticated_at());
    assert_eq!(
        seen.expires_at() - seen.issued_at(),
        Duration::from_secs(MINUTE)
    );
    clock.set(START + 2 * HOUR + 30);
    let refreshed = now(open.refresh(&token)).unwrap();
    assert_eq!(refreshed.identity().expires_at(), seen.expires_at());
    assert_eq!(rejection(now(limited.issue(login()))), Rejection::Expired);
    assert_eq!(rejection(limited.verify_now(&token)), Rejection::Expired);
    clock.set(START + 2 * HOUR + MINUTE);
    assert_eq!(rejection(open.verify_now(&token)), Rejection::Expired);

    // The deadline of the login comes first.
    clock.set(START + 24 * HOUR - 30);
    let last = now(open.issue(login())).unwrap();
    assert_eq!(last.identity().expires_at(), caller.deadline());
    clock.set(START + 24 * HOUR);
    assert_eq!(rejection(now(open.issue(login()))), Rejection::Expired);
}

#[test]
fn too_long_tokens_are_neither_issued_nor_verified() {
    let clock = Hands::at(START);
    let large = builder(key(), &clock).max_length(8192).build().unwrap();
    let small = builder(key(), &clock).max_length(600).build().unwrap();
    // A device label of such lengths would be cut.
    let with_acr = |length: usize| Login::new("alice").acr("d".repeat(length));
    let error = now(small.issue(with_acr(500))).unwrap_err();
    assert_eq!(error.refusal(), Some(Refusal::TooLarge));
    let token = token_of(&now(large.issue(with_acr(4000))).unwrap());
    assert_eq!(
        large.verify_now(&token).unwrap().acr().map(str::len),
        Some(4000)
    );
    let mut buffer = TokenBuffer::new();
    assert_eq!(
        large
            .verify_borrowed(&token, &mut buffer)
            .unwrap()
            .acr()
            .map(str::len),
        Some(4000)
    );
    assert_eq!(rejection(small.verify_now(&token)), Rejection::Malformed);
    assert!(!small.is_well_formed(&token));
    assert!(now(large.issue(with_acr(5000))).unwrap_err().is_refused());
    // Each length, so that no payload falls between two buffers.
    for length in 0..900 {
        let token = token_of(&now(large.issue(with_acr(length))).unwrap());
        assert!(large.verify_now(&token).is_ok(), "{length}");
    }
    let values = builder(key(), &clock)
        .with_data::<String>()
        .max_length(8192)
        .build()
        .unwrap();
    let fits = (1..8192)
        .rev()
        .step_by(7)
        .find_map(|length| now(values.issue(Login::new("a").data("x".repeat(length)))).ok());
    let longest = token_of(&fits.unwrap());
    // Close to the limit: a refresh adds `auth_time`.
    assert!(longest.len() > 8192 - 48);
    assert!(values.verify_now(&longest).is_ok());
}

#[test]
fn an_outage_is_unavailable_and_issues_no_token() {
    let clock = Hands::at(START);
    let entropy = Counting::default();
    let auth = builder(key(), &clock)
        .entropy(entropy.clone())
        .build()
        .unwrap();
    let token = token_of(&now(auth.issue(Login::new("alice"))).unwrap());
    entropy.fails.store(true, Ordering::SeqCst);
    assert!(
        now(auth.issue(Login::new("alice")))
            .unwrap_err()
            .is_unavailable()
    );
    assert!(auth.verify_now(&token).is_ok());
    clock.set(u64::MAX);
    assert!(auth.verify_now(&token).unwrap_err().is_unavailable());
    assert!(now(auth.refresh(&token)).unwrap_err().is_unavailable());
    assert!(now(auth.revoke(&token)).unwrap_err().is_unavailable());
    assert!(now(auth.revoke_all("alice")).unwrap_err().is_unavailable());
    // A forged token is rejected as such, whatever the clock says.
    assert!(auth.verify_now("forged").unwrap_err().is_rejected());
    assert!(
        Key::generate_with(Algorithm::HS512, &entropy)
            .unwrap_err()
            .is_unavailable()
    );
}

#[test]
fn any_time_of_the_clock_is_handled() {
    for seconds in [0, 1, 253_402_300_798, 253_402_300_799, u64::MAX - 1] {
        let clock = Hands::at(seconds);
        let auth = plain(&clock);
        match now(auth.issue(Login::new("alice"))) {
            Ok(issued) => {
                assert!(
                    auth.verify_now(issued.credential().reveal()).is_ok(),
                    "{seconds}"
                );
                assert!(now(auth.refresh(issued.credential().reveal())).is_ok());
            }
            // No token can be issued in the last second of time.
            Err(error) => assert_eq!(error.rejection(), Some(Rejection::Expired), "{seconds}"),
        }
        let _ = now(auth.revoke_all("alice")).unwrap();
    }
    let clock = Hands::at(0);
    let auth = plain(&clock);
    let token = token_of(&now(auth.issue(Login::new("alice"))).unwrap());
    clock.set(u64::MAX - 1);
    assert_eq!(rejection(auth.verify_now(&token)), Rejection::Expired);
}

#[test]
fn weak_keys_and_other_kinds_of_keys_are_refused() {
    let pem = b"\n -----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=\n";
    let explained = [b"Bag Attributes\n".as_slice(), pem].concat();
    let jwk = br#" {"kty":"oct","k":"AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow"}"#;
    let mut der = vec![0x30, 0x82, 1, 0, 0x30];
    der.extend((0..255).map(|byte: u8| byte));
    for secret in [
        &b""[..],
        &SECRET[..31],
        &[0; 64],
        &[0xaa; 131],
        pem,
        &explained,
        b"ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAABgQC7 someone@example",
        b" ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGb9ECWmEzf6FQbrBZ9w7lshQ",
        b"ecdsa-sha2-nistp256 AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlz",
        jwk,
        &der,
    ] {
        let error = Key::hs256(secret).expect_err("was accepted as a key");
        assert!(error.is_misuse(), "{error}");
    }
    assert!(Key::hs384(&SECRET[..47]).is_err() && Key::hs384(&SECRET[..48]).is_ok());
    assert!(Key::hs512(&SECRET[..63]).is_err() && Key::hs512(&SECRET).is_ok());
    assert!(Key::hs256(b"correct horse battery staple correct horse").is_ok());

    assert_ne!(
        Key::generate_hs512().unwrap().kid(),
        Key::generate_hs512().unwrap().kid()
    );
    assert_ne!(key().kid(), Key::hs256(&SECRET[1..33]).unwrap().kid());
}

#[test]
fn contradictory_settings_are_not_built() {
    type Build = TokenBuilder;
    let second = Duration::from_secs(1);
    let with = |issuer: &str, audience: &str, lifetime: Duration| -> Build {
        TokenAuthenticator::builder(key())
            .issuer(issuer)
            .audience(audience)
            .lifetime(lifetime)
    };
    let good = || with("me", "api", second);
    let interop = || Interop::from_any_issuer(second);
    let refused: [Build; 16] = [
        with("", "api", second),
        with("me", "", second),
        with("me", "api", Duration::ZERO),
        with("me", "api", Duration::from_millis(999)),
        with("me", "api", Duration::from_secs(401 * 24 * 3600)),
        with("me", "api", second * 2).max_lifetime(second),
        good().max_length(255),
        good().max_length(8193),
        with(&"m".repeat(3000), "api", second),
        good().interop(Interop::from_any_issuer(Duration::ZERO)),
        good().interop(Interop::from_issuer("", second)),
        good().interop(interop().audience("")),
        good().interop(interop().typ("")),
        good().interop(interop().leeway(Duration::from_secs(301))),
        good().interop(interop().leeway(Duration::MAX)),
        good().max_lifetime(Duration::ZERO),
    ];
    for builder in refused {
        let error = builder.build().expect_err("was built");
        assert!(error.is_misuse(), "{error}");
    }
    assert!(good().build().is_ok());
    assert!(
        good()
            .interop(interop().leeway(Duration::from_secs(300)))
            .build()
            .is_ok()
    );
    assert!(good().max_lifetime(Duration::MAX).build().is_ok());
}

#[test]
fn debug_output_and_errors_contain_no_secret() {
    let clock = Hands::at(START);
    let secret = key().reveal();
    let builder = builder(key(), &clock)
        .with_data::<String>()
        .interop(Interop::from_any_issuer(Duration::from_secs(9)));
    let built = format!("{builder:?}");
    let auth = builder.build().unwrap();
    let data = "private words".to_owned();
    let issued = now(auth.issue(Login::new("alice").data(data))).unwrap();
    let token = token_of(&issued);
    let mut buffer = TokenBuffer::new();
    let borrowed = format!("{:?}", auth.verify_borrowed(&token, &mut buffer).unwrap());
    let mut printed = vec![
        built,
        format!("{:?}", key()),
        format!("{:?}", Keyring::new(key())),
        format!("{auth:?}"),
        format!("{issued:?}"),
        borrowed,
        format!("{buffer:?}"),
    ];
    let mut errors = vec![Key::hs256(&SECRET[..31]).unwrap_err()];
    for length in [10, 63, 64, 70, token.len() - 1] {
        errors.push(auth.verify_now(&token[..length]).unwrap_err());
    }
    clock.set(START + 10_000);
    errors.push(auth.verify_now(&token).unwrap_err());
    for error in errors {
        assert!(error.source().is_none());
        printed.extend([format!("{error}"), format!("{error:?}")]);
    }
    let bytes = format!("{:?}", &SECRET[..32]);
    let bytes = bytes.trim_matches(['[', ']']);
    for text in printed {
        for part in token
            .split('.')
            .skip(1)
            .chain([secret.as_str(), bytes, "private words"])
        {
            let parts = part.as_bytes().windows(12);
            for window in parts {
                let window = std::str::from_utf8(window).unwrap();
                assert!(!text.contains(window), "{window} in {text}");
            }
        }
    }
}

/// LIFE-01 of tokens: each refresh keeps the choice and the deadline, and a token of another login has
/// the same bytes as before. Rejects one maximum lifetime for all.
#[test]
fn life_01_a_login_keeps_the_life_it_chose() {
    const DAY: u64 = 86_400;
    let clock = Hands::at(START);
    let remembering = || builder(key(), &clock).remembered(Duration::from_secs(30 * DAY));
    let auth = remembering().build().unwrap();
    let mut chosen = now(auth.issue(Login::new("alice").remember())).unwrap();
    let mut other = now(auth.issue(Login::new("alice"))).unwrap();
    assert_eq!(token_of(&chosen).len(), token_of(&other).len());
    assert_eq!(other.identity().deadline(), at(START + 3600));
    for round in 1..=40 {
        clock.set(START + round * 899);
        chosen = now(auth.refresh(&token_of(&chosen))).unwrap();
        assert!(chosen.identity().is_remembered());
        assert_eq!(chosen.identity().deadline(), at(START + 30 * DAY));
        let caller = auth.verify_now(&token_of(&chosen)).unwrap();
        assert!(caller.is_remembered());
        match now(auth.refresh(&token_of(&other))) {
            Ok(refreshed) => other = refreshed,
            Err(_) => assert!(round > 4, "ended in round {round}"),
        }
        assert!(!other.identity().is_remembered());
    }
    assert!(auth.verify_now(&token_of(&other)).is_err());
    // LIFE-02: a shorter life counts at once, and so does one that is not configured.
    let shorter = builder(key(), &clock).remembered(Duration::from_secs(2 * 3600));
    for auth in [shorter.build().unwrap(), plain(&clock)] {
        let expired = auth.verify_now(&token_of(&chosen)).unwrap_err();
        assert_eq!(expired.rejection(), Some(Rejection::Expired));
        assert!(now(auth.refresh(&token_of(&chosen))).is_err());
    }
    let error = builder(key(), &clock).remembered(Duration::from_secs(3599));
    let error = error.build().unwrap_err();
    assert!(error.is_misuse() && error.to_string().contains("lengthen"));
    // A view must remember a revocation for as long as the longest login.
    let view = |days: u64| {
        let log = statewise::revocation::MemoryLog::new().unwrap();
        let view = statewise::revocation::RevocationView::builder(log);
        let view = view.max_lifetime(Duration::from_secs(days * DAY));
        let view = view.clock(clock.clone());
        remembering().revocations(&view.build().unwrap()).build()
    };
    assert!(view(29).is_err() && view(30).is_ok());
}

/// PASSIVE-02 of tokens: nothing is due on account of a poll.
#[test]
fn passive_02_nothing_is_due() {
    let clock = Hands::at(START);
    let auth = plain(&clock);
    let token = token_of(&now(auth.issue(Login::new("alice"))).unwrap());
    clock.set(START + 800);
    let presented = Presented::new(&token);
    let is_due = |presented| now(auth.verify_with(presented)).unwrap().refresh_due();
    assert!(is_due(presented) && !is_due(presented.passive()));
    let verified = auth.try_verify_now(presented.passive()).unwrap().unwrap();
    assert!(!verified.refresh_due());
}
