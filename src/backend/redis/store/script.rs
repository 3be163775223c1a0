//! The scripts of the store.

use crate::backend::redis::script::Script;

pub(crate) static CREATE: Script = Script::new(concat!(
    include_str!("../eviction.lua"),
    include_str!("number.lua"),
    include_str!("create.lua")
));
pub(crate) static READ: Script = Script::new(concat!(
    include_str!("../primary.lua"),
    include_str!("read.lua")
));
pub(crate) static ROTATE: Script = Script::new(concat!(
    include_str!("../primary.lua"),
    include_str!("number.lua"),
    include_str!("rotate.lua")
));
pub(crate) static SWAP: Script = Script::new(include_str!("swap.lua"));
pub(crate) static CONFIRM: Script = Script::new(concat!(
    include_str!("number.lua"),
    include_str!("confirm.lua")
));
pub(crate) static TOUCH: Script = Script::new(concat!(
    include_str!("number.lua"),
    include_str!("touch.lua")
));
pub(crate) static REMOVE: Script = Script::new(include_str!("remove.lua"));
pub(crate) static TIME: Script = Script::new(include_str!("time.lua"));
pub(crate) static PAGE: Script = Script::new(concat!(
    include_str!("../primary.lua"),
    include_str!("../eviction.lua"),
    include_str!("page.lua")
));
