//! Properties of all public types: `Send` and `Sync`, redacted output, stable formats.

mod auto_traits;
mod messages;
mod redaction;
mod wire_formats;
