//! Our verify paths, each against its floor: `cargo bench --bench verify`.

#![allow(
    unsafe_code,
    missing_docs,
    unreachable_pub,
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "a bench counts allocations, and fails by panicking"
)]

use std::fmt;
use std::hint::black_box;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use serde::de::{DeserializeOwned, Error as _, IgnoredAny, MapAccess, Visitor};
use serde::ser::SerializeStruct as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use statewise::entropy::Entropy;
use statewise::hybrid::HybridAuthenticator;
use statewise::session::{Replacement, SessionAuthenticator};
use statewise::store::MemoryStore;
use statewise::token::{Key, Keyring, TokenAuthenticator, TokenBuffer, TokenBuilder};
use statewise::{Authenticator, DynAuthenticator, Login};

mod floor;
mod harness;
#[path = "verify/revocation.rs"]
mod revocation;

use harness::options::Options;
use harness::window::Window;
use harness::{Group, Row, now};

fn main() -> ExitCode {
    let Some(options) = Options::of_bench() else {
        return ExitCode::SUCCESS;
    };
    let mut rows = tokens(&options);
    rows.extend(revocation::measure(&options));
    let most = match (options.quick, options.large) {
        (_, true) => 10_000_000,
        (true, false) => 100_000,
        (false, false) => 1_000_000,
    };
    for count in [1_000, 100_000, 1_000_000, 10_000_000] {
        if count <= most {
            rows.extend(sessions(count, &options));
        }
    }
    harness::finish(&rows, &options)
}

const SECRET: [u8; 32] = *b"thirty-two bytes, for benches on";

fn tokens(options: &Options) -> Vec<Row> {
    let auth: TokenAuthenticator = configured(key()).build().unwrap();
    let issued = now(auth.issue(login())).unwrap();
    let token = issued.credential().reveal().to_owned();
    println!("a token of {} characters", token.len());
    let mixed = floor::token::reordered(&token, &SECRET);
    let floor = floor::token::Floor::new(&SECRET, &token.as_bytes()[..64], ISSUER, AUDIENCE);
    let mut scratch = [floor::token::Scratch::new(), floor::token::Scratch::new()];
    let [buffer, general] = &mut scratch;
    assert_eq!(floor.verify(&token, buffer).unwrap().roles[1], "editor");
    let claims = floor.verify_general(&mixed, general).unwrap();
    assert_eq!((claims.subject, claims.roles[0]), (SUBJECT, "admin"));
    assert!(auth.verify_now(&mixed).is_ok());
    let mut rows = verify(&auth, &floor, &token, buffer, options);
    rows.extend(hybrid(&auth, &token, options));
    let mut ours = TokenBuffer::new();
    rows.extend(
        Group::new("token verify, claims in another order")
            .add("floor, borrowed, serde_json", || {
                black_box(&floor.verify_general(black_box(&mixed), general).unwrap());
            })
            .add("borrowed", || {
                black_box(&auth.verify_borrowed(black_box(&mixed), &mut ours).unwrap());
            })
            .add("owned, verify_now", || {
                auth.verify_now(black_box(&mixed)).unwrap()
            })
            .run(options),
    );
    rows.extend(refuse(&auth, &floor, &token, options));
    rows.extend(issue(&auth, &floor, options));
    rows
}

const ISSUER: &str = "auth.acme.dev";
const AUDIENCE: &str = "api";
const SUBJECT: &str = "user_8f3a2c91";

fn login() -> Login {
    Login::new(SUBJECT).roles(["admin", "editor"])
}

fn key() -> Key {
    Key::hs256(&SECRET).unwrap()
}

fn configured<D>(keys: impl Into<Keyring>) -> TokenBuilder<D>
where
    D: Serialize + DeserializeOwned + Send + Sync + 'static,
{
    TokenAuthenticator::builder(keys)
        .issuer(ISSUER)
        .audience(AUDIENCE)
        .lifetime(Duration::from_secs(3600))
        .with_data()
}

