//! The issuer of tickets.

use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::authenticator::{BoxFuture, RevokeAll};
use crate::base::base64url::encode_16;
use crate::base::secret::constant_time_eq;
use crate::base::sha256;
use crate::entropy;
use crate::error::{EndCause, Rejection, Result};
use crate::login::Login;
use crate::login::affected::Affected;
use crate::login::begun::{Begun, IssuerId};
use crate::login::data::DataReader;
use crate::login::edit::EditFn;
use crate::login::handle::Handle;
use crate::login::identity::Identity;
use crate::login::issued::Credential;
use crate::login::login_ref::LoginRef;
use crate::observer::event::{Act, Event};
use crate::observer::{self, Observer};
use crate::session::logins::Logins;
use crate::store::ask::Scope;
use crate::store::record::Record;
use crate::store::session_store::SessionStore;
use crate::tickets::ticket::{Ticket, TicketContent};
use crate::upkeep::Upkeep;

/// Issues tickets of one purpose, and redeems each once. See [the module](super).
pub struct Tickets<S, P = ()> {
    pub(crate) purpose: String,
    pub(crate) rows: Logins<S>,
    pub(crate) payload: DataReader<P>,
    pub(crate) is_bound: bool,
    pub(crate) observer: Arc<dyn Observer>,
}

impl<S: SessionStore, P> Tickets<S, P> {
    /// Ends all tickets of `subject`. [`also_ends`] makes a logout everywhere do that.
    ///
    /// [`also_ends`]: crate::session::SessionBuilder::also_ends
    ///
    /// # Errors
    ///
    /// *Unavailable*: some tickets may not have ended, and it is safe to try again. *Misuse* for a
    /// subject that begins with U+0001.
    ///
    /// # Cancel safety
    ///
    /// Some tickets may have ended: call again.
    pub async fn revoke_all(&self, subject: &str) -> Result<Affected> {
        let now = self.rows.now()?;
        let removed = self.rows.remove_subject(subject, Scope::all(), now).await?;
        Ok(removed.into())
    }

    /// Returns the background work of the store. Spawn it, unless the sessions in the same store do.
    pub fn upkeep(&self) -> Upkeep {
        self.rows.upkeep()
    }

    /// Checks that a ticket is presented by the browser that it is bound to.
    fn check_browser(&self, row: &Record, presented: Option<&str>) -> Result<()> {
        let is_right = match (row.fields.browser(), presented) {
            (None, _) => !self.is_bound,
            (Some(hash), Some(secret)) => constant_time_eq(hash, &hash_of(secret)),
            (Some(_), None) => false,
        };
        match is_right {
            true => Ok(()),
            false => Err(Rejection::WrongBrowser.into()),
        }
    }
}

