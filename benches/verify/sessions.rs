//! Sessions in memory, from the text of a cookie to the identity.

use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use statewise::session::{SessionAuthenticator, SessionBuilder};
use statewise::store::MemoryStore;
use statewise::{Authenticator, DynAuthenticator, Identity, Login, Rejection, Result};

use crate::floor::{session, strict_session};
use crate::harness::options::Options;
use crate::harness::window::Window;
use crate::harness::{Group, Row, alloc, now};

const IDLE_SECS: u32 = 1800;
const ABSOLUTE_SECS: u32 = 43_200;
const ROLES: [&str; 2] = ["admin", "editor"];

const FLOOR: &str = "floor";
/// The targets refer to it.
const SHORT: &str = "floor, without version, generation and names of roles";
const WITH_WRITES: &str = "the trait, 5 % of them replace roles";

type Sessions = SessionAuthenticator<Arc<MemoryStore>>;
type Erased = Arc<dyn DynAuthenticator<()>>;

fn configured(store: &Arc<MemoryStore>) -> SessionBuilder<Arc<MemoryStore>> {
    SessionAuthenticator::builder(Arc::clone(store))
        .idle(Duration::from_secs(IDLE_SECS.into()))
        .absolute(Duration::from_secs(ABSOLUTE_SECS.into()))
}

fn over(store: &Arc<MemoryStore>) -> Sessions {
    configured(store).build().unwrap()
}

fn user_name(user: usize) -> String {
    format!("user_{user:07}")
}

fn log_in(auth: &Sessions, user: usize) -> String {
    let login = Login::new(user_name(user)).roles(ROLES);
    let issued = now(auth.issue(login)).unwrap();
    issued.credential().reveal().to_owned()
}

/// The candidates, over the same sessions.
struct Bench {
    auth: Arc<Sessions>,
    erased: Erased,
    #[cfg(feature = "coarse-clock")]
    coarse: Erased,
    floor: strict_session::Floor,
    short: session::Floor,
    credentials: Vec<String>,
}

/// Measures over that many sessions, in random order.
pub fn measure(count: usize, options: &Options) -> Vec<Row> {
    let name = format!("session verify, {count} sessions");
    let in_two = format!("{name}, in each of two threads");
    let refused = ["unknown", "a wrong secret"]
        .map(|what| format!("session refuse, {what}, {count} sessions"));
    let [unknown, wrong] = &refused;
    if ![&name, &in_two, unknown, wrong]
        .iter()
        .any(|name| options.wants(name))
    {
        return Vec::new();
    }
    let bench = Bench::new(count);
    let mut rows = bench.verify(&name, options);
    rows.extend(bench.in_two_threads(&in_two, options));
    rows.extend(bench.refuse(unknown, &strangers(), options));
    rows.extend(bench.refuse(wrong, &bench.altered(), options));
    rows
}

/// Credentials of sessions in another store.
fn strangers() -> Vec<String> {
    let elsewhere = over(&Arc::new(MemoryStore::with_capacity(1_000).unwrap()));
    (0..1_000).map(|user| log_in(&elsewhere, user)).collect()
}

impl Bench {
    fn new(count: usize) -> Self {
        let store = Arc::new(MemoryStore::with_capacity(count).unwrap());
        let auth = Arc::new(over(&store));
        let before = alloc::live();
        let mut credentials = Vec::with_capacity(count);
        credentials.extend((0..count).map(|user| log_in(&auth, user)));
        let text = credentials.capacity() * size_of::<String>() + count * 64;
        let heap = alloc::live() - before - text as isize;
        println!(
            "\n{count} sessions: {:.1} bytes of heap each",
            heap as f64 / count as f64
        );
        let (floor, short) = (
            strict_session::Floor::new(IDLE_SECS, ABSOLUTE_SECS),
            session::Floor::new(),
        );
        for (user, credential) in credentials.iter().enumerate() {
            floor.insert(credential, &user_name(user), ROLES);
            short.insert(credential, &user_name(user));
        }
        let bench = Self {
            erased: Arc::clone(&auth) as Erased,
            #[cfg(feature = "coarse-clock")]
            coarse: Arc::new(
                configured(&store)
                    .clock(statewise::clock::CoarseClock)
                    .build()
                    .unwrap(),
            ),
            auth,
            floor,
            short,
            credentials,
        };
        bench.check();
        bench
    }

    /// Fails unless each candidate gives the right answer.
    fn check(&self) {
        for (user, credential) in self.credentials.iter().enumerate().take(1_000) {
            let name = user_name(user);
            let line = self.short.verify(credential).unwrap();
            assert_eq!(line.subject(), name.as_bytes());
            assert_eq!(line.roles, [1, 2, 0, 0]);
            let told = self.floor.verify(credential).unwrap();
            for caller in self.verified(credential) {
                let caller = caller.unwrap();
                assert_eq!((told.texts.subject(), caller.subject()), (&*name, &*name));
                assert!(told.texts.roles().eq(ROLES) && caller.roles().eq(ROLES));
                assert_eq!(told.version, caller.version());
                assert_eq!(told.refresh_due, caller.refresh_due());
                let unix = [caller.deadline(), caller.expires_at()].map(|at| at.unix_timestamp());
                for (by_floor, at) in [told.deadline, told.expires_at].into_iter().zip(unix) {
                    // Inserted later, by as long as all logins take.
                    assert!(by_floor.abs_diff(at as u64) < 60);
                }
            }
        }
    }

