//! The scripts of the store.

use crate::redis::script::Script;

pub(super) static CREATE: Script = Script::new(include_str!("create.lua"));
pub(super) static READ: Script = Script::new(include_str!("read.lua"));
pub(super) static RENEW: Script = Script::new(include_str!("renew.lua"));
pub(super) static SWAP: Script = Script::new(include_str!("swap.lua"));
pub(super) static CONFIRM: Script = Script::new(include_str!("confirm.lua"));
pub(super) static TOUCH: Script = Script::new(include_str!("touch.lua"));
pub(super) static REMOVE: Script = Script::new(include_str!("remove.lua"));
pub(super) static PAGE: Script = Script::new(include_str!("page.lua"));
