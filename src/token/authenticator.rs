//! The authenticator of signed tokens.

use std::borrow::Cow;
use std::fmt;
use std::mem;
use std::sync::{Arc, RwLockReadGuard};
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::authenticator::end_replaced::end_replaced;
use crate::authenticator::revoke_all::AlsoEnds;
use crate::authenticator::{Authenticator, Presented};
use crate::base::base64url::Scratch;
use crate::clock::{self, Clock, Timestamp};
use crate::entropy::Entropy;
use crate::error::{EndCause, Error, Refusal, Rejection, Result};
use crate::login::Login;
use crate::login::affected::Affected;
use crate::login::begun::{Beginning, Begun, IssuerId};
use crate::login::data::{self, DataReader};
use crate::login::edit::{Changes, Edit, EditFn};
use crate::login::fields::{Fields, FieldsBuilder};
use crate::login::handle::Handle;
use crate::login::identity::{Identity, MAX_FIELD_BYTES, check_size, fields_of};
use crate::login::issued::{Credential, Issued, Outcome, Revocation};
use crate::login::logout::Logout;
use crate::login::purpose::Purpose;
use crate::login::recent_changes::RecentChanges;
use crate::login::relatives::Relatives;
use crate::login::stamp::Stamp;
use crate::login::step_up::StepUp;
use crate::revocation::RevocationView;
use crate::revocation::log::KeyId;
use crate::token::borrowed::{BorrowedIdentity, TokenBuffer};
use crate::token::canonical;
use crate::token::claims::{CheckedClaims, Claims};
use crate::token::foreign::ForeignLogin;
use crate::token::header;
use crate::token::header::HEADER_CHARS;
use crate::token::interop::Interop;
use crate::token::json::{self, Text};
use crate::token::jws::{self, OwnToken};
use crate::token::keyring::{KeyEntry, KeyState, Keyring};
use crate::token::master::KeySource;
use crate::token::policy::Policy;
#[cfg(feature = "_public")]
use crate::token::public::KeySet;
use crate::token::reload::Reload;
use crate::token::ring_key::RingKey;
use crate::token::shared::Shared;
use crate::upkeep::Upkeep;

/// Characters by which a refresh lengthens a token: `,"auth_time":` and twelve digits, encoded.
const AUTH_TIME_CHARS: usize = 34;
/// Characters of scratch memory for a usual token. Longer tokens get a [`TokenBuffer`], which takes
/// longer to clear.
const SCRATCH_CHARS: usize = 512;
/// A made-up token of another issuer.
const FOREIGN_SAMPLE: &str = "AA.AA.AA";

/// A token, or the claims of one that waits for an external signer.
pub(crate) enum Signing {
    Done(Credential),
    #[cfg(feature = "_public")]
    Waits(Unsigned),
}

/// Claims that wait for an external signer.
#[cfg(feature = "_public")]
pub(crate) struct Unsigned {
    payload: Box<[u8]>,
    max_chars: usize,
    issued_at: Timestamp,
    expires_at: Timestamp,
}

/// Authenticator of signed tokens: the client keeps the login, and the server keeps only a key.
///
/// Scaling out is easy: verifying does no I/O, and every node with the key can do it. Invalidating
/// is hard: [`revoke`](Authenticator::revoke) answers [`Revocation::AtExpiry`]. Give the
/// authenticator a [revocation view](crate::token::TokenBuilder::revocations), and every node
/// rejects a revoked token within a stated time, still without I/O.
///
/// ```
/// use std::time::Duration;
/// use statewise::{Authenticator, Login, token::{Key, TokenAuthenticator}};
///
/// # async fn example() -> statewise::Result<()> {
/// let auth = TokenAuthenticator::builder(Key::generate_hs256()?)
///     .issuer("https://auth.example")
///     .audience("api")
///     .lifetime(Duration::from_secs(15 * 60))
///     .build()?;
///
/// let issued = auth.issue(Login::new("alice").role("admin")).await?;
/// let caller = auth.verify_now(issued.credential().reveal())?;
/// assert_eq!(caller.subject(), "alice");
/// # Ok(())
/// # }
/// # use std::{future::Future, pin::pin, task::{Context, Poll, Waker}};
/// # let mut example = pin!(example());
/// # assert!(matches!(example.as_mut().poll(&mut Context::from_waker(Waker::noop())), Poll::Ready(Ok(()))));
/// ```
pub struct TokenAuthenticator<D = ()> {
    changes: RecentChanges,
    ring: Shared<Keyring>,
    policy: Policy,
    revocations: Option<RevocationView>,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    pub(crate) data: DataReader<D>,
    pub(crate) reload: Option<Reload<D>>,
    pub(crate) also_ends: AlsoEnds,
}

impl<D> TokenAuthenticator<D> {
    pub(crate) fn new(
        ring: Keyring,
        policy: Policy,
        revocations: Option<RevocationView>,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
        data: DataReader<D>,
        reload: Option<Reload<D>>,
    ) -> Self {
        Self {
            changes: RecentChanges::new(),
            ring: Shared::new(ring),
            policy,
            revocations,
            clock,
            entropy,
            data,
            reload,
            also_ends: AlsoEnds::default(),
        }
    }

    fn now(&self) -> Result<Timestamp> {
        clock::read(&*self.clock)
    }

