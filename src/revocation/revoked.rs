//! Live connections end with their login.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use crate::clock::{self, Timestamp};
use crate::error::{Error, Rejection, Result};
use crate::login::handle::Handle;
use crate::login::identity::Identity;
use crate::login::stamp::Stamp;
use crate::revocation::view::RevocationView;
use crate::revocation::waiters::Seat;

impl RevocationView {
    /// Waits until `caller` would be refused, for what goes on for longer than a request: a
    /// WebSocket, a stream of events, a long job. Select on it, and end the connection when it is
    /// done. The error says why:
    ///
    /// * *rejected* as [`Revoked`](Rejection::Revoked) when the login has ended: this one, all of
    ///   its subject, or everything, on whichever node;
    /// * *rejected* as [`Expired`](Rejection::Expired) when its [`deadline`](Identity::deadline)
    ///   has come, by the clock of the view. The end of the presented token is not waited for, as
    ///   its client may have refreshed it since;
    /// * *unavailable* when the view is stale and refuses then, or the clock cannot tell the time:
    ///   a node that cannot know lets nobody go on.
    ///
    /// Who has ended by now is told so at the first poll. Dropped, it waits no longer and leaves
    /// nothing behind. It may be polled again when it is done, and says what is true then.
    ///
    /// It has no timer, and is woken by the view: by what this node says, by what it reads, and, for
    /// deadlines and staleness, by each step of the [`upkeep`](Self::upkeep), four times a second,
    /// also while the log does not answer. **Without the upkeep it is only woken by what this node
    /// says itself**, and for as long as the clock cannot tell the time the upkeep has no steps.
    ///
    /// It judges by `caller`, as it was verified, and by the log:
    ///
    /// * a session is judged by the rules for tokens, and by what its store
    ///   [says to the log](crate::store::CachedStore): one that ends in a store alone, or by its
    ///   idle time, is not noticed. One that was kept when
    ///   [the others were ended](crate::session::SessionAuthenticator::revoke_others) ends here
    ///   with them: verify its credential anew and wait on. One from before a log lost its data
    ///   does not pass here, unless the view
    ///   [accepts](crate::revocation::ViewBuilder::accept_other_incarnations) it;
    /// * by which key a token was signed is not known of a caller, so that
    ///   [`retire_key`](Self::retire_key) ends no connection that is open. On the day on which a key
    ///   leaks, [`revoke_everything`](Self::revoke_everything) does;
    /// * roles and data that have changed end nothing.
    pub fn revoked<D>(&self, caller: &Identity<D>) -> Revoked {
        Revoked {
            seat: self.waiters().seat(caller.handle),
            view: self.clone(),
            handle: caller.handle,
            subject: caller.subject().into(),
            stamp: caller.stamp,
            deadline: caller.deadline,
        }
    }
}

/// Waits for the end of a login: see [`RevocationView::revoked`].
#[must_use = "a future does nothing until it is polled"]
pub struct Revoked {
    view: RevocationView,
    seat: Seat,
    handle: Handle,
    subject: Box<str>,
    stamp: Option<Stamp>,
    deadline: Timestamp,
}

impl Revoked {
    /// When to look again at the latest.
    ///
    /// # Errors
    ///
    /// Why this caller would be refused now.
    fn check(&self) -> Result<Timestamp> {
        let now = clock::read(&*self.view.settings().clock)?;
        if self.deadline <= now {
            return Err(Rejection::Expired.into());
        }
        self.view.check_fresh(now)?;
        match self
            .view
            .check_known(self.handle, &self.subject, self.stamp)
        {
            Err(error) if error.is_rejected() => Err(error),
            Ok(()) if self.view.has_read(self.stamp) => Ok(self.deadline),
            // It began beyond what has been read: the next read tells.
            _ => Ok(Timestamp::MIN),
        }
    }
}

impl Future for Revoked {
    type Output = Error;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Error> {
        let look = || self.check();
        self.view
            .waiters()
            .poll(self.seat, self.deadline, context.waker(), look)
    }
}

impl Drop for Revoked {
    fn drop(&mut self) {
        self.view.waiters().leave(self.seat);
    }
}

impl fmt::Debug for Revoked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Revoked")
            .field("login", &self.handle.public_id())
            .finish_non_exhaustive()
    }
}