    fn verified(&self, credential: &str) -> Vec<Result<Identity>> {
        vec![
            now(self.auth.verify(credential)),
            now(self.erased.verify(credential)),
            #[cfg(feature = "coarse-clock")]
            now(self.coarse.verify(credential)),
        ]
    }

    /// The credentials with another secret.
    fn altered(&self) -> Vec<String> {
        let altered = |credential: &String| {
            let (front, last) = credential.split_at(63);
            let other = if last == "A" { "B" } else { "A" };
            format!("{front}{other}")
        };
        self.credentials.iter().map(altered).collect()
    }

    fn window(&self, seed: u64) -> Window<'_> {
        Window::new(&self.credentials, seed)
    }

    fn verify(&self, name: &str, options: &Options) -> Vec<Row> {
        let window = |turn| self.window(options.seed ^ turn);
        let group = Group::new(name)
            .add_over(FLOOR, window(0), Window::refill, |window| {
                self.floor.verify(window.next()).unwrap()
            })
            .add_over(SHORT, window(1), Window::refill, |window| {
                self.short.verify(window.next()).unwrap()
            })
            .add_over("Arc<dyn>", window(2), Window::refill, |window| {
                now(self.erased.verify(window.next())).unwrap()
            })
            .add_over("the trait", window(3), Window::refill, |window| {
                now(self.auth.verify(window.next())).unwrap()
            })
            .add_over(
                WITH_WRITES,
                (window(4), 0),
                |(window, _)| window.refill(),
                |state| verify_or_write(&self.auth, state),
            );
        #[cfg(feature = "coarse-clock")]
        let group = group.add_over(
            "Arc<dyn>, the coarse clock",
            window(17),
            Window::refill,
            |window| now(self.coarse.verify(window.next())).unwrap(),
        );
        group.multiples_of(SHORT).run(options)
    }

    fn in_two_threads(&self, name: &str, options: &Options) -> Vec<Row> {
        let window = |turn| self.window(options.seed ^ turn);
        Group::new(name)
            .add_over(
                "Arc<dyn>, one thread",
                window(5),
                Window::refill,
                |window| now(self.erased.verify(window.next())).unwrap(),
            )
            .add_twice(
                "Arc<dyn>",
                [window(6), window(7)],
                Window::refill,
                |window, count| {
                    for _ in 0..count {
                        let _ = black_box(now(self.erased.verify(window.next())).unwrap());
                    }
                },
            )
            .add_twice(
                WITH_WRITES,
                [(window(8), 0), (window(9), 0)],
                |(window, _)| window.refill(),
                |state, count| (0..count).for_each(|_| verify_or_write(&self.auth, state)),
            )
            .add_over("floor, one thread", window(10), Window::refill, |window| {
                self.floor.verify(window.next()).unwrap()
            })
            .add_twice(
                FLOOR,
                [window(11), window(12)],
                Window::refill,
                |window, count| {
                    for _ in 0..count {
                        let _ = black_box(self.floor.verify(window.next()).unwrap());
                    }
                },
            )
            .run(options)
    }

    /// Measures refusals of credentials that a store does not know, or knows with another secret.
    fn refuse(&self, name: &str, refused: &[String], options: &Options) -> Vec<Row> {
        if !options.wants(name) {
            return Vec::new();
        }
        for credential in refused.iter().take(1_000) {
            assert!(self.floor.verify(credential).is_none());
            assert!(self.short.verify(credential).is_none());
            for answer in self.verified(credential) {
                assert_eq!(answer.unwrap_err().rejection(), Some(Rejection::Unknown));
            }
        }
        let window = |turn| Window::new(refused, options.seed ^ turn);
        Group::new(name)
            .add_over(FLOOR, window(13), Window::refill, |window| {
                self.floor.verify(window.next()).is_none()
            })
            .add_over(SHORT, window(14), Window::refill, |window| {
                self.short.verify(window.next()).is_none()
            })
            .add_over("Arc<dyn>", window(15), Window::refill, |window| {
                now(self.erased.verify(window.next())).is_err()
            })
            .add_over("the trait", window(16), Window::refill, |window| {
                now(self.auth.verify(window.next())).is_err()
            })
            .multiples_of(SHORT)
            .run(options)
    }
}

/// Verifies, and updates the device on every twentieth call.
fn verify_or_write(auth: &Sessions, (window, turn): &mut (Window<'_>, u32)) {
    let credential = window.next();
    let caller = now(auth.verify(credential)).unwrap();
    *turn += 1;
    if turn.is_multiple_of(20) {
        let device = turn.to_string();
        let _ = black_box(now(auth.update(credential, &mut |session| {
            session.device = Some(device.clone());
            Ok(())
        })));
    }
    black_box(caller);
}
