//! Verifying a session in memory: from the cookie's value to a typed user.

use std::sync::Arc;
use std::time::Duration;

use async_session::SessionStore as _;
use serde::{Deserialize, Serialize};
use statewise::session::SessionAuthenticator;
use statewise::store::MemoryStore;
use statewise::{Authenticator as _, Login};

use crate::floor;
use crate::harness::options::Options;
use crate::harness::window::Window;
use crate::harness::{Group, Row, alloc, now};

#[derive(Clone, Debug, Deserialize, Serialize)]
struct User {
    sub: String,
    roles: Vec<String>,
}

fn user(number: usize) -> User {
    User {
        sub: format!("user_{number:07}"),
        roles: vec!["admin".to_owned(), "editor".to_owned()],
    }
}

/// What so many sessions take, beside their cookies.
fn heap_of<T>(
    name: &str,
    count: usize,
    fill: impl FnOnce(&mut Vec<String>) -> T,
) -> (T, Vec<String>, Row) {
    let mut cookies = Vec::with_capacity(count);
    let before = alloc::live();
    let filled = fill(&mut cookies);
    let text: usize = cookies.iter().map(String::capacity).sum();
    let bytes = (alloc::live() - before - text as isize) as f64 / count as f64;
    println!("  {name:44}{bytes:>10.1} bytes of heap for a session");
    let row = Row {
        group: format!("heap for a session, of {count}"),
        name: name.to_owned(),
        reference: "bytes".to_owned(),
        ns: bytes,
        min: bytes,
        wall: bytes,
        ratio: 1.0,
        spread: (1.0, 1.0),
        allocs: 0.0,
        bytes,
        rounds: 1,
    };
    (filled, cookies, row)
}

pub fn run(count: usize, options: &Options) -> Vec<Row> {
    let name = format!("verify a session, of {count}");
    if !options.wants(&name) {
        return Vec::new();
    }
    println!("\n{count} sessions");
    let mut rows = Vec::new();

    let (auth, ours, row) = heap_of("statewise", count, |cookies| {
        let auth: SessionAuthenticator<MemoryStore> =
            SessionAuthenticator::builder(MemoryStore::with_capacity(count).expect("some"))
                .idle(Duration::from_secs(1800))
                .absolute(Duration::from_secs(43_200))
                .build()
                .expect("a right configuration");
        for number in 0..count {
            let User { sub, roles } = user(number);
            let issued = now(auth.issue(Login::new(sub).roles(roles))).expect("issued");
            cookies.push(issued.credential().reveal().to_owned());
        }
        auth
    });
    rows.push(row);
    let floor = floor::session::Floor::new();
    for (number, cookie) in ours.iter().enumerate() {
        floor.insert(cookie, &format!("user_{number:07}"));
    }

    let (tower, tower_cookies, row) =
        heap_of("tower-sessions 0.15, MemoryStore", count, |cookies| {
            let store = Arc::new(tower_sessions::MemoryStore::default());
            let expiry = tower_sessions::Expiry::OnInactivity(time::Duration::seconds(1800));
            for number in 0..count {
                let session = tower_sessions::Session::new(None, store.clone(), Some(expiry));
                now(session.insert("user", user(number))).expect("inserted");
                now(session.save()).expect("saved");
                cookies.push(session.id().expect("saved").to_string());
            }
            store
        });
    rows.push(row);

    let (asynchronous, async_cookies, row) =
        heap_of("async-session 3, MemoryStore", count, |cookies| {
            let store = async_session::MemoryStore::new();
            for number in 0..count {
                let mut session = async_session::Session::new();
                session.expire_in(Duration::from_secs(1800));
                session.insert("user", user(number)).expect("inserted");
                cookies.push(
                    now(store.store_session(session))
                        .expect("stored")
                        .expect("a cookie"),
                );
            }
            store
        });
    rows.push(row);

    rows.extend(
        Group::new(name)
            .add_over(
                "floor, by hand",
                Window::new(&ours, 1),
                Window::refill,
                |window| {
                    floor
                        .verify(window.next())
                        .expect("verified")
                        .subject()
                        .len()
                },
            )
            .add_over(
                "statewise",
                Window::new(&ours, 2),
                Window::refill,
                |window| now(auth.verify(window.next())).expect("verified"),
            )
            .add_over(
                "async-session 3, MemoryStore",
                Window::new(&async_cookies, 3),
                Window::refill,
                |window| {
                    let session = now(asynchronous.load_session(window.next().to_owned()));
                    let session = session.expect("loaded").expect("there");
                    let session = session.validate().expect("alive");
                    session.get::<User>("user").expect("a user")
                },
            )
            .add_over(
                "tower-sessions 0.15, MemoryStore",
                Window::new(&tower_cookies, 4),
                Window::refill,
                |window| {
                    let id = window.next().parse().expect("an id");
                    let session = tower_sessions::Session::new(Some(id), tower.clone(), None);
                    now(session.get::<User>("user"))
                        .expect("loaded")
                        .expect("a user")
                },
            )
            .run(options),
    );
    rows
}