/// Ours comes last, behind a signer and its predecessors.
fn last_of(keys: usize) -> Keyring {
    let others = (1..keys).map(|_| Key::generate_hs256().unwrap());
    let ring = others.chain([key()]).fold(None, |ring, key| {
        Some(match ring {
            None => Keyring::new(key),
            Some(ring) => Keyring::verify_with(ring, key),
        })
    });
    ring.unwrap()
}

fn verify(
    auth: &TokenAuthenticator,
    floor: &floor::token::Floor,
    token: &str,
    buffer: &mut floor::token::Scratch,
    options: &Options,
) -> Vec<Row> {
    let erased = Arc::new(configured(key()).build().unwrap()) as Arc<dyn DynAuthenticator<()>>;
    let ring: TokenAuthenticator = configured(last_of(8)).build().unwrap();
    let with_data: TokenAuthenticator<Account> = configured(key()).build().unwrap();
    let account = Account {
        tenant: "acme".to_owned(),
        plan: 3,
    };
    let token_with_data = now(with_data.issue(login().data(account))).unwrap();
    let token_with_data = token_with_data.credential().reveal().to_owned();
    assert_eq!(
        with_data
            .verify_now(&token_with_data)
            .unwrap()
            .data()
            .tenant,
        "acme"
    );
    let erased_with_data = Arc::new(with_data) as Arc<dyn DynAuthenticator<Account>>;
    let mut ours = TokenBuffer::new();
    Group::new("token verify")
        .add("floor, borrowed", || {
            black_box(&floor.verify(black_box(token), buffer).unwrap());
        })
        .add("borrowed", || {
            black_box(&auth.verify_borrowed(black_box(token), &mut ours).unwrap());
        })
        .add("owned, verify_now, the only key", || {
            auth.verify_now(black_box(token)).unwrap()
        })
        .add("owned, verify_now, the last of 8 keys", || {
            ring.verify_now(black_box(token)).unwrap()
        })
        .add("owned, the trait", || {
            now(auth.verify(black_box(token))).unwrap()
        })
        .add("owned, Arc<dyn>", || {
            now(erased.verify(black_box(token))).unwrap()
        })
        .add("owned, Arc<dyn>, data of two fields", || {
            now(erased_with_data.verify(black_box(&*token_with_data))).unwrap()
        })
        .run(options)
}

/// Cost of a store in the background for a path that never queries it.
fn hybrid(auth: &TokenAuthenticator, token: &str, options: &Options) -> Vec<Row> {
    let sessions = SessionAuthenticator::builder(MemoryStore::with_capacity(1_000).unwrap())
        .idle(Duration::from_secs(14 * 86_400))
        .absolute(Duration::from_secs(90 * 86_400));
    let hybrid = HybridAuthenticator::new(configured(key()), sessions).unwrap();
    let issued = now(hybrid.issue(login())).unwrap();
    let access = issued.credential().reveal();
    assert_eq!(access.len(), token.len(), "tokens as long as the others");
    Group::new("hybrid verify")
        .add("a token, the trait", || {
            now(auth.verify(black_box(token))).unwrap()
        })
        .add("an access token, the trait", || {
            now(hybrid.verify(black_box(access))).unwrap()
        })
        .run(options)
}

fn refuse(
    auth: &TokenAuthenticator,
    floor: &floor::token::Floor,
    token: &str,
    options: &Options,
) -> Vec<Row> {
    let mut forged = token.to_owned();
    let last = forged.pop().unwrap();
    forged.push(if last == 'A' { 'E' } else { 'A' });
    assert!(!floor.is_proven(&forged));
    Group::new("token refuse")
        .add("floor", || floor.is_proven(black_box(&forged)))
        .add("bad signature", || {
            auth.verify_now(black_box(&forged)).is_err()
        })
        .add("garbage", || auth.verify_now(black_box("garbage")).is_err())
        .run(options)
}

fn issue(auth: &TokenAuthenticator, floor: &floor::token::Floor, options: &Options) -> Vec<Row> {
    let given: TokenAuthenticator = configured(key()).entropy(Given).build().unwrap();
    Group::new("token issue")
        .add("floor, the id given", || {
            let id = black_box("AAAAAAAAAAAAAAAAAAAAAA");
            floor.sign(id, black_box(SUBJECT), ["admin", "editor"], 3600)
        })
        .add("login and issue, the id given", || {
            now(given.issue(black_box(login()))).unwrap()
        })
        .add("login and issue, the id drawn", || {
            now(auth.issue(black_box(login()))).unwrap()
        })
        .run(options)
}

