//! The contract of a signer that keeps its private key to itself.

use std::fmt;
use std::future::Future;
use std::sync::Arc;

use crate::base::erased::forward_to_pointee;
use crate::base::secret::REDACTED;
use crate::base::sha256;
use crate::error::{Error, Result};
use crate::token::public::backend::SIGNATURE_BYTES;
use crate::token::public::der;

/// Signs tokens with a private key that this process does not have: that of a key management service
/// (KMS), of a hardware security module (HSM), or of another process. An
/// [`ExternalKey`](crate::token::ExternalKey) puts it into a ring.
///
/// | signer | send | make the [`Signature`] with |
/// |---|---|---|
/// | ES256: AWS KMS, Google Cloud KMS | [`sha256`](SigningInput::sha256), as a digest | [`from_der`](Signature::from_der) |
/// | ES256: Azure Key Vault; PKCS #11 `CKM_ECDSA` | [`sha256`](SigningInput::sha256) | [`from_raw`](Signature::from_raw) |
/// | Ed25519: PKCS #11 `CKM_EDDSA`, a KMS | [`bytes`](SigningInput::bytes) | [`from_raw`](Signature::from_raw) |
///
/// ```
/// use statewise::token::{Signature, Signer, SigningInput};
/// use statewise::{Error, Result};
///
/// #[derive(Debug)]
/// struct Kms {
///     key_id: String,
///     client: KmsClient,
/// }
///
/// impl Signer for Kms {
///     async fn sign(&self, input: SigningInput<'_>) -> Result<Signature> {
///         let answer = self.client.sign(&self.key_id, input.sha256()).await;
///         Signature::from_der(&answer.map_err(Error::unavailable)?)
///     }
/// }
/// # #[derive(Debug)]
/// # struct KmsClient;
/// # impl KmsClient {
/// #     async fn sign(&self, _: &str, _: [u8; 32]) -> std::io::Result<Vec<u8>> { Ok(Vec::new()) }
/// # }
/// ```
pub trait Signer: fmt::Debug + Send + Sync + 'static {
    /// Signs a text. Do not retry for long: the caller waits for its
    /// [deadline](crate::token::ExternalKey::deadline) at most.
    ///
    /// # Errors
    ///
    /// *Unavailable* if the signer could not be reached or did not answer; *misuse* if its
    /// configuration is wrong, such as the name of its key.
    ///
    /// # Cancel safety
    ///
    /// The future is dropped if the caller or the deadline is faster. A signature that nobody
    /// receives has no effect.
    fn sign(&self, input: SigningInput<'_>) -> impl Future<Output = Result<Signature>> + Send;
}

/// The text to sign: header and claims of a token, at most 8 KiB.
#[derive(Clone, Copy)]
pub struct SigningInput<'a>(&'a [u8]);

impl<'a> SigningInput<'a> {
    pub(super) const fn new(text: &'a [u8]) -> Self {
        Self(text)
    }

    /// The text itself. ES256 and Ed25519 both sign it, and ES256 hashes it first.
    #[must_use]
    pub fn bytes(&self) -> &'a [u8] {
        self.0
    }

    /// The SHA-256 hash of the text, for signers of ES256 that take a digest.
    #[must_use]
    pub fn sha256(&self) -> [u8; 32] {
        sha256::hash(self.0)
    }
}

impl fmt::Debug for SigningInput<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningInput")
            .field("bytes", &self.0.len())
            .finish()
    }
}

/// A signature of ES256 or Ed25519: 64 bytes. `Debug` redacts it, because it is a part of a token.
#[derive(Clone, Copy)]
pub struct Signature([u8; SIGNATURE_BYTES]);

impl Signature {
    pub(super) const fn new(bytes: [u8; SIGNATURE_BYTES]) -> Self {
        Self(bytes)
    }

    /// Takes the form that tokens have (RFC 7518, section 3.4; RFC 8032): r and s of ECDSA, each of 32
    /// bytes, or the 64 bytes of Ed25519.
    ///
    /// # Errors
    ///
    /// *Misuse* if it has another length.
    pub fn from_raw(bytes: &[u8]) -> Result<Self> {
        bytes.try_into().map(Self).map_err(|_| {
            Error::misuse(format!(
                "the signer returned {} bytes, but a signature of ES256 or Ed25519 has 64: pass a \
                 signature in DER to `Signature::from_der`",
                bytes.len(),
            ))
        })
    }

    /// Converts the form in which most services return a signature of ECDSA: a DER sequence of r and
    /// s (`ECDSA-Sig-Value`; RFC 3279, section 2.2.3).
    ///
    /// ```
    /// use statewise::token::Signature;
    ///
    /// let der = [[&[0x30, 0x44, 0x02, 0x20][..], &[7; 32], &[0x02, 0x20], &[9; 32]].concat()];
    /// assert!(Signature::from_der(&der[0]).is_ok());
    /// assert!(Signature::from_der(&[7; 64]).unwrap_err().is_misuse());
    /// ```
    ///
    /// # Errors
    ///
    /// *Misuse* if it is another text, or a signature on another curve than P-256.
    pub fn from_der(der: &[u8]) -> Result<Self> {
        let mut bytes = [0; SIGNATURE_BYTES];
        let (r, s) = bytes.split_at_mut(SIGNATURE_BYTES / 2);
        let written = der::two_numbers(der)
            .is_some_and(|numbers| write_number(numbers[0], r) && write_number(numbers[1], s));
        match written {
            true => Ok(Self(bytes)),
            false => Err(Error::misuse(
                "the signer returned no signature on P-256 in DER: pass r and s themselves, 64 \
                 bytes, to `Signature::from_raw`",
            )),
        }
    }

    /// The 64 bytes, in the form that tokens have. Together with the signed text they are a token:
    /// log neither.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 64] {
        &self.0
    }
}

/// Writes a big-endian number with zeros before it. False if it does not fit.
fn write_number(number: &[u8], place: &mut [u8]) -> bool {
    let zeros = place.len().checked_sub(number.len());
    zeros.is_some_and(|zeros| {
        place[zeros..].copy_from_slice(number);
        true
    })
}

impl fmt::Debug for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(REDACTED)
    }
}

/// Passes the signature of the method of [`Signer`] to a macro.
macro_rules! every_signer_method {
    ([$emit:ident]) => {
        $emit! { (Signer) async sign sign_dyn (input: [SigningInput<'_>]) -> [Signature] }
    };
}

/// The type-erased form of [`Signer`]. Implement [`Signer`] instead.
///
/// `Arc<dyn DynSigner>` is a `Signer` itself, so that a configuration file can choose one.
pub trait DynSigner: erased::ErasedSigner {}

impl<S: Signer> DynSigner for S {}

mod erased {
    //! The method of the type-erased form, where no other code can call it on an `Arc`, which would
    //! allocate for each future twice.

    use std::fmt;

    use crate::base::erased::{declare_erased, erase, restore};
    use crate::token::public::signer::{DynSigner, Signature, Signer, SigningInput};

    #[expect(unnameable_types, reason = "its method is not for other code")]
    pub trait ErasedSigner: fmt::Debug + Send + Sync + 'static {
        every_signer_method! { [declare_erased] }
    }

    impl<S: Signer> ErasedSigner for S {
        every_signer_method! { [erase] }
    }

    impl Signer for dyn DynSigner {
        every_signer_method! { [restore] }
    }
}

impl<S: Signer + ?Sized> Signer for Arc<S> {
    every_signer_method! { [forward_to_pointee] }
}
