//! Claims and header that other services expect of our tokens (RFC 9068).

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use statewise::token::{TokenBuffer, TokenBuilder};
use statewise::{Authenticator, Login, Rejection};

use crate::support::*;

fn full(clock: &Hands) -> TokenBuilder<Value> {
    builder(key(), clock)
        .entropy(Counting::default())
        .access_tokens()
        .client_id("web \"1\"")
        .scope()
        .with_data()
}

fn header_of(token: &str) -> String {
    let header = token.split('.').next().unwrap();
    String::from_utf8(URL_SAFE_NO_PAD.decode(header).unwrap()).unwrap()
}

fn login() -> Login<Value> {
    Login::new("alice")
        .roles(["read", "write"])
        .data(json!({ "plan": "pro" }))
}

#[test]
fn an_access_token_has_the_header_and_the_claims_of_its_profile() {
    let auth = full(&Hands::at(START)).build().unwrap();
    let token = token_of(&now(auth.issue(login())).unwrap());
    let kid = key().kid()[..8].to_owned();
    let header = format!(r#"{{"alg":"HS256","typ":"at+jwt","kid":"{kid}"}}"#);
    assert_eq!(header_of(&token), header);
    let claims = claims_of(&token);
    let claims: Value = serde_json::from_str(&claims).unwrap();
    assert_eq!(claims["scope"], "read write");
    assert_eq!(claims["client_id"], "web \"1\"");
    assert_eq!(claims["jti"].as_str().unwrap().len(), 22);
    assert_eq!(claims["roles"], json!(["read", "write"]));
    assert_eq!(claims["data"], json!({ "plan": "pro" }));

    let caller = auth.verify_now(&token).unwrap();
    assert!(caller.roles().eq(["read", "write"]));
    assert_eq!(caller.data(), &json!({ "plan": "pro" }));
    let mut buffer = TokenBuffer::new();
    let borrowed = auth.verify_borrowed(&token, &mut buffer).unwrap();
    assert_eq!(borrowed.data_json(), Some(r#"{"plan":"pro"}"#));
}

#[test]
fn each_part_of_the_profile_stands_alone() {
    let clock = Hands::at(START);
    let written = |change: fn(TokenBuilder) -> TokenBuilder| {
        let auth = change(builder(key(), &clock)).build().unwrap();
        let token = token_of(&now(auth.issue(Login::new("a").role("r"))).unwrap());
        assert_eq!(auth.verify_now(&token).unwrap().roles().count(), 1);
        let claims: Value = serde_json::from_str(&claims_of(&token)).unwrap();
        let names = ["scope", "client_id", "jti"];
        let names: Vec<_> = names
            .into_iter()
            .filter(|name| claims.get(name).is_some())
            .collect();
        (names, header_of(&token).contains("at+jwt"))
    };
    assert_eq!(written(|builder| builder), (vec![], false));
    assert_eq!(written(|builder| builder.scope()), (vec!["scope"], false));
    assert_eq!(
        written(|builder| builder.client_id("web")),
        (vec!["client_id"], false)
    );
    assert_eq!(
        written(|builder| builder.access_tokens()),
        (vec!["jti"], true)
    );
}

#[test]
fn a_refresh_writes_the_profile_anew_and_once() {
    let clock = Hands::at(START);
    let auth = full(&clock).build().unwrap();
    let first = token_of(&now(auth.issue(login())).unwrap());
    clock.set(START + 60);
    let second = token_of(&now(auth.refresh(&first)).unwrap());
    let id = |token: &str| {
        let claims: Value = serde_json::from_str(&claims_of(token)).unwrap();
        claims["jti"].as_str().unwrap().to_owned()
    };
    assert_ne!(id(&first), id(&second));
    for name in ["scope", "client_id", "jti", "data"] {
        let name = format!("\"{name}\":");
        assert_eq!(claims_of(&second).matches(&name).count(), 1, "{name}");
    }
    assert!(
        auth.verify_now(&second)
            .unwrap()
            .roles()
            .eq(["read", "write"])
    );
    // A service that writes no such claims keeps them, as any claim that it does not know.
    let plain = builder(key(), &clock).build().unwrap();
    let scoped = builder(key(), &clock).scope().build().unwrap();
    let scoped = token_of(&now(scoped.issue(Login::new("a").role("r"))).unwrap());
    let kept = token_of(&now(plain.refresh(&scoped)).unwrap());
    assert!(claims_of(&kept).contains(r#""scope":"r""#));
}

#[test]
fn two_access_tokens_have_one_id_only_if_they_are_equal() {
    let auth = full(&Hands::at(START)).build().unwrap();
    let id = |login: Login<Value>| {
        let token = token_of(&now(auth.issue(login)).unwrap());
        let claims: Value = serde_json::from_str(&claims_of(&token)).unwrap();
        claims["jti"].as_str().unwrap().to_owned()
    };
    // The entropy draws the same handle each time.
    assert_eq!(id(login()), id(login()));
    assert_ne!(id(login()), id(login().role("x")));
    assert_ne!(id(login()), id(login().data(json!({ "plan": "free" }))));
}

#[test]
fn the_two_headers_are_told_apart() {
    let clock = Hands::at(START);
    let (typed, plain) = (full(&clock).build().unwrap(), plain(&clock));
    let typed_token = token_of(&now(typed.issue(login())).unwrap());
    let plain_token = token_of(&now(plain.issue(Login::new("a"))).unwrap());
    assert_eq!(
        rejection(plain.verify_now(&typed_token)),
        Rejection::UnacceptableHeader
    );
    assert_eq!(
        rejection(typed.verify_now(&plain_token)),
        Rejection::UnacceptableHeader
    );
    // The key is the same: only its header differs.
    assert_eq!(
        typed.keyring().state(key().kid(), at(START)),
        plain.keyring().state(key().kid(), at(START))
    );
    typed.replace_keyring(key()).unwrap();
    assert!(typed.verify_now(&typed_token).is_ok());
}
