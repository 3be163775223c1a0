//! A key pair with a private half that is elsewhere.

use std::fmt;
use std::future::{Future, poll_fn};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;
use std::time::Duration;

use crate::base::boxed::BoxFuture;
use crate::error::{Error, Result};
use crate::token::public::public_key::PublicKey;
use crate::token::public::signer::{DynSigner, Signature, Signer, SigningInput};

/// Default of [`ExternalKey::deadline`]: that of the stores.
const DEFAULT_DEADLINE: Duration = Duration::from_secs(2);
/// Text that [`ExternalKey::check`] has signed. It has no dot, so that it is no part of a token (RFC
/// 7515, section 5.1).
const PROBE: &[u8] = b"statewise checks this signer";

type SleepFn = dyn Fn(Duration) -> BoxFuture<'static, ()> + Send + Sync;

/// A key pair whose private key is in a KMS, an HSM or another process: a [`Signer`] signs with it,
/// and this process knows only the public key.
///
/// Use it wherever a [`SigningKey`](crate::token::SigningKey) can be used: alone, or in a
/// [`Keyring`](crate::token::Keyring) beside keys of any kind. Tokens and their verification stay the
/// same. Issuing, refreshing and updating wait for the signer without blocking the thread. Verifying never
/// asks it.
///
/// Each signature is verified with the public key before a token is returned:
///
/// | the signer | result |
/// |---|---|
/// | fails, or blames the credential of the client | *unavailable* |
/// | does not answer within the [deadline](Self::deadline) | *unavailable* |
/// | signs with another key, another text or another hash | *misuse*, which names the key |
/// | returns a signature of a wrong length or form | *misuse* |
/// | returns *misuse* | *misuse* |
///
/// Call [`check`](Self::check) when the service starts, so that a wrong key is found before the first
/// login.
///
/// # Defaults
///
/// | setting | default | unit | source |
/// |---|---|---|---|
/// | [`deadline`](Self::deadline) | 2 s | any duration | that of the stores |
///
/// ```
/// use std::time::Duration;
/// use statewise::token::{ExternalKey, PublicKey, Signer, TokenAuthenticator};
///
/// # async fn sleep(_: Duration) {}
/// /// `pem` is what the KMS returns as the public key of its key pair.
/// async fn issuer(pem: &str, kms: impl Signer) -> statewise::Result<TokenAuthenticator> {
///     // With tokio, `sleep` is `tokio::time::sleep`.
///     let key = ExternalKey::new(PublicKey::from_pem(pem)?, kms, sleep);
///     key.check().await?;
///     TokenAuthenticator::builder(key)
///         .issuer("https://auth.example")
///         .audience("api")
///         .lifetime(Duration::from_secs(600))
///         .build()
/// }
/// # let _ = |kms: std::sync::Arc<dyn statewise::token::DynSigner>| issuer("", kms);
/// ```
///
/// # Rotation
///
/// A ring may have a local key today and an external one tomorrow, or the other way round:
/// `Keyring::new(local).then(external, time)`. A fleet shares one external key if all its nodes may
/// use the KMS.
#[derive(Clone)]
pub struct ExternalKey {
    public: PublicKey,
    signer: Arc<dyn DynSigner>,
    sleep: Arc<SleepFn>,
    deadline: Duration,
    /// The last call has failed.
    has_failed: Arc<AtomicBool>,
}

impl ExternalKey {
    /// Creates a key from the public key of the pair and its signer. An id that a JWK gives to the
    /// public key is not used: our tokens name keys by ids of their own.
    ///
    /// `sleep` is the sleep function of your runtime, such as `tokio::time::sleep`. It bounds the
    /// time of a call.
    pub fn new<S, F>(public: PublicKey, signer: impl Signer, sleep: S) -> Self
    where
        S: Fn(Duration) -> F + Send + Sync + 'static,
        F: Future<Output = ()> + Send + 'static,
    {
        Self {
            public: public.without_name(),
            signer: Arc::new(signer),
            sleep: Arc::new(move |time| Box::pin(sleep(time))),
            deadline: DEFAULT_DEADLINE,
            has_failed: Arc::default(),
        }
    }

    /// Sets how long a call of the signer may take. Default: 2 seconds.
    #[must_use]
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// Has a fixed text signed, which is no token, and verifies the signature.
    ///
    /// # Errors
    ///
    /// *Unavailable* if the signer does not answer; *misuse* if it signs with another key. See the
    /// table above.
    ///
    /// # Cancel safety
    ///
    /// Changes nothing.
    pub async fn check(&self) -> Result<()> {
        self.sign(PROBE).await.map(drop)
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

    /// Checks if the last call of the signer has failed.
    pub(crate) fn has_failed(&self) -> bool {
        self.has_failed.load(Ordering::Relaxed)
    }

    /// Has a text signed, and verifies the signature.
    pub(crate) async fn sign(&self, text: &[u8]) -> Result<Signature> {
        let signed = self.ask(text).await.and_then(|signature| {
            match self.public.verifies_text(text, signature.as_bytes()) {
                true => Ok(signature),
                false => Err(Error::misuse(format!(
                    "the signer of the key {} returned a signature that the public key does not \
                     verify: pass `ExternalKey::new` the public key of the signer's own key, and \
                     have the text of `SigningInput` signed, hashed once for ES256",
                    self.kid(),
                ))),
            }
        });
        self.has_failed.store(signed.is_err(), Ordering::Relaxed);
        signed
    }

    /// Asks the signer, within the deadline.
    async fn ask(&self, text: &[u8]) -> Result<Signature> {
        let mut answer = self.signer.sign_dyn(SigningInput::new(text));
        let mut end = (self.sleep)(self.deadline);
        let answered = poll_fn(|context| match answer.as_mut().poll(context) {
            Poll::Ready(answered) => Poll::Ready(Some(answered)),
            Poll::Pending => end.as_mut().poll(context).map(|()| None),
        });
        match answered.await {
            Some(Err(error)) if !error.is_misuse() => {
                // Also an error that blames the client, which has nothing to do with the signer.
                let retry_after = error.retry_after();
                let error = error.naming("the request to it failed");
                let error = Error::could_not("the signer could not sign", Some(error.into()));
                Err(match retry_after {
                    Some(after) => error.with_retry_after(after),
                    None => error,
                })
            }
            Some(answered) => answered,
            None => Err(Error::could_not(
                "the signer did not answer within its deadline",
                None,
            )),
        }
    }
}

impl fmt::Debug for ExternalKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ExternalKey")
            .field("public", &self.public)
            .field("signer", &self.signer)
            .field("deadline", &self.deadline)
            .finish_non_exhaustive()
    }
}
