//! The future that ends with a login.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use crate::clock::Timestamp;
use crate::error::{Error, Rejection, Result};
use crate::login::handle::Handle;
use crate::login::identity::Identity;
use crate::login::stamp::Stamp;
use crate::revocation::view::RevocationView;
use crate::revocation::waiters::WaiterId;

impl RevocationView {
    /// Waits until `caller` would be refused. Use it for work that lasts longer than a request: a
    /// WebSocket, a stream of events, a long job. Select on it, and close the connection when it
    /// completes. See [`Revoked`].
    pub fn revoked<D>(&self, caller: &Identity<D>) -> Revoked {
        Revoked {
            waiter: self.inner.waiters.new_id(caller.handle),
            view: self.clone(),
            handle: caller.handle,
            subject: caller.subject().into(),
            stamp: caller.stamp,
            deadline: caller.deadline,
        }
    }
}

/// Future of [`RevocationView::revoked`]: completes with the reason when its login would be
/// refused.
///
/// # Output
///
/// * *rejected* as [`Revoked`](Rejection::Revoked): this login, all of its subject, or everything
///   has ended, on any node.
/// * *rejected* as [`Expired`](Rejection::Expired): its [`deadline`](Identity::deadline) has
///   passed, by the clock of the view. The expiry of the presented token does not count, because
///   the client may have refreshed it since.
/// * *unavailable*: the view is stale and refuses then, or the clock cannot tell the time. A node
///   that cannot know lets no connection go on.
///
/// If the login has already ended, the first poll completes. You may poll it again after it has
/// completed; it then returns the current reason. Dropping it stops waiting and leaves nothing
/// behind.
///
/// # Wake-ups
///
/// It has no timer. The view wakes it when this node appends a fact, when it reads one, and, for
/// deadlines and staleness, four times a second in its [`upkeep`](RevocationView::upkeep), even
/// while the log does not answer. **Without the upkeep it only notices facts that this node
/// appends.** While the clock cannot tell the time, the upkeep wakes no future.
///
/// # Limits
///
/// The decision depends on `caller` as it was verified, and on the log:
///
/// * A session is judged by the rules for tokens and by the facts that a
///   [`CachedStore`](crate::store::CachedStore) appends. It does not notice a session that ends in
///   a store alone or by its idle timeout. A session kept by
///   [`revoke_others`](crate::session::SessionAuthenticator::revoke_others) ends here together with
///   the others: verify its credential again and wait again. A session from an earlier incarnation
///   of the log is refused unless the view
///   [accepts](crate::revocation::ViewBuilder::accept_other_incarnations) it.
/// * An identity does not tell which key signed its token, so
///   [`retire_key`](RevocationView::retire_key) closes no open connection. On the day on which a
///   key leaks, also call [`revoke_everything`](RevocationView::revoke_everything).
/// * A change of roles or data ends nothing.
#[must_use = "a future does nothing until it is polled"]
pub struct Revoked {
    view: RevocationView,
    waiter: WaiterId,
    handle: Handle,
    subject: Box<str>,
    stamp: Option<Stamp>,
    deadline: Timestamp,
}

impl Revoked {
    /// Returns the time of the next check.
    ///
    /// # Errors
    ///
    /// The reason why this caller would be refused now.
    fn check(&self) -> Result<Timestamp> {
        let view = &self.view;
        let now = view.inner.settings.now()?;
        if self.deadline <= now {
            return Err(Rejection::Expired.into());
        }
        view.check_fresh(now)?;
        match view.check_known(self.handle, &self.subject, self.stamp, u64::MAX) {
            Err(error) if error.is_rejected() => Err(error),
            Ok(()) if view.has_read(self.stamp) => Ok(self.deadline),
            // The stamp has not been read: the next read decides.
            _ => Ok(Timestamp::MIN),
        }
    }
}

impl Future for Revoked {
    type Output = Error;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Error> {
        let waiters = &self.view.inner.waiters;
        waiters.poll(self.waiter, self.deadline, context.waker(), || self.check())
    }
}

impl Drop for Revoked {
    fn drop(&mut self) {
        self.view.inner.waiters.remove(self.waiter);
    }
}

impl fmt::Debug for Revoked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Revoked")
            .field("login", &self.handle.public_id())
            .finish_non_exhaustive()
    }
}
