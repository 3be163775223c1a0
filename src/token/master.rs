//! Secret from which the keys of all services are derived.

use std::fmt;
use std::sync::Arc;

use time::OffsetDateTime;

use crate::base::base64url;
use crate::entropy::{Entropy, SystemEntropy};
use crate::error::{Error, Result};
use crate::token::algorithm::Algorithm;
use crate::token::key::{Key, keyed, refuse_weak};
use crate::token::keyring::Keyring;
#[cfg(feature = "_public")]
use crate::token::public::{ExternalKey, KeySetView, PublicKey, SigningKey};
use crate::token::secret_text::{self, MASTER_PREFIX};

const OF_AUDIENCE: &[u8] = b"statewise key of an audience";
const OF_ISSUER: &[u8] = b"statewise key of an issuer";

/// A secret from which the issuer derives one [`Key`] per audience. It signs nothing itself.
///
/// With one shared key, each service that verifies tokens can also sign them, for every other
/// service. Give each service the key of its own audience instead, and keep the master key at the
/// issuer:
///
/// ```
/// use std::time::Duration;
/// use statewise::token::{Algorithm, Key, MasterKey, TokenAuthenticator};
///
/// const ISSUER: &str = "https://auth.example";
/// const LIFETIME: Duration = Duration::from_secs(60);
///
/// // At the issuer. The builder derives the key of its audience.
/// let master = MasterKey::generate()?;
/// let for_orders = TokenAuthenticator::builder(&master)
///     .issuer(ISSUER)
///     .audience("orders")
///     .lifetime(LIFETIME)
///     .build()?;
///
/// // Once, by whoever deploys `orders`: the text goes where that service keeps its secrets.
/// let secret = master.key_for(ISSUER, "orders")?.reveal();
///
/// // In the service `orders`, which never has the master key.
/// let orders = TokenAuthenticator::builder(Key::from_text(Algorithm::HS256, &secret)?)
///     .issuer(ISSUER)
///     .audience("orders")
///     .lifetime(LIFETIME)
///     .build()?;
/// # let _ = (for_orders, orders);
/// # Ok::<(), statewise::Error>(())
/// ```
///
/// # What each secret can do
///
/// | an attacker has | forges tokens for |
/// |---|---|
/// | the key of one audience | that audience alone, and no other key follows from it |
/// | a [key of an issuer](Key::for_issuer) | that audience, in the name of that issuer |
/// | the master key | all audiences |
///
/// # Derivation
///
/// The secret of a derived key is `HMAC(master, label | length | issuer | length | audience |
/// generation)` with the hash of its algorithm. Lengths have 64 bits and the generation has 32, in
/// network order. This is a key derivation in one step (NIST SP 800-108r1): its input is uniformly
/// random and its output is one block, so that HKDF (RFC 5869) would add nothing. Equal arguments
/// always give the same key, with the same `kid`.
///
/// # Rotation
///
/// | leaked or due | do |
/// |---|---|
/// | the key of one audience | raise its [`generation`](Self::generation) and give the service its new key as a spare; then [retire](crate::token::TokenAuthenticator::retire_key) the old one |
/// | the master key, due | [`MasterRing::then`] |
/// | the master key, leaked | keep a [spare](MasterRing::spare) in the ring, and retire the key of each audience. Without a revocation log, give both sides `ring.for_audience(issuer, audience)?.retire(kid, now)` |
///
/// A service with a shared key migrates without a refused token:
/// `Keyring::new(shared).then(master.key_for(issuer, audience)?, time)` on both sides.
#[derive(Clone)]
pub struct MasterKey {
    algorithm: Algorithm,
    secret: Arc<[u8]>,
    generation: u32,
}

impl MasterKey {
    /// Generates a random master key for keys of HS256.
    ///
    /// # Errors
    ///
    /// *Unavailable* if the operating system gives no random bytes.
    pub fn generate() -> Result<Self> {
        Self::generate_with(Algorithm::HS256, &SystemEntropy)
    }

