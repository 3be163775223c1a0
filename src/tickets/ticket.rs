//! A ticket for a client, and its content.

use std::fmt;

use time::OffsetDateTime;

use crate::base::public_id::PublicId;
use crate::login::issued::Credential;

/// A ticket, as the client receives it.
#[must_use = "the client needs the ticket"]
#[derive(Clone, Debug)]
pub struct Ticket {
    pub(crate) id: PublicId,
    pub(crate) credential: Credential,
    pub(crate) browser_secret: Option<Credential>,
}

impl Ticket {
    /// The public id of the ticket, for logs.
    #[must_use]
    pub fn id(&self) -> PublicId {
        self.id
    }

    /// The ticket: `tk_` and 64 characters that a URL may contain.
    #[must_use]
    pub fn credential(&self) -> &Credential {
        &self.credential
    }

    /// The secret for a cookie of the browser to which the ticket is
    /// [bound](crate::tickets::TicketsBuilder::bound). `None` for other tickets.
    #[must_use]
    pub fn browser_secret(&self) -> Option<&Credential> {
        self.browser_secret.as_ref()
    }
}

/// The content of a ticket. Its `Debug` omits the payload, which may be secret.
#[derive(Clone)]
#[non_exhaustive]
pub struct TicketContent<P> {
    /// The public id of the ticket.
    pub id: PublicId,
    /// The subject that the ticket was issued for.
    pub subject: String,
    /// The payload.
    pub payload: P,
    /// The time at which the ticket was issued.
    pub issued_at: OffsetDateTime,
}

impl<P> fmt::Debug for TicketContent<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TicketContent")
            .field("id", &self.id)
            .field("subject", &self.subject)
            .field("issued_at", &self.issued_at)
            .finish_non_exhaustive()
    }
}
