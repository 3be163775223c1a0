//! The deployments from the old service to the port.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use statewise::clock::Clock;
use statewise::revocation::{MemoryLog, RevocationView};
use statewise::token::{Algorithm, Interop, Key, TokenAuthenticator};
use statewise::web::{AuthLayer, Transport};
use statewise::{Authenticator, Result, Upkeep};
use time::OffsetDateTime;

use super::after::Profile;
use super::{OLD_SECRET, after, before};
use crate::users::Users;

/// Lifetime of tokens, old and new.
const DAY: Duration = Duration::from_secs(24 * 3600);
/// jsonwebtoken allows it for clocks that differ.
const LEEWAY: Duration = Duration::from_secs(60);

/// State that all nodes share. In production, the log is in Redis or a database, and the key comes from a secret.
#[derive(Clone)]
pub struct Shared {
    pub users: Users,
    pub key: Key,
    pub log: Arc<MemoryLog>,
    /// End of the old secret: the last day of the second deployment.
    pub old_until: OffsetDateTime,
}

/// The deployments, in their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Step {
    /// The old service.
    Before,
    /// Accepts both kinds of tokens, and issues the old one.
    AcceptBoth,
    /// Accepts both kinds of tokens, and issues the new one.
    IssueNew,
    /// statewise alone.
    After,
}

impl Step {
    pub const ALL: [Self; 4] = [Self::Before, Self::AcceptBoth, Self::IssueNew, Self::After];
}

/// Returns a node of this deployment, and the work that it does in the background.
pub async fn node(step: Step, shared: &Shared, clock: impl Clock) -> Result<(Router, Upkeep)> {
    let users = shared.users.clone();
    if step == Step::Before {
        return Ok((before::router(users), Upkeep::none()));
    }
    let clock: Arc<dyn Clock> = Arc::new(clock);
    let view = RevocationView::builder(shared.log.clone())
        .max_lifetime(DAY + 2 * LEEWAY)
        .clock(clock.clone())
        .build()?;
    let mut tokens = TokenAuthenticator::builder(shared.key.clone())
        .issuer("https://api.example")
        .audience("api")
        .lifetime(DAY)
        .with_data::<Profile>()
        .revocations(&view)
        .clock(clock.clone());
    if step < Step::After {
        // {"user_id":1000,"company":"ACME","scope":"reports","iat":1767225600,"exp":1767312000}
        let old = Interop::from_any_issuer(DAY)
            .weak_secret(Algorithm::HS256, OLD_SECRET, shared.old_until)?
            .subject_from("user_id")
            .roles_from("scope")
            .leeway(LEEWAY);
        tokens = tokens.interop(old);
    }
    let auth = tokens.build()?;
    // The node must have read the log before its first request.
    view.follow().await?;
    let upkeep = auth.upkeep();
    let layer = AuthLayer::new(Arc::new(auth), Transport::bearer())?.clock(clock);
    let router = after::router(users, layer, step == Step::AcceptBoth);
    Ok((router, upkeep))
}