/// No entropy: the part of issuing that does not call the operating system.
#[derive(Debug)]
struct Given;

impl Entropy for Given {
    fn fill(&self, bytes: &mut [u8]) -> statewise::Result<()> {
        bytes.fill(7);
        Ok(())
    }
}

/// Typical application data of a user.
#[derive(Debug)]
struct Account {
    tenant: String,
    plan: u32,
}

impl Serialize for Account {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut fields = serializer.serialize_struct("Account", 2)?;
        fields.serialize_field("tenant", &self.tenant)?;
        fields.serialize_field("plan", &self.plan)?;
        fields.end()
    }
}

impl<'de> Deserialize<'de> for Account {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_struct("Account", &["tenant", "plan"], AccountVisitor)
    }
}

struct AccountVisitor;

impl<'de> Visitor<'de> for AccountVisitor {
    type Value = Account;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an account")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Account, A::Error> {
        let (mut tenant, mut plan) = (None, None);
        while let Some(name) = map.next_key::<&str>()? {
            match name {
                "tenant" => tenant = Some(map.next_value()?),
                "plan" => plan = Some(map.next_value()?),
                _ => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(Account {
            tenant: tenant.ok_or_else(|| A::Error::missing_field("tenant"))?,
            plan: plan.ok_or_else(|| A::Error::missing_field("plan"))?,
        })
    }
}

/// Cookie to identity, over that many sessions, in random order.
fn sessions(count: usize, options: &Options) -> Vec<Row> {
    let name = format!("session verify, {count} sessions");
    let in_two = format!("{name}, in each of two threads");
    if !options.wants(&name) && !options.wants(&in_two) {
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
    let mut rows = Group::new(&*name)
        .add_over("floor", window(0), Window::refill, |window| {
            floor.verify(window.next()).unwrap()
        })
        .add_over("the trait", window(1), Window::refill, |window| {
            now(auth.verify(window.next())).unwrap()
        })
        .add_over("Arc<dyn>", window(2), Window::refill, |window| {
            now(erased.verify(window.next())).unwrap()
        })
        .add_over(
            WITH_WRITES,
            (window(3), 0),
            |(window, _)| window.refill(),
            |state| verify_or_write(&auth, state),
        )
        .run(options);
    rows.extend(
        Group::new(in_two)
            .add_over(
                "the trait, one thread",
                window(4),
                Window::refill,
                |window| now(auth.verify(window.next())).unwrap(),
            )
            .add_twice(
                "the trait",
                [window(5), window(6)],
                Window::refill,
                |window, count| {
                    for _ in 0..count {
                        let _ = black_box(now(auth.verify(window.next())).unwrap());
                    }
                },
            )
            .add_twice(
                WITH_WRITES,
                [(window(7), 0), (window(8), 0)],
                |(window, _)| window.refill(),
                |state, count| (0..count).for_each(|_| verify_or_write(&auth, state)),
            )
            .add_over("floor, one thread", window(9), Window::refill, |window| {
                floor.verify(window.next()).unwrap()
            })
            .add_twice(
                "floor",
                [window(10), window(11)],
                Window::refill,
                |window, count| {
                    for _ in 0..count {
                        let _ = black_box(floor.verify(window.next()).unwrap());
                    }
                },
            )
            .run(options),
    );
    rows
}

const WITH_WRITES: &str = "the trait, 5 % of them replace roles";

/// Verifies, and replaces the roles on every twentieth call.
fn verify_or_write(
    auth: &SessionAuthenticator<Arc<MemoryStore>>,
    (window, turn): &mut (Window<'_>, u32),
) {
    let caller = now(auth.verify(window.next())).unwrap();
    *turn += 1;
    if turn.is_multiple_of(20) {
        let roles = Replacement::new().roles(["admin", "editor"]);
        // Another thread may have changed the same session; then the result is a conflict.
        let _ = black_box(now(auth.replace(&caller, roles)));
    }
    black_box(caller);
}