    /// Generates a random master key for keys of `algorithm` from `entropy`.
    ///
    /// # Errors
    ///
    /// Any error of `entropy`.
    pub fn generate_with(algorithm: Algorithm, entropy: &dyn Entropy) -> Result<Self> {
        let mut secret = [0; 64];
        let secret = &mut secret[..algorithm.tag_bytes()];
        entropy.fill(secret)?;
        Self::new(algorithm, secret)
    }

    /// Creates a master key for keys of `algorithm` from random bytes: at least 32 for HS256, 48 for
    /// HS384 and 64 for HS512. Default generation: 0.
    ///
    /// # Errors
    ///
    /// *Misuse*, with the remedy, if the secret is too short or visibly not random, as for
    /// [`Key::hs256`].
    pub fn new(algorithm: Algorithm, secret: &[u8]) -> Result<Self> {
        refuse_weak(
            algorithm,
            secret,
            "generate one with `MasterKey::generate_with`",
        )?;
        Ok(Self {
            algorithm,
            secret: secret.into(),
            generation: 0,
        })
    }

    /// Reads a master key from configuration: the text of [`reveal`](Self::reveal), or `master.` and the
    /// secret in any encoding of [`Key::from_text`], such as that of
    /// `echo "master.$(openssl rand -base64 32)"`.
    ///
    /// ```
    /// use statewise::token::{Algorithm, Key, MasterKey};
    ///
    /// let text = MasterKey::generate()?.reveal();
    /// let master = MasterKey::from_text(Algorithm::HS256, &text)?;
    /// // Neither kind of secret is read as the other one.
    /// assert!(Key::from_text(Algorithm::HS256, &text).is_err());
    /// let key = master.key_for("https://auth.example", "orders")?;
    /// assert!(MasterKey::from_text(Algorithm::HS256, &key.reveal()).is_err());
    /// # Ok::<(), statewise::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// *Misuse*, with the command that makes a good one, if it is another text, and as for
    /// [`Key::from_text`].
    pub fn from_text(algorithm: Algorithm, text: &str) -> Result<Self> {
        let remedy = secret_text::remedy(algorithm, MASTER_PREFIX, "master");
        let digits = text.trim_start().strip_prefix(MASTER_PREFIX);
        let digits = digits.ok_or_else(|| {
            let problem = "the text is no master key, which begins with `master.`";
            Error::misuse(format!("{problem}: {remedy}"))
        })?;
        let secret = secret_text::read(algorithm, digits, &remedy)?;
        Self::new(algorithm, &secret)
    }

    /// Returns the secret as text: `master.` and base64url. Store it only at the issuer.
    #[must_use]
    pub fn reveal(&self) -> String {
        format!("{MASTER_PREFIX}{}", base64url::encode(&self.secret))
    }

    /// Sets the generation of the derived keys. Raise it to replace the key of one audience alone;
    /// other audiences keep theirs.
    ///
    /// ```
    /// use statewise::token::{MasterKey, MasterRing};
    /// use time::{Duration, OffsetDateTime};
    ///
    /// let master = MasterKey::generate()?;
    /// let tomorrow = OffsetDateTime::now_utc() + Duration::days(1);
    /// let ring = MasterRing::new(master.clone()).then(master.generation(1), tomorrow);
    /// let for_orders = ring.for_audience("https://auth.example", "orders")?;
    /// # let _ = for_orders;
    /// # Ok::<(), statewise::Error>(())
    /// ```
    #[must_use]
    pub fn generation(&self, generation: u32) -> Self {
        Self {
            generation,
            ..self.clone()
        }
    }

    /// Derives the key of one audience: what its service and the issuer sign and verify with.
    ///
    /// # Errors
    ///
    /// *Misuse* if the issuer or the audience is empty.
    pub fn key_for(&self, issuer: &str, audience: &str) -> Result<Key> {
        let mac = keyed(self.algorithm, &self.secret)?;
        let mut input = named(OF_AUDIENCE, &[issuer, audience])?;
        input.extend(self.generation.to_be_bytes());
        Key::unchecked(self.algorithm, &mac.tag(&input))
    }
}

