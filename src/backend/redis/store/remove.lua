-- Ends logins. KEYS: index, rows. ARGV: for each row its member of the index, and the head that
-- it must still have, or nothing. Answers how many were there, and the members of those whose
-- head is another one, which are left.
local count, left = 0, {}
for at = 2, #KEYS do
    local member, head = ARGV[2 * at - 3], ARGV[2 * at - 2]
    local is_it = head == ''
    if not is_it then
        local found = redis.call('GETRANGE', KEYS[at], 0, 159)
        is_it = found == head or found == ''
    end
    if is_it then
        count = count + redis.call('DEL', KEYS[at])
        redis.call('ZREM', KEYS[1], member)
    else
        left[#left + 1] = member
    end
end
return { count, unpack(left) }
