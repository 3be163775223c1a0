//! The stateless strategy: the token remembers the user.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::authenticator::{Authenticator, Presented};
use crate::clock::{self, Clock, Timestamp};
use crate::entropy::Entropy;
use crate::error::{Error, Refusal, Rejection, Result};
use crate::login::Login;
use crate::login::data;
use crate::login::fields::{Fields, FieldsBuilder};
use crate::login::handle::Handle;
use crate::login::identity::{Identity, fields_of};
use crate::login::issued::{Credential, Issued, Outcome, Revocation, replaced};
use crate::login::stamp::Stamp;
use crate::revocation::RevocationView;
use crate::revocation::log::KeyId;
use crate::token::borrowed::{BorrowedIdentity, TokenBuffer};
use crate::token::canonical::{self, Draft};
use crate::token::claims::{Claims, Facts};
use crate::token::interop::Foreign;
use crate::token::json::{self, Text};
use crate::token::jws::{self, LONGEST, Own, Room, Verified};
use crate::token::key::{HEADER, Key};
use crate::token::keyring::{Held, Keyring};
use crate::token::payload::Payload;
use crate::token::policy::Policy;
use crate::token::shared::Shared;
use crate::upkeep::Upkeep;

/// Characters that refreshing adds to a token: `,"auth_time":` and twelve digits, encoded.
const AUTH_TIME: usize = 34;
/// Characters for which there is room at hand. More for all would be more to clear for each.
const COMMON: usize = 512;
/// A made-up token of somebody else.
const FOREIGN_SHAPE: &str = "AA.AA.AA";
/// Characters for which there must be room.
const MOST: usize = LONGEST + Room::BESIDE;

/// Tokens: the client holds who it is, signed, and the server only a key.
///
/// Easy to scale: verifying does no I/O, and every node that has the key can do it. Hard to take
/// back: [`revoke`](Authenticator::revoke) answers [`Revocation::AtExpiry`], unless there is a
/// [view of revocations](crate::token::TokenBuilder::revocations): then every node refuses the
/// token within a stated time, still without I/O.
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
    ring: Shared<Keyring>,
    policy: Policy,
    foreign: Option<Foreign>,
    revocations: Option<RevocationView>,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    data: PhantomData<fn() -> D>,
}

impl<D> TokenAuthenticator<D> {
    pub(crate) fn new(
        ring: Keyring,
        policy: Policy,
        foreign: Option<Foreign>,
        revocations: Option<RevocationView>,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
    ) -> Self {
        Self {
            ring: Shared::new(ring),
            policy,
            foreign,
            revocations,
            clock,
            entropy,
            data: PhantomData,
        }
    }

    fn now(&self) -> Result<Timestamp> {
        clock::read(&*self.clock)
    }

    /// The keys, with their times: also when each that was replaced is retired.
    #[must_use]
    pub fn keyring(&self) -> Keyring {
        self.ring.read().clone()
    }

    /// Takes other keys from now on, while requests are served: what the application has loaded
    /// anew. Leave no key out whose tokens may still live, unless it has leaked.
    ///
    /// # Errors
    ///
    /// *Misuse* if a new key would sign before every node can know it, less than a minute from now,
    /// though the one that signs is still in the ring; or if a key is to end that is not there.
    pub fn replace_keyring(&self, ring: impl Into<Keyring>) -> Result<()> {
        let ring = ring.into().complete(self.signed_for())?;
        ring.follows(&self.ring.read(), self.now()?)?;
        self.ring.replace(ring);
        Ok(())
    }

    /// Seconds that a token lives.
    pub(crate) fn lifetime(&self) -> u64 {
        self.policy.lifetime
    }

    /// The view that says what is revoked, if there is one.
    pub(crate) fn revocations(&self) -> Option<&RevocationView> {
        self.revocations.as_ref()
    }

    /// Seconds for which something lives at most that a key has signed.
    fn signed_for(&self) -> u64 {
        signed_for(&self.policy, self.foreign.as_ref())
    }

