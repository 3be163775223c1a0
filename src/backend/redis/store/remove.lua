-- Removes logins.
-- KEYS: index, rows. ARGV: for each row its member of the index, and the head that it must have, or
-- an empty text for any.
-- Returns the number of removed rows, and the members of rows with another head, which stay.
local count, changed = 0, {}
for at = 2, #KEYS do
    local member, head = ARGV[2 * at - 3], ARGV[2 * at - 2]
    local matches = head == ''
    if not matches then
        local found = redis.call('GETRANGE', KEYS[at], 0, 159)
        matches = found == head or found == ''
    end
    if matches then
        count = count + redis.call('DEL', KEYS[at])
        redis.call('ZREM', KEYS[1], member)
    else
        changed[#changed + 1] = member
    end
end
return { count, unpack(changed) }
