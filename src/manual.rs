//! The manual: choosing, changing and operating a strategy.
//!
//! # Choosing a strategy
//!
//! Answer two questions. First: how fast must a logout take effect? A stolen session dies the
//! moment it is revoked (with a cached store, within its bound). A stolen token works until it
//! expires, or, if tokens can be refreshed, until the deadline of its login. A [revocation
//! log](revocation) shortens that to a bound that you choose. The [`Revocation`](crate::Revocation)
//! that a logout returns says when it takes effect; the example `quickstart` shows this for both
//! strategies.
//!
//! Second: what may a request cost? A session costs a lookup in a store that every node must reach.
//! A token costs CPU time and no I/O.
//!
//! - Use sessions for people in browsers, unless the nodes cannot reach a common store.
//! - Use tokens between services, at the edge, and for lifetimes of minutes.
//! - Use the [hybrid](crate::hybrid), short-lived access tokens with a refresh credential, for apps
//!   that stay logged in for weeks and whose requests should not query a store.
//! - Use [both](crate::either) if browsers and programs call the same routes: sessions in cookies,
//!   tokens in `Authorization`.
//! - Use [API keys](crate::api_keys) for scripts and CI jobs of your users.
//!
//! You can change your mind later: handlers see only [`Authenticator`](crate::Authenticator).
//!
//! # Between services
//!
//! A service that verifies tokens of HMAC can sign them too. With one key for all services, each of
//! them can forge an administrator for every other one. Give each service the key of its own
//! audience: the issuer keeps a [`MasterKey`](crate::token::MasterKey), and derives all of them.
//! Verification costs the same. The example `gateway` does this, with a rotation.
//!
//! | a service | gets | and can sign for |
//! |---|---|---|
//! | that users call through a gateway | [`master.key_for(issuer, name)`](crate::token::MasterKey::key_for) | itself |
//! | that calls `billing` in its own name | [`for_issuer(name)`](crate::token::Key::for_issuer) of the key of `billing` | `billing`, as itself |
//!
//! If many services verify the tokens of one issuer, and none of them should hold a secret, sign with a
//! `SigningKey` (features `aws-lc-rs`, `ring` or `rustcrypto`), and publish its
//! `TokenAuthenticator::key_set`. A service builds a `TokenAuthenticator::verifier` from public keys, or from
//! a `KeySetView` that follows the published ones. A new token then costs one verification of its signature, and a remembered one less than with HMAC.
//!
//! | | one shared key | a key per audience | public keys |
//! |---|---|---|---|
//! | a service can forge tokens for | all services | itself | none |
//! | secrets outside of the issuer | one, everywhere | one per service | none |
//! | first verification of a token | 0.4 us | 0.4 us | 25 us (Ed25519), 38 us (ES256) |
//! | later ones | 0.4 us | 0.4 us | 0.2 us |
//! | crates | none | none | 2 to 33 |
//!
//! Lifetimes of a minute are enough: the caller issues a token per call. Do not pass on a token that
//! was received: its audience is another one.
//!
//! # Changing the strategy
//!
//! [`Migrating`](crate::migrating::Migrating) verifies the credentials of two strategies and issues
//! credentials of the second one. It upgrades a credential of the first one when its client
//! refreshes it.
//!
//! 1. Deploy `Migrating::builder(new, old)` to every node, with the arguments deliberately swapped:
//!    the nodes accept both kinds and still issue the old one. A node that runs the old strategy
//!    alone rejects new credentials, so every node must know both first.
//! 2. Deploy `Migrating::builder(old, new)`, which issues credentials of the new strategy.
//! 3. Watch [`progress`](crate::migrating::Migrating::progress). When no node has seen an old
//!    credential for the lifetime of such a credential, deploy the new strategy alone.
//!
//! The same steps with the roles swapped move you back. The credentials of the two strategies must
//! differ in form: give new tokens a key of their own. If both strategies use a revocation log, it
//! must be the same log.
//!
//! # Coming from another JWT library
//!
//! A service that signs its tokens with jsonwebtoken, PyJWT or jose changes in three deployments.
//! Nodes with the other library reject our tokens, which have another issuer, an `aud`, and the data
//! in the claim `data`. So every node must verify both kinds before one issues ours.
//!
//! 1. Build a [`TokenAuthenticator`](crate::token::TokenAuthenticator) with a key of its own, and an
//!    [`Interop`](crate::token::Interop) that says what the old claims mean. Deploy it to every node,
//!    and keep the call that signs the old tokens in the login handler: the nodes verify both kinds
//!    and issue the old one.
//! 2. When no node without it runs, log in with [`issue`](crate::Authenticator::issue). You can go
//!    back to the first step at any time.
//! 3. When the old tokens have expired, leave out the `Interop`.
//!
//! ```
//! use std::time::Duration;
//! use statewise::token::{Interop, Key, TokenAuthenticator};
//!
//! # fn example(old_key: Key, new_key: Key) -> statewise::Result<()> {
//! // Old claims: {"iss":"shop","user_id":4711,"scope":"read admin","iat":1767225600,"exp":1767312000}
//! let day = Duration::from_secs(24 * 3600);
//! let old = Interop::from_issuer("shop", day)
//!     .key(old_key)
//!     .subject_from("user_id")
//!     .roles_from("scope");
//! let auth = TokenAuthenticator::builder(new_key)
//!     .issuer("https://shop.example")
//!     .audience("shop")
//!     .lifetime(Duration::from_secs(15 * 60))
//!     .interop(old)
//!     .build()?;
//! # Ok(())
//! # }
//! ```
//!
//! To move to sessions or to the hybrid, use this authenticator as the old strategy of
//! [`Migrating`](crate::migrating::Migrating), with the steps of the section above. A refresh then
//! upgrades an old token, and the user stays logged in until the token would have expired.
//!
//! | the old tokens | use |
//! |---|---|
//! | have no `iss` | [`from_any_issuer`](crate::token::Interop::from_any_issuer) |
//! | have no `iat` | [`allow_missing_issued_at`](crate::token::Interop::allow_missing_issued_at) |
//! | need more than names of claims | [`map`](crate::token::Interop::map), a closure |
//! | have a secret that [`Key`](crate::token::Key) refuses as too short | [`weak_secret`](crate::token::Interop::weak_secret), with an end date |
//! | come as `Authorization: Token ..` | [`Transport::scheme`](crate::web::Transport::scheme) |
//! | are rejected, and you do not know why | the log: events name the cause and the claim, answers do not |
//!
//! A logout everywhere needs a revocation log. As long as the log keeps the entry, it also ends
//! tokens that the old library signs for the user afterwards: let users log in again only where
//! `issue` is called.
//!
//! # Changing the data of logins
//!
//! Nodes of two versions run side by side during a deployment, and after a rollback. Each must read
//! the data that the other has written.
//!
//! - **Add** a field in one deployment, with `#[serde(default)]`. The old version ignores it, unless
//!   the type has `deny_unknown_fields`.
//! - **Rename** a field in two. First keep the old name and add `#[serde(alias = "new")]`. Then
//!   switch to the new name with `#[serde(alias = "old")]`, and keep the alias for one absolute
//!   timeout.
//! - **Remove** a field in two. First give it a default, then remove it.
//! - **For anything else**, `data_or_else` on the builder reads on the new nodes what the type does
//!   not. Old nodes answer *unavailable* for logins that the new ones have issued.
//!
//! A refresh keeps the stored data as they are. `replace` writes all of them: an old node drops a
//! new field, unless its type keeps unknown ones (`#[serde(flatten)]`).
//!
//! If a version cannot read a login, the answer is 503. Observers get `Event::Unreadable` with the
//! id of the login, the cookie stays, and nothing is lost. Deploy a version that reads it, or end
//! the logins with [`revoke_all`](crate::Authenticator::revoke_all).
//!
//! # Asking for a second factor
//!
//! A guard on the dangerous routes asks for an authentication context class, and a route of your own
//! proves it. [`step_up`](crate::web::SignIn::step_up) gives it to the login for some minutes:
//!
//! ```
//! use std::time::Duration;
//! use statewise::web::{Auth, Denial, Require, SignIn};
//!
//! # fn is_right(_: &str, _: &str) -> bool { true }
//! // Around the dangerous routes. Without the class they answer 401 (RFC 9470), or your page.
//! let strong = Require::authenticated().acr("aal2");
//!
//! async fn second_factor(caller: Auth, sign_in: SignIn, code: &str) -> Result<(), Denial> {
//!     if !is_right(caller.subject(), code) {
//!         return Err(Denial::Unproven);
//!     }
//!     sign_in.step_up("aal2", Duration::from_secs(10 * 60)).await.map(drop)
//! }
//! # let _ = (strong, second_factor);
//! ```
//!
//! - Count wrong codes per user, and accept each code once. The crate does neither.
//! - The login goes on with a credential that no other one derives: a copy that was stolen or planted
//!   before never has the class.
//! - [`Identity::acr`](crate::Identity::acr) and
//!   [`authenticated_at`](crate::Identity::authenticated_at) are those of the step-up while it lasts,
//!   and then again those of the login. [`Require::fresh`](crate::web::Require::fresh) is met too.
//! - A program with a bearer token calls
//!   [`step_up_token`](crate::web::SignIn::step_up_token). Code outside of a request calls
//!   [`Edit::step_up`](crate::Edit::step_up) in an [`update`](crate::Authenticator::update).
//! - Deploy this version to all nodes before the first step-up. Older nodes show the class of the
//!   login, and may report a request that is in flight as a theft.
//!
//! # Keys
//!
//! Keep three kinds of keys in every [`Keyring`](crate::token::Keyring): the one that signs, a
//! spare, and old ones until their tokens have expired.
//!
//! - **To rotate**, give every node `Keyring::new(old).then(spare, time).spare(another)`, with a
//!   time by which all nodes have the ring, at least a minute ahead. A node that reads it late
//!   verifies at once and signs from that time on. No node may be more than a minute late. When the
//!   tokens of the old key have expired, give every node `Keyring::new(spare).spare(another)`.
//! - **If the signing key leaks**, call
//!   [`retire_key`](crate::token::TokenAuthenticator::retire_key) on one node. The tokens of the key
//!   end everywhere, the spare signs at once, and clients of the hybrid refresh. Then give every
//!   node a ring without the leaked key.
//! - **Without a revocation log**, give every node
//!   `Keyring::new(new).verify_with(leaked).retire(leaked.kid(), now)`.
//!
//! # Threats
//!
//! | threat | defense |
//! |---|---|
//! | a leaked copy of the session table | it holds hashes of 128-bit secrets; none of them can be presented |
//! | session fixation | [`Login::replaces`](crate::Login::replaces) ends the credential presented before; an id never comes from the client |
//! | a late write after logout | only `create` inserts a row, and handles are never used twice |
//! | a stolen session credential | with rotation ([`rotate_after`](crate::session::SessionBuilder::rotate_after)), the use of the replaced credential is detected and the login ends |
//! | a stolen refresh credential | also detected: if it is presented after its successor was used to refresh, the login ends; [`hybrid`](crate::hybrid) states the limits |
//! | one kind of credential presented as another | sessions, refresh credentials and access tokens differ in form, in key and in what the store recognizes |
//! | `alg` confusion, `none`, `crit`, `jwk`, `jku`, `x5u`, `zip` | the header of our tokens is a constant that is compared and never parsed |
//! | a copy of a credential from before a [step-up](crate::Edit::step_up) | it never has the class, and derives nothing; once the new credential was used, it is detected like a stolen one |
//! | weak keys | [`Key`](crate::token::Key) refuses secrets that are too short or repeat one byte, and PEM or JWK text |
//! | an outage | the answer is *unavailable*, never "not logged in", and no new session is created |
//! | a leaked API key | good for its scopes until it expires or [`leaked`](crate::api_keys::ApiKeys::leaked) ends it; [`require_login`](crate::web::Auth::require_login) keeps it from making other keys |
//! | guessing and timing | secrets have 128 bits; proofs and signatures are compared in constant time |
//! | oversized input | the length is checked before decoding, hashing or lookup |
//! | secrets in logs | credentials and keys have no `Display` and a redacted `Debug` |
//!
//! statewise does not defend against a credential stolen together with its device, cross-site
//! scripting in your application, or an unencrypted connection. Use TLS.
//!
//! # Clocks
//!
//! All times of this crate are whole seconds of one [`Clock`](crate::clock::Clock). Dates of other
//! issuers may have fractions, and are compared with a clock that has them.
//!
//! A token is valid at once on a node with a clock that is behind, because `iat` of our tokens is
//! never compared with the current time. A wrong clock only shifts the moment of expiry. A login
//! with an expiry of noon is expired at noon. If the clock cannot tell the time, for example before
//! 1970, every call answers *unavailable*.
//!
//! A clock that was set back by more than five seconds proves nothing recent: a
//! [step-up](crate::Edit::step_up), or an authentication that
//! [`require_fresh`](crate::web::Auth::require_fresh) asks for, does not count while its time is in the
//! future.
//!
//! Nodes compare their time with the uses that other nodes have recorded. If the clock of one node
//! is some seconds behind that of another, a session that was used on it may go idle that many
//! seconds early, and never late. If it is behind by seven eighths of the idle timeout, even a
//! session in use may end. Keep the clocks of all nodes within five seconds of each other, for
//! example with NTP. Once a minute, the upkeep compares the clock of its node with that of Redis,
//! Postgres or MySQL. An observer gets [`Event::ClockSkew`](crate::observer::Event::ClockSkew):
//! `TracingObserver` warns if they differ by more than five seconds, and `MetricsObserver` has the
//! gauge `statewise_clock_skew_seconds`. Memory, redb and SQLite use no clock but that of the node.
//!
//! # Writing a store
//!
//! [`store::contract`](crate::store::contract) lists the steps and has an example. Sessions and the
//! hybrid take your store wherever they take one of this crate, also behind a
//! [`CachedStore`](crate::store::CachedStore).
//!
//! # Testing your handlers
//!
//! See [`testing`]: as a given user, with a moved clock, during an outage.
//!
//! # Operating
//!
//! Wrap the authenticator in [`Observed`](crate::Observed) to see its events, with the features
//! `tracing` and `metrics` or with an observer of your own. At the level *info* the log has each
//! login and logout with its user, failed logins, denials and outages, and no line for an ordinary
//! request. Without `Observed`, the web layer logs denials and nothing logs logins or outages. Alert
//! on thefts, on a stale view, and on a rise of `bad_signature` rejections.
//!
//! Set the same observer in the builder of the backend, such as `Redis::over(..).observer(..)`: it
//! reports when a server does not answer. After three calls in a row without an answer, calls are
//! *unavailable* at once until the server answers again, also logouts: tell the user that the logout
//! has failed.
//!
//! Call [`ready`](crate::Authenticator::ready) in the readiness probe of the service.
//!
//! Call [`upkeep`](crate::Authenticator::upkeep) once and spawn its `run(sleep)` with your
//! runtime's sleep. It frees the space of expired sessions, and it follows the log of the
//! [`RevocationView`](crate::revocation::RevocationView) if there is one: without it the view goes
//! stale, and all tokens are refused. A full [`MemoryStore`](crate::store::MemoryStore) refuses new
//! logins rather than ending live ones, so size it for the peak.
//!
//! Before the process ends, call [`Upkeep::finish`](crate::Upkeep::finish): it writes the uses of
//! logins that some stores buffer. The example `axum_sessions` shows a graceful shutdown.

pub mod frameworks;
pub mod glossary;
pub mod revocation;
// Its links lead to what these features bring.
#[cfg_attr(
    not(all(feature = "testkit", feature = "tower")),
    allow(rustdoc::broken_intra_doc_links)
)]
pub mod testing;
