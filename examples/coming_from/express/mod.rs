//! A site in Node, `before.mjs`, written for express and express-session, and its port. `record` keeps
//! the answers of the old service, and the test compares the port with them.

pub mod after;
pub mod old_sessions;
pub mod steps;

/// Form of the login page.
pub const FORM: &str = "<form method=post><input name=user><input name=password type=password>
<button>Log in</button></form>";
