//! Guards by any of several roles, by conditions and by typed roles.

use statewise::testkit::{as_caller, caller};
use statewise::web::{Denial, Require};
use statewise::{Identity, Login};
use tower_layer::Layer;

use crate::site::{Browser, Handler};

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
        let text = format!("{require:?}");
        let as_alice = as_caller(caller(login));
        let mut client = Browser::before(as_alice.layer(require.layer(Handler)));
        assert_eq!(client.get("/open").status, status, "{text}");
    }
}

#[test]
fn conditions_see_the_data_of_a_login() {
    struct Profile {
        is_verified: bool,
    }
    let status = |require: Require<Profile>, is_verified| {
        let login = Login::new("alice").data(Profile { is_verified });
        let as_alice = as_caller(caller(login));
        let answer = Browser::before(as_alice.layer(require.layer(Handler))).get("/open");
        let cause = answer.cause.map(|cause| cause.to_string());
        (answer.status, cause.unwrap_or_default())
    };
    let forbidden = (
        403,
        "forbidden by a condition of the application".to_owned(),
    );
    let users = || Require::with_data::<Profile>();
    let verified = users().when(|user| user.data().is_verified);
    assert_eq!(status(verified.clone(), true).0, 200);
    assert_eq!(status(verified.clone(), false), forbidden);
    assert_eq!(status(verified.role("admin"), true).0, 403);
    assert_eq!(status(users(), false).0, 200);
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
