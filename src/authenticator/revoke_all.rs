//! Credentials that a logout everywhere ends besides the logins.

use std::fmt;
use std::sync::Arc;

use crate::authenticator::Authenticator;
use crate::base::boxed::BoxFuture;
use crate::error::Result;
use crate::login::affected::Affected;
use crate::login::issued::Revocation;

/// Something of a subject that a logout everywhere can end as well, such as its tickets or API keys.
/// Every [`Authenticator`] is one. The builders of sessions and tokens take it by `also_ends`.
pub trait RevokeAll: fmt::Debug + Send + Sync + 'static {
    /// Ends everything of `subject`.
    ///
    /// # Errors
    ///
    /// *Unavailable*: some may not have ended, and it is safe to try again.
    fn revoke_all_of<'a>(&'a self, subject: &'a str) -> BoxFuture<'a, Result<Affected>>;
}

impl<A: Authenticator> RevokeAll for A {
    fn revoke_all_of<'a>(&'a self, subject: &'a str) -> BoxFuture<'a, Result<Affected>> {
        Box::pin(self.revoke_all(subject))
    }
}

/// Other credentials that a logout everywhere ends.
#[derive(Clone, Debug, Default)]
pub(crate) struct AlsoEnds(pub(crate) Vec<Arc<dyn RevokeAll>>);

impl AlsoEnds {
    /// Ends all of these, and then the logins by `revoke`. Counts the logins alone.
    ///
    /// The logins are last: a ticket that was redeemed just before may yield a login, which the end
    /// of the logins finds, or makes outdated if its [beginning](crate::Login::begun) is earlier.
    /// They end even if the others cannot.
    pub(crate) async fn and(
        &self,
        subject: &str,
        revoke: impl Future<Output = Result<Affected>>,
    ) -> Result<Affected> {
        let mut others: Result<_> = Ok(Revocation::Immediate);
        for other in &self.0 {
            let ended = other.revoke_all_of(subject).await;
            others = others.and_then(|effective| Ok(effective.or_later(ended?.effective)));
        }
        let mut affected = revoke.await?;
        affected.effective = affected.effective.or_later(others?);
        Ok(affected)
    }
}