impl Key {
    /// Derives from the key of an audience the one with which `issuer` calls it: a service that has
    /// it signs tokens for this audience with itself as the issuer, and no others. They can name any user
    /// and any role: the audience decides what it believes of this issuer. An audience with several
    /// issuers has an authenticator for each, in an [`Either`](crate::either::Either).
    ///
    /// The audience derives the same key from its own one, and binds it to the issuer:
    ///
    /// ```
    /// use std::time::Duration;
    /// use statewise::token::{MasterKey, TokenAuthenticator};
    /// use statewise::{Authenticator, Login};
    ///
    /// # async fn example() -> statewise::Result<()> {
    /// let master = MasterKey::generate()?;
    /// // Each of the two services gets one text from the deployment.
    /// let at_billing = master.key_for("https://auth.example", "billing")?;
    /// let at_orders = at_billing.for_issuer("orders")?;
    ///
    /// let tokens = |key| {
    ///     let builder = TokenAuthenticator::builder(key).issuer("orders").audience("billing");
    ///     builder.lifetime(Duration::from_secs(60)).build()
    /// };
    /// let orders = tokens(at_orders)?;
    /// let billing = tokens(at_billing.for_issuer("orders")?)?;
    /// let issued = orders.issue(Login::new("alice")).await?;
    /// assert_eq!(billing.verify(issued.credential().reveal()).await?.subject(), "alice");
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// *Misuse* if the issuer is empty.
    pub fn for_issuer(&self, issuer: &str) -> Result<Self> {
        let input = named(OF_ISSUER, &[issuer])?;
        Self::unchecked(self.algorithm(), &self.bare_mac().tag(&input))
    }
}

/// Returns the input of a derivation: label and names. Each name is preceded by its length, so that
/// no two lists of names are the same bytes.
fn named(label: &[u8], names: &[&str]) -> Result<Vec<u8>> {
    if names.iter().any(|name| name.is_empty()) {
        return Err(Error::misuse(
            "the issuer or the audience of a derived key is empty: name both services",
        ));
    }
    let mut input = label.to_vec();
    for name in names {
        input.extend((name.len() as u64).to_be_bytes());
        input.extend(name.as_bytes());
    }
    Ok(input)
}

impl fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MasterKey")
            .field("algorithm", &self.algorithm)
            .field("generation", &self.generation)
            .finish_non_exhaustive()
    }
}

/// Master keys and their times, from which the [`Keyring`] of each audience is derived.
///
/// The times mean what they mean in a [`Keyring`]. A service gets the derived keys of its own
/// audience, and builds a ring with the same times.
///
/// ```
/// use std::time::Duration;
/// use statewise::token::{MasterKey, MasterRing, TokenAuthenticator};
/// use time::OffsetDateTime;
///
/// let (old, new) = (MasterKey::generate()?, MasterKey::generate()?);
/// let tomorrow = OffsetDateTime::now_utc() + Duration::from_secs(24 * 3600);
/// let ring = MasterRing::new(old).then(new, tomorrow);
/// let for_orders = TokenAuthenticator::builder(&ring)
///     .issuer("https://auth.example")
///     .audience("orders")
///     .lifetime(Duration::from_secs(60))
///     .build()?;
/// # let _ = for_orders;
/// # Ok::<(), statewise::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct MasterRing {
    signer: MasterKey,
    others: Vec<(MasterKey, Use)>,
}

/// Use of a master key in a ring, beside the one that signs.
#[derive(Clone, Copy, Debug)]
enum Use {
    Verifies,
    SignsFrom(OffsetDateTime),
    Spare,
}

