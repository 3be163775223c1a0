//! Fields of a later version that this one must not overlook.

use std::time::Duration;

use statewise::session::SessionAuthenticator;
use statewise::store::contract::SessionStore;
use statewise::testkit::ManualClock;
use statewise::{Authenticator, Login, Outcome};

/// Critical fields, and fields that are cut off: within their bytes, and within their length.
const UNREADABLE: [&[u8]; 5] = [
    &[128, 0],
    &[255, 2, 1, 1],
    &[200, 130, 1],
    &[127, 3, 1, 1],
    &[127, 130],
];
/// Bytes that a row may have before them: lengths of one, two and three digits.
const ROLES: [usize; 6] = [1, 127, 128, 129, 16_383, 16_384];

/// A refresh of a row with a critical or cut field is *unreadable* and rotates nothing: without the
/// field, the same credential refreshes as before. A field that may be overlooked is kept. `append` adds
/// bytes to the fields of all rows, and `cut` removes as many. Rejects a statement that changes a row
/// before it is read.
#[allow(clippy::future_not_send, reason = "each test runs it on one thread")]
pub(crate) async fn a_critical_field_is_not_rotated<S, A, C>(store: S, append: A, cut: C)
where
    S: SessionStore,
    A: AsyncFn(&[u8]),
    C: AsyncFn(usize),
{
    let clock = ManualClock::default();
    let auth = SessionAuthenticator::builder(store)
        .idle(Duration::from_secs(3_600))
        .absolute(Duration::from_secs(86_400))
        .max_fields(40_000)
        .reject_orphaned()
        .clock(clock.clone())
        .build()
        .unwrap();
    for role in ROLES {
        let login = Login::new("alice").device("phone").role("r".repeat(role));
        let issued = auth.issue(login).await.unwrap();
        let mut credential = issued.credential().reveal().to_owned();
        for unreadable in UNREADABLE {
            append(unreadable).await;
            for _ in 0..2 {
                clock.advance(Duration::from_secs(60));
                let refused = auth.refresh(&credential).await.unwrap_err();
                assert!(refused.is_unreadable(), "{role}: {refused:?}");
                let login = refused.unreadable_login();
                assert_eq!(login, Some(issued.identity().id()));
            }
            cut(unreadable.len()).await;
            let refreshed = auth.refresh(&credential).await.unwrap();
            assert_eq!(refreshed.outcome(), Outcome::Rotated, "{role}");
            credential = refreshed.credential().reveal().to_owned();
        }
        clock.advance(Duration::from_secs(60));
        append(&[127, 2, 255, 255]).await;
        let refreshed = auth.refresh(&credential).await.unwrap();
        assert_eq!(refreshed.outcome(), Outcome::Rotated, "{role}");
        assert_eq!(auth.revoke_all("alice").await.unwrap().count, Some(1));
    }
}
