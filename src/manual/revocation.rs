//! Revocation: how a logout reaches every node, and within which time.
//!
//! A token is verified without a store, and a cached session without asking it. Both would outlive
//! a logout. The revocation log closes this gap: a node that ends a login *appends* a *fact* to the
//! log, every node *follows* the log into its *view*, and each request is checked against the view
//! in memory.
//!
//! # The log
//!
//! ```text
//!  incarnation 7f3a..
//!
//!  position      118        119        120        121        122
//!             +----------+----------+----------+----------+----------+
//!  nonce      | 5c81..   | e0d2..   | 9b17..   | 44f0..   | a6c9..   |
//!  fact       | login h1 | subject  | login h2 | nothing  | changed  |
//!             |          | alice    |          | (expired)| h3, v 5  |
//!             +----------+----------+----------+----------+----------+
//!               ^                                            ^
//!               first: older entries have been removed       head
//!
//!  node A, view:  |<-------------- applied ---------------->|   fresh
//!  node B, view:  |<----- applied ----->|                       lag: 2 entries
//!
//!  alice logs in at head 118: stamp (7f3a.., 118, 5c81..), 118 < 119: ended by "subject alice"
//!  alice logs in at head 119: stamp (7f3a.., 119, e0d2..), not ended
//! ```
//!
//! The order of events comes from positions and never from clocks. A login takes its stamp at the
//! start of [`issue`](crate::Authenticator::issue), before anything is stored or signed, and every
//! rotation, refresh and access token copies that stamp. So "log out everywhere" also ends a login
//! during its `issue`. It ends no login that begins later.
//!
//! # Terms
//!
//! | term | meaning |
//! |---|---|
//! | log | an append-only list of entries, shared by all nodes ([`RevocationLog`]) |
//! | fact | one statement: a login has ended or changed, all logins of a subject or all logins have ended, a key was retired ([`Fact`]) |
//! | positional fact | a fact about a subject or about everything; it ends the logins stamped before a position |
//! | draft | a fact that is to be appended ([`Draft`]) |
//! | append | to write drafts to the log in one atomic step |
//! | entry | a fact at its position in the log ([`Entry`]) |
//! | position | the number of an entry; positions start at 1 and have no gaps |
//! | nonce | 16 random bytes that identify an entry, even after its position was assigned again |
//! | mark | the first four bytes of a nonce; part of a stamp |
//! | life | how long a fact applies; at least as long as the credentials that it revokes |
//! | head | the last position of the log, with its nonce |
//! | stamp | incarnation, head position and mark at the moment a login began ([`Stamp`]) |
//! | incarnation | random id of a log that started without data; a new one means that the log lost its data |
//! | view | the unexpired facts in the memory of one node ([`RevocationView`]) |
//! | follow | to read new entries and apply them to the view |
//! | follower | the part of a node that follows the log; runs in the [`upkeep`](crate::revocation::RevocationView::upkeep) |
//! | applied | up to this position a view has taken all entries |
//! | complete read | a read that reached the head |
//! | lag | time since the last complete read was sent |
//! | bound | the longest lag of a view that may decide |
//! | fresh, stale | a lag within the bound, or beyond it |
//! | fence | a write that proves that the log still takes writes |
//! | padding | entries without a statement that make a log as long as it was before it lost entries |
//! | lost stamp | a stamp at an entry that the log has lost: another nonce is at its position |
//! | unread stamp | a stamp beyond the applied entries: the next read decides |
//! | waiter | a connection that waits for the end of its login ([`Revoked`](crate::revocation::Revoked)) |
//!
//! [`RevocationLog`]: crate::revocation::log::RevocationLog
//! [`Fact`]: crate::revocation::log::Fact
//! [`Draft`]: crate::revocation::log::Draft
//! [`Entry`]: crate::revocation::log::Entry
//! [`Stamp`]: crate::revocation::log::Stamp
//! [`RevocationView`]: crate::revocation::RevocationView
//!
//! # What each side does
//!
//! **The node that ends a login** removes the row from the store, appends the fact, applies it to
//! its own view, and only then answers. If a row were removed after the append, another node could
//! load it in between and outlive the fact. To end all logins of a subject, the node removes the
//! rows, appends the fact at position `c`, and removes rows with a stamp before `c` again: that
//! catches logins that were stored in between.
//!
//! **Every node** reads the log every 25 ms, starting with the last entry that it has applied. If
//! that entry is still there with the same nonce, the new entries follow it. When a read reaches
//! the head, the view is fresh as of the time at which this read was *sent*. An empty answer counts
//! too.
//!
//! **A check** of a token asks the view, without I/O:
//!
//! 1. Is the view fresh? If not, the answer is *unavailable*, unless
//!    [`accept_when_stale`](crate::revocation::ViewBuilder::accept_when_stale) is set.
//! 2. Is the stamp of the current incarnation? If not, the token is rejected, unless
//!    [`accept_other_incarnations`](crate::revocation::ViewBuilder::accept_other_incarnations) is
//!    set.
//! 3. Is there a fact about this login, or a positional fact after its stamp? Then it is rejected.
//! 4. Is the stamp lost or unread, and is there a positional fact that may apply? A lost stamp is
//!    rejected. An unread stamp is *unavailable* until the next read.
//!
//! A cached session is checked in the same way, with one difference: where the view cannot decide,
//! the node asks the store.
//!
//! **The log** keeps each entry for its life plus 60 s and removes entries from the front only.
//! Facts combine by maximum, so that their order and duplicates do not matter: appending a fact
//! again is always safe.
//!
//! # Losses
//!
//! **Entries are lost in a failover.** A replica that lacks the last entries becomes the primary.
//! The nodes notice it: the entry at which they stopped is missing, or has another nonce. They read
//! the whole log again, and append those unexpired facts that they know and do not find. Then they
//! append padding until the log is as long as it was, because a new login must not get a position
//! of the lost part. They are fresh only when they have read all this back. A login with a lost
//! stamp is ended by a fact when it is presented. A fact is gone for good only if no node has read
//! it *and* the node that appended it has stopped.
//!
//! **The log loses all its data.** It starts again with a new incarnation. Credentials of an
//! earlier incarnation are rejected by default, because a fact about them may be lost. Sessions go
//! on: the store knows its rows. Nodes append every unexpired fact that they know; positional facts
//! then apply to all logins of earlier incarnations.
//!
//! **A node is cut off from the log.** Its view becomes stale after the bound. It then refuses
//! tokens as *unavailable*, and asks the store for sessions. A node that can reach the store but
//! not the log can still end sessions; its answer then names the time until cached copies expire. A
//! node that is cut off together with an old primary reads an old log and cannot notice it. If that
//! primary refuses writes without its replicas, [`fenced`](crate::revocation::ViewBuilder::fenced)
//! closes this gap: reads count only from the last successful fence.
//!
//! # The bound
//!
//! A logout answers [`Within(bound)`](crate::Revocation::Within). After that time (default: 5 s),
//! every node either knows the fact or refuses. This holds
//!
//! - whatever the clocks of the nodes show, if each runs at the right speed: a node compares only
//!   readings of its own clock;
//! - for processes that stall for any time: freshness is checked on each request, and not by a
//!   timer;
//! - for a node that was killed between removal and append: the logout was then not acknowledged,
//!   and cached copies expire after their maximum age.
//!
//! It does not hold if two primaries take writes at the same time, or without
//! [`fenced`](crate::revocation::ViewBuilder::fenced) if a deposed primary still answers reads.
//!
//! ```
//! use std::time::Duration;
//! use statewise::Revocation;
//! use statewise::revocation::{MemoryLog, RevocationView};
//!
//! # statewise::testkit::block_on(async {
//! let view = RevocationView::builder(MemoryLog::new()?)
//!     .max_lifetime(Duration::from_secs(15 * 60))
//!     .bound(Duration::from_secs(2))
//!     .build()?;
//! view.follow().await?;
//! assert!(!view.health()?.stale);
//!
//! let effective = view.revoke_subject("alice").await?;
//! assert_eq!(effective, Revocation::Within(Duration::from_secs(2)));
//! assert_eq!(view.health()?.facts, 1);
//! # Ok::<(), statewise::Error>(())
//! # }).unwrap();
//! ```
//!
//! # Limits
//!
//! The view holds at most its [capacity](crate::revocation::ViewBuilder::capacity). When it is
//! full, revocations are *unavailable*; nothing is forgotten. When half of it is used, the 65th
//! single logout of one subject on one node ends all logins of that subject, so that one user
//! cannot fill it.
//!
//! A presented stamp is believed only up to 10 000 entries beyond the applied ones. An attacker
//! with a leaked key can write any stamp into a token, and must not make the nodes append padding
//! without end.
