//! Requirements beyond a valid credential (RFC 9470, OWASP ASVS 7.5).

use axum_core::body::Body;
use http::Request;
use statewise::testkit::{AsCaller, ManualClock, Method, TestClient, block_on, caller};
use statewise::web::{Auth, Denial, Require, Transport};
use statewise::{Authenticator, Identity, Login};
use tower_layer::Layer;
use tower_service::Service;

use crate::site::{Browser, Handler, layer, rotating, seconds, sessions, store, tokens, transport};

fn bearer(issued: &statewise::Issued) -> String {
    format!("Bearer {}", issued.credential().reveal())
}

#[test]
fn role_age_and_acr_are_checked_before_the_service_runs() {
    let clock = ManualClock::default();
    let auth = tokens(&clock);
    let login = Login::new("alice").role("admin").acr("aal2");
    let alice = bearer(&block_on(auth.issue(login)).unwrap());
    let bob = bearer(&block_on(auth.issue(Login::new("bob").role("Admin"))).unwrap());
    let site = layer(auth, Transport::bearer()).clock(clock.clone());
    let client = |require: Require| Browser::before(site.layer(require.layer(Handler)));
    let get = |client: &mut Browser<_>, token: &str| {
        let answer = client.send("GET", "/open", &[("authorization", token)]);
        let challenge = answer.one("www-authenticate").map(str::to_owned);
        (answer.status, challenge.unwrap_or_default())
    };

    let mut anybody = client(Require::authenticated());
    assert_eq!(anybody.get("/open").status, 401);
    assert_eq!(get(&mut anybody, &bob).0, 200);

    let mut admins = client(Require::authenticated().role("admin"));
    assert_eq!(get(&mut admins, &alice).0, 200);
    let (status, challenge) = get(&mut admins, &bob);
    assert_eq!(status, 403);
    assert_eq!(
        challenge,
        "Bearer realm=\"api\", error=\"insufficient_scope\""
    );

    let mut strong = client(Require::authenticated().acr("aal2"));
    assert_eq!(get(&mut strong, &alice).0, 200);
    let (status, challenge) = get(&mut strong, &bob);
    assert_eq!(status, 401);
    let parameters = "error=\"insufficient_user_authentication\", acr_values=\"aal2\"";
    assert_eq!(challenge, format!("Bearer realm=\"api\", {parameters}"));

    let mut fresh = client(Require::authenticated().fresh(seconds(300)));
    clock.advance(seconds(300));
    assert_eq!(get(&mut fresh, &alice).0, 200);
    clock.advance(seconds(1));
    let (status, challenge) = get(&mut fresh, &alice);
    assert_eq!(status, 401);
    let parameters = "error=\"insufficient_user_authentication\", max_age=\"300\"";
    assert_eq!(challenge, format!("Bearer realm=\"api\", {parameters}"));
    // The credential is still valid, so it was not rejected.
    assert_eq!(get(&mut anybody, &alice).0, 200);
}

/// The age of an authentication counts from the login, whatever was rotated since.
#[test]
fn a_rotation_is_no_authentication() {
    let clock = ManualClock::default();
    let site = layer(rotating(&store(), &clock), transport()).clock(clock.clone());
    let mut browser = Browser::of(&site);
    browser.log_in("alice");
    let require = Require::authenticated().fresh(seconds(100));
    let mut guarded = Browser::before(site.layer(require.layer(Handler)));
    guarded.jar = browser.jar.clone();
    for (later, status) in [(90, 200), (20, 401)] {
        clock.advance(seconds(later));
        // The cookie stays and is rotated even if the guard denies the request.
        let answer = guarded.get("/open");
        assert_eq!(answer.status, status);
        assert!(!guarded.jar.is_empty());
    }
}

#[test]
fn guards_put_the_caller_into_the_extensions() {
    #[derive(Clone)]
    struct ReturnSubject;

    impl Service<Request<Body>> for ReturnSubject {
        type Response = axum_core::response::Response;
        type Error = String;
        type Future = std::future::Ready<Result<Self::Response, String>>;

        fn poll_ready(
            &mut self,
            _: &mut std::task::Context<'_>,
        ) -> std::task::Poll<Result<(), String>> {
            std::task::Poll::Ready(Ok(()))
        }

        fn call(&mut self, request: Request<Body>) -> Self::Future {
            let caller = request.extensions().get::<Auth>().unwrap();
            let body = Body::from(caller.subject().to_owned());
            std::future::ready(Ok(http::Response::new(body)))
        }
    }

    let clock = ManualClock::default();
    let auth = tokens(&clock);
    let alice = bearer(&block_on(auth.issue(Login::new("alice"))).unwrap());
    let site = layer(auth, Transport::bearer());
    let service = site.layer(Require::authenticated().layer(ReturnSubject));
    let mut client = Browser::before(service);
    let answer = client.send("GET", "/", &[("authorization", &alice)]);
    assert_eq!(answer.body, "alice");
}

/// Several handlers and guards of one request share one verification.
#[test]
fn the_caller_is_verified_once_unless_authoritatively() {
    let clock = ManualClock::default();
    let store = store();
    let site = layer(sessions(&store, &clock), transport());
    let mut browser = Browser::of(&site);
    browser.log_in("alice");
    let loads = |require: Require| {
        let mut guarded = Browser::before(site.layer(require.layer(Handler)));
        guarded.jar = browser.jar.clone();
        store.reset();
        let before = store.calls_of(Method::Load);
        assert_eq!(guarded.get("/me").body, "alice");
        store.calls_of(Method::Load) - before
    };
    assert_eq!(loads(Require::authenticated()), 1);
    // Later calls get the result of the authoritative verification.
    assert_eq!(loads(Require::authenticated().authoritative()), 1);
    // An authoritative guard verifies again although the caller is known.
    let inner = Require::authenticated().authoritative().layer(Handler);
    let mut guarded = Browser::before(site.layer(Require::authenticated().layer(inner)));
    guarded.jar = browser.jar.clone();
    store.reset();
    let before = store.calls_of(Method::Load);
    assert_eq!(guarded.get("/me").body, "alice");
    assert_eq!(store.calls_of(Method::Load) - before, 2);
    store.reset();
    let before = store.calls_of(Method::Load);
    assert_eq!(browser.get("/open").status, 200);
    assert_eq!(store.calls_of(Method::Load), before);
}

