//! Stores, authenticators and layers of the tests.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use statewise::DynAuthenticator;
use statewise::hybrid::HybridAuthenticator;
use statewise::revocation::RevocationView;
use statewise::revocation::log::RevocationLog;
use statewise::session::{SessionAuthenticator, SessionBuilder};
use statewise::store::MemoryStore;
use statewise::store::contract::SessionStore;
use statewise::testkit::{FaultyStore, ManualClock, YieldingStore, block_on};
use statewise::token::{Key, TokenAuthenticator, TokenBuilder};
use statewise::web::{AuthLayer, Cookie, SignIn, Transport};

pub(crate) const IDLE: u64 = 1800;
pub(crate) const ABSOLUTE: u64 = 43_200;

pub(crate) type Store = Arc<FaultyStore<MemoryStore>>;

pub(crate) fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

pub(crate) fn store() -> Store {
    let memory = MemoryStore::with_capacity(1_000).unwrap();
    Arc::new(FaultyStore::new(memory))
}

fn sessions_of<S: SessionStore>(store: S, clock: &ManualClock) -> SessionBuilder<S, ()> {
    SessionAuthenticator::builder(store)
        .idle(seconds(IDLE))
        .absolute(seconds(ABSOLUTE))
        .clock(clock.clone())
}

pub(crate) fn sessions(store: &Store, clock: &ManualClock) -> Arc<SessionAuthenticator<Store>> {
    Arc::new(sessions_of(Arc::clone(store), clock).build().unwrap())
}

pub(crate) type Yielding = Arc<SessionAuthenticator<YieldingStore<MemoryStore>>>;

/// Sessions in a store that yields once at each call. The credential is due for rotation after a
/// minute.
pub(crate) fn yielding(clock: &ManualClock) -> Yielding {
    let memory = MemoryStore::with_capacity(100).unwrap();
    let sessions = sessions_of(YieldingStore::new(memory), clock).rotate_after(seconds(60));
    Arc::new(sessions.build().unwrap())
}

/// Returns the number of live sessions of a user.
pub(crate) fn live<S: SessionStore>(auth: &SessionAuthenticator<S>, user: &str) -> usize {
    block_on(auth.sessions(user, None)).unwrap().sessions.len()
}

/// Sessions with a credential that is due for rotation after a minute.
pub(crate) fn rotating(store: &Store, clock: &ManualClock) -> Arc<SessionAuthenticator<Store>> {
    let sessions = sessions_of(Arc::clone(store), clock).rotate_after(seconds(60));
    Arc::new(sessions.build().unwrap())
}

fn tokens_for(lifetime: u64, clock: &ManualClock) -> TokenBuilder {
    let key = Key::hs256(&(1..=32).collect::<Vec<u8>>()).unwrap();
    TokenAuthenticator::builder(key)
        .issuer("https://auth.example")
        .audience("api")
        .lifetime(seconds(lifetime))
        .clock(clock.clone())
}

pub(crate) fn tokens(clock: &ManualClock) -> Arc<TokenAuthenticator> {
    Arc::new(tokens_for(900, clock).build().unwrap())
}

/// A hybrid with a revocation log.
pub(crate) fn revocable_hybrid<L: RevocationLog>(
    log: &Arc<L>,
    clock: &ManualClock,
) -> HybridAuthenticator<Store> {
    let view = RevocationView::builder(Arc::clone(log))
        .max_lifetime(seconds(ABSOLUTE))
        .clock(clock.clone());
    let access = tokens_for(600, clock).revocations(&view.build().unwrap());
    HybridAuthenticator::new(access, sessions_of(store(), clock)).unwrap()
}

pub(crate) fn hybrid(store: &Store, clock: &ManualClock) -> Arc<HybridAuthenticator<Store>> {
    let (access, refresh) = (
        tokens_for(600, clock),
        sessions_of(Arc::clone(store), clock),
    );
    Arc::new(HybridAuthenticator::new(access, refresh).unwrap())
}

/// Place where a handler leaves its `SignIn` for a task that outlives it.
#[derive(Clone, Default)]
pub(crate) struct Kept(pub(crate) Arc<Mutex<Option<SignIn>>>);

pub(crate) fn transport() -> Transport {
    Transport::cookie(Cookie::default())
}

pub(crate) fn layer(auth: Arc<dyn DynAuthenticator<()>>, transport: Transport) -> AuthLayer {
    AuthLayer::new(auth, transport).unwrap()
}