    /// Returns the keys that verify now: those of the ring, or those that it follows.
    #[inline]
    fn present_ring(&self) -> Result<RwLockReadGuard<'_, Arc<Keyring>>> {
        let ring = self.ring.read();
        #[cfg(feature = "_public")]
        if let Some(view) = ring.followed() {
            view.check_fresh(self.now()?)?;
            if let Some(view) = ring.outdated() {
                let view = view.clone();
                drop(ring);
                let followed = Keyring::following(&view).for_own_tokens();
                self.ring.replace(self.policy.complete(followed)?);
                return Ok(self.ring.read());
            }
        }
        Ok(ring)
    }

    /// Returns the keys that this node knows: those that verify now, or if it follows a set that is too
    /// old for that, those that were last fetched.
    fn known_ring(&self) -> RwLockReadGuard<'_, Arc<Keyring>> {
        self.present_ring().unwrap_or_else(|_| self.ring.read())
    }

    /// Opens a token that has the header of none of the present keys, by another issuer. If it is of
    /// none of them but has the form of this crate, a key that is not known yet may have signed it:
    /// then `unknown` decides, if there is one.
    #[cold]
    fn open_other<T>(
        &self,
        token: &str,
        otherwise: impl FnOnce() -> Result<T>,
        unknown: Option<impl FnOnce() -> Result<()>>,
    ) -> Result<T> {
        let opened = match self.policy.issuers.is_empty() {
            true => Err(without_own_header(token)),
            false => otherwise(),
        };
        let Some(unknown) = unknown else {
            return opened;
        };
        opened.or_else(|error| {
            let is_unknown = matches!(
                error.rejection(),
                Some(Rejection::UnacceptableHeader | Rejection::BadSignature)
            );
            let header = token.split('.').next().unwrap_or_default();
            if is_unknown && header::is_own(header.as_bytes()) {
                unknown()?;
            }
            Err(error)
        })
    }

    /// Returns the keys and their times, including the time at which each replaced key retires. A
    /// key that the revocation log has retired is [retired](crate::token::KeyState::Retired).
    #[must_use]
    pub fn keyring(&self) -> Keyring {
        let mut ring = Keyring::clone(&self.known_ring());
        ring.retire_revoked(|key| self.is_retired(key));
        ring
    }

    /// Returns the id of each key of the ring, and its state now: for an admin page, or a line of the log
    /// at the start. Neither is secret.
    ///
    /// Before the [revocation view](crate::token::TokenBuilder::revocations) has read its log, the answer has
    /// the states that the ring alone gives: a key that another node has retired is then still
    /// [active](KeyState::Active). Call [`follow`](RevocationView::follow) first.
    ///
    /// ```
    /// use statewise::token::{Key, KeyState, Keyring, TokenAuthenticator};
    ///
    /// # use std::time::Duration;
    /// let (key, spare) = (Key::generate_hs256()?, Key::generate_hs256()?);
    /// let auth: TokenAuthenticator = TokenAuthenticator::builder(Keyring::new(key.clone()).spare(spare.clone()))
    ///     .issuer("https://auth.example")
    ///     .audience("api")
    /// #   .lifetime(Duration::from_secs(900))
    ///     .build()?;
    /// assert_eq!(
    ///     auth.key_states()?,
    ///     [
    ///         (key.kid().to_owned(), KeyState::Active),
    ///         (spare.kid().to_owned(), KeyState::Spare),
    ///     ]
    /// );
    /// # Ok::<(), statewise::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// *Unavailable* if the clock cannot tell the time.
    pub fn key_states(&self) -> Result<Vec<(String, KeyState)>> {
        let (ring, now) = (self.keyring(), self.now()?.into());
        let state = |kid: &str| Some((kid.to_owned(), ring.state(kid, now)?));
        Ok(ring.kids().filter_map(state).collect())
    }

    /// Returns the public keys of the ring, for services that verify: serve them at a fixed address
    /// with [`KeySet::cache_control`]. It contains the next key and the spare too, and no retired
    /// one.
    ///
    /// ```
    /// use statewise::token::{SigningKey, TokenAuthenticator};
    ///
    /// /// Header fields and body of the answer to `GET /.well-known/jwks.json`.
    /// fn answer(auth: &TokenAuthenticator) -> statewise::Result<([(&str, String); 2], String)> {
    ///     let keys = auth.key_set()?;
    ///     let fields = [
    ///         ("content-type", "application/jwk-set+json".to_owned()),
    ///         ("cache-control", keys.cache_control()),
    ///     ];
    ///     Ok((fields, keys.json().to_owned()))
    /// }
    /// # let _ = answer;
    /// ```
    ///
    /// # Errors
    ///
    /// *Misuse* if the ring has no public key. *Unavailable* if the clock cannot tell the time.
    #[cfg(any(feature = "aws-lc-rs", feature = "ring", feature = "rustcrypto"))]
    pub fn key_set(&self) -> Result<KeySet> {
        let now = self.now()?;
        KeySet::of(&self.keyring(), now, self.policy.propagation_secs)
    }

    /// Replaces the keys while requests are served: call it after the application has reloaded
    /// them.
    ///
    /// A node may read a new ring late, even after its next key has begun to sign: it verifies with
    /// all keys of the ring at once, and signs with each from its time on. Keep the old key in the
    /// ring until all nodes have read it. If the new ring has no time for its first key, and this
    /// node does not know that key, the node keeps signing with the present key for one minute.
    ///
    /// ```
    /// use std::time::Duration;
    /// use statewise::token::{Key, Keyring, TokenAuthenticator};
    /// use time::OffsetDateTime;
    ///
    /// # fn example(auth: &TokenAuthenticator, old: Key, next: Key, spare: Key) -> statewise::Result<()> {
    /// // Every node loads the ring within five minutes, and signs with its next key from the same
    /// // time on.
    /// let signs_from = OffsetDateTime::now_utc() + Duration::from_secs(5 * 60);
    /// auth.replace_keyring(Keyring::new(old).then(next, signs_from).spare(spare))?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// *Misuse*, and the present ring stays: the new ring omits a key with valid tokens; no key could
    /// sign; a key begins to sign twice; a secret serves two algorithms or another issuer; two keys have one id; a
    /// key to retire is not in the ring; or a verifier would get a key that signs, or begin to follow a key set.
    /// *Unavailable* if the clock cannot tell the time.
    pub fn replace_keyring(&self, keys: impl Into<KeySource>) -> Result<()> {
        #[cfg(feature = "_public")]
        if self.ring.read().followed().is_some() {
            return Err(Error::misuse(
                "this authenticator follows a key set, whose issuer replaces the keys: leave that to \
                 its upkeep",
            ));
        }
        let longest_secs = self.policy.longest_token_secs();
        let keys = keys.into();
        let ring = keys.for_audience(&self.policy.issuer, &self.policy.audience)?;
        #[cfg(feature = "_public")]
        if ring.followed().is_some() {
            return Err(Error::misuse(
                "only a new authenticator can follow a key set, which its upkeep fetches: pass the \
                 `KeySetView` to `TokenAuthenticator::verifier`",
            ));
        }
        if self.ring.read().only_verifies() && !ring.only_verifies() {
            return Err(Error::misuse(
                "a verifier would get a key that signs: pass public keys, or build a new \
                 authenticator with `TokenAuthenticator::builder`",
            ));
        }
        let ring = self.policy.complete(ring)?;
        let is_retired = |key: &RingKey| self.is_retired(key);
        let propagation_secs = self.policy.propagation_secs;
        let (old, now) = (self.ring.read(), self.now()?);
        let ring = ring.succeed(&old, now, longest_secs, propagation_secs, is_retired)?;
        drop(old);
        self.ring.replace(ring);
        Ok(())
    }

    /// Retires a leaked key on every node that follows the revocation log. All tokens of the key
    /// end, and the next key of the ring signs at once.
    ///
    /// Follow this order, so that no other token is rejected and no login fails:
    ///
    /// 1. Make sure that every node knows another key. A [spare](Keyring::spare) in each ring is
    ///    enough. Otherwise give every node `Keyring::new(leaked).then(new, time)`, with a time at least one
    ///    minute ahead, and wait until one minute after that time.
    /// 2. Call this on one node.
    /// 3. Give every node a ring without the leaked key and with a new spare.
    ///
    /// If the spare may have leaked too, follow the variant of step 1 without a spare, and then
    /// retire both keys.
    ///
    /// ```
    /// use statewise::token::{Key, Keyring, TokenAuthenticator};
    ///
    /// # async fn example(auth: &TokenAuthenticator, leaked: Key, spare: Key) -> statewise::Result<()> {
    /// // Every node has the ring `Keyring::new(leaked).spare(spare)`.
    /// let _ = auth.retire_key(leaked.kid()).await?;
    /// // On every node:
    /// auth.replace_keyring(Keyring::new(spare).spare(Key::generate_hs256()?))?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// *Refused*, and nothing is retired: as [`LastKey`](Refusal::LastKey) if this node would have no key
    /// to sign with, and as [`NextKeyTooNew`](Refusal::NextKeyTooNew) if it has read its next key less than
    /// a minute ago.
    ///
    /// *Misuse*, and nothing is retired: there is no revocation view, or it only reads; or `kid` is the id
    /// of no key of this node and of its other issuers, or that of keys of several other issuers. The
    /// error of an unknown id names the known ones. A key that has been retired already is `Ok`.
    ///
    /// If the ring of this node has lost the key already, call [`RevocationView::retire_key`]: it takes
    /// the id of any key, and has no regard to logins. *Unavailable* if
    /// the log could not take the fact.
    ///
    /// # Cancel safety
    ///
    /// The key may have been retired. Call again to be sure.
    pub async fn retire_key(&self, kid: &str) -> Result<Revocation> {
        let (view, id) = self.key_to_retire(kid)?;
        view.retire_key(&id).await
    }

    /// [`retire_key`](Self::retire_key) for a caller that reports it.
    pub(crate) async fn retire_key_reported(&self, kid: &str) -> Result<Revocation> {
        let (view, id) = self.key_to_retire(kid)?;
        view.retire_key_reported(&id).await
    }

    /// Ends all logins of all users on every node that follows the revocation log: see
    /// [`RevocationView::revoke_everything`]. Every kind of login that the view guards ends, not only
    /// those of this authenticator.
    ///
    /// # Errors
    ///
    /// *Misuse* without a revocation view, or if it only reads. *Unavailable* if the log could not take
    /// the fact.
    ///
    /// # Cancel safety
    ///
    /// The logins may have ended. Call again to be sure.
    pub async fn revoke_everything(&self) -> Result<Revocation> {
        self.view_of_everything()?.revoke_everything().await
    }

    /// [`revoke_everything`](Self::revoke_everything) for a caller that reports it.
    pub(crate) async fn revoke_everything_reported(&self) -> Result<Revocation> {
        self.view_of_everything()?
            .revoke_everything_reported()
            .await
    }

    fn view_of_everything(&self) -> Result<&RevocationView> {
        self.revocations.as_ref().ok_or_else(|| {
            Error::misuse(
                "without a revocation view no other node learns that all logins have ended: replace \
                 the keys on every node",
            )
        })
    }

    /// Returns the view that retires a key, and the id of the key in its log.
    ///
    /// # Errors
    ///
    /// *Refused* if logins would fail without the key, *misuse* if it is not known.
    fn key_to_retire<'k>(&self, kid: &'k str) -> Result<(&RevocationView, Cow<'k, str>)> {
        let Some(view) = &self.revocations else {
            return Err(Error::misuse(
                "without a revocation view no other node learns that a key is retired: give every \
                 node a ring in which `Keyring::retire` ends it",
            ));
        };
        let id = self.id_of(kid)?;
        let is_known = id.is_some();
        let id = id.map_or(Cow::Borrowed(kid), Cow::Owned);
        if view.has_retired(&id) {
            return Ok((view, id));
        }
        if !is_known {
            return Err(self.unknown_key(kid));
        }
        self.check_dispensable(kid)?;
        Ok((view, id))
    }

    /// Returns the error of an id that no key has which this node knows.
    #[cold]
    fn unknown_key(&self, kid: &str) -> Error {
        let mut known: Vec<String> = self.known_ring().kids().map(str::to_owned).collect();
        for keys in self.policy.issuers.iter().filter_map(Interop::present_keys) {
            known.extend(keys.kids().map(str::to_owned));
        }
        Error::misuse(format!(
            "no key of this node has the id {kid:?}, so nothing was retired: its keys are {}. If its \
             ring has lost the key already, call `RevocationView::retire_key`, which takes any id",
            known.join(", "),
        ))
    }

    /// Returns the id under which the log retires a key that its issuer calls `kid`. `None` for a key
    /// that this node does not know.
    fn id_of(&self, kid: &str) -> Result<Option<String>> {
        let id_in = |ring: &Keyring| {
            let entry = ring.entries().find(|entry| entry.key.kid() == kid)?;
            Some(String::from_utf8_lossy(entry.key.kid_bytes()).into_owned())
        };
        if let Some(id) = id_in(&self.known_ring()) {
            return Ok(Some(id));
        }
        let issuers = self.policy.issuers.iter().filter_map(Interop::present_keys);
        let mut ids: Vec<String> = issuers.filter_map(|keys| id_in(&keys)).collect();
        ids.sort();
        ids.dedup();
        match ids.len() {
            0 | 1 => Ok(ids.pop()),
            _ => Err(Error::misuse(
                "several issuers have a key of this id: take the key out of the `Interop` of its \
                 issuer",
            )),
        }
    }

    /// Refuses to retire a key without which this node could not sign.
    fn check_dispensable(&self, kid: &str) -> Result<()> {
        let (ring, now) = (self.ring.read(), self.now()?);
        match ring.signer(now, |key| key.kid() == kid || self.is_retired(key)) {
            _ if ring.only_verifies() => Ok(()),
            None => Err(Refusal::LastKey.into()),
            Some(next) if !next.is_known(now) => Err(Refusal::NextKeyTooNew.into()),
            Some(_) => Ok(()),
        }
    }

    /// Asks the log for the stamp of a login that begins now. If the ring has several keys,
    /// also reads all entries before it: they may retire the key that would sign this login.
    pub(crate) async fn stamp(&self) -> Result<Option<Stamp>> {
        let Some(view) = &self.revocations else {
            return Ok(None);
        };
        let stamp = view.stamp().await?;
        let has_several_keys = self.ring.read().entries().count() > 1;
        if has_several_keys && !view.has_read(Some(stamp)) {
            Box::pin(view.read_to_end()).await?;
        }
        Ok(Some(stamp))
    }

    /// Returns the lifetime of a token in seconds.
    pub(crate) fn lifetime(&self) -> u64 {
        self.policy.lifetime_secs
    }

    /// Returns the id of this authenticator, which the identities that it has verified carry.
    pub(crate) fn id(&self) -> IssuerId {
        self.changes.id
    }

    /// Returns the view of revocations, if one is configured.
    pub(crate) fn revocations(&self) -> Option<&RevocationView> {
        self.revocations.as_ref()
    }

    /// Verifies a token and reads it in place, in `buffer`.
    ///
    /// Allocates nothing for a token of this service, unless a text in it has escapes. The
    /// application's data stay JSON: they are not deserialised, and data of another type are not
    /// rejected.
    ///
    /// # Errors
    ///
    /// *Rejected* with its cause; *unavailable* if the clock cannot tell the time.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use statewise::token::{Key, TokenAuthenticator, TokenBuffer};
    /// # fn example(auth: &TokenAuthenticator, token: &str) -> statewise::Result<()> {
    /// let mut buffer = TokenBuffer::new();
    /// let caller = auth.verify_borrowed(token, &mut buffer)?;
    /// if caller.has_role("admin") {
    ///     println!("welcome back, {}", caller.subject());
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn verify_borrowed<'b>(
        &self,
        token: &str,
        buffer: &'b mut TokenBuffer,
    ) -> Result<BorrowedIdentity<'b>> {
        self.check_length(token)?;
        let (scratch, foreign) = buffer.parts();
        let read = |mut claims: CheckedClaims<'b>, now| {
            self.admit(&claims, now)?;
            if let Some(step) = claims.step(now) {
                (claims.acr, claims.authenticated_at) = (Some(step.acr), step.at);
            }
            Ok(BorrowedIdentity::new(claims))
        };
        self.open(token, scratch, read, |read| {
            let (login, now) = self.open_foreign(token)?;
            read(foreign.insert(login).claims(), now)
        })
    }

    /// Rejects a token that is too long or too short, without a look at its bytes.
    #[inline]
    fn check_length(&self, token: &str) -> Result<()> {
        self.policy.check_length(token)?;
        if token.len() < HEADER_CHARS && self.policy.issuers.is_empty() {
            // Without reading the keys: their lock takes twice as long as this check.
            return Err(without_own_header(token));
        }
        Ok(())
    }

    /// Verifies the signature of one of our tokens, checks all its claims except the expiry, and
    /// passes them to `then`; a token that may be of another issuer goes to `otherwise`.
    ///
    /// Claims that are returned are copied several times: a verification took 4 % longer.
    #[inline(always)]
    fn open<'b, T, F>(
        &self,
        token: &str,
        scratch: Scratch<'b>,
        then: F,
        otherwise: impl FnOnce(F) -> Result<T>,
    ) -> Result<T>
    where
        F: FnOnce(CheckedClaims<'b>, Timestamp) -> Result<T>,
    {
        let ring = match self.present_ring() {
            Ok(ring) => ring,
            Err(error) if self.policy.issuers.is_empty() => return Err(error),
            // The keys of one issuer are stale, and other issuers are not concerned.
            Err(error) => return self.open_other(token, || otherwise(then), Some(|| Err(error))),
        };
        let Some(own) = OwnToken::split(&ring, token)? else {
            #[cfg(feature = "_public")]
            let want = ring.followed().cloned();
            #[cfg(feature = "_public")]
            let want = want.map(|view| move || view.want(self.now()?));
            #[cfg(not(feature = "_public"))]
            let want = None::<fn() -> Result<()>>;
            drop(ring);
            return self.open_other(token, || otherwise(then), want);
        };
        if self.is_retired(&own.entry.key) {
            return Err(Rejection::Revoked.into());
        }
        let verified = own.verify(scratch)?;
        let now = self.now()?;
        if !own.entry.verifies(now) {
            return Err(Rejection::UnacceptableHeader.into());
        }
        drop(ring);
        let json = verified.json()?;
        match canonical::read(&self.policy.prefix, json) {
            Some(claims) => then(self.policy.check(&claims, now)?, now),
            None => match self.check_in_any_order(json, now)? {
                Some(claims) => then(claims, now),
                None => otherwise(then),
            },
        }
    }

    /// Checks the claims of a token under one of our headers, in any order. `None` if it may be a
    /// token of another issuer.
    #[cold]
    fn check_in_any_order<'b>(
        &self,
        json: &'b str,
        now: Timestamp,
    ) -> Result<Option<CheckedClaims<'b>>> {
        let claims = Claims::own(json).ok_or_else(|| Rejection::InvalidClaims.into());
        let checked = claims.and_then(|claims| self.policy.check(&claims, now));
        match checked {
            // Other libraries can be configured to write our exact header. A token that does not
            // claim to be ours may be one of theirs, under the same key.
            Err(error)
                if error.is_rejected()
                    && self.policy.issuers.admit_our_header()
                    && !Claims::are_ours(json, &self.policy.issuer) =>
            {
                Ok(None)
            }
            checked => checked.map(Some),
        }
    }

    /// Opens a token of another issuer: verifies its signature, checks all its claims except the
    /// expiry, and maps them to a login.
    #[cold]
    fn open_foreign(&self, token: &str) -> Result<(ForeignLogin, Timestamp)> {
        let exact = clock::read_exact(&*self.clock)?;
        let now = Timestamp::from_unix(exact.as_secs());
        let is_usable = |entry: &KeyEntry| entry.verifies(now) && !self.is_retired(&entry.key);
        let ring = self.ring.read();
        let verified = self.policy.issuers.verify(&ring, is_usable, token, now)?;
        let json = String::from_utf8(verified.payload).map_err(|_| Rejection::InvalidClaims)?;
        let login = verified.issuer.check(&json, verified.signed, exact)?;
        Ok((login, now))
    }

    /// Rejects an expired or a revoked token.
    #[inline(always)]
    fn admit(&self, claims: &CheckedClaims<'_>, now: Timestamp) -> Result<()> {
        if claims.expires_at <= now {
            return Err(Rejection::Expired.into());
        }
        match &self.revocations {
            Some(view) => {
                let subject = claims.subject.decode();
                view.check(claims.handle, &subject, claims.stamp, claims.version, now)
            }
            None => Ok(()),
        }
    }

    #[inline]
    fn is_retired(&self, key: &RingKey) -> bool {
        let kid = || KeyId::from_bytes(*key.kid_bytes());
        self.revocations
            .as_ref()
            .is_some_and(|view| view.is_retired(kid))
    }

    /// Opens a token in memory on the stack, and passes it to `then`.
    #[inline]
    fn with_opened<T>(
        &self,
        token: &str,
        then: impl FnOnce(&CheckedClaims<'_>, Timestamp) -> Result<T>,
    ) -> Result<T> {
        self.check_length(token)?;
        if token.len() > SCRATCH_CHARS - Scratch::PADDING_CHARS {
            return self.with_long_opened(token, then);
        }
        let (mut chars, mut bytes) = ([0; SCRATCH_CHARS], [0; SCRATCH_CHARS / 4 * 3]);
        let scratch = Scratch::new(&mut chars, &mut bytes);
        let read = |claims: CheckedClaims<'_>, now| then(&claims, now);
        self.open(token, scratch, read, |read| self.with_foreign(token, read))
    }

    /// On the stack too: nothing is allocated before the signature is verified.
    #[cold]
    fn with_long_opened<T>(
        &self,
        token: &str,
        then: impl FnOnce(&CheckedClaims<'_>, Timestamp) -> Result<T>,
    ) -> Result<T> {
        let mut buffer = TokenBuffer::new();
        let read = |claims: CheckedClaims<'_>, now| then(&claims, now);
        let scratch = buffer.parts().0;
        self.open(token, scratch, read, |read| self.with_foreign(token, read))
    }

    #[cold]
    fn with_foreign<T>(
        &self,
        token: &str,
        then: impl FnOnce(CheckedClaims<'_>, Timestamp) -> Result<T>,
    ) -> Result<T> {
        let (login, now) = self.open_foreign(token)?;
        then(login.claims(), now)
    }
}

/// Returns the rejection of a token that begins with no header of a key.
#[cold]
fn without_own_header(token: &str) -> Error {
    match jws::segments(token) {
        Some(_) => Rejection::UnacceptableHeader.into(),
        None => Rejection::Malformed.into(),
    }
}

impl<D> TokenAuthenticator<D>
where
    D: Serialize + DeserializeOwned + Send + Sync + 'static,
{
    /// Verifies a token: [`verify`](Authenticator::verify) as a plain function, because it does no
    /// I/O.
    ///
    /// # Errors
    ///
    /// *Rejected* with its cause; *unavailable* if the clock cannot tell the time.
    pub fn verify_now(&self, token: &str) -> Result<Identity<D>> {
        self.verify_presented(Presented::new(token))
    }

    #[inline]
    fn verify_presented(&self, presented: Presented<'_>) -> Result<Identity<D>> {
        self.with_opened(presented.credential(), |claims, now| {
            self.admit(claims, now)?;
            let mut identity = self.identity(claims, now)?;
            // Due from the middle of its lifetime on, if a refresh extends the login.
            let lifetime = claims.expires_at.saturating_since(claims.issued_at);
            let age = now.saturating_since(claims.issued_at);
            identity.refresh_due = claims.deadline > claims.expires_at
                && age >= lifetime / 2
                && !presented.is_passive();
            Ok(identity)
        })
    }

    #[inline(always)]
    fn identity(&self, claims: &CheckedClaims<'_>, now: Timestamp) -> Result<Identity<D>> {
        let data = self.data.read_text(claims.data);
        let mut identity = Identity {
            data: data.map_err(|error| unreadable(error, claims))?,
            fields: fields_in(claims),
            handle: claims.handle,
            issued_at: claims.issued_at,
            authenticated_at: claims.authenticated_at,
            expires_at: claims.expires_at,
            deadline: claims.deadline,
            stamp: claims.stamp,
            version: claims.version,
            refresh_due: false,
            is_stepped: false,
            purpose: Purpose::Login,
            verified_by: self.changes.id,
        };
        if let Some(step) = claims.step(now) {
            let acr = step.acr.decode().into_owned();
            identity.set_step(&StepUp::new(acr, step.at, step.until));
        }
        Ok(identity)
    }

    /// Signs a token for `login`, with data as they are stored, and with the unknown claims of the
    /// claims set that is `refreshed`. For an external signer, only checks that the token can be signed.
    fn sign<T>(
        &self,
        login: &Identity<T>,
        max_chars: usize,
        refreshed: Option<&str>,
        data: Option<&[u8]>,
    ) -> Result<Signing> {
        let data = data.filter(|data| *data != data::NULL);
        if data.is_some_and(|data| !json::is_value(data)) {
            // Never hand out a token that its own issuer would reject.
            return Err(Error::misuse(
                "the data of a login contain a number beyond a double: keep it as text",
            ));
        }
        let policy = &self.policy;
        let profile = policy.profile.as_ref();
        let expires_with_step = policy.caps_lifetime;
        let payload = canonical::write(
            &policy.prefix,
            profile,
            expires_with_step,
            login,
            refreshed,
            data,
        );
        let ring = self.ring.read();
        let signer = self.signer(&ring, login.issued_at, login.expires_at)?;
        #[cfg(feature = "_public")]
        if signer.external().is_some() {
            let _ = jws::length_of(signer, payload.as_bytes(), max_chars)?;
            return Ok(Signing::Waits(Unsigned {
                payload: payload.as_bytes().into(),
                max_chars,
                issued_at: login.issued_at,
                expires_at: login.expires_at,
            }));
        }
        let token = jws::sign(signer, payload.as_bytes(), max_chars)?;
        Ok(Signing::Done(Credential::new(token)))
    }

    /// Waits for an external signer if there is one.
    async fn signed(&self, signing: Signing) -> Result<Credential> {
        match signing {
            Signing::Done(credential) => Ok(credential),
            // Boxed, because it is rare: the future of the usual case stays small.
            #[cfg(feature = "_public")]
            Signing::Waits(unsigned) => Box::pin(self.sign_elsewhere(unsigned)).await,
        }
    }

    /// Has claims signed by the key that signs now. If the log retires it meanwhile, the next one
    /// signs them again.
    #[cfg(feature = "_public")]
    async fn sign_elsewhere(&self, unsigned: Unsigned) -> Result<Credential> {
        let Unsigned {
            payload,
            max_chars,
            issued_at,
            expires_at,
        } = unsigned;
        loop {
            let key = {
                let ring = self.ring.read();
                self.signer(&ring, issued_at, expires_at)?.clone()
            };
            let token = match key.external() {
                Some(external) => jws::sign_elsewhere(&key, external, &payload, max_chars).await?,
                None => jws::sign(&key, &payload, max_chars)?,
            };
            if !self.is_retired(&key) {
                return Ok(Credential::new(token));
            }
        }
    }

    /// Returns the key that signs at `issued_at`. It must verify until `expires_at`.
    fn signer<'r>(
        &self,
        ring: &'r Keyring,
        issued_at: Timestamp,
        expires_at: Timestamp,
    ) -> Result<&'r RingKey> {
        let signer = ring.signer(issued_at, |key| self.is_retired(key));
        let signer = signer.ok_or_else(|| {
            Error::misuse(if ring.only_verifies() {
                "this authenticator has only public keys, which verify: issue tokens where the \
                 `SigningKey` is"
            } else {
                "the key that signs has been retired, and the ring has no next one: replace the \
                 ring by `Keyring::new` with another key"
            })
        })?;
        if !signer.outlives(expires_at) {
            return Err(Error::misuse(
                "the key that signs is retired before the token would expire: let the next one \
                 sign earlier, or this one verify longer",
            ));
        }
        Ok(&signer.key)
    }

    /// Fails if no login could get an access token now, because the view is stale or no key signs.
    /// Asks an external signer only if its last call has failed.
    pub(crate) async fn check_ready(&self, now: Timestamp) -> Result<()> {
        #[cfg_attr(
            not(feature = "_public"),
            allow(unused_variables, reason = "its signer is here")
        )]
        let key = self.ready_signer(now)?;
        #[cfg(feature = "_public")]
        if let Some(key) = key
            && let Some(external) = key.external().filter(|key| key.has_failed())
        {
            Box::pin(external.check()).await?;
        }
        Ok(())
    }

    /// Returns the key that signs tokens now; `None` for a verifier.
    ///
    /// # Errors
    ///
    /// *Unavailable* if the view is stale, *misuse* if no key of an issuer can sign.
    fn ready_signer(&self, now: Timestamp) -> Result<Option<RingKey>> {
        if let Some(view) = &self.revocations {
            view.check_fresh(now)?;
        }
        let ring = self.ring.read();
        if ring.only_verifies() {
            return Ok(None);
        }
        let expires_at = now.saturating_add(self.policy.lifetime_secs);
        self.signer(&ring, now, expires_at).cloned().map(Some)
    }

    /// Refuses a login that continues an ended one, if the view knows that.
    pub(crate) fn check_continued(
        &self,
        (stamp, handle): (Option<Stamp>, Option<Handle>),
        subject: &str,
    ) -> Result<()> {
        match (&self.revocations, stamp) {
            (Some(view), Some(stamp)) => view.check_continued(stamp, handle, subject),
            _ => Ok(()),
        }
    }

    /// Refuses a login whose subject has ended or changed since it began.
    async fn check_since(&self, began: Beginning, subject: &str) -> Result<()> {
        if self.changes.include(subject, began.count) {
            return Err(Refusal::Outdated.into());
        }
        match (&self.revocations, began.stamp) {
            (Some(view), Some(stamp)) => view.check_since(stamp, subject).await,
            _ => Ok(()),
        }
    }

    fn expiry(&self, now: Timestamp, deadline: Timestamp) -> Timestamp {
        now.saturating_add(self.policy.lifetime_secs).min(deadline)
    }

    fn issue_now(&self, login: Login<D>, stamp: Option<Stamp>) -> Result<(Signing, Identity<D>)> {
        let now = self.now()?;
        let fields = fields_of(&login, None)?;
        check_size(&fields, MAX_FIELD_BYTES)?;
        let authenticated_at = login.authenticated_at.unwrap_or(now).min(now);
        let handle = match login.upgraded(login.subject(), [0; 2]) {
            // All upgrades of one login have one handle, by which they end together.
            Some(handle) => handle,
            None => Handle::draw(login.fields.subject_bytes(), &*self.entropy)?
                .with_remembered(login.is_remembered),
        };
        let deadline = self.policy.deadline(handle, authenticated_at, now);
        let deadline = login.deadline.unwrap_or(deadline).min(deadline);
        if deadline <= now {
            return Err(Rejection::Expired.into());
        }
        let identity = Identity {
            handle,
            fields,
            issued_at: now,
            authenticated_at,
            expires_at: self.expiry(now, deadline),
            deadline,
            stamp,
            version: 0,
            refresh_due: false,
            is_stepped: login.step.is_some(),
            purpose: Purpose::Login,
            verified_by: self.changes.id,
            data: login.data,
        };
        // Leaves room for the claim that a refresh adds: every issued token can be refreshed.
        let max_chars = self.policy.max_chars - AUTH_TIME_CHARS;
        let data = data::stored(&identity.data)?;
        let signing = self.sign(&identity, max_chars, None, data.as_deref())?;
        Ok((signing, identity))
    }

    /// Signs the next token of a login, after `edit` if there is one. For an `update` without changes,
    /// returns the presented token. Without a step-up, a token that an update makes expires with the
    /// presented one: only a refresh extends.
    ///
    /// `read_at` is the time at which `edit` has read the user, if that was before this call.
    async fn sign_next(
        &self,
        token: &str,
        edit: Option<EditFn<'_, D>>,
        is_update: bool,
        read_at: Option<Timestamp>,
    ) -> Result<Issued<D>> {
        let (signing, identity, outcome) = self.with_opened(token, |claims, now| {
            self.admit(claims, now)?;
            if claims.is_foreign {
                return Err(Rejection::NotRefreshable.into());
            }
            let mut identity = self.identity(claims, now)?;
            // Copied as they are, so that fields unknown to this version of the data stay.
            let mut data = claims.data.map(|data| Cow::from(data.as_bytes()));
            let mut latest = is_update.then_some(claims.expires_at);
            if let Some(edit) = edit {
                let (edited, changes) = identity.edit(edit, now)?;
                if is_update && changes == Changes::default() {
                    let presented = Signing::Done(Credential::new(token.to_owned()));
                    return Ok((presented, edited, Outcome::Replayed));
                }
                if let Some(changed) = changes.data {
                    data = changed.map(Cow::from);
                }
                latest = latest.filter(|_| changes.step.is_none());
                identity = edited;
            }
            // This node's clock may be behind the issuer's: no token is older than its login. Nor
            // is it younger than the roles in it.
            identity.issued_at = read_at.unwrap_or(now).max(claims.authenticated_at);
            let expires_at = self.expiry(identity.issued_at, claims.deadline);
            identity.expires_at = latest.map_or(expires_at, |latest| latest.min(expires_at));
            let max_chars = self.max_chars(&identity, identity.authenticated_at);
            let signing = self.sign(&identity, max_chars, claims.json, data.as_deref())?;
            Ok((signing, identity, Outcome::Rotated))
        })?;
        Ok(Issued::new(self.signed(signing).await?, identity, outcome))
    }

    /// Signs the next token of a login with the roles and data that its user has now, after the
    /// `update` if there is one.
    async fn sign_reloaded(
        &self,
        token: &str,
        reload: &Reload<D>,
        mut update: Option<EditFn<'_, D>>,
    ) -> Result<Issued<D>> {
        let (caller, read_at) = self.with_opened(token, |claims, now| {
            self.admit(claims, now)?;
            match claims.is_foreign {
                true => Err(Rejection::NotRefreshable.into()),
                false => Ok((self.identity(claims, now)?, now)),
            }
        })?;
        let Some(fresh) = reload.read(&caller).await? else {
            let ended = self.end(token).await?;
            let error = Error::from(Rejection::Revoked);
            return Err(error.with_ended(ended.ended(EndCause::UserGone)));
        };
        let (mut fresh, is_update) = (Some(fresh), update.is_some());
        let edit = &mut |login: &mut Edit<D>| {
            if let Some(fresh) = fresh.take() {
                (login.roles, login.data) = (fresh.roles, fresh.data);
            }
            update.as_mut().map_or(Ok(()), |update| update(login))
        };
        self.sign_next(token, Some(edit), is_update, Some(read_at))
            .await
    }

    /// Signs an access token for a login that is kept in a store, and sets the times of `identity`. It
    /// expires at `latest` or earlier, if that is given.
    ///
    /// The token does not contain the deadline of the login, so that it cannot be refreshed.
    ///
    /// # Errors
    ///
    /// *Refused* if this token, or the next one of its login, would be too long; *misuse* if no key
    /// may sign it; any error of an external signer.
    pub(crate) async fn mint<T>(
        &self,
        identity: &mut Identity<T>,
        data: Option<&[u8]>,
        now: Timestamp,
        latest: Option<Timestamp>,
    ) -> Result<Credential>
    where
        T: Send,
    {
        let signing = self.sign_access(identity, data, now, latest)?;
        self.signed(signing).await
    }

    /// Fails if [`mint`](Self::mint) would, an external signer aside.
    pub(crate) fn check_mint<T>(
        &self,
        identity: &mut Identity<T>,
        data: Option<&[u8]>,
        now: Timestamp,
    ) -> Result<()> {
        self.sign_access(identity, data, now, None).map(drop)
    }

    fn sign_access<T>(
        &self,
        identity: &mut Identity<T>,
        data: Option<&[u8]>,
        now: Timestamp,
        latest: Option<Timestamp>,
    ) -> Result<Signing> {
        let deadline = identity.deadline;
        // This node's clock may be behind that of the login: no token is older than its login.
        identity.issued_at = now.max(identity.proven_at());
        let expires_at = self.expiry(identity.issued_at, deadline);
        let step = identity.step().map(|step| step.until);
        let ends = step.into_iter().chain(latest);
        identity.expires_at = ends.fold(expires_at, Timestamp::min);
        identity.deadline = identity.expires_at;
        let max_chars = self.max_chars(identity, identity.proven_at());
        let signed = self.sign(identity, max_chars, None, data);
        identity.deadline = deadline;
        signed
    }

    /// Returns how long a token may be. A token without `auth_time`, the time in `proven_at`, leaves
    /// room for it: the next token of its login adds it, so that every token can be refreshed.
    fn max_chars<T>(&self, login: &Identity<T>, proven_at: Timestamp) -> usize {
        let is_first = login.issued_at == proven_at;
        self.policy.max_chars - if is_first { AUTH_TIME_CHARS } else { 0 }
    }

    /// Returns handle, fields and stamp of a token, expired or not.
    ///
    /// # Errors
    ///
    /// *Rejected* if it is none of ours.
    pub(crate) fn prove(&self, token: &str) -> Result<(Handle, Fields, Option<Stamp>)> {
        self.with_opened(token, |claims, _| {
            Ok((claims.handle, fields_in(claims), claims.stamp))
        })
    }

    /// The time by which each token that there is has expired.
    fn last_expiry(&self) -> Result<Revocation> {
        let latest = self.now()?.saturating_add(self.policy.last_secs());
        Ok(Revocation::AtExpiry(latest.into()))
    }

    async fn end(&self, token: &str) -> Result<Logout> {
        // The token may have been refreshed, even if it has expired. Only the deadline in the token
        // is certain, because another node may be configured with another policy.
        let (handle, fields, rest, deadline) = self.with_opened(token, |claims, now| {
            let rest = claims.signed_deadline.saturating_since(now);
            Ok((claims.handle, fields_in(claims), rest, claims.deadline))
        })?;
        let effective = match &self.revocations {
            _ if rest == 0 => Revocation::Immediate,
            Some(view) => {
                // Upgrades of one login share a handle, and another one may have a later deadline.
                let life = match handle.upgrades() {
                    0 => Duration::from_secs(rest),
                    _ => view.max_lifetime(),
                };
                view.end_login(handle, fields.subject(), life).await?
            }
            None => Revocation::AtExpiry(deadline.into()),
        };
        Ok(Logout::new(effective).of(handle, fields))
    }
}