    /// Verifies a token and reads it in place, in `buffer`: allocates nothing. The application's
    /// data stay as they are written, so that nobody looks whether they can be read.
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
        self.policy.check_length(token)?;
        let ring = self.ring.read();
        let own = jws::own(&ring, token)?;
        let (facts, now) = self.facts(token, &ring, own, buffer.room())?;
        self.admit(&facts, now)?;
        Ok(BorrowedIdentity::new(facts))
    }

    /// Proves who made a token, reads it in `room`, and checks what it says, but for whether it
    /// has expired.
    #[inline(always)]
    fn facts<'b>(
        &self,
        token: &str,
        ring: &Keyring,
        own: Option<Own<'_, '_>>,
        room: Room<'b>,
    ) -> Result<(Facts<'b>, Timestamp)> {
        let Some(own) = own else {
            return self.facts_of_foreign(token, ring, room);
        };
        if self.is_retired(&own.held().key) {
            return Err(Rejection::Revoked.into());
        }
        let verified = jws::verify(&own, room)?;
        let now = self.now()?;
        if !own.held().verifies(now) {
            return Err(Rejection::UnacceptableHeader.into());
        }
        let json = utf8(&verified)?;
        let facts = match canonical::read(&self.policy.prefix, json) {
            Some(claims) => self.policy.check(&claims, json, now),
            None => self.facts_in_any_order(&verified, json, now),
        };
        Ok((facts?, now))
    }

    /// What a token under one of our headers says, in whichever order.
    #[cold]
    fn facts_in_any_order<'b>(
        &self,
        verified: &Verified<'_, 'b>,
        json: &'b str,
        now: Timestamp,
    ) -> Result<Facts<'b>> {
        let facts = Claims::own(json).and_then(|own| self.policy.check(&own, json, now));
        match (facts, &self.foreign) {
            // Other libraries can be made to write our very header: what does not say that it is
            // ours is then one of theirs, under the same key.
            (Err(error), Some(foreign))
                if error.is_rejected()
                    && foreign.admits_our_header()
                    && !Claims::say_ours(json, &self.policy.issuer) =>
            {
                foreign.check(&Claims::foreign(json)?, json, verified.signature, now)
            }
            (facts, _) => facts,
        }
    }

    /// What a token under any other header says.
    #[cold]
    fn facts_of_foreign<'b>(
        &self,
        token: &str,
        ring: &Keyring,
        room: Room<'b>,
    ) -> Result<(Facts<'b>, Timestamp)> {
        let Some(foreign) = &self.foreign else {
            return Err(unheaded(token));
        };
        let now = self.now()?;
        let is_usable = |held: &Held| held.verifies(now) && !self.is_retired(&held.key);
        let verified = foreign.verify(ring, is_usable, token, room.into_bytes())?;
        let json = utf8(&verified)?;
        let claims = Claims::foreign(json)?;
        let facts = foreign.check(&claims, json, verified.signature, now)?;
        Ok((facts, now))
    }

    /// Refuses what has expired, or is known to be revoked.
    #[inline]
    fn admit(&self, facts: &Facts<'_>, now: Timestamp) -> Result<()> {
        if facts.expires_at <= now {
            return Err(Rejection::Expired.into());
        }
        match &self.revocations {
            // An escaped subject is decoded, which is for tokens that others made.
            Some(view) => view.check(facts.handle, &facts.subject.decode(), facts.stamp, now),
            None => Ok(()),
        }
    }

    #[inline]
    fn is_retired(&self, key: &Key) -> bool {
        let kid = || KeyId::from_bytes(*key.kid_bytes());
        self.revocations
            .as_ref()
            .is_some_and(|view| view.is_retired(kid))
    }

    /// Verifies a token and passes what it says on.
    #[inline]
    fn with_facts<T>(
        &self,
        token: &str,
        then: impl FnOnce(&Facts<'_>, Timestamp) -> Result<T>,
    ) -> Result<T> {
        // Before any buffer of that length.
        self.policy.check_length(token)?;
        if token.len() < HEADER && self.foreign.is_none() {
            // Without a look at the keys, whose lock takes twice as long as all of this.
            return Err(unheaded(token));
        }
        let ring = self.ring.read();
        let own = jws::own(&ring, token)?;
        if own.is_none() && self.foreign.is_none() {
            return Err(unheaded(token));
        }
        if token.len() + Room::BESIDE > COMMON {
            return self.with_long(token, &ring, own, then);
        }
        let mut room = ([0; COMMON], [0; COMMON / 4 * 3]);
        let (facts, now) = self.facts(token, &ring, own, Room::new(&mut room.0, &mut room.1))?;
        then(&facts, now)
    }

    /// On the stack too: nothing is allocated before the signature is verified.
    #[cold]
    fn with_long<T>(
        &self,
        token: &str,
        ring: &Keyring,
        own: Option<Own<'_, '_>>,
        then: impl FnOnce(&Facts<'_>, Timestamp) -> Result<T>,
    ) -> Result<T> {
        let mut room = ([0; MOST], [0; MOST.div_ceil(4) * 3]);
        let (facts, now) = self.facts(token, ring, own, Room::new(&mut room.0, &mut room.1))?;
        then(&facts, now)
    }
}

/// Seconds for which something lives at most that a key has signed.
pub(crate) fn signed_for(policy: &Policy, foreign: Option<&Foreign>) -> u64 {
    if policy.caps_lifetime {
        policy.lifetime
    } else {
        longest(policy, foreign)
    }
}

/// Seconds for which a login is carried on at most, or a token is accepted.
pub(crate) fn longest(policy: &Policy, foreign: Option<&Foreign>) -> u64 {
    policy.max_lifetime.max(foreign.map_or(0, Foreign::longest))
}

fn utf8<'b>(verified: &Verified<'_, 'b>) -> Result<&'b str> {
    std::str::from_utf8(verified.payload).map_err(|_| Rejection::InvalidClaims.into())
}

/// Why a token that begins with no header of a key is refused.
#[cold]
fn unheaded(token: &str) -> Error {
    match jws::segments(token) {
        Some(_) => Rejection::UnacceptableHeader.into(),
        None => Rejection::Malformed.into(),
    }
}

impl<D> TokenAuthenticator<D>
where
    D: Serialize + DeserializeOwned + Send + Sync + 'static,
{
    /// Verifies a token at once: what [`verify`](Authenticator::verify) does, as a plain function.
    ///
    /// # Errors
    ///
    /// *Rejected* with its cause; *unavailable* if the clock cannot tell the time.
    pub fn verify_now(&self, token: &str) -> Result<Identity<D>> {
        self.with_facts(token, |facts, now| {
            self.admit(facts, now)?;
            let mut identity = Self::identity(facts)?;
            // From the middle of its life on, where refreshing gains something.
            let life = facts.expires_at.saturating_since(facts.issued_at);
            let age = now.saturating_since(facts.issued_at);
            identity.refresh_due = facts.deadline > facts.expires_at && age >= life / 2;
            Ok(identity)
        })
    }

    fn identity(facts: &Facts<'_>) -> Result<Identity<D>> {
        Ok(Identity {
            data: data::read_text(facts.data)?,
            fields: fields_in(facts),
            handle: facts.handle,
            issued_at: facts.issued_at,
            authenticated_at: facts.authenticated_at,
            expires_at: facts.expires_at,
            deadline: facts.deadline,
            stamp: facts.stamp,
            version: 0,
            refresh_due: false,
        })
    }

    /// Signs a token that says what `identity` does, with what `carry` adds, and with data as they
    /// are stored.
    fn sign<T>(
        &self,
        identity: &Identity<T>,
        max_length: usize,
        carry: impl FnOnce(&mut Payload),
        data: Option<&[u8]>,
    ) -> Result<Credential> {
        let Identity {
            issued_at,
            authenticated_at,
            deadline,
            ..
        } = *identity;
        let draft = Draft {
            expires_at: identity.expires_at,
            issued_at,
            authenticated_at: Some(authenticated_at).filter(|time| *time != issued_at),
            deadline: Some(deadline).filter(|time| *time != identity.expires_at),
            handle: identity.handle,
            subject: identity.fields.subject_bytes(),
            device: identity.fields.device_bytes(),
            acr: identity.fields.acr_bytes(),
            stamp: identity.stamp,
        };
        let mut json = Payload::new();
        let roles = identity.fields.roles_bytes();
        canonical::write(&mut json, &self.policy.prefix, &draft, roles);
        carry(&mut json);
        if let Some(data) = data.filter(|data| *data != data::NULL) {
            if !json::is_member(data) {
                // A token that its own issuer would not read is not handed out.
                return Err(Error::misuse(
                    "the data of a login hold a number beyond a double: keep it as text",
                ));
            }
            json.push(canonical::DATA);
            json.push(data);
        }
        json.push(b"}");
        let ring = self.ring.read();
        let signer = self.signer(&ring, issued_at, identity.expires_at)?;
        let token = jws::sign(signer, json.as_bytes(), max_length);
        Ok(Credential::new(token.ok_or(Refusal::TooLarge)?))
    }

    /// The key that signs what lives from and until these moments.
    fn signer<'r>(
        &self,
        ring: &'r Keyring,
        issued_at: Timestamp,
        expires_at: Timestamp,
    ) -> Result<&'r Key> {
        let signer = ring.signer(issued_at);
        let signer = signer.filter(|held| !self.is_retired(&held.key));
        let signer = signer.ok_or_else(|| {
            Error::misuse("the key that signs has been retired: give the service another one")
        })?;
        if !signer.outlives(expires_at) {
            return Err(Error::misuse(
                "the key that signs is retired before the token would expire: let the next one \
                 sign earlier, or this one verify longer",
            ));
        }
        Ok(&signer.key)
    }

    /// Refuses what would keep every login from an access token now: a view that is stale, or a key
    /// that signs no more.
    pub(crate) fn check_ready(&self, now: Timestamp) -> Result<()> {
        if let Some(view) = &self.revocations {
            view.check_fresh(now)?;
        }
        let expires_at = now.saturating_add(self.policy.lifetime);
        self.signer(&self.ring.read(), now, expires_at).map(drop)
    }

    fn expiry(&self, now: Timestamp, deadline: Timestamp) -> Timestamp {
        now.saturating_add(self.policy.lifetime).min(deadline)
    }

    fn issue_now(&self, login: Login<D>, stamp: Option<Stamp>) -> Result<Issued<D>> {
        let now = self.now()?;
        let fields = fields_of(&login, None)?;
        let authenticated_at = login.authenticated_at.unwrap_or(now).min(now);
        let deadline = self.policy.deadline(authenticated_at);
        let deadline = login.deadline.unwrap_or(deadline).min(deadline);
        if deadline <= now {
            return Err(Rejection::Expired.into());
        }
        let identity = Identity {
            handle: Handle::draw(login.fields.subject_bytes(), &*self.entropy)?,
            fields,
            issued_at: now,
            authenticated_at,
            expires_at: self.expiry(now, deadline),
            deadline,
            stamp,
            version: 0,
            refresh_due: false,
            data: login.data,
        };
        // What can be issued can be refreshed: leave room for what that adds.
        let max_length = self.policy.max_length - AUTH_TIME;
        let data = data::stored(&identity.data)?;
        let credential = self.sign(&identity, max_length, |_| {}, data.as_deref())?;
        Ok(Issued::new(credential, identity, Outcome::New))
    }

    fn refresh_now(&self, token: &str) -> Result<Issued<D>> {
        self.with_facts(token, |facts, now| {
            self.admit(facts, now)?;
            if facts.foreign {
                return Err(Rejection::WrongIssuer.into());
            }
            let mut identity = Self::identity(facts)?;
            // A clock that is behind the one that issued makes no token older than its login.
            identity.issued_at = now.max(facts.authenticated_at);
            identity.expires_at = self.expiry(identity.issued_at, facts.deadline);
            // Carried over as they are: also what this version of the data does not know.
            let data = facts.data.map(str::as_bytes);
            let max_length = self.policy.max_length;
            let carry = |json: &mut Payload| canonical::carry_unknown(facts.json, json);
            let credential = self.sign(&identity, max_length, carry, data)?;
            Ok(Issued::new(credential, identity, Outcome::Rotated))
        })
    }

    /// Signs an access token of a login that is kept elsewhere: like `identity`, whose times it sets,
    /// with data as they are stored. It says nothing of the login's deadline, so that nobody
    /// refreshes it.
    ///
    /// # Errors
    ///
    /// *Refused* if it would be too long, or the next one of its login; *misuse* if no key may sign
    /// it.
    pub(crate) fn mint<T>(
        &self,
        identity: &mut Identity<T>,
        data: Option<&[u8]>,
        now: Timestamp,
    ) -> Result<Credential> {
        let deadline = identity.deadline;
        // A clock that is behind the one of the login makes no token older than that.
        identity.issued_at = now.max(identity.authenticated_at);
        identity.expires_at = self.expiry(identity.issued_at, deadline);
        identity.deadline = identity.expires_at;
        // What can be signed once can be signed again: leave room for what that adds.
        let is_first = identity.issued_at == identity.authenticated_at;
        let room = if is_first { AUTH_TIME } else { 0 };
        let signed = self.sign(identity, self.policy.max_length - room, |_| {}, data);
        identity.deadline = deadline;
        signed
    }

    /// Whose token it is, expired or not: handle and subject.
    ///
    /// # Errors
    ///
    /// *Rejected* if it is none of ours.
    pub(crate) fn prove(&self, token: &str) -> Result<(Handle, String)> {
        self.with_facts(token, |facts, _| {
            Ok((facts.handle, facts.subject.decode().into_owned()))
        })
    }

    async fn end(&self, token: &str) -> Result<Revocation> {
        // Whoever holds it may have refreshed it, even if it has expired itself, so that only the
        // deadline of the login is certain. Not that of this node's policy: another one may have
        // another policy.
        let (handle, subject, life, deadline) = self.with_facts(token, |facts, now| {
            let life = facts.signed_deadline.saturating_since(now);
            let subject = facts.subject.decode().into_owned();
            Ok((facts.handle, subject, life, facts.deadline))
        })?;
        match &self.revocations {
            _ if life == 0 => Ok(Revocation::Immediate),
            Some(view) => {
                view.end_login(handle, &subject, Duration::from_secs(life))
                    .await
            }
            None => Ok(Revocation::AtExpiry(deadline.into())),
        }
    }
}

