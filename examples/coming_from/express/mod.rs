//! A site in Node, `before.mjs`, written for express and express-session, and its port. `record` asks the
//! old service what it answers, and the test compares the port with the record.

pub mod after;
pub mod old_sessions;
pub mod steps;

/// Form of the login page.
pub const FORM: &str = "<form method=post><input name=user><input name=password type=password>
<button>Log in</button></form>";
