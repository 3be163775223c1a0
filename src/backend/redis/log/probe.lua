-- A replica refuses to write.
local probe = on_primary('XTRIM', KEYS[2], 'MINID', '0')
local refused = type(probe) == 'table' and probe

