//! The kit itself: it rejects broken stores and logs.

mod broken_logs;
mod broken_stores;
