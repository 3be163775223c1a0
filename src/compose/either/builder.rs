//! The builder of a composition of two strategies.

use crate::authenticator::Authenticator;
use crate::compose::either::authenticator::Either;
use crate::error::{Error, Result};

/// Builder of an [`Either`].
///
/// # Defaults
///
/// | setting | default | why |
/// |---|---|---|
/// | [`any_place`](Self::any_place) | off: the first strategy is for cookies, the second for bearer tokens | a credential works only where its client keeps it |
#[derive(Debug)]
#[must_use = "a builder does nothing until it is built"]
pub struct EitherBuilder<A, B>(Either<A, B>);

impl<A, B> Either<A, B>
where
    A: Authenticator,
    B: Authenticator<Data = A::Data>,
{
    /// Starts the configuration of an authenticator for the credentials of two strategies: `first`
    /// for cookies, `second` for bearer tokens.
    pub fn builder(first: A, second: B) -> EitherBuilder<A, B> {
        EitherBuilder(Self {
            first,
            second,
            is_by_place: true,
        })
    }
}

impl<A, B> EitherBuilder<A, B>
where
    A: Authenticator,
    B: Authenticator<Data = A::Data>,
{
    /// Accepts the credentials of both strategies in cookies and as bearer tokens, and issues those
    /// of the first strategy only.
    ///
    /// ```
    /// use statewise::either::Either;
    /// use statewise::{Authenticator, Result};
    ///
    /// /// Tokens of two keys, for the same programs.
    /// fn two_keys<A, B>(tokens: A, partners: B) -> Result<Either<A, B>>
    /// where
    ///     A: Authenticator,
    ///     B: Authenticator<Data = A::Data>,
    /// {
    ///     Either::builder(tokens, partners).any_place().build()
    /// }
    /// ```
    pub fn any_place(mut self) -> Self {
        self.0.is_by_place = false;
        self
    }

    /// Checks that the strategies can be told apart, and builds the authenticator.
    ///
    /// # Errors
    ///
    /// *Misuse*, with what to do: credentials of one strategy are well-formed for the other; a
    /// strategy returns no [sample credentials](Authenticator::sample_credentials). A key that you
    /// add to both strategies later is not noticed.
    pub fn build(self) -> Result<Either<A, B>> {
        let (first, second) = self.0.strategies();
        let samples = (first.sample_credentials(), second.sample_credentials());
        if samples.0.is_empty() || samples.1.is_empty() {
            return Err(Error::misuse(
                "an authenticator returns no sample credentials, so its credentials cannot be told \
                 from others: implement `Authenticator::sample_credentials`",
            ));
        }
        let is_ambiguous = samples.0.iter().any(|sample| second.is_well_formed(sample))
            || samples.1.iter().any(|sample| first.is_well_formed(sample));
        if is_ambiguous {
            return Err(Error::misuse(
                "two strategies have credentials of the same form, so they cannot be told apart: \
                 give the tokens of each a key of their own; two kinds of sessions, or two \
                 hybrids, cannot be combined",
            ));
        }
        Ok(self.0)
    }
}