/// Returns the error of a token with data that do not decode. A token of this service is right, and
/// this version of the service cannot read it. Another issuer may sign any claims.
#[cold]
fn unreadable(error: Error, claims: &CheckedClaims<'_>) -> Error {
    if claims.is_foreign {
        return Rejection::InvalidClaims.into();
    }
    error.of_login(claims.handle.public_id())
}

/// Copies subject, roles, device and authentication context class of a token.
fn fields_in(claims: &CheckedClaims<'_>) -> Fields {
    let subject = claims.subject.decode();
    let device = claims.device.map(Text::decode);
    let acr = claims.acr.map(Text::decode);
    let length = |text: &Option<Cow<'_, str>>| text.as_deref().map_or(0, str::len);
    let length = subject.len() + claims.roles.len() + length(&device) + length(&acr);
    let mut fields = FieldsBuilder::with_room(&subject, length);
    json::texts(claims.roles).for_each(|role| fields.role(&role.decode()));
    if let Some(device) = device {
        fields.device(&device);
    }
    if let Some(acr) = acr {
        fields.acr(&acr);
    }
    fields.build()
}

impl<D> Authenticator for TokenAuthenticator<D>
where
    D: Serialize + DeserializeOwned + Send + Sync + 'static,
{
    type Data = D;

    fn is_well_formed(&self, credential: &str) -> bool {
        let ring = self.ring.read();
        let is_shaped = || match jws::is_own_shape(&ring, credential) {
            Some(is_shaped) => is_shaped,
            // One of its keys may be published later.
            #[cfg(feature = "_public")]
            None if ring.followed().is_some() => jws::segments(credential).is_some(),
            None => self.policy.issuers.is_shape(credential),
        };
        self.policy.check_length(credential).is_ok() && is_shaped()
    }

    fn sample_credentials(&self) -> Vec<String> {
        let ring = self.ring.read();
        let foreign = self.policy.issuers.iter().take(1);
        let foreign = foreign.map(|_| FOREIGN_SAMPLE.to_owned());
        ring.entries()
            .map(|entry| jws::sample(&entry.key))
            .chain(foreign)
            .collect()
    }

    async fn begin(&self) -> Result<Begun> {
        let beginning = Beginning {
            by: self.changes.id,
            count: self.changes.count(),
            stamp: self.stamp().await?,
        };
        Ok(Begun::new(beginning, self.now()?))
    }

    async fn issue(&self, login: Login<D>) -> Result<Issued<D>> {
        let mut login = login;
        let old = mem::take(&mut login.replaces);
        // Stamped first, so that every revocation from here on applies to this login too.
        let began = match &login.begun {
            Some(begun) => Some(begun.at(self.changes.id, self.now()?)?),
            None => None,
        };
        let stamp = match (login.stamp, began) {
            (None, None) => self.stamp().await?,
            (stamp, None) => stamp,
            (stamp, Some(began)) => stamp.or(began.stamp),
        };
        let continued = login.continued();
        let (signing, identity) = self.issue_now(login, stamp)?;
        let issued = Issued::new(self.signed(signing).await?, identity, Outcome::New);
        // After the token was signed: a change from here on finds it as old as it says.
        let subject = issued.identity().subject();
        self.check_continued(continued, subject)?;
        if let Some(began) = began {
            self.check_since(began, subject).await?;
        }
        // The replaced login ends only if the new one was issued.
        Ok(issued.with_replaced(end_replaced(self, &old).await?))
    }

    async fn verify_with(&self, presented: Presented<'_>) -> Result<Identity<D>> {
        if let Some(view) = &self.revocations
            && presented.is_authoritative()
        {
            // Do not ask the log for a credential that this node rejects anyway.
            let _ = self.verify_now(presented.credential())?;
            // Boxed, because it is rare: as a part of the future, it made each verification through
            // the trait a tenth longer.
            Box::pin(view.read_to_end()).await?;
        }
        self.verify_presented(presented)
    }

    #[inline]
    fn try_verify_now(&self, presented: Presented<'_>) -> Option<Result<Identity<D>>> {
        let asks_log = self.revocations.is_some() && presented.is_authoritative();
        (!asks_log).then(|| self.verify_presented(presented))
    }

    async fn refresh_with(&self, presented: Presented<'_>) -> Result<Issued<D>> {
        match &self.reload {
            // Boxed, because it is rare: the future of the usual case stays small.
            Some(reload) => {
                Box::pin(self.sign_reloaded(presented.credential(), reload, None)).await
            }
            None => {
                self.sign_next(presented.credential(), None, false, None)
                    .await
            }
        }
    }

    async fn revoke(&self, credential: &str) -> Result<Logout> {
        self.end(credential).await
    }

    async fn revoke_all(&self, subject: &str) -> Result<Affected> {
        let revoke = async {
            self.changes.note(subject);
            let effective = match &self.revocations {
                Some(view) => view.revoke_subject(subject).await?,
                None => self.last_expiry()?,
            };
            Ok(Affected::new(None, effective))
        };
        self.also_ends.and(subject, revoke).await
    }

    async fn find_login(&self, credential: &str) -> Result<Option<Logout>> {
        match self.prove(credential) {
            Ok((handle, fields, _)) => Ok(Some(Logout::found(handle, fields))),
            Err(error) if error.is_rejected() => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn revoke_relatives(
        &self,
        subject: &str,
        relatives: &Relatives,
    ) -> Result<Option<Logout>> {
        let Some(handle) = relatives.without_rows() else {
            return Ok(Some(Logout::new(Revocation::Immediate)));
        };
        // The deadline of a token that is not presented is unknown.
        let effective = match &self.revocations {
            Some(view) => view.end_login(handle, subject, view.max_lifetime()).await?,
            None => self.last_expiry()?,
        };
        let logout = Logout::new(effective);
        // Nobody knows if there are tokens that upgrades have made.
        Ok(Some(match relatives.exist() {
            true => logout.of(handle, FieldsBuilder::new(subject).build()),
            false => logout,
        }))
    }

    async fn update(&self, credential: &str, edit: EditFn<'_, D>) -> Result<Issued<D>> {
        match &self.reload {
            Some(reload) => Box::pin(self.sign_reloaded(credential, reload, Some(edit))).await,
            None => self.sign_next(credential, Some(edit), true, None).await,
        }
    }

    /// Changes no token, and does not call the edit. Each token keeps its roles and data until it
    /// expires, and so do the tokens that are refreshed from it, unless the user is
    /// [reloaded](crate::token::TokenBuilder::reload). A login in progress is refused as outdated.
    async fn update_all(&self, subject: &str, _: EditFn<'_, D>) -> Result<Affected> {
        self.changes.note(subject);
        if let Some(view) = &self.revocations {
            view.outdate(subject).await?;
        }
        let secs = match &self.reload {
            Some(_) => self.policy.lifetime_secs,
            None => self.policy.last_secs(),
        };
        let latest = self.now()?.saturating_add(secs);
        Ok(Affected::new(None, Revocation::AtExpiry(latest.into())))
    }

    async fn ready(&self) -> Result<()> {
        let now = self.now()?;
        #[cfg(feature = "_public")]
        if let Some(view) = self.ring.read().followed() {
            view.check_fresh(now)?;
        }
        self.ready_signer(now).map(drop)
    }

    fn upkeep(&self) -> Upkeep {
        let upkeep = match &self.revocations {
            Some(view) => view.upkeep(),
            None => Upkeep::none(),
        };
        #[cfg(feature = "_public")]
        let upkeep = {
            let ring = self.ring.read();
            let rings = self.policy.issuers.iter().filter_map(Interop::own_keys);
            let views = rings.chain([&**ring]).filter_map(Keyring::followed);
            views.fold(upkeep, |upkeep, view| upkeep.and(view.upkeep()))
        };
        upkeep
    }
}

impl<D> fmt::Debug for TokenAuthenticator<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenAuthenticator")
            .field("ring", &*self.ring.read())
            .field("policy", &self.policy)
            .field("revocations", &self.revocations)
            .field("clock", &self.clock)
            .finish_non_exhaustive()
    }
}
