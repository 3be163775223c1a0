//! The result of a call for all logins of a subject.

use crate::login::issued::Revocation;

/// The result of a logout everywhere, or of an update of all logins: how many ended or were updated, and
/// when that has happened on every node.
///
/// ```
/// use statewise::{Authenticator, Result};
///
/// /// For a support desk, which types the name of the user.
/// async fn log_out_everywhere(auth: &impl Authenticator, subject: &str) -> Result<String> {
///     let affected = auth.revoke_all(subject).await?;
///     Ok(match affected.count {
///         Some(0) => format!("{subject} was not logged in: check the spelling"),
///         Some(count) => format!("{count} logins of {subject} have ended"),
///         // Tokens are not counted, and without a log they are valid until they expire.
///         None => format!("the logins of {subject} end: {:?}", affected.effective),
///     })
/// }
/// ```
#[must_use = "a logout or a change may not have taken effect yet"]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Affected {
    /// Number of logins that ended or were updated. It may include expired ones that were not removed yet. Zero shows
    /// that the subject has no login: subjects are compared byte by byte, so check its spelling.
    /// `None` if the strategy does not count logins, as with tokens.
    pub count: Option<u64>,
    /// The time from which no node accepts any of them, or any of their old values.
    pub effective: Revocation,
}

impl Affected {
    /// Ended `count` logins, with effect as `effective` says.
    pub const fn new(count: Option<u64>, effective: Revocation) -> Self {
        Self { count, effective }
    }

    /// Combines the results of two strategies. The count is unknown if one of them is.
    pub(crate) fn and(self, other: Self) -> Self {
        let counts = self.count.zip(other.count);
        Self {
            count: counts.map(|(one, other)| one.saturating_add(other)),
            effective: self.effective.or_later(other.effective),
        }
    }
}