#[test]
fn guards_in_a_handler_deny_like_those_of_a_router() {
    let caller = |login: Login| {
        let now = time::OffsetDateTime::now_utc();
        let later = now + time::Duration::hours(1);
        Auth::from(statewise::Identity::unverified(login, now, later).unwrap())
    };
    let alice = caller(Login::new("alice").role("admin").acr("aal2"));
    assert!(alice.require_role("admin").is_ok());
    assert!(alice.require_acr("aal2").is_ok());
    assert!(alice.require_fresh(seconds(60)).is_ok());
    let denied = alice.require_role("owner").unwrap_err();
    assert!(matches!(denied, Denial::MissingRole));
    let weak = alice.require_acr("aal\"3").unwrap_err();
    let answer = weak.answer(&Transport::bearer());
    // A class that cannot be quoted is omitted from the challenge.
    let challenge = "Bearer realm=\"api\", error=\"insufficient_user_authentication\"";
    let mut fields = answer.fields();
    assert!(fields.any(|field| field == ("www-authenticate", challenge)));
}

enum Role {
    Admin,
    Editor,
}

impl AsRef<str> for Role {
    fn as_ref(&self) -> &str {
        match self {
            Self::Admin => "admin",
            Self::Editor => "editor",
        }
    }
}

/// All requirements of a guard must be met; of a group of roles, one.
#[test]
fn groups_of_roles_and_conditions_are_all_required() {
    let require = || Require::authenticated();
    let named = |name: &'static str| move |user: &Identity| user.subject() == name;
    let empty: [&str; 0] = [];
    for (require, login, status) in [
        (require().any_role(["admin", "editor"]), Some("editor"), 200),
        (require().any_role(["admin", "editor"]), Some("Editor"), 403),
        (require().any_role(["admin", "editor"]), None, 403),
        (
            require().any_role([Role::Admin, Role::Editor]),
            Some("admin"),
            200,
        ),
        (require().role(Role::Editor), Some("editor"), 200),
        (require().role(Role::Editor), Some("admin"), 403),
        (
            require().any_role(["admin", "editor"]).role("admin"),
            Some("editor"),
            403,
        ),
        (
            require()
                .any_role(["a", "editor"])
                .any_role(["b", "editor"]),
            Some("editor"),
            200,
        ),
        (
            require().any_role(["a", "editor"]).any_role(["b"]),
            Some("editor"),
            403,
        ),
        (require().any_role(empty), Some("admin"), 403),
        (require().when(named("alice")), None, 200),
        (require().when(named("bob")), None, 403),
        (require().when(named("alice")).when(named("bob")), None, 403),
        (require().when(named("alice")).role("admin"), None, 403),
        (
            require().when(named("bob")).role("admin"),
            Some("admin"),
            403,
        ),
    ] {
        let login = Login::new("alice").roles(login);
        let as_alice = AsCaller::new(caller(login));
        let text = format!("{require:?}");
        let service = as_alice.layer(require.layer(Handler));
        let answer = block_on(TestClient::new(service).with_body().get("/open").send());
        assert_eq!(answer.status(), status, "{text}");
    }
}

/// Conditions read the data of logins. Those that were set before the data type was named, stay.
#[test]
fn conditions_see_the_data_of_a_login() {
    struct Profile {
        is_verified: bool,
    }
    let status = |require: Require<Profile>, is_verified| {
        let login = Login::new("alice").data(Profile { is_verified });
        let service = AsCaller::new(caller(login)).layer(require.layer(Handler));
        let answer = block_on(TestClient::new(service).with_body().get("/open").send());
        let cause = answer.extensions().get().map(Denial::to_string);
        (answer.status().as_u16(), cause.unwrap_or_default())
    };
    let forbidden = (
        403,
        "forbidden by a condition of the application".to_owned(),
    );
    let any = || Require::authenticated();
    let verified = any().with_data::<Profile>();
    let verified = verified.when(|user| user.data().is_verified);
    assert_eq!(status(verified.clone(), true).0, 200);
    assert_eq!(status(verified, false), forbidden);
    let nobody = any().when(|user| user.subject() == "bob");
    assert_eq!(status(nobody.with_data(), true), forbidden);
    let alice = any().when(|user| user.subject() == "alice");
    assert_eq!(status(alice.with_data(), true).0, 200);
    assert_eq!(status(any().role("admin").with_data(), true).0, 403);
}

#[test]
fn guards_in_a_handler_take_typed_roles_and_conditions() {
    let editor = caller(Login::new("alice").role(Role::Editor));
    assert!(editor.has_role("editor") && editor.has_role(Role::Editor));
    assert!(editor.require_role(Role::Editor).is_ok());
    assert!(editor.require_role(Role::Admin).is_err());
    assert!(editor.require_any_role([Role::Admin, Role::Editor]).is_ok());
    assert!(editor.require_any_role(["admin"]).is_err());
    assert!(
        editor
            .require_when(|user| user.subject() == "alice")
            .is_ok()
    );
    let denied = editor.require_when(|_| false).unwrap_err();
    assert!(matches!(denied, Denial::Forbidden));
    assert_eq!(denied.status(), 403);
}
