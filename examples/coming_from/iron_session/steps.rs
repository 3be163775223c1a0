//! The deployments from the old service to the port.

use std::sync::Arc;

use axum::Router;
use statewise::clock::Clock;
use statewise::either::Either;
use statewise::migrating::Migrating;
use statewise::session::SessionAuthenticator;
use statewise::store::MemoryStore;
use statewise::web::{AuthLayer, Cookie, Transport};
use statewise::{Authenticator as _, Result, Upkeep};
use time::Duration;

use super::old_sessions::{Ended, OldSessions, TTL};
use crate::express::after::{self, Profile};
use crate::users::Users;

/// No login lasts longer. The old service has no such limit.
pub const ABSOLUTE: Duration = Duration::days(30);

/// State that all nodes share.
#[derive(Clone, Debug)]
pub struct Stores {
    pub users: Users,
    pub password: String,
    pub ended: Ended,
    pub new: Arc<MemoryStore>,
}

/// The deployments after the old service, in their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Step {
    /// Accepts both kinds of sessions, and issues the old one.
    AcceptBoth,
    /// Accepts both kinds of sessions, and issues the new one.
    IssueNew,
    /// New sessions alone.
    After,
}

impl Step {
    pub const ALL: [Self; 3] = [Self::AcceptBoth, Self::IssueNew, Self::After];
}

/// Returns a node of this deployment, and the work that it does in the background.
pub fn node(step: Step, stores: &Stores, clock: impl Clock) -> Result<(Router, Upkeep)> {
    let clock: Arc<dyn Clock> = Arc::new(clock);
    let old = OldSessions {
        password: stores.password.clone(),
        ended: stores.ended.clone(),
        clock: clock.clone(),
    };
    let new = SessionAuthenticator::builder(Arc::clone(&stores.new))
        .idle(Duration::DAY.unsigned_abs())
        .absolute(ABSOLUTE.unsigned_abs())
        .with_data::<Profile>()
        .clock(clock.clone())
        .build()?;
    // The cookie of iron-session.
    let old_cookie = Cookie::builder()
        .name("session")
        .unprefixed()
        .max_age(TTL.unsigned_abs())
        .build()?;
    let new_cookie = Cookie::default();
    let (layer, upkeep) = match step {
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
    let router = after::router(stores.users.clone(), layer.clock(clock))?;
    Ok((router, upkeep))
}