impl MasterRing {
    /// Creates a ring of one master key: its keys sign and verify.
    #[must_use]
    pub fn new(signer: MasterKey) -> Self {
        Self {
            signer,
            others: Vec::new(),
        }
    }

    /// Adds a master key to verify with its keys, as [`Keyring::verify_with`].
    #[must_use]
    pub fn verify_with(self, master: MasterKey) -> Self {
        self.add(master, Use::Verifies)
    }

    /// Adds a master key to sign with its keys from `signs_from` on, as [`Keyring::then`].
    #[must_use]
    pub fn then(self, master: MasterKey, signs_from: OffsetDateTime) -> Self {
        self.add(master, Use::SignsFrom(signs_from))
    }

    /// Adds a master key to sign with its keys when those before it have been retired, as
    /// [`Keyring::spare`].
    #[must_use]
    pub fn spare(self, master: MasterKey) -> Self {
        self.add(master, Use::Spare)
    }

    fn add(mut self, master: MasterKey, used: Use) -> Self {
        self.others.push((master, used));
        self
    }

    /// Derives the keys of one audience: for its service, or to [retire](Keyring::retire) one of them.
    ///
    /// # Errors
    ///
    /// *Misuse* if the issuer or the audience is empty.
    pub fn for_audience(&self, issuer: &str, audience: &str) -> Result<Keyring> {
        let mut ring = Keyring::new(self.signer.key_for(issuer, audience)?);
        for (master, used) in &self.others {
            let key = master.key_for(issuer, audience)?;
            ring = match *used {
                Use::Verifies => ring.verify_with(key),
                Use::SignsFrom(time) => ring.then(key, time),
                Use::Spare => ring.spare(key),
            };
        }
        Ok(ring)
    }
}

/// Keys of a [`TokenAuthenticator`](crate::token::TokenAuthenticator): its own, or those that it
/// derives for its issuer and audience.
#[derive(Clone, Debug)]
pub struct KeySource(Source);

#[derive(Clone, Debug)]
enum Source {
    Own(Keyring),
    Derived(MasterRing),
}

impl KeySource {
    /// Returns the keys of an audience.
    pub(crate) fn for_audience(self, issuer: &str, audience: &str) -> Result<Keyring> {
        match self.0 {
            Source::Own(ring) => Ok(ring),
            Source::Derived(masters) => masters.for_audience(issuer, audience),
        }
    }
}

impl From<Keyring> for KeySource {
    fn from(ring: Keyring) -> Self {
        Self(Source::Own(ring))
    }
}

impl From<Key> for KeySource {
    fn from(signer: Key) -> Self {
        Keyring::new(signer).into()
    }
}

#[cfg(any(feature = "aws-lc-rs", feature = "ring", feature = "rustcrypto"))]
impl From<SigningKey> for KeySource {
    fn from(signer: SigningKey) -> Self {
        Keyring::new(signer).into()
    }
}

#[cfg(any(feature = "aws-lc-rs", feature = "ring", feature = "rustcrypto"))]
impl From<ExternalKey> for KeySource {
    fn from(signer: ExternalKey) -> Self {
        Keyring::new(signer).into()
    }
}

#[cfg(any(feature = "aws-lc-rs", feature = "ring", feature = "rustcrypto"))]
impl From<PublicKey> for KeySource {
    fn from(key: PublicKey) -> Self {
        Keyring::verifying([key]).into()
    }
}

#[cfg(any(feature = "aws-lc-rs", feature = "ring", feature = "rustcrypto"))]
impl From<&KeySetView> for KeySource {
    fn from(view: &KeySetView) -> Self {
        Keyring::following(view).for_own_tokens().into()
    }
}

impl From<&MasterKey> for KeySource {
    fn from(master: &MasterKey) -> Self {
        (&MasterRing::new(master.clone())).into()
    }
}

impl From<&MasterRing> for KeySource {
    fn from(masters: &MasterRing) -> Self {
        Self(Source::Derived(masters.clone()))
    }
}
