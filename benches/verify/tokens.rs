//! Tokens: verified, refused and issued.

use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use statewise::entropy::{Entropy, SystemEntropy};
use statewise::hybrid::HybridAuthenticator;
use statewise::session::SessionAuthenticator;
use statewise::store::MemoryStore;
use statewise::token::{Key, KeySource, Keyring, TokenAuthenticator, TokenBuffer, TokenBuilder};
use statewise::{Authenticator, DynAuthenticator, Identity, Login, Rejection};

use crate::account::Account;
use crate::floor::token::{Floor, Scratch, reordered, rewritten};
use crate::harness::options::Options;
use crate::harness::{Group, Row, now};

const SECRET: [u8; 32] = *b"thirty-two bytes, for benches on";
const ISSUER: &str = "auth.acme.dev";
const AUDIENCE: &str = "api";
const SUBJECT: &str = "user_8f3a2c91";
const ROLES: [&str; 2] = ["admin", "editor"];
const LIFETIME_SECS: u64 = 3600;

type Erased<D = ()> = Arc<dyn DynAuthenticator<D>>;

pub fn measure(options: &Options) -> Vec<Row> {
    let auth = Arc::new(configured(key()).build().unwrap());
    let erased: Erased = Arc::clone(&auth) as Erased;
    let issued = now(auth.issue(login())).unwrap();
    let token = issued.credential().reveal().to_owned();
    println!("a token of {} characters", token.len());
    let bench = Bench {
        floor: Floor::new(&SECRET, &token.as_bytes()[..64], ISSUER, AUDIENCE),
        auth,
        erased,
        token,
    };
    let mut rows = bench.verify(options);
    rows.extend(bench.in_two_threads(options));
    rows.extend(bench.hybrid(options));
    rows.extend(bench.in_another_order(options));
    rows.extend(bench.refuse(options));
    rows.extend(bench.issue(options));
    rows
}

fn login() -> Login {
    Login::new(SUBJECT).roles(ROLES)
}

pub fn key() -> Key {
    Key::hs256(&SECRET).unwrap()
}

