//! The deployments from the old service to the port.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use statewise::clock::Clock;
use statewise::either::Either;
use statewise::migrating::Migrating;
use statewise::session::SessionAuthenticator;
use statewise::store::MemoryStore;
use statewise::web::{AuthLayer, Cookie, SameSite, Transport};
use statewise::{Authenticator, Result, Upkeep};

use super::after::Profile;
use super::old_sessions::OldSessions;
use super::{after, before};
use crate::users::Users;

const DAY: Duration = Duration::from_secs(24 * 3600);
/// No login lasts longer. The old service has no such limit.
pub const ABSOLUTE: Duration = Duration::from_secs(30 * 24 * 3600);

/// Stores that all nodes share: in production, those of a database or of Redis.
#[derive(Clone)]
pub struct Stores {
    pub users: Users,
    pub old: tower_sessions::MemoryStore,
    pub new: Arc<MemoryStore>,
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
pub fn node(step: Step, stores: &Stores, clock: impl Clock) -> Result<(Router, Upkeep)> {
    let users = stores.users.clone();
    let clock: Arc<dyn Clock> = Arc::new(clock);
    let old = OldSessions {
        store: stores.old.clone(),
        users: users.clone(),
    };
    let new = SessionAuthenticator::builder(stores.new.clone())
        .idle(DAY)
        .absolute(ABSOLUTE)
        .rotate_after(Duration::from_secs(3600))
        .with_data::<Profile>()
        .clock(clock.clone())
        .build()?;
    // The cookie of tower-sessions.
    let old_cookie = Cookie::builder()
        .name("id")
        .unprefixed()
        .same_site(SameSite::Strict)
        .max_age(DAY)
        .build()?;
    let new_cookie = Cookie::builder()
        .same_site(SameSite::Strict)
        .max_age(DAY)
        .build()?;
    let (layer, upkeep) = match step {
        Step::Before => {
            return Ok((before::router(users, stores.old.clone()), Upkeep::none()));
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
    Ok((after::router(users, layer.clock(clock))?, upkeep))
}
