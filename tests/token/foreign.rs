//! Acceptance of tokens of other libraries, and the identities made from them.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use statewise::token::{Interop, Key, Keyring, TokenAuthenticator, TokenBuffer};
use statewise::{Authenticator, Login, Rejection, Revocation};

use crate::support::*;

const STANDARD: &str = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9";

fn foreign(claims: &str) -> String {
    signed_own(STANDARD, claims)
}

fn auth(clock: &Hands, interop: Interop) -> TokenAuthenticator {
    builder(key(), clock).interop(interop).build().unwrap()
}

/// As lenient about `iat` as most libraries, and exact about all other dates.
fn hour() -> Interop {
    Interop::from_any_issuer(Duration::from_secs(3600))
        .leeway(Duration::ZERO)
        .allow_missing_issued_at()
}

/// With exactly our header, which other libraries can produce.
fn under_our_header(claims: &str) -> String {
    let clock = Hands::at(START);
    let ours = token_of(&now(plain(&clock).issue(Login::new("a"))).unwrap());
    signed_own(&ours[..63], claims)
}

#[test]
fn our_header_does_not_bypass_the_policy() {
    let clock = Hands::at(START);
    let theirs = format!(
        r#"{{"iss":"https://other.example","aud":"api","exp":{},"iat":{START},"sub":"eve"}}"#,
        START + 60
    );
    let other =
        || Interop::from_issuer("https://other.example", Duration::from_secs(3600)).audience("api");
    let accepts = |interop, token: &str| auth(&clock, interop).verify_now(token);
    let token = under_our_header(&theirs);
    assert_eq!(accepts(other(), &token).unwrap().subject(), "eve");
    assert_eq!(
        accepts(other().typ("JWT"), &token).unwrap().subject(),
        "eve"
    );
    assert!(accepts(other().typ("at+jwt"), &token).is_err());

    // An invalid token of ours is not accepted under another policy.
    let own = token_of(&now(plain(&clock).issue(Login::new("alice"))).unwrap());
    let any = || Interop::from_any_issuer(Duration::from_secs(9_000)).audience("api");
    for (from, to) in [
        (r#","sub""#, r#","crit":["cnf"],"cnf":"x","sub""#.to_owned()),
        (r#","sub""#, format!(r#","nbf":{},"sub""#, START + 10)),
        (r#","sub""#, format!(r#","auth_time":{},"sub""#, START + 10)),
        (r#""aud":"api""#, r#""aud":7"#.to_owned()),
    ] {
        let bad = under_our_header(&claims_of(&own).replacen(from, &to, 1));
        assert!(
            accepts(any().leeway(Duration::from_secs(60)), &bad).is_err(),
            "{to}"
        );
    }
}

#[test]
fn a_token_without_iat_has_no_latest_expiry() {
    let clock = Hands::at(START);
    let token = foreign(&format!(r#"{{"exp":{},"sub":"eve"}}"#, START + 60));
    let strict = auth(&clock, Interop::from_any_issuer(Duration::from_secs(3600)));
    assert_eq!(
        rejection(strict.verify_now(&token)),
        Rejection::MissingClaim
    );
    let lax = auth(&clock, hour());
    assert!(lax.verify_now(&token).is_ok());
    let all = now(lax.revoke_all("eve")).unwrap().effective;
    assert_eq!(
        all,
        Revocation::AtExpiry(statewise::clock::Timestamp::MAX.into())
    );
}

#[test]
fn one_jti_of_two_users_is_two_logins() {
    let clock = Hands::at(START);
    let lax = auth(&clock, hour());
    let id = |iss: &str, sub: &str| {
        let exp = START + 60;
        let claims = format!(r#"{{"iss":"{iss}","exp":{exp},"sub":"{sub}","jti":"1"}}"#);
        lax.verify_now(&foreign(&claims)).unwrap().id()
    };
    assert_eq!(id("a", "alice"), id("a", "alice"));
    assert_ne!(id("a", "alice"), id("a", "bob"));
    assert_ne!(id("a", "alice"), id("b", "alice"));
    assert_ne!(id("ab", "c"), id("a", "bc"));
}

#[test]
fn interop_is_off_by_default() {
    let clock = Hands::at(START);
    let token = foreign(&format!(r#"{{"sub":"alice","exp":{}}}"#, START + 60));
    assert_eq!(
        rejection(plain(&clock).verify_now(&token)),
        Rejection::UnacceptableHeader
    );
    let auth = auth(&clock, hour());
    assert!(auth.is_well_formed(&token));
    let caller = auth.verify_now(&token).unwrap();
    assert_eq!(caller.subject(), "alice");
    assert_eq!(
        (caller.expires_at(), caller.deadline()),
        (at(START + 60), at(START + 60))
    );
    // Our own tokens follow our own rules beside it.
    let own = token_of(&now(auth.issue(Login::new("bob"))).unwrap());
    assert_eq!(auth.verify_now(&own).unwrap().subject(), "bob");
}

#[test]
fn foreign_tokens_are_not_refreshed_and_revoking_answers_their_expiry() {
    let clock = Hands::at(START);
    let auth = auth(&clock, hour().leeway(Duration::from_secs(5)));
    let token = foreign(&format!(r#"{{"sub":"alice","exp":{}}}"#, START + 60));
    assert_eq!(
        rejection(now(auth.refresh(&token))),
        Rejection::NotRefreshable
    );
    let until = now(auth.revoke(&token)).unwrap();
    assert_eq!(until.effective, Revocation::AtExpiry(at(START + 65)));
    clock.set(START + 64);
    assert!(auth.verify_now(&token).is_ok());
    clock.set(START + 65);
    assert_eq!(rejection(auth.verify_now(&token)), Rejection::Expired);
    assert_eq!(
        now(auth.revoke(&token)).unwrap().effective,
        Revocation::Immediate
    );
}

#[test]
fn each_rule_of_the_policy_is_enforced() {
    let clock = Hands::at(START);
    let exp = START + 60;
    let iss = r#""iss":"https://legacy.example""#;
    let from = || {
        Interop::from_issuer("https://legacy.example", Duration::from_secs(3600))
            .allow_missing_issued_at()
    };
    let (late, soon) = (START + 3601, START + 1);
    let long = format!(r#""sub":"a","exp":{late}"#);
    let early = format!(r#""sub":"a","exp":{exp},"nbf":{soon}"#);
    let future = format!(r#""sub":"a","exp":{exp},"iat":{soon}"#);
    let old = format!(r#""sub":"a","exp":{exp},"iat":{}"#, START - 3541);
    let plain = format!(r#""sub":"a","exp":{exp}"#);
    let one = Duration::from_secs(1);
    for (interop, claims, cause) in [
        (hour(), plain.clone(), None),
        (
            hour(),
            r#""sub":"a""#.to_owned(),
            Some(Rejection::MissingClaim),
        ),
        (hour(), long, Some(Rejection::LivesTooLong)),
        (hour(), old, Some(Rejection::LivesTooLong)),
        (hour(), early.clone(), Some(Rejection::NotYetValid)),
        (hour().leeway(one), early, None),
        (hour(), future.clone(), Some(Rejection::NotYetValid)),
        (hour().leeway(one), future, None),
        (from(), plain.clone(), Some(Rejection::WrongIssuer)),
        (from(), format!("{plain},{iss}"), None),
        (
            from(),
            format!(r#"{plain},"iss":"https://legacy.example/""#),
            Some(Rejection::WrongIssuer),
        ),
        (
            hour(),
            format!(r#"{plain},"iss":1"#),
            Some(Rejection::WrongClaimType),
        ),
        (
            hour(),
            format!(r#"{plain},"aud":"api""#),
            Some(Rejection::WrongAudience),
        ),
        (
            hour().audience("api"),
            plain.clone(),
            Some(Rejection::WrongAudience),
        ),
        (
            hour().audience("api"),
            format!(r#"{plain},"aud":["x","api"]"#),
            None,
        ),
        (
            hour(),
            format!(r#""exp":{exp}"#),
            Some(Rejection::MissingClaim),
        ),
        (
            hour(),
            format!(r#""sub":"","exp":{exp}"#),
            Some(Rejection::MissingClaim),
        ),
        (hour().subject_or("nobody"), format!(r#""exp":{exp}"#), None),
        (
            hour().subject_or("nobody"),
            format!(r#""sub":1,"exp":{exp}"#),
            Some(Rejection::WrongClaimType),
        ),
        (
            hour().typ("at+jwt"),
            plain.clone(),
            Some(Rejection::WrongType),
        ),
        (hour().typ("application/JWT"), plain.clone(), None),
        (
            hour(),
            format!(r#"{plain},"roles":7"#),
            Some(Rejection::WrongClaimType),
        ),
        (
            hour(),
            format!(r#"{plain},"auth_time":"x""#),
            Some(Rejection::WrongClaimType),
        ),
        (
            hour(),
            format!(r#"{plain},"acr":2"#),
            Some(Rejection::WrongClaimType),
        ),
        (
            hour(),
            format!(r#"{plain},"acr":null"#),
            Some(Rejection::WrongClaimType),
        ),
    ] {
        let result = auth(&clock, interop).verify_now(&foreign(&format!("{{{claims}}}")));
        assert_eq!(
            result.err().and_then(|error| error.rejection()),
            cause,
            "{claims}"
        );
    }
}

#[test]
fn a_header_chooses_only_among_the_keys_of_the_ring() {
    let clock = Hands::at(START);
    let other = Key::hs512(&SECRET).unwrap();
    let kid = key().kid().to_owned();
    let ring = Keyring::new(other.clone())
        .verify_with(Key::hs256(&SECRET[1..33]).unwrap())
        .verify_with(key());
    let auth = builder(ring, &clock).interop(hour()).build().unwrap();
    let wrong_kid = Key::hs256(&SECRET[1..33]).unwrap().kid().to_owned();
    let claims = URL_SAFE_NO_PAD.encode(format!(r#"{{"sub":"alice","exp":{}}}"#, START + 60));
    for (header, cause) in [
        (r#"{"alg":"HS256"}"#.to_owned(), None),
        (format!(r#"{{"kid":"{kid}","alg":"HS256"}}"#), None),
        (r#"{"alg":"HS256","kid":"nobody's"}"#.to_owned(), None),
        (
            r#"{"alg":"HS256","jku":"https://evil.example","x":[{}]}"#.to_owned(),
            None,
        ),
        (
            format!(r#"{{"kid":"{wrong_kid}","alg":"HS256"}}"#),
            Some(Rejection::BadSignature),
        ),
        (
            format!(r#"{{"kid":"{}","alg":"HS256"}}"#, other.kid()),
            Some(Rejection::UnacceptableHeader),
        ),
        (r#"{"alg":"HS512"}"#.to_owned(), Some(Rejection::Malformed)),
        (
            r#"{"alg":"HS384"}"#.to_owned(),
            Some(Rejection::UnacceptableHeader),
        ),
        (
            r#"{"alg":"none"}"#.to_owned(),
            Some(Rejection::UnacceptableHeader),
        ),
        (
            r#"{"alg":"HS256","crit":["exp"]}"#.to_owned(),
            Some(Rejection::UnacceptableHeader),
        ),
        (
            r#"{"alg":"HS256","\u0063rit":[]}"#.to_owned(),
            Some(Rejection::UnacceptableHeader),
        ),
        (
            r#"{"alg":"HS256","b64":true}"#.to_owned(),
            Some(Rejection::UnacceptableHeader),
        ),
        (
            r#"{"alg":"HS256","alg":"HS256"}"#.to_owned(),
            Some(Rejection::UnacceptableHeader),
        ),
        (
            r#"["HS256"]"#.to_owned(),
            Some(Rejection::UnacceptableHeader),
        ),
    ] {
        let token = signed(&format!("{}.{claims}", URL_SAFE_NO_PAD.encode(&header)));
        let result = auth.verify_now(&token);
        assert_eq!(
            result.err().and_then(|error| error.rejection()),
            cause,
            "{header}"
        );
    }
}

#[test]
fn a_wrong_signature_is_reported_before_the_spelling_of_the_payload() {
    let clock = Hands::at(START);
    let auth = auth(&clock, hour());
    let claims = format!(r#"{{"sub":"alice","exp":{}}}"#, START + 60);
    let token = [claims.clone(), claims + " "]
        .map(|claims| foreign(&claims))
        .into_iter()
        .find(|token| token.split('.').nth(1).unwrap().len() % 4 != 0)
        .unwrap();
    let (signed_part, signature) = token.rsplit_once('.').unwrap();
    let mut respelled = signed_part.to_owned();
    // The bits of the last character that mean nothing are zero in the canonical spelling.
    let last = respelled.pop().unwrap();
    respelled.push(char::from(last as u8 + 1));
    let forged = format!("{respelled}.{signature}");
    assert_eq!(rejection(auth.verify_now(&forged)), Rejection::BadSignature);
    let authentic = signed(&respelled);
    assert_eq!(rejection(auth.verify_now(&authentic)), Rejection::Malformed);
}

#[test]
fn foreign_claims_become_an_identity() {
    let clock = Hands::at(START);
    let claims = format!(
        r#"{{"sub":"alice","iat":{},"exp":{},"auth_time":{},"roles":["admin","x"],"acr":"aal2","plan":"pro","jti":"1"}}"#,
        START - 5,
        START + 60,
        START - 100,
    );
    let auth = builder(key(), &clock)
        .with_data::<Profile>()
        .interop(hour())
        .build()
        .unwrap();
    let caller = auth.verify_now(&foreign(&claims)).unwrap();
    assert_eq!(caller.data().plan, "pro");
    assert_eq!(caller.roles().collect::<Vec<_>>(), ["admin", "x"]);
    assert_eq!(caller.issued_at(), at(START - 5));
    assert_eq!(caller.authenticated_at(), at(START - 100));
    assert_eq!(caller.device(), None);
    assert_eq!(caller.acr(), Some("aal2"));
    // The same token id makes the same login.
    let same = auth
        .verify_now(&foreign(&claims.replace("\"x\"", "\"y\"")))
        .unwrap();
    assert_eq!(same.id(), caller.id());
    let other = auth
        .verify_now(&foreign(&claims.replace(r#""jti":"1""#, r#""jti":"2""#)))
        .unwrap();
    assert_ne!(other.id(), caller.id());
    let unreadable = auth.verify_now(&foreign(&claims.replace("plan", "plain")));
    assert_eq!(rejection(unreadable), Rejection::InvalidClaims);
    let mut buffer = TokenBuffer::new();
    let token = foreign(&claims);
    let borrowed = auth.verify_borrowed(&token, &mut buffer).unwrap();
    assert_eq!(borrowed.data_json(), Some(claims.as_str()));
    assert_eq!(borrowed.acr(), Some("aal2"));
}