pub fn configured<D>(keys: impl Into<KeySource>) -> TokenBuilder<D>
where
    D: Serialize + DeserializeOwned + Send + Sync + 'static,
{
    TokenAuthenticator::builder(keys)
        .issuer(ISSUER)
        .audience(AUDIENCE)
        .lifetime(Duration::from_secs(LIFETIME_SECS))
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

/// Fails unless the caller is the user of the login.
fn check<D>(caller: &Identity<D>) {
    assert_eq!(caller.subject(), SUBJECT);
    assert!(caller.roles().eq(ROLES));
}

struct Bench {
    auth: Arc<TokenAuthenticator>,
    erased: Erased,
    floor: Floor,
    token: String,
}

impl Bench {
    fn verify(&self, options: &Options) -> Vec<Row> {
        let Self {
            auth,
            erased,
            floor,
            token,
        } = self;
        let ring: TokenAuthenticator = configured(last_of(8)).build().unwrap();
        let with_data: TokenAuthenticator<Account> = configured(key()).build().unwrap();
        let account = Account {
            tenant: "acme".to_owned(),
            plan: 3,
        };
        let issued = now(with_data.issue(login().data(account))).unwrap();
        let token_with_data = issued.credential().reveal();
        let with_data: Erased<Account> = Arc::new(with_data);
        let (mut buffer, mut ours) = (Scratch::new(), TokenBuffer::new());

        let claims = floor.verify(token, &mut buffer).unwrap();
        assert_eq!(
            (claims.subject, claims.roles),
            (SUBJECT, [ROLES[0], ROLES[1], "", ""])
        );
        let borrowed = auth.verify_borrowed(token, &mut ours).unwrap();
        assert_eq!(borrowed.subject(), SUBJECT);
        assert!(borrowed.roles().eq(ROLES));
        check(&auth.verify_now(token).unwrap());
        check(&ring.verify_now(token).unwrap());
        check(&now(auth.verify(token)).unwrap());
        check(&now(erased.verify(token)).unwrap());
        let caller = now(with_data.verify(token_with_data)).unwrap();
        check(&caller);
        assert_eq!((&*caller.data().tenant, caller.data().plan), ("acme", 3));

        #[cfg(feature = "coarse-clock")]
        let (coarse, mut coarse_buffer) = {
            let builder = configured(key()).clock(statewise::clock::CoarseClock);
            let coarse: Arc<TokenAuthenticator> = Arc::new(builder.build().unwrap());
            check(&now(coarse.verify(token)).unwrap());
            (coarse, TokenBuffer::new())
        };
        #[cfg(feature = "coarse-clock")]
        let erased_coarse = Arc::clone(&coarse) as Erased;

        let group = Group::new("token verify")
            .add("floor, borrowed", || {
                black_box(&floor.verify(black_box(token), &mut buffer).unwrap());
            })
            .add("owned, Arc<dyn>", || {
                now(erased.verify(black_box(token))).unwrap()
            })
            .add("owned, Arc<dyn>, data of two fields", || {
                now(with_data.verify(black_box(token_with_data))).unwrap()
            })
            .add("borrowed", || {
                black_box(&auth.verify_borrowed(black_box(token), &mut ours).unwrap());
            })
            .add("owned, the trait", || {
                now(auth.verify(black_box(token))).unwrap()
            })
            .add("owned, verify_now, the only key", || {
                auth.verify_now(black_box(token)).unwrap()
            })
            .add("owned, verify_now, the last of 8 keys", || {
                ring.verify_now(black_box(token)).unwrap()
            });
        #[cfg(feature = "coarse-clock")]
        let group = group
            .add("borrowed, the coarse clock", || {
                black_box(
                    &coarse
                        .verify_borrowed(black_box(token), &mut coarse_buffer)
                        .unwrap(),
                );
            })
            .add("owned, Arc<dyn>, the coarse clock", || {
                now(erased_coarse.verify(black_box(token))).unwrap()
            });
        group.run(options)
    }

    /// Shows if the threads write to one cache line.
    fn in_two_threads(&self, options: &Options) -> Vec<Row> {
        let Self {
            erased,
            floor,
            token,
            ..
        } = self;
        Group::new("token verify, in each of two threads")
            .add("Arc<dyn>, one thread", || {
                now(erased.verify(black_box(token))).unwrap()
            })
            .add_twice(
                "Arc<dyn>",
                [(), ()],
                |()| {},
                |(), count| {
                    for _ in 0..count {
                        let _ = black_box(now(erased.verify(black_box(token))).unwrap());
                    }
                },
            )
            .add_twice(
                "floor, borrowed",
                [Scratch::new(), Scratch::new()],
                |_| {},
                |buffer, count| {
                    for _ in 0..count {
                        black_box(&floor.verify(black_box(token), buffer).unwrap());
                    }
                },
            )
            .run(options)
    }

    /// Cost of a store in the background for a path that never queries it.
    fn hybrid(&self, options: &Options) -> Vec<Row> {
        let Self { erased, token, .. } = self;
        let sessions = SessionAuthenticator::builder(MemoryStore::with_capacity(1_000).unwrap())
            .idle(Duration::from_secs(14 * 86_400))
            .absolute(Duration::from_secs(90 * 86_400));
        let hybrid = Arc::new(HybridAuthenticator::new(configured(key()), sessions).unwrap());
        let issued = now(hybrid.issue(login())).unwrap();
        let access = issued.credential().reveal();
        assert_eq!(access.len(), token.len(), "tokens as long as the others");
        let erased_hybrid = Arc::clone(&hybrid) as Erased;
        check(&now(hybrid.verify(access)).unwrap());
        check(&now(erased_hybrid.verify(access)).unwrap());
        Group::new("hybrid verify")
            .add("a token, Arc<dyn>", || {
                now(erased.verify(black_box(token))).unwrap()
            })
            .add("an access token, Arc<dyn>", || {
                now(erased_hybrid.verify(black_box(access))).unwrap()
            })
            .add("a token, the trait", || {
                now(self.auth.verify(black_box(token))).unwrap()
            })
            .add("an access token, the trait", || {
                now(hybrid.verify(black_box(access))).unwrap()
            })
            .run(options)
    }

    fn in_another_order(&self, options: &Options) -> Vec<Row> {
        let Self {
            auth,
            erased,
            floor,
            token,
        } = self;
        let mixed = reordered(token, &SECRET);
        let (mut buffer, mut ours) = (Scratch::new(), TokenBuffer::new());
        let claims = floor.verify_general(&mixed, &mut buffer).unwrap();
        assert_eq!(
            (claims.subject, claims.roles),
            (SUBJECT, [ROLES[0], ROLES[1], "", ""])
        );
        assert_eq!(
            auth.verify_borrowed(&mixed, &mut ours).unwrap().subject(),
            SUBJECT
        );
        check(&auth.verify_now(&mixed).unwrap());
        check(&now(erased.verify(&mixed)).unwrap());
        for duplicate in [
            r#""sub":"user_8f3a2c91""#,
            r#""sid":"AAAAAAAAAAAAAAAAAAAAAA""#,
        ] {
            let twice = rewritten(&mixed, &SECRET, |json| {
                json.replacen('{', &format!("{{{duplicate},"), 1)
            });
            assert!(floor.verify_general(&twice, &mut buffer).is_none());
            let refused = auth.verify_now(&twice).unwrap_err();
            assert_eq!(refused.rejection(), Some(Rejection::InvalidClaims));
        }
        Group::new("token verify, claims in another order")
            .add("floor, borrowed, serde_json", || {
                black_box(
                    &floor
                        .verify_general(black_box(&mixed), &mut buffer)
                        .unwrap(),
                );
            })
            .add("owned, Arc<dyn>", || {
                now(erased.verify(black_box(&mixed))).unwrap()
            })
            .add("borrowed", || {
                black_box(&auth.verify_borrowed(black_box(&mixed), &mut ours).unwrap());
            })
            .add("owned, verify_now", || {
                auth.verify_now(black_box(&mixed)).unwrap()
            })
            .run(options)
    }

    fn refuse(&self, options: &Options) -> Vec<Row> {
        let Self {
            auth,
            erased,
            floor,
            token,
        } = self;
        let mut forged = token.clone();
        let last = forged.pop().unwrap();
        forged.push(if last == 'A' { 'E' } else { 'A' });
        let elsewhere: TokenAuthenticator =
            configured(Key::generate_hs256().unwrap()).build().unwrap();
        let unknown = now(elsewhere.issue(login())).unwrap();
        let unknown = unknown.credential().reveal();
        let mut rows = Vec::new();
        for (what, refused, cause) in [
            ("bad signature", &*forged, Rejection::BadSignature),
            (
                "a token of another key",
                unknown,
                Rejection::UnacceptableHeader,
            ),
            ("garbage", "garbage", Rejection::Malformed),
        ] {
            assert!(floor.is_proven(token) && !floor.is_proven(refused));
            for answer in [
                auth.verify_now(refused),
                now(auth.verify(refused)),
                now(erased.verify(refused)),
            ] {
                assert_eq!(answer.unwrap_err().rejection(), Some(cause));
            }
            rows.extend(
                Group::new(format!("token refuse, {what}"))
                    .add("floor", || floor.is_proven(black_box(refused)))
                    .add("Arc<dyn>", || {
                        now(erased.verify(black_box(refused))).is_err()
                    })
                    .add("the trait", || {
                        now(auth.verify(black_box(refused))).is_err()
                    })
                    .add("verify_now", || {
                        auth.verify_now(black_box(refused)).is_err()
                    })
                    .run(options),
            );
        }
        rows
    }

    fn issue(&self, options: &Options) -> Vec<Row> {
        let Self { auth, floor, .. } = self;
        let given: TokenAuthenticator = configured(key()).entropy(Given).build().unwrap();
        let by_floor = |drawn| floor.issue(drawn, black_box(SUBJECT), ROLES, LIFETIME_SECS);
        let (token, told) = by_floor([7; 16]);
        let caller = auth.verify_now(&token).unwrap();
        check(&caller);
        let issued = now(given.issue(login())).unwrap();
        check(issued.identity());
        assert_eq!(caller.id(), issued.identity().id());
        assert_eq!(told.texts.subject(), SUBJECT);
        assert!(told.texts.roles().eq(ROLES));
        assert_eq!(told.expires_at, caller.expires_at().unix_timestamp() as u64);
        check(&auth.verify_now(issued.credential().reveal()).unwrap());
        let drawn = now(auth.issue(login())).unwrap();
        check(&auth.verify_now(drawn.credential().reveal()).unwrap());

        let draw = || {
            let mut bytes = [0; 16];
            SystemEntropy.fill(&mut bytes).unwrap();
            bytes
        };
        Group::new("token issue")
            .add("floor, the id given", || by_floor(black_box([7; 16])))
            .add(FLOOR_DRAWN, || by_floor(draw()))
            .add("sixteen bytes of the system", draw)
            .add("login and issue, the id given", || {
                now(given.issue(black_box(login()))).unwrap()
            })
            .add("login and issue, the id drawn", || {
                now(auth.issue(black_box(login()))).unwrap()
            })
            .multiples_of(FLOOR_DRAWN)
            .run(options)
    }
}

const FLOOR_DRAWN: &str = "floor, the id drawn";

/// No entropy: the part of issuing that does not call the operating system.
#[derive(Debug)]
struct Given;

impl Entropy for Given {
    fn fill(&self, bytes: &mut [u8]) -> statewise::Result<()> {
        bytes.fill(7);
        Ok(())
    }
}
