//! Our verify paths against the floor of each: `cargo bench --bench verify`.

#![allow(
    unsafe_code,
    missing_docs,
    unreachable_pub,
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "a bench counts allocations, and fails by panicking"
)]

use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use statewise::session::{Replacement, SessionAuthenticator};
use statewise::store::MemoryStore;
use statewise::token::{Key, Keyring, TokenAuthenticator, TokenBuffer};
use statewise::{Authenticator, DynAuthenticator, Login};

mod floor;
mod harness;

use harness::options::Options;
use harness::window::Window;
use harness::{Group, Row, now};

fn main() {
    let options = Options::from_command_line();
    let mut rows: Vec<Row> = Vec::new();
    rows.extend(tokens(&options));
    for count in [1_000, 100_000, 1_000_000, 10_000_000] {
        if count
            <= if options.large {
                10_000_000
            } else if options.quick {
                100_000
            } else {
                1_000_000
            }
        {
            rows.extend(sessions(count, &options));
        }
    }
    if let Some(file) = &options.json {
        std::fs::write(file, harness::json(&rows)).expect("the JSON file can be written");
    }
}

fn tokens(options: &Options) -> Vec<Row> {
    let secret: [u8; 32] = std::array::from_fn(|n| n as u8 * 7 + 3);
    let auth = configured(Key::hs256(&secret).unwrap());
    let issued = now(auth.issue(Login::new("user_8f3a2c91").roles(["admin", "editor"]))).unwrap();
    let token = issued.credential().reveal().to_owned();
    println!("a token of {} characters", token.len());
    let floor = floor::token::Floor::new(&secret, &token.as_bytes()[..64], "auth.acme.dev", "api");
    let mut forged = token.clone();
    let last = forged.pop().unwrap();
    forged.push(if last == 'A' { 'E' } else { 'A' });
    let mut buffer = [0; 6144];
    assert_eq!(
        floor.verify(&token, &mut buffer).unwrap().roles[1],
        "editor"
    );
    assert!(!floor.is_proven(&forged));
    let erased: Arc<dyn DynAuthenticator<()>> = Arc::new(configured(Key::hs256(&secret).unwrap()));
    let mut ours = TokenBuffer::new();
    let in_ring = |keys: usize| {
        let others = (1..keys).map(|_| Key::generate_hs256().unwrap());
        // Ours comes last, behind a signer and its predecessors.
        let ring = others.fold(None, |ring: Option<Keyring>, key| {
            Some(ring.map_or_else(
                || Keyring::new(key.clone()),
                |ring| ring.verify_with(key.clone()),
            ))
        });
        let ours = Key::hs256(&secret).unwrap();
        configured(ring.map_or_else(
            || Keyring::new(ours.clone()),
            |ring| ring.verify_with(ours.clone()),
        ))
    };
    let ring = in_ring(8);
    let mixed = reordered(&token, &secret);
    assert!(auth.verify_now(&mixed).is_ok() && ring.verify_now(&token).is_ok());
    let mut again = TokenBuffer::new();
    let mut rows = Group::new("token verify")
        .add("floor, borrowed", || {
            let claims = floor.verify(black_box(&token), &mut buffer).unwrap();
            (claims.subject.len(), claims.expires_at, claims.issued_at)
        })
        .add("borrowed", || {
            auth.verify_borrowed(black_box(&token), &mut ours)
                .unwrap()
                .subject()
                .len()
        })
        .add("borrowed, claims in another order", || {
            auth.verify_borrowed(black_box(&mixed), &mut again)
                .unwrap()
                .subject()
                .len()
        })
        .add("owned, verify_now", || {
            auth.verify_now(black_box(&token)).unwrap()
        })
        .add("owned, the last of 8 keys", || {
            ring.verify_now(black_box(&token)).unwrap()
        })
        .add("owned, the trait", || {
            now(auth.verify(black_box(&token))).unwrap()
        })
        .add("owned, Arc<dyn>", || {
            now(erased.verify(black_box(&token))).unwrap()
        })
        .run(options);
    rows.extend(
        Group::new("token refuse")
            .add("floor", || floor.is_proven(black_box(&forged)))
            .add("bad signature", || {
                auth.verify_now(black_box(&forged)).is_err()
            })
            .add("garbage", || auth.verify_now(black_box("garbage")).is_err())
            .run(options),
    );
    rows.extend(
        Group::new("token issue")
            .add("floor, without an id", || {
                floor.sign(
                    "AAAAAAAAAAAAAAAAAAAAAA",
                    black_box("user_8f3a2c91"),
                    ["admin", "editor"],
                    3600,
                )
            })
            .add("issue, login and id included", || {
                let login = Login::new(black_box("user_8f3a2c91")).roles(["admin", "editor"]);
                now(auth.issue(login)).unwrap()
            })
            .run(options),
    );
    rows
}

