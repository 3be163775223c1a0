//! The scripts that run on the server.

use std::sync::OnceLock;

/// A script, by its text and by the hash under which a server keeps it.
pub(crate) struct Script {
    text: &'static str,
    hash: OnceLock<String>,
}

pub(super) static CREATE: Script = Script::new(include_str!("create.lua"));
pub(super) static READ: Script = Script::new(include_str!("read.lua"));
pub(super) static SWAP: Script = Script::new(include_str!("swap.lua"));
pub(super) static CONFIRM: Script = Script::new(include_str!("confirm.lua"));
pub(super) static TOUCH: Script = Script::new(include_str!("touch.lua"));
pub(super) static REMOVE: Script = Script::new(include_str!("remove.lua"));
pub(super) static PAGE: Script = Script::new(include_str!("page.lua"));

impl Script {
    pub(crate) const fn new(text: &'static str) -> Self {
        Self {
            text,
            hash: OnceLock::new(),
        }
    }

    pub(super) fn text(&self) -> &'static str {
        self.text
    }

    pub(super) fn hash(&self) -> &str {
        self.hash
            .get_or_init(|| redis::Script::new(self.text).get_hash().to_owned())
    }
}
