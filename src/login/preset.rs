//! Requirements of a standard on logins.

use std::time::Duration;

use crate::error::{Error, Result};

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);

/// Requirements of a standard on logins, which a builder sets as its defaults and then enforces.
///
/// A setting that is stricter than the preset is kept. One that is weaker fails at build and names
/// the section of the standard, whether that says SHALL or SHOULD: where you deviate from a
/// recommendation, leave the preset out and document why (OWASP ASVS 7.1.1).
///
/// | | [`Aal1`](Self::Aal1) | [`Aal2`](Self::Aal2) | [`Aal3`](Self::Aal3) | [`Asvs`](Self::Asvs) |
/// |---|---|---|---|---|
/// | idle timeout, at most | 30 days (MAY) | 1 hour (SHOULD) | 15 minutes (SHOULD) | 30 minutes |
/// | absolute timeout, at most | 30 days (SHOULD) | 24 hours (SHOULD) | 12 hours (SHALL) | 8 hours |
/// | source | NIST SP 800-63B-4, 2.1.3 | 2.2.3 | 2.3.3 | OWASP ASVS 5.0, 7.3.1 and 7.3.2 |
///
/// ASVS leaves both numbers to your analysis of the risk. Those of this preset are the upper ends of
/// the ranges for low risk and for office work in the OWASP Session Management Cheat Sheet.
///
/// All presets require:
///
/// | | of | source |
/// |---|---|---|
/// | timeouts of [remembered](crate::Login::remember) logins within those above | sessions, tokens | NIST SP 800-63B-4, 5.2 (SHALL) |
/// | a [revocation log](crate::revocation), so that a logout ends tokens | tokens, the hybrid | 5.1 (SHALL), OWASP ASVS 7.4.1 |
/// | a token lifetime within the idle timeout, as nothing else ends an unused token | tokens | as above |
/// | `Secure`; no `Domain`; `SameSite` `Lax` or `Strict`; a name with a prefix | [cookies](crate::web::CookieBuilder::preset) | 5.1.1 (SHALL, SHALL, SHOULD, SHOULD), OWASP ASVS 3.3.1 to 3.3.3 |
/// | no `Max-Age`, except with `Aal1` | cookies | 5.1 (SHOULD) |
///
/// These are defaults, and any other value is kept:
///
/// | | `Aal3` | all others | source |
/// |---|---|---|---|
/// | [`rotate_after`](crate::session::SessionBuilder::rotate_after) of sessions | 15 minutes | 1 hour | "renewal timeout" of the OWASP cheat sheet, without a number |
/// | [`limit`](crate::session::SessionBuilder::limit) of sessions and the hybrid | 10, the oldest one ends | the same | OWASP ASVS 7.1.2, which wants one to be documented |
///
/// The authentication itself is yours: factors, their strength, and which of them a login proves
/// ([`Login::acr`](crate::Login::acr)). `cargo run --example requirements -- aal2`, in a checkout of
/// this crate, prints each requirement with the test that shows it, or that the application must
/// meet it.
///
/// ```
/// use std::time::Duration;
/// use statewise::Preset;
/// use statewise::session::SessionAuthenticator;
/// use statewise::store::MemoryStore;
///
/// let store = || MemoryStore::with_capacity(100_000);
/// let auth = SessionAuthenticator::builder(store()?).preset(Preset::Aal2).build()?;
///
/// // Stricter: kept. Weaker: refused.
/// let minute = Duration::from_secs(60);
/// let with = |idle| {
///     let builder = SessionAuthenticator::builder(store()?).idle(idle).absolute(12 * 60 * minute);
///     builder.preset(Preset::Aal2).build()
/// };
/// assert!(with(20 * minute).is_ok());
/// let refused = with(90 * minute).unwrap_err().to_string();
/// assert!(refused.contains("NIST SP 800-63B-4, section 2.2.3 (SHOULD)"), "{refused}");
/// # let _ = auth;
/// # Ok::<(), statewise::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Preset {
    /// Authentication assurance level 1 of NIST SP 800-63B-4: some assurance, by one factor.
    Aal1,
    /// Authentication assurance level 2: high confidence, by two factors.
    Aal2,
    /// Authentication assurance level 3: very high confidence, by a key that cannot be exported.
    Aal3,
    /// OWASP ASVS 5.0, chapter V7 at level 3.
    Asvs,
}

impl Preset {
    /// All presets.
    pub const ALL: [Self; 4] = [Self::Aal1, Self::Aal2, Self::Aal3, Self::Asvs];

    /// Name in a configuration, such as `aal2`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Aal1 => "aal1",
            Self::Aal2 => "aal2",
            Self::Aal3 => "aal3",
            Self::Asvs => "asvs",
        }
    }

    /// Maximum and default of the idle timeout.
    #[must_use]
    pub const fn idle(self) -> Duration {
        match self {
            Self::Aal1 => self.absolute(),
            Self::Aal2 => HOUR,
            Self::Aal3 => Duration::from_secs(15 * 60),
            Self::Asvs => Duration::from_secs(30 * 60),
        }
    }

    /// Maximum and default of the absolute timeout.
    #[must_use]
    pub const fn absolute(self) -> Duration {
        Duration::from_secs(
            3600 * match self {
                Self::Aal1 => 30 * 24,
                Self::Aal2 => 24,
                Self::Aal3 => 12,
                Self::Asvs => 8,
            },
        )
    }

    /// Default age at which a session's credential is due for a refresh.
    pub(crate) fn rotate_after(self) -> Duration {
        match self {
            Self::Aal3 => 15 * MINUTE,
            _ => HOUR,
        }
    }

    /// Refuses longer timeouts. `idle` and `absolute` say what the two durations are.
    pub(crate) fn check(
        self,
        (idle, idle_timeout): (&str, Duration),
        (absolute, absolute_timeout): (&str, Duration),
    ) -> Result<()> {
        let [idle_source, absolute_source] = match self {
            Self::Aal1 => ["NIST SP 800-63B-4, section 2.1.3 (SHOULD)"; 2],
            Self::Aal2 => ["NIST SP 800-63B-4, section 2.2.3 (SHOULD)"; 2],
            Self::Aal3 => [
                "NIST SP 800-63B-4, section 2.3.3 (SHOULD)",
                "NIST SP 800-63B-4, section 2.3.3 (SHALL)",
            ],
            Self::Asvs => ["OWASP ASVS 7.3.1", "OWASP ASVS 7.3.2"],
        };
        for (what, timeout, max, source) in [
            (idle, idle_timeout, self.idle(), idle_source),
            (absolute, absolute_timeout, self.absolute(), absolute_source),
        ] {
            if timeout > max {
                return Err(self.weaker(&format!(
                    "the {what} is longer than {} minutes: shorten it ({source})",
                    max.as_secs() / 60,
                )));
            }
        }
        Ok(())
    }

    /// Returns the error of a setting that is weaker than this preset requires.
    pub(crate) fn weaker(self, what: &str) -> Error {
        let name = self.name();
        Error::misuse(format!("weaker than the preset {name}: {what}"))
    }
}