fn configured(keys: impl Into<Keyring>) -> TokenAuthenticator {
    TokenAuthenticator::builder(keys)
        .issuer("auth.acme.dev")
        .audience("api")
        .lifetime(Duration::from_secs(3600))
        .build()
        .unwrap()
}

/// The same claims in another order, signed anew.
fn reordered(token: &str, secret: &[u8]) -> String {
    let payload = token.split('.').nth(1).unwrap();
    let json = String::from_utf8(URL_SAFE_NO_PAD.decode(payload).unwrap()).unwrap();
    let (front, back) = json.split_once(",\"sid\"").unwrap();
    let back = back.strip_suffix('}').unwrap();
    let json = format!("{{\"sid\"{back},{}}}", front.strip_prefix('{').unwrap());
    let body = format!(
        "{}.{}",
        token.split('.').next().unwrap(),
        URL_SAFE_NO_PAD.encode(json)
    );
    let mut mac = Hmac::<Sha256>::new_from_slice(secret).unwrap();
    mac.update(body.as_bytes());
    format!(
        "{body}.{}",
        URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes())
    )
}

/// Cookie to identity, over so many sessions, in random order.
fn sessions(count: usize, options: &Options) -> Vec<Row> {
    let name = format!("session verify, {count} sessions");
    if !options.wants(&name) {
        return Vec::new();
    }
    let store = Arc::new(MemoryStore::with_capacity(count).unwrap());
    let build = || -> SessionAuthenticator<Arc<MemoryStore>> {
        SessionAuthenticator::builder(Arc::clone(&store))
            .idle(Duration::from_secs(1800))
            .absolute(Duration::from_secs(43_200))
            .build()
            .unwrap()
    };
    let (auth, erased) = (build(), Arc::new(build()) as Arc<dyn DynAuthenticator<()>>);
    let floor = floor::session::Floor::new();
    let before = harness::alloc::live();
    let mut credentials = Vec::with_capacity(count);
    for user in 0..count {
        let subject = format!("user_{user:07}");
        let login = Login::new(&*subject).roles(["admin", "editor"]);
        let issued = now(auth.issue(login)).unwrap();
        credentials.push(issued.credential().reveal().to_owned());
    }
    let text = credentials.capacity() * size_of::<String>() + count * 64;
    let heap = harness::alloc::live() - before - text as isize;
    println!(
        "\n{count} sessions: {:.1} bytes of heap each",
        heap as f64 / count as f64
    );
    for (user, credential) in credentials.iter().enumerate() {
        floor.insert(credential, &format!("user_{user:07}"));
    }
    let window = |turn| Window::new(&credentials, options.seed ^ turn);
    let mut turn = 0u32;
    let mut rows = Group::new(&*name)
        .add_over("floor", window(0), Window::refill, |window| {
            let line = floor.verify(window.next()).unwrap();
            (line.subject().len(), line.roles)
        })
        .add_over("the trait", window(1), Window::refill, |window| {
            now(auth.verify(window.next())).unwrap()
        })
        .add_over("Arc<dyn>", window(2), Window::refill, |window| {
            now(erased.verify(window.next())).unwrap()
        })
        .add_over(
            "the trait, 5 % of them replace roles",
            window(3),
            Window::refill,
            |window| {
                let caller = now(auth.verify(window.next())).unwrap();
                turn += 1;
                if turn.is_multiple_of(20) {
                    let roles = Replacement::new().roles(["admin", "editor"]);
                    let _ = black_box(now(auth.replace(&caller, roles)).unwrap());
                }
            },
        )
        .run(options);
    rows.extend(beside_another(&name, &auth, &floor, &credentials, options));
    rows
}

/// The same while a second thread verifies in the same store all the time.
fn beside_another(
    name: &str,
    auth: &SessionAuthenticator<Arc<MemoryStore>>,
    floor: &floor::session::Floor,
    credentials: &[String],
    options: &Options,
) -> Vec<Row> {
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut window = Window::new(credentials, options.seed ^ 9);
            while !done.load(Ordering::Relaxed) {
                black_box(now(auth.verify(window.next())).unwrap());
            }
        });
        let rows = Group::new(format!("{name}, beside a second thread"))
            .add_over(
                "floor",
                Window::new(credentials, 5),
                Window::refill,
                |window| floor.verify(window.next()).unwrap().subject().len(),
            )
            .add_over(
                "the trait",
                Window::new(credentials, 6),
                Window::refill,
                |window| now(auth.verify(window.next())).unwrap(),
            )
            .run(options);
        done.store(true, Ordering::Relaxed);
        rows
    })
}
