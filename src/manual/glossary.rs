//! Glossary: one word for each thing, in the code, the documentation and the messages.
//!
//! # Logins and credentials
//!
//! | term | meaning |
//! |---|---|
//! | login | one authentication of a user, and everything that follows from it until it ends |
//! | session | a login that a store keeps; also the name of the strategy that uses them |
//! | subject | the identifier of the user in your application |
//! | credential | the text that a client presents: a session credential, an access token or a refresh credential |
//! | access token | a signed JWT that is verified without I/O |
//! | refresh credential | the credential with which a client of the [hybrid](crate::hybrid) gets its next access token |
//! | API key | a credential that a program presents for a user ([`api_keys`](crate::api_keys)) |
//! | scope | a role of an API key |
//! | purpose | use of a credential: a login, or an API key ([`Purpose`](crate::Purpose)) |
//! | secret | the part of a session credential that only its client holds |
//! | proof | a hash of a credential, kept in the store |
//! | handle | the 16 bytes of a session credential that find its row; proves nothing |
//! | public id | an identifier of a login that is safe to show and to log ([`PublicId`](crate::PublicId)) |
//! | identity | the verified caller ([`Identity`](crate::Identity)) |
//! | acr | authentication context class: how strongly the user authenticated (OpenID Connect Core, section 2) |
//! | step-up | a further proof of the user of a login, such as a second factor: another acr for a time |
//!
//! # Records and rows
//!
//! | term | meaning |
//! |---|---|
//! | record | the stored state of one login ([`Record`](crate::store::contract::Record)) |
//! | row | the place of a record in a store |
//! | version | counts changes of roles and data; an update names the version it expects |
//! | generation | counts rotations of the credential |
//! | touch | to record that a login was used |
//! | idle timeout | a login expires this long after its last recorded use |
//! | absolute timeout | a login expires this long after authentication, however much it is used |
//! | remembered | of a login: its user chose to stay logged in after the browser is closed; may have longer timeouts |
//! | passive | of a presentation or a request: no use of the login, such as a poll |
//! | deadline | the moment at which the absolute timeout is reached |
//! | sweep | to remove expired rows |
//! | expired | past its idle timeout or its deadline |
//! | ended, revoked | terminated by an act: a logout, a limit, a detected theft |
//!
//! # Rotation
//!
//! | term | meaning |
//! |---|---|
//! | refresh | the call of a client that wants its next credential |
//! | rotate | to replace the credential of a row by its successor |
//! | replay | to answer a refresh with the successor that already exists |
//! | successor | the credential that replaced another one; after a step-up the replaced one has none that it could be refreshed to |
//! | overlap | the time after a rotation in which the replaced credential is still accepted |
//! | grace | the longer time in which the replaced credential is accepted until its successor is used |
//! | orphaned | state of a replaced credential that returns after the grace although its successor was never used: the answer was probably lost |
//! | reused | state of a replaced credential that returns after its successor was used: probably stolen |
//!
//! # Revocation
//!
//! [`manual::revocation`](crate::manual::revocation) explains how these work together.
//!
//! | term | meaning |
//! |---|---|
//! | revocation log | an append-only list of facts that all nodes read |
//! | fact | one statement of the log, such as "this login has ended" |
//! | entry | a fact together with its position in the log |
//! | position | the place of an entry; later entries have higher positions |
//! | incarnation | the identity of one log; a log that lost its data starts a new one |
//! | stamp | the incarnation and position of the log at which a login began |
//! | view | the copy of the log in the memory of one node |
//! | bound | the longest time until a fact is known to a view; a view that is older is stale |
//! | stale | state of a view that has not read the log within its bound |
//! | fence | a write that proves that the log still accepts writes |
//!
//! # Answers
//!
//! | term | meaning |
//! |---|---|
//! | rejected | the credential is not valid (401) |
//! | refused | the credential is valid, but a rule forbids the act (403, 409, 429) |
//! | unavailable | the store, the log or the clock could not answer (503) |
//! | misuse | the configuration or the call is wrong (500) |
//!
//! # Running
//!
//! | term | meaning |
//! |---|---|
//! | observer | receives events from an authenticator ([`Observer`](crate::observer::Observer)) |
//! | upkeep | the background work of an authenticator, run by your application ([`Upkeep`](crate::Upkeep)) |
//! | chore | one piece of the upkeep |
//! | kit, law | the conformance tests of the feature `testkit`; each law is one test of the contract |
//! | single-flight | several callers that want the same lookup share one |
