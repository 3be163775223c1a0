//! Answer to each denial (RFC 6750, section 3; RFC 9470, section 3).

use std::time::Duration;

use statewise::web::{Cookie, Denial, OriginPolicy, Transport};
use statewise::{Error, Refusal, Rejection};

fn answers(denial: &Denial, transport: &Transport) -> (u16, Option<String>, Option<u64>) {
    let answer = denial.answer(transport);
    assert_eq!(answer.status(), denial.status());
    let field = |wanted: &str| {
        let mut fields = answer.fields();
        let (_, value) = fields.find(|(name, _)| *name == wanted)?;
        Some(value.to_owned())
    };
    assert_eq!(field("cache-control").as_deref(), Some("no-store"));
    assert_eq!(field("vary").as_deref(), Some(transport.vary()));
    let retry_after = field("retry-after").map(|seconds| seconds.parse().unwrap());
    (answer.status(), field("www-authenticate"), retry_after)
}

#[test]
fn each_denial_has_its_answer() {
    let max_age = Duration::from_secs(300);
    let acr: std::sync::Arc<str> = "aal2".into();
    let unavailable = || Error::unavailable("connection refused");
    let after = |millis| unavailable().with_retry_after(Duration::from_millis(millis));
    let cross_origin = OriginPolicy::new()
        .check("POST", "/", None, &[("origin", "null")])
        .unwrap_err();
    let table: [(Denial, u16, Option<&str>, Option<u64>); 25] = [
        (Denial::Absent, 401, Some(""), None),
        (Denial::Unproven, 401, Some(""), None),
        (Denial::Malformed, 400, Some("invalid_request"), None),
        (Denial::Ambiguous, 401, Some("invalid_request"), None),
        (
            Denial::missing_role("admin"),
            403,
            Some("insufficient_scope"),
            None,
        ),
        (Denial::NotALogin, 403, Some("insufficient_scope"), None),
        (Denial::Forbidden, 403, Some("insufficient_scope"), None),
        (
            Denial::TooOld { max_age, acr: None },
            401,
            Some("insufficient_user_authentication\", max_age=\"300"),
            None,
        ),
        (
            Denial::TooOld {
                max_age,
                acr: Some(acr.clone()),
            },
            401,
            Some("insufficient_user_authentication\", acr_values=\"aal2\", max_age=\"300"),
            None,
        ),
        (
            Denial::WeakAcr { acr },
            401,
            Some("insufficient_user_authentication\", acr_values=\"aal2"),
            None,
        ),
        (
            unavailable().with_retry_after(Duration::MAX).into(),
            503,
            None,
            Some(u64::MAX),
        ),
        (cross_origin.into(), 403, None, None),
        (
            Error::rejected(Rejection::Expired).into(),
            401,
            Some("invalid_token"),
            None,
        ),
        (
            Error::rejected(Rejection::Malformed).into(),
            401,
            Some("invalid_token"),
            None,
        ),
        (
            Error::refused(Refusal::SessionLimit).into(),
            409,
            None,
            None,
        ),
        (
            Error::refused(Refusal::NotRefreshable).into(),
            403,
            None,
            None,
        ),
        (Error::refused(Refusal::LastKey).into(), 409, None, None),
        (
            Error::refused(Refusal::NextKeyTooNew).into(),
            409,
            None,
            None,
        ),
        (Error::refused(Refusal::TooLarge).into(), 500, None, None),
        (Error::refused(Refusal::Capacity).into(), 429, None, Some(1)),
        (
            Error::refused(Refusal::RefreshLimit).into(),
            429,
            None,
            Some(1),
        ),
        (unavailable().into(), 503, None, Some(1)),
        // Rounded up to whole seconds.
        (after(2_001).into(), 503, None, Some(3)),
        (after(2_000).into(), 503, None, Some(2)),
        (Error::misuse("a mistake").into(), 500, None, None),
    ];
    for (scheme, transport) in [
        ("Bearer", Transport::bearer()),
        ("Bearer", Transport::both(Cookie::default())),
        ("Cookie", Transport::cookie(Cookie::default())),
    ] {
        for (denial, status, error, retry_after) in &table {
            let challenge = error.map(|error| match error {
                "" => format!("{scheme} realm=\"api\""),
                error => format!("{scheme} realm=\"api\", error=\"{error}\""),
            });
            let expected = (*status, challenge, *retry_after);
            assert_eq!(answers(denial, &transport), expected, "{denial:?}");
        }
    }
}
