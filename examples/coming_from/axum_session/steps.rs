//! The deployments from the old service to the port.

use std::sync::Arc;
use std::time::Duration as StdDuration;

use axum::Router;
use axum::http::HeaderValue;
use axum::http::header::SET_COOKIE;
use axum::middleware::map_response;
use axum::response::Response;
use axum_session::{SessionMode, SessionStore};
use statewise::clock::Clock;
use statewise::either::Either;
use statewise::migrating::Migrating;
use statewise::session::SessionAuthenticator;
use statewise::store::MemoryStore;
use statewise::web::{AuthLayer, Cookie, Transport};
use statewise::{Authenticator, Error, Result, Upkeep};
use time::Duration;

use super::after::Profile;
use super::old_sessions::OldSessions;
use super::pool::MemoryPool;
use super::{after, before};
use crate::users::Users;

/// `cookie_max_age` of axum_session.
const COOKIE_AGE: StdDuration = StdDuration::from_secs(100 * 24 * 3600);

/// Timeouts of a login. The old service has no absolute ones.
#[derive(Clone, Copy, Debug)]
pub struct Timeouts {
    pub idle: Duration,
    pub absolute: Duration,
}

impl Timeouts {
    /// `lifespan` of axum_session.
    const USUAL: Self = Self {
        idle: Duration::hours(6),
        absolute: Duration::days(7),
    };
    /// `max_lifespan` of axum_session.
    const REMEMBERED: Self = Self {
        idle: Duration::days(60),
        absolute: Duration::days(180),
    };

    pub(super) const fn of(is_remembered: bool) -> Self {
        if is_remembered {
            Self::REMEMBERED
        } else {
            Self::USUAL
        }
    }
}

/// State that all nodes share.
#[derive(Clone, Debug)]
pub struct Stores {
    pub users: Users,
    pub old: MemoryPool,
    pub new: Arc<MemoryStore>,
    /// Mode of the old service.
    pub mode: SessionMode,
}

/// The deployments, in their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Step {
    /// The old service.
    Before,
    /// Accepts both kinds of sessions, and issues the old one.
    AcceptBoth,
    /// Accepts both kinds of sessions, and issues the new one.
    IssueNew,
    /// statewise alone.
    After,
}

impl Step {
    pub const ALL: [Self; 4] = [Self::Before, Self::AcceptBoth, Self::IssueNew, Self::After];
}

/// Returns a node of this deployment, and the work that it does in the background.
pub async fn node(step: Step, stores: &Stores, clock: impl Clock) -> Result<(Router, Upkeep)> {
    let users = stores.users.clone();
    let clock: Arc<dyn Clock> = Arc::new(clock);
    let old = OldSessions {
        pool: stores.old.clone(),
        users: users.clone(),
        clock: clock.clone(),
    };
    let [usual, remembered] = [Timeouts::USUAL, Timeouts::REMEMBERED];
    let new = SessionAuthenticator::builder(stores.new.clone())
        .idle(usual.idle.unsigned_abs())
        .absolute(usual.absolute.unsigned_abs())
        .remembered(
            remembered.idle.unsigned_abs(),
            remembered.absolute.unsigned_abs(),
        )
        .rotate_after(StdDuration::from_secs(3600))
        .with_data::<Profile>()
        .clock(clock.clone())
        .build()?;
    // The cookie of axum_session.
    let old_cookie = Cookie::builder()
        .name("session")
        .unprefixed()
        .max_age(COOKIE_AGE)
        .build()?;
    let new_cookie = Cookie::default();
    let (layer, upkeep) = match step {
        Step::Before => {
            let config = before::config(stores.mode.clone());
            let store = SessionStore::new(Some(stores.old.clone()), config).await;
            let router = before::router(users, store.map_err(Error::unavailable)?);
            return Ok((router, Upkeep::none()));
        }
        Step::AcceptBoth => {
            let auth = Either::builder(old, new).any_place().build()?;
            let upkeep = auth.upkeep();
            let transport = Transport::cookie(old_cookie).formerly(new_cookie)?;
            (AuthLayer::new(Arc::new(auth), transport)?, upkeep)
        }
        Step::IssueNew => {
            let auth = Migrating::builder(old, new).clock(clock.clone()).build()?;
            let upkeep = auth.upkeep();
            let transport = Transport::cookie(new_cookie).formerly(old_cookie)?;
            (AuthLayer::new(Arc::new(auth), transport)?, upkeep)
        }
        Step::After => {
            let upkeep = new.upkeep();
            let transport = Transport::cookie(new_cookie);
            (AuthLayer::new(Arc::new(new), transport)?, upkeep)
        }
    };
    let mut router = after::router(users, layer.clock(clock))?;
    if step == Step::AcceptBoth && stores.mode.is_opt_in() {
        router = router.layer(map_response(with_store_cookie));
    }
    Ok((router, upkeep))
}

/// Sets and removes the second cookie of axum_session with the first. In the mode `OptIn`, an old node
/// deletes the session of a request without it.
async fn with_store_cookie(mut response: Response) -> Response {
    let set = response.headers().get_all(SET_COOKIE).iter();
    let mut set = set.filter_map(|set| set.to_str().ok());
    let session = set.find(|set| set.starts_with("session="));
    let store = session.map(|set| match set.contains("Max-Age=0") {
        true => "store=; Path=/; Max-Age=0",
        false => "store=true; Path=/; Max-Age=8640000; HttpOnly; SameSite=Lax; Secure",
    });
    if let Some(store) = store {
        let store = HeaderValue::from_static(store);
        response.headers_mut().append(SET_COOKIE, store);
    }
    response
}