impl<S, P> Tickets<S, P>
where
    S: SessionStore,
    P: Serialize + DeserializeOwned + Send + Sync + 'static,
{
    /// Issues a ticket for `subject`: a user, or a random text if there is none yet.
    ///
    /// # Errors
    ///
    /// *Misuse* for a subject that is empty or begins with U+0001. *Refused* if the store is full, the
    /// subject or the payload too large, or all tickets of the subject are revoked meanwhile.
    /// *Unavailable* if the store, the clock or the entropy source cannot answer.
    ///
    /// # Cancel safety
    ///
    /// A ticket that no client has may be stored, until it expires.
    pub async fn issue(&self, subject: &str, payload: P) -> Result<Ticket> {
        let begun = Instant::now();
        let answer = self.store_new(subject, payload).await;
        for evicted in answer.iter().flat_map(|(_, evicted)| evicted) {
            self.observer.observe(&Event::Ended {
                act: Act::IssueTicket,
                login: LoginRef::of(subject, evicted.public_id()),
                cause: EndCause::Evicted,
                by: answer
                    .as_ref()
                    .ok()
                    .map(|(new, _)| LoginRef::of(subject, new.id)),
                effective: None,
            });
        }
        self.report(Act::IssueTicket, begun, &answer, |(ticket, _)| {
            Event::TicketIssued {
                purpose: &self.purpose,
                ticket: LoginRef::of(subject, ticket.id),
            }
        });
        Ok(answer?.0)
    }

    /// Stores a new ticket. Returns it, and the tickets that the limit evicted.
    async fn store_new(&self, subject: &str, payload: P) -> Result<(Ticket, Vec<Handle>)> {
        let login = Login::new(subject).data(payload);
        let mut browser_secret = None;
        if self.is_bound {
            let secret = encode_16(&entropy::draw(&*self.rows.entropy)?);
            let secret = String::from_utf8_lossy(&secret).into_owned();
            browser_secret = Some(Credential::new(secret));
        }
        let hash = browser_secret
            .as_ref()
            .map(|secret| hash_of(secret.reveal()));
        let mut new = self.rows.prepare(&login, self.rows.begin().await?, hash)?;
        let (credential, evicted) = self.rows.insert(&mut new).await?;
        let ticket = Ticket {
            id: new.row.public_id(),
            credential,
            browser_secret,
        };
        Ok((ticket, evicted))
    }

    /// Updates the payload of a ticket, which stays valid, and returns it as it is now. Use it to count
    /// the tries of a [second factor](super#a-pending-second-factor), and to look at a ticket without
    /// redeeming it.
    ///
    /// No update is lost: `edit` is called again if another call was faster. If it returns an error,
    /// nothing is changed and the error is passed on.
    ///
    /// # Errors
    ///
    /// As for [`redeem`](Self::redeem), and those of `edit`; *refused* if the payload is too large;
    /// *unavailable* if more than sixteen calls change the ticket at the same time.
    ///
    /// # Cancel safety
    ///
    /// The payload may have been updated.
    pub async fn update(
        &self,
        ticket: &str,
        browser_secret: Option<&str>,
        edit: impl FnMut(&mut P) -> Result<()> + Send,
    ) -> Result<TicketContent<P>> {
        let begun = Instant::now();
        let answer = self.change(ticket, browser_secret, edit).await;
        self.report(Act::UpdateTicket, begun, &answer, |content| {
            Event::TicketUpdated {
                purpose: &self.purpose,
                ticket: LoginRef::of(&content.subject, content.id),
            }
        });
        answer
    }

    async fn change(
        &self,
        ticket: &str,
        browser_secret: Option<&str>,
        mut edit: impl FnMut(&mut P) -> Result<()> + Send,
    ) -> Result<TicketContent<P>> {
        let presented = self.rows.parse(ticket).ok_or(Rejection::Malformed)?;
        let row = self.rows.proven(&presented, self.rows.now()?).await?;
        self.check_browser(&row, browser_secret)?;
        let edit: EditFn<'_, P> = &mut |ticket| edit(&mut ticket.data);
        let mut draft = |row: &Record| self.rows.draft(row, &self.payload, &mut *edit);
        let edited = self.rows.update(row, Some(presented), &mut draft).await?;
        let row = edited.ok_or(Rejection::Unknown)?.row;
        Ok(self.content_of(row.read_identity(&self.payload, IssuerId::NONE)?))
    }

    /// Redeems a ticket. Of any number of calls, one succeeds; it has spent the ticket. To log in,
    /// call [`redeem_login`](Self::redeem_login).
    ///
    /// # Errors
    ///
    /// *Rejected*, and a rejected ticket is not spent: [`Unknown`](Rejection::Unknown) if it is
    /// spent, expired, revoked, forged or of another purpose, [`WrongBrowser`](Rejection::WrongBrowser)
    /// if it is bound to another browser. [*Unreadable*](crate::Error::is_unreadable) if its payload
    /// does not decode; it is not spent. *Unavailable* if the store cannot answer: the ticket may be
    /// spent.
    ///
    /// # Cancel safety
    ///
    /// The ticket may be spent.
    pub async fn redeem(
        &self,
        ticket: &str,
        browser_secret: Option<&str>,
    ) -> Result<TicketContent<P>> {
        let begun = Instant::now();
        let answer = self.take(ticket, browser_secret).await;
        self.report(Act::Redeem, begun, &answer, |redeemed| {
            Event::TicketRedeemed {
                purpose: &self.purpose,
                ticket: LoginRef::of(&redeemed.subject, redeemed.id),
            }
        });
        answer
    }

    /// Redeems a ticket for a login, and returns the login of its subject, which has
    /// [begun](Login::begun) before: a logout everywhere in between refuses it. Add what the login
    /// needs, and issue it.
    ///
    /// `begun` is that of the authenticator that issues the login: pass `auth.begin().await?`, or
    /// `sign_in.begin().await?` in a web service.
    ///
    /// # Errors
    ///
    /// As for [`redeem`](Self::redeem).
    ///
    /// # Cancel safety
    ///
    /// The ticket may be spent.
    pub async fn redeem_login(
        &self,
        begun: Begun,
        ticket: &str,
        browser_secret: Option<&str>,
    ) -> Result<(TicketContent<P>, Login)> {
        let content = self.redeem(ticket, browser_secret).await?;
        let login = Login::new(&content.subject).begun(begun);
        Ok((content, login))
    }

    async fn take(&self, ticket: &str, browser_secret: Option<&str>) -> Result<TicketContent<P>> {
        let check = |row: &Record| self.check_browser(row, browser_secret);
        let taken = self.rows.take(ticket, &self.payload, check).await?;
        Ok(self.content_of(taken))
    }

    fn content_of(&self, ticket: Identity<P>) -> TicketContent<P> {
        TicketContent {
            id: ticket.id(),
            subject: self.rows.namespace.subject(ticket.subject()).to_owned(),
            issued_at: ticket.issued_at(),
            payload: ticket.replace_data(()).0,
        }
    }

    fn report<'a, T>(
        &'a self,
        act: Act,
        begun: Instant,
        answer: &'a Result<T>,
        event: impl FnOnce(&'a T) -> Event<'a>,
    ) {
        observer::report(&*self.observer, act, begun, answer, event);
    }
}

/// Returns the hash by which a row recognizes a browser.
fn hash_of(browser_secret: &str) -> [u8; 16] {
    sha256::half(["statewise browser ", browser_secret].concat().as_bytes())
}

impl<S: SessionStore, P: Send + Sync + 'static> RevokeAll for Tickets<S, P> {
    fn revoke_all_of<'a>(&'a self, subject: &'a str) -> BoxFuture<'a, Result<Affected>> {
        Box::pin(self.revoke_all(subject))
    }
}

impl<S: fmt::Debug, P> fmt::Debug for Tickets<S, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tickets")
            .field("purpose", &self.purpose)
            .field("rows", &self.rows)
            .field("is_bound", &self.is_bound)
            .finish_non_exhaustive()
    }
}
