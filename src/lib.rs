//! Who is calling?

#![cfg_attr(docsrs, feature(doc_cfg))]

pub mod clock;
pub mod entropy;
pub mod session;
pub mod store;
pub mod token;

#[cfg(any(test, feature = "testkit"))]
#[cfg_attr(docsrs, doc(cfg(feature = "testkit")))]
pub mod testkit;

mod authenticator;
mod error;
mod fields;
mod handle;
mod identity;
mod issued;
mod login;
mod secret;
mod upkeep;

pub use authenticator::{Authenticator, DynAuthenticator, Presented};
pub use error::{Error, Refusal, Rejection, Result, Theft};
pub use handle::{PublicId, Stamp};
pub use identity::Identity;
pub use issued::{Credential, Issued, Outcome, Revocation};
pub use login::Login;
pub use upkeep::{BoxFuture, Chore, Upkeep};
