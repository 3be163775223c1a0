-- Reads rows, and their milliseconds to live. A script instead of read commands: a client never
-- sends it to a replica, which might still hold a removed row.
-- KEYS: rows. Returns two values for each.
local found = {}
for at, row in ipairs(KEYS) do
    -- A `GETEX` without options changes nothing.
    local bytes = on_primary('GETEX', row) or redis.call('GET', row)
    if type(bytes) == 'table' then
        return bytes
    end
    found[2 * at - 1] = bytes
    found[2 * at] = redis.call('PTTL', row)
end
return found
