//! A site in Node, `before.mjs`, written for express and iron-session. Its port has the handlers of that from
//! express-session. `record` asks the old service what it answers, and the test compares the port with the
//! record.

pub mod old_sessions;
pub mod seal;
pub mod steps;
