//! The example `api_keys`, driven by curl.

mod support;

use support::{Browser, Example, curl, follow_the_header};

#[test]
fn the_commands_in_its_header_work() {
    let service = Example::start("api_keys");
    follow_the_header(include_str!("../api_keys.rs"), service.origin());
}

#[test]
fn a_leaked_key_is_told_from_other_texts() {
    let service = Example::start("api_keys");
    let browser = Browser::at(service.origin());
    browser.log_in("alice", "open sesame").expect(200);
    let make = r#"{"name":"CI","scopes":["read"]}"#;
    let made = browser.run("/keys", &["--json", make]).expect(200);
    assert_eq!(made.field("cache-control"), "no-store");
    let made: serde_json::Value = serde_json::from_str(&made.body).unwrap();
    let key = made["key"].as_str().unwrap();
    // The list has its name, and neither the key nor a part of it.
    let list = browser.get("/keys").expect(200).body;
    assert!(
        list.contains("\"name\":\"CI\"") && !list.contains(&key[10..30]),
        "{list}"
    );
    let leaked = format!("{}/leaked", service.origin());
    let report = |texts: &[&str]| {
        let found: Vec<_> = texts
            .iter()
            .map(|text| format!("{{\"token\":\"{text}\"}}"))
            .collect();
        curl(&["--json", &format!("[{}]", found.join(",")), &leaked])
            .expect(200)
            .body
    };
    assert_eq!(report(&["", &key[1..], "acme_pat_"]), "0 of 3 keys ended\n");
    assert_eq!(report(&["other", key]), "1 of 2 keys ended\n");
    assert_eq!(report(&[key]), "0 of 1 keys ended\n");
    assert_eq!(browser.get("/keys").expect(200).body, "[]");
}
