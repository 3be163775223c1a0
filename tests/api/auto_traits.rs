//! Every public type is `Send` and `Sync`, whatever data the application uses.

#![allow(
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

use statewise::Observed;
use statewise::authenticator::{BoxFuture, Chore};
use statewise::clock::{Clock, SystemClock, Timestamp};
use statewise::either::Either;
use statewise::entropy::{Entropy, SystemEntropy};
use statewise::hybrid::HybridAuthenticator;
use statewise::migrating::{Migrating, Progress};
use statewise::observer::{Act, Event, LoginRef, Observer};
use statewise::session::{
    Cursor, Limit, NeedsAbsolute, NeedsIdle, Removed, Session, SessionAuthenticator,
    SessionBuilder, SessionPage,
};
use statewise::store::MemoryStore;
use statewise::store::contract::Stamp;
use statewise::store::contract::{
    Changed, Created, DynSessionStore, Handle, Listing, Load, Page, Proof, Record, Rotated,
    Rotation, Scope, SessionStore, Swept, Update, Updated,
};
use statewise::testkit::{FaultyStore, ManualClock, MemoryFixture};
use statewise::token::{
    Algorithm, BorrowedIdentity, ForeignClaims, Interop, Key, Keyring, TokenAuthenticator,
    TokenBuffer,
};
use statewise::{
    Authenticator, Begun, Credential, DynAuthenticator, Edit, Error, Identity, Issued, Login,
    Outcome, Presented, PublicId, Refusal, Rejection, Revocation, Theft, Upkeep,
};

fn crosses_threads<T: Send + Sync + ?Sized>() {}
fn is_sent<T: Send>(_: T) {}

#[test]
fn every_public_type_is_send_and_sync() {
    crosses_threads::<dyn Clock>();
    crosses_threads::<SystemClock>();
    crosses_threads::<Timestamp>();
    crosses_threads::<dyn Entropy>();
    crosses_threads::<SystemEntropy>();

    crosses_threads::<dyn DynAuthenticator<String>>();
    crosses_threads::<dyn Chore>();
    crosses_threads::<Credential>();
    crosses_threads::<Error>();
    crosses_threads::<Identity<String>>();
    crosses_threads::<Issued<String>>();
    crosses_threads::<Login<String>>();
    crosses_threads::<Outcome>();
    crosses_threads::<Presented<'_>>();
    crosses_threads::<PublicId>();
    crosses_threads::<Refusal>();
    crosses_threads::<Rejection>();
    crosses_threads::<Revocation>();
    crosses_threads::<Stamp>();
    crosses_threads::<Theft>();
    crosses_threads::<Upkeep>();

    crosses_threads::<Update>();
    crosses_threads::<Changed>();
    crosses_threads::<Created>();
    crosses_threads::<Cursor>();
    crosses_threads::<dyn DynSessionStore>();
    crosses_threads::<Handle>();
    crosses_threads::<Limit>();
    crosses_threads::<Listing>();
    crosses_threads::<Load>();
    crosses_threads::<NeedsAbsolute<MemoryStore>>();
    crosses_threads::<NeedsIdle<MemoryStore>>();
    crosses_threads::<Page>();
    crosses_threads::<Proof>();
    crosses_threads::<Record>();
    crosses_threads::<Removed>();
    crosses_threads::<Rotation>();
    crosses_threads::<Rotated>();
    crosses_threads::<Edit<String>>();
    crosses_threads::<Begun>();
    crosses_threads::<Scope>();
    crosses_threads::<Session>();
    crosses_threads::<SessionAuthenticator<MemoryStore, String>>();
    crosses_threads::<SessionBuilder<MemoryStore, String>>();
    crosses_threads::<SessionPage>();
    crosses_threads::<Swept>();
    crosses_threads::<Updated>();
    crosses_threads::<MemoryStore>();

    crosses_threads::<dyn Observer>();
    crosses_threads::<Event<'_>>();
    crosses_threads::<Act>();
    crosses_threads::<LoginRef<'_>>();
    crosses_threads::<Observed<TokenAuthenticator<String>>>();
    crosses_threads::<Either<SessionAuthenticator<MemoryStore>, TokenAuthenticator>>();

    crosses_threads::<HybridAuthenticator<MemoryStore, String>>();
    crosses_threads::<
        Migrating<TokenAuthenticator<String>, SessionAuthenticator<MemoryStore, String>>,
    >();
    crosses_threads::<Progress>();

    crosses_threads::<statewise::revocation::Revoked>();

    crosses_threads::<Algorithm>();
    crosses_threads::<BorrowedIdentity<'_>>();
    crosses_threads::<ForeignClaims<'_>>();
    crosses_threads::<Interop>();
    crosses_threads::<Key>();
    crosses_threads::<Keyring>();
    crosses_threads::<statewise::token::KeyState>();
    crosses_threads::<TokenAuthenticator<String>>();
    crosses_threads::<TokenBuffer>();

    crosses_threads::<FaultyStore<MemoryStore>>();
    crosses_threads::<ManualClock>();
    crosses_threads::<MemoryFixture>();
}

/// Authenticators can be shared if the data per user is only `Send + Sync`, and every future can
/// move between threads.
#[allow(dead_code)]
fn every_future_is_send<A: Authenticator, S: SessionStore>(
    auth: &A,
    store: &S,
    login: Login<A::Data>,
) {
    is_sent(auth.issue(login));
    is_sent(auth.verify(""));
    is_sent(auth.verify_with(Presented::new("")));
    is_sent(auth.refresh(""));
    is_sent(auth.revoke(""));
    is_sent(auth.revoke_all(""));
    let tick: BoxFuture<'_, _> = Box::pin(async { auth.upkeep().tick().await });
    is_sent(tick);
    is_sent(store.sweep(1, Timestamp::MIN));
}

/// Methods that only one kind of strategy has.
#[allow(dead_code)]
fn futures_of_each_strategy_are_send<S: SessionStore>(
    hybrid: &HybridAuthenticator<S, String>,
    sessions: &SessionAuthenticator<S, String>,
) {
    is_sent(hybrid.sessions("", None));
    is_sent(hybrid.revoke_others(""));
    is_sent(sessions.sessions("", None));
    is_sent(sessions.revoke_others(""));
}

#[test]
fn what_a_web_service_holds_crosses_threads() {
    use statewise::web::{
        Answer, Carried, Cookie, CookieBuilder, CrossOrigin, Denial, Found, OriginPolicy, SameSite,
        Transport,
    };

    crosses_threads::<Answer>();
    crosses_threads::<Carried<'_>>();
    crosses_threads::<Cookie>();
    crosses_threads::<CookieBuilder>();
    crosses_threads::<CrossOrigin>();
    crosses_threads::<Denial>();
    crosses_threads::<Found<'_>>();
    crosses_threads::<OriginPolicy>();
    crosses_threads::<SameSite>();
    crosses_threads::<Transport>();
    #[cfg(feature = "tower")]
    {
        use statewise::web::{
            Auth, AuthLayer, AuthService, Require, RequireService, SignIn, TokenError,
            TokenResponse,
        };

        use statewise::testkit::{TestClient, TestRequest};

        crosses_threads::<Auth<String>>();
        crosses_threads::<AuthLayer<String>>();
        crosses_threads::<AuthService<(), String>>();
        crosses_threads::<Require<String>>();
        crosses_threads::<RequireService<(), String>>();
        crosses_threads::<SignIn<String>>();
        crosses_threads::<TokenError>();
        crosses_threads::<TokenResponse<String>>();

        crosses_threads::<TestClient<()>>();
        crosses_threads::<TestRequest<'_, ()>>();
    }
}
