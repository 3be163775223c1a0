//! A site in Node, `before.mjs`, written for express and iron-session. Its port has the handlers of that from
//! express-session. `record` keeps the answers of the old service, and the test compares the port with them.

pub mod old_sessions;
pub mod seal;
pub mod steps;
