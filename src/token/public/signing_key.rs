//! A private key that signs tokens.

use std::fmt;
use std::sync::Arc;

use crate::error::{Error, Result};
use crate::token::public::backend::{PrivateKey, generate};
use crate::token::public::public_key::PublicKey;
use crate::token::public::signer::Signature;
use crate::token::public::{Scheme, der};

/// Label of a private key in PEM (RFC 7468, section 10).
const PEM_LABEL: &str = "PRIVATE KEY";

/// A private key that signs tokens. Others verify them with its [`PublicKey`], and cannot sign.
///
/// `Debug` redacts it, and cloning is cheap. Choose ES256 if in doubt: every library reads it.
///
/// ```
/// use std::time::Duration;
/// use statewise::token::{Keyring, SigningKey, TokenAuthenticator};
///
/// # async fn example() -> statewise::Result<()> {
/// use statewise::{Authenticator, Login};
///
/// const LIFETIME: Duration = Duration::from_secs(600);
/// let pair = SigningKey::generate_es256()?;
/// let issuer = TokenAuthenticator::builder(pair.clone())
///     .issuer("https://auth.example")
///     .audience("api")
///     .lifetime(LIFETIME)
///     .build()?;
///
/// // In another service, which has only the public key.
/// let api = TokenAuthenticator::verifier(Keyring::verifying([pair.public_key()]))
///     .issuer("https://auth.example")
///     .audience("api")
///     .lifetime(LIFETIME)
///     .build()?;
/// let issued = issuer.issue(Login::new("alice")).await?;
/// assert_eq!(api.verify(issued.credential().reveal()).await?.subject(), "alice");
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct SigningKey {
    inner: Arc<Inner>,
    public: PublicKey,
}

struct Inner {
    private: PrivateKey,
    pkcs8: Box<[u8]>,
}

impl SigningKey {
    /// Generates a key on P-256, for ES256.
    ///
    /// # Errors
    ///
    /// *Unavailable* if the operating system gives no random bytes.
    pub fn generate_es256() -> Result<Self> {
        Self::new(Scheme::Es256, &generate(Scheme::Es256)?)
    }

    /// Generates a key of Ed25519. Its tokens say `"alg":"Ed25519"` (RFC 9864).
    ///
    /// # Errors
    ///
    /// As for [`generate_es256`](Self::generate_es256).
    pub fn generate_ed25519() -> Result<Self> {
        let scheme = Scheme::Ed25519 {
            is_older_name: false,
        };
        Self::new(scheme, &generate(scheme)?)
    }

    /// Reads a private key in PEM, `-----BEGIN PRIVATE KEY-----` (PKCS #8): the text of
    /// [`reveal`](Self::reveal), or one that OpenSSL has made. The kind of the key decides between
    /// ES256 and Ed25519. Line breaks may be written as `\\n`, as in many `.env` files.
    ///
    /// ```no_run
    /// use statewise::token::SigningKey;
    ///
    /// let text = std::env::var("SIGNING_KEY").expect("SIGNING_KEY is set");
    /// let pair = SigningKey::from_pem(&text)?;
    /// # Ok::<(), statewise::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// *Misuse* if it is another text, or a key of another kind.
    pub fn from_pem(text: &str) -> Result<Self> {
        let pkcs8 = der::from_pem(PEM_LABEL, text).ok_or_else(|| {
            Error::misuse(
                "the text is no private key in PEM: pass the whole text from `-----BEGIN PRIVATE \
                 KEY-----` on (`openssl pkcs8 -topk8 -nodes` converts other forms)",
            )
        })?;
        let scheme = Scheme::Ed25519 {
            is_older_name: false,
        };
        Self::new(Scheme::Es256, &pkcs8).or_else(|_| Self::new(scheme, &pkcs8))
    }

    fn new(scheme: Scheme, pkcs8: &[u8]) -> Result<Self> {
        let pair = PrivateKey::from_pkcs8(scheme, pkcs8).and_then(|private| {
            let public = PublicKey::new(scheme, private.public_key(), None)?;
            let inner = Inner {
                private,
                pkcs8: pkcs8.into(),
            };
            let inner = Arc::new(inner);
            Some(Self { inner, public })
        });
        pair.ok_or_else(|| {
            Error::misuse(
                "the private key is of a kind that signs no tokens here: use a key on P-256 or of \
                 Ed25519",
            )
        })
    }

    /// Writes the older name of the algorithm, `"alg":"EdDSA"` (RFC 8037), for verifiers that do not
    /// know the name `Ed25519`. It changes the [`kid`](Self::kid). Without effect on ES256. PEM does not
    /// contain the name: a verifier that reads the public key from it calls
    /// [`PublicKey::with_older_name`].
    #[must_use]
    pub fn with_older_name(mut self) -> Self {
        self.public = self.public.with_older_name();
        self
    }

    /// The public key, for services that verify.
    #[must_use]
    pub fn public_key(&self) -> PublicKey {
        self.public.clone()
    }

    /// Id of this key; see [`PublicKey::kid`].
    #[must_use]
    pub fn kid(&self) -> &str {
        self.public.kid()
    }

    /// Returns the private key in PEM. Store it only where secrets are kept.
    #[must_use]
    pub fn reveal(&self) -> String {
        der::to_pem(PEM_LABEL, &self.inner.pkcs8)
    }

    /// Signs a text: for a process that signs for others, which reach it by a
    /// [`Signer`](crate::token::Signer). The example `external_signer` has both sides.
    ///
    /// The signature of header and claims completes a token: give it only to the issuer. Sign nothing
    /// for other purposes with this key.
    ///
    /// # Errors
    ///
    /// *Unavailable* if the operating system gives no random bytes.
    pub fn sign(&self, text: &[u8]) -> Result<Signature> {
        self.inner.private.sign(text).map(Signature::new)
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningKey")
            .field("algorithm", &self.public.scheme().name())
            .field("kid", &self.kid())
            .finish_non_exhaustive()
    }
}
