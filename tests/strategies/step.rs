//! Step-ups: proofs beside the login, for a time.

use std::time::Duration;

use statewise::testkit::StoreFixture;
use statewise::{Authenticator, Edit, Identity, Issued, Login, Outcome, Rejection, Result};

use super::family;
use super::world::{World, assert_rejected, rejection, secret};

/// Time for which a step-up of the laws lasts, in seconds.
const LASTS: u64 = 600;

/// Steps up a login that is kept in a store.
async fn step_up<A: Authenticator<Data = ()>>(auth: &A, credential: &str) -> Result<Issued> {
    let lasts = Duration::from_secs(LASTS);
    let edit = &mut |login: &mut Edit| login.step_up("aal2", lasts);
    auth.update(credential, edit).await
}

/// Asserts that a caller has the class of the login, and its time of authentication.
fn assert_base(caller: &Identity, login: &Issued) {
    assert_eq!(caller.acr(), Some("aal1"));
    let authenticated_at = login.identity().authenticated_at();
    assert_eq!(caller.authenticated_at(), authenticated_at);
}

/// STEP-01: the login goes on under another credential, which has the class until it lapses by time
/// alone, also after refreshes. A copy of the credential before has the class of the login, and
/// derives nothing; once it is no longer in flight, it is a theft.
///
/// Rejects a successor that the credential before derives, a class for every generation, a class
/// without an end, a step-up that waits for an overlap, and one that forgets the login's own class.
pub(crate) async fn step_01_is_for_the_credential_that_it_returns<F: StoreFixture>(fixture: &F) {
    let world = World::open(fixture).await;
    let auth = world.auth();
    let login = auth.issue(Login::new("alice").acr("aal1")).await;
    let login = login.expect("a login is issued");
    world.advance(100).await;
    // A rotation just before, so that the step-up is in its overlap.
    let before = auth.refresh(secret(&login)).await.expect("a rotation");
    assert!(auth.verify(secret(&before)).await.is_ok());
    world.advance(2).await;
    let up = step_up(&auth, secret(&before)).await.expect("a step-up");
    assert_eq!(up.outcome(), Outcome::Rotated);
    assert_ne!(secret(&up), secret(&before));
    assert_eq!(up.identity().id(), login.identity().id());
    assert_eq!(up.identity().deadline(), login.identity().deadline());
    for caller in [
        up.identity(),
        &auth.verify(secret(&up)).await.expect("a caller"),
    ] {
        assert_eq!(caller.acr(), Some("aal2"));
        let proven_at = login.identity().authenticated_at() + Duration::from_secs(102);
        assert_eq!(caller.authenticated_at(), proven_at);
    }
    // In flight since before the rotation: no theft, and nothing to gain.
    let older = auth.verify(secret(&login)).await;
    assert_eq!(rejection(&older), Some(Rejection::Unknown));
    // A copy, in the overlap.
    let copy = auth.verify(secret(&before)).await.expect("the overlap");
    assert_base(&copy, &login);
    assert!(!copy.refresh_due());
    let again = auth.refresh(secret(&before)).await.expect("a replay");
    assert_eq!(again.outcome(), Outcome::Replayed);
    assert_eq!(secret(&again), secret(&before));
    assert_base(again.identity(), &login);

    world.advance(20).await;
    let renewed = auth.refresh(secret(&up)).await.expect("a rotation");
    assert_eq!(renewed.identity().acr(), Some("aal2"));
    assert_rejected(&auth, secret(&before), Rejection::Reused).await;

    // Another login of the same user, to the last second.
    let login = auth.issue(Login::new("alice").acr("aal1")).await;
    let login = login.expect("a login is issued");
    world.advance(60).await;
    let up = step_up(&auth, secret(&login)).await.expect("a step-up");
    world.advance(LASTS - 1).await;
    let last = auth.refresh(secret(&up)).await.expect("a rotation");
    for credential in [secret(&up), secret(&last)] {
        let caller = auth.verify(credential).await.expect("a caller");
        assert_eq!(caller.acr(), Some("aal2"));
    }
    world.advance(1).await;
    for credential in [secret(&up), secret(&last)] {
        let caller = auth.verify(credential).await.expect("a caller");
        assert_base(&caller, &login);
    }
    let again = auth.refresh(secret(&last)).await.expect("a replay");
    assert_base(again.identity(), &login);
}

