//! Where unguessable bytes come from.

use std::fmt;

use rand::TryRng;
use rand::rngs::SysRng;

use crate::error::{Error, Result};

/// A source of unguessable bytes: credentials and keys are as strong as what it gives.
///
/// The default, [`SystemEntropy`], is right for every service. Another one is for tests, and for
/// machines whose approved generator is a device (NIST SP 800-63B-4, section 5.1).
pub trait Entropy: fmt::Debug + Send + Sync + 'static {
    /// Fills `bytes` completely, or fails.
    ///
    /// # Errors
    ///
    /// *Unavailable* if the source cannot answer. Never fill with anything weaker instead.
    fn fill(&self, bytes: &mut [u8]) -> Result<()>;
}

/// The generator of the operating system (OWASP ASVS 11.5.1).
///
/// It is asked anew for each login, also for the id of a token, which is no secret but never given
/// twice. Bytes drawn in advance would be shared by whoever has a copy of this process: after a
/// fork, which the process id does not always tell, and after a restored snapshot of its machine,
/// which nothing does. What a call into the kernel costs, `cargo bench --bench verify` shows beside a
/// token whose id is given.
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

/// `N` fresh bytes.
pub(crate) fn draw<const N: usize>(entropy: &dyn Entropy) -> Result<[u8; N]> {
    let mut bytes = [0; N];
    entropy.fill(&mut bytes)?;
    Ok(bytes)
}
