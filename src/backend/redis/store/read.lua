-- Reads rows, with the milliseconds that they have left. A script, and no command that reads: a
-- client never sends it to a replica, which might hold what has been removed.
-- KEYS: rows. Answers two values for each.
local found = {}
for at, row in ipairs(KEYS) do
    found[2 * at - 1] = redis.call('GET', row)
    found[2 * at] = redis.call('PTTL', row)
end
return found