/// STEP-01 for a client that loses an answer: it keeps its login without the class for as long as it
/// wants, steps up again, and is no theft even if that answer is lost too. Rejects a credential that
/// is orphaned or reused although its successor was never used.
pub(crate) async fn step_01_a_lost_answer_ends_nothing<F: StoreFixture>(fixture: &F) {
    let world = World::open(fixture).await;
    let strict = world.builder(std::sync::Arc::clone(&world.store));
    let strict = strict.reject_orphaned().build().expect("a valid policy");
    let login = strict.issue(Login::new("alice").acr("aal1")).await;
    let login = login.expect("a login is issued");
    world.advance(100).await;
    let lost = step_up(&strict, secret(&login)).await.expect("a step-up");
    for passed in [0, 15, 600] {
        world.advance(passed).await;
        let caller = strict.verify(secret(&login)).await.expect("its login");
        assert_base(&caller, &login);
        let same = strict.refresh(secret(&login)).await.expect("a replay");
        assert_eq!(same.outcome(), Outcome::Replayed);
        assert_eq!(secret(&same), secret(&login));
    }
    let up = step_up(&strict, secret(&login)).await.expect("a step-up");
    assert_eq!(up.identity().acr(), Some("aal2"));
    for passed in [0, 600] {
        world.advance(passed).await;
        assert_rejected(&strict, secret(&login), Rejection::Unknown).await;
    }
    // Only the use of the new credential shows that there are two parties.
    assert!(strict.verify(secret(&up)).await.is_ok());
    world.advance(10).await;
    assert_rejected(&strict, secret(&lost), Rejection::Reused).await;
    assert_rejected(&strict, secret(&up), Rejection::Unknown).await;
}

/// STEP-01 for the hybrid, by its refresh credential: as a session. Refreshes keep the class until it
/// lapses, and no access token outlives it.
pub(crate) async fn step_01_is_kept_by_a_refresh_credential<F: StoreFixture>(fixture: &F) {
    let world = World::open(fixture).await;
    let auth = world.hybrid();
    let login = auth.issue(Login::new("alice").acr("aal1")).await;
    let login = login.expect("a login is issued");
    world.advance(100).await;
    let up = step_up(&auth, family::secret(&login)).await;
    let up = up.expect("a step-up");
    let until = up.identity().authenticated_at() + Duration::from_secs(LASTS);
    assert_ne!(family::secret(&up), family::secret(&login));
    assert_eq!(up.identity().deadline(), login.identity().deadline());
    let copy = family::exchange(&auth, &login).await.expect("the overlap");
    assert_eq!(family::secret(&copy), family::secret(&login));
    assert_base(&auth.verify(secret(&copy)).await.expect("a caller"), &login);
    world.advance(300).await;
    let renewed = family::exchange(&auth, &up).await.expect("a rotation");
    for issued in [&up, &renewed] {
        let caller = auth.verify(secret(issued)).await.expect("a caller");
        assert_eq!(caller.acr(), Some("aal2"));
        assert_eq!(caller.authenticated_at(), up.identity().authenticated_at());
        assert_eq!(caller.expires_at(), until);
    }
    world.advance(LASTS - 300).await;
    let lapsed = auth.verify(secret(&renewed)).await;
    assert_eq!(rejection(&lapsed), Some(Rejection::Expired));
    let after = family::exchange(&auth, &renewed).await.expect("a rotation");
    assert_base(
        &auth.verify(secret(&after)).await.expect("a caller"),
        &login,
    );
    let stolen = family::exchange(&auth, &login).await;
    assert_eq!(rejection(&stolen), Some(Rejection::Reused));
}
