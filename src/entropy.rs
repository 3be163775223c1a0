//! Sources of unguessable bytes.

use std::fmt;

use rand::TryRng;
use rand::rngs::SysRng;

use crate::error::{Error, Result};

/// A source of unguessable bytes. Credentials and keys are as strong as this source.
///
/// The default, [`SystemEntropy`], is right for every service. Implement another one for tests, or
/// for machines with a device as approved generator (NIST SP 800-63B-4, section 5.1).
pub trait Entropy: fmt::Debug + Send + Sync + 'static {
    /// Fills `bytes` completely, or fails.
    ///
    /// # Errors
    ///
    /// *Unavailable* if the source cannot answer. Never fill with weaker bytes instead.
    fn fill(&self, bytes: &mut [u8]) -> Result<()>;
}

/// The generator of the operating system (OWASP ASVS 11.5.1).
///
/// It is queried for each login, and also for the id of a token, which is not secret but must be
/// unique. Bytes drawn in advance would be shared with every copy of this process: after a fork,
/// which the process id does not always reveal, and after a restored snapshot of the machine, which
/// nothing reveals. `cargo bench --bench verify` shows the cost of the system call beside a token
/// with a given id.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemEntropy;

impl Entropy for SystemEntropy {
    fn fill(&self, bytes: &mut [u8]) -> Result<()> {
        SysRng.try_fill_bytes(bytes).map_err(|source| {
            Error::could_not(
                "the entropy source could not answer",
                Some(Box::new(source)),
            )
        })
    }
}

/// Draws `N` fresh bytes.
pub(crate) fn draw<const N: usize>(entropy: &dyn Entropy) -> Result<[u8; N]> {
    let mut bytes = [0; N];
    entropy.fill(&mut bytes)?;
    Ok(bytes)
}