/// Subject, roles, device and class of a token.
fn fields_in(facts: &Facts<'_>) -> Fields {
    let subject = facts.subject.decode();
    let device = facts.device.map(Text::decode);
    let acr = facts.acr.map(Text::decode);
    let named = |text: &Option<Cow<'_, str>>| text.as_deref().map_or(0, str::len);
    let length = subject.len() + facts.roles.len() + named(&device) + named(&acr);
    let mut fields = FieldsBuilder::with_room(&subject, length);
    json::texts(facts.roles).for_each(|role| fields.role(&role.decode()));
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
        let is_ours_or_theirs = || match jws::is_own(&self.ring.read(), credential) {
            Some(shaped) => shaped,
            None => self.foreign.is_some() && jws::segments(credential).is_some(),
        };
        self.policy.check_length(credential).is_ok() && is_ours_or_theirs()
    }

    fn sample_credentials(&self) -> Vec<String> {
        let ring = self.ring.read();
        let mut shapes: Vec<_> = ring.held().map(|held| jws::shape(&held.key)).collect();
        if self.foreign.is_some() {
            shapes.push(FOREIGN_SHAPE.to_owned());
        }
        shapes
    }

    async fn issue(&self, login: Login<D>) -> Result<Issued<D>> {
        let mut login = login;
        let old = login.replaces.take();
        // Before anything else: what ends from here on ends this login too.
        let stamp = match (&self.revocations, login.stamp) {
            (Some(view), None) => Some(view.stamp().await?),
            (_, stamp) => stamp,
        };
        let issued = self.issue_now(login, stamp)?;
        // What is replaced ends only for a login that the rules allow.
        if let Some(old) = old {
            replaced(self.end(&old).await)?;
        }
        Ok(issued)
    }

    async fn verify_with(&self, presented: Presented<'_>) -> Result<Identity<D>> {
        if let Some(view) = &self.revocations
            && presented.is_authoritative()
        {
            // The log is asked for nobody whom this node refuses anyway.
            let _ = self.verify_now(presented.credential())?;
            // Boxed, as it is rare: with all of it in the future, each verification through the trait
            // took a tenth longer.
            Box::pin(view.read_to_end()).await?;
        }
        self.verify_now(presented.credential())
    }

    async fn refresh_with(&self, presented: Presented<'_>) -> Result<Issued<D>> {
        self.refresh_now(presented.credential())
    }

    async fn revoke(&self, credential: &str) -> Result<Revocation> {
        self.end(credential).await
    }

    async fn revoke_all(&self, subject: &str) -> Result<Revocation> {
        if let Some(view) = &self.revocations {
            return view.revoke_subject(subject).await;
        }
        let now = self.now()?;
        let ours = self.policy.deadline(now);
        let latest = self
            .foreign
            .as_ref()
            .map_or(ours, |foreign| foreign.latest(now).max(ours));
        Ok(Revocation::AtExpiry(latest.into()))
    }

    fn upkeep(&self) -> Upkeep {
        match &self.revocations {
            Some(view) => view.upkeep(),
            None => Upkeep::none(),
        }
    }
}

impl<D> fmt::Debug for TokenAuthenticator<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenAuthenticator")
            .field("ring", &self.ring)
            .field("policy", &self.policy)
            .field("foreign", &self.foreign)
            .field("revocations", &self.revocations)
            .field("clock", &self.clock)
            .finish_non_exhaustive()
    }
}
