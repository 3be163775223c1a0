-- Adds a login, unless its handle exists or the limit is reached.
-- KEYS: index, row; in a second run, the rows of the members of the index.
-- ARGV: now, deadline, handle, milliseconds to live of the row and of the index, the limit or an
--       empty text, 1 to evict, the record; in a second run, the members.
-- Returns 'stored' and the evicted handles, 'duplicate', 'limit', or 'members' and all members of
-- the index. After 'members' the caller runs the script again with their rows, because a script must
-- be given all keys that it uses.
local now, limit = tonumber(ARGV[1]), tonumber(ARGV[6])
if redis.call('EXISTS', KEYS[2]) == 1 then
    return { 'duplicate' }
end
if ARGV[4] == '0' then
    -- The row has expired already: storing it would have no effect.
    return { 'stored' }
end

local removed, answer = {}, { 'stored' }
if limit and redis.call('ZCARD', KEYS[1]) >= limit then
    local rows = {}
    for at = 9, #ARGV do
        rows[ARGV[at]] = KEYS[at - 6]
    end
    local members = redis.call('ZRANGE', KEYS[1], 0, -1, 'WITHSCORES')
    local alive = {}
    for at = 1, #members, 2 do
        local row = rows[members[at]]
        if not row then
            local all = { 'members' }
            for at = 1, #members, 2 do
                all[#all + 1] = members[at]
            end
            return all
        end
        if redis.call('EXISTS', row) == 1 and tonumber(members[at + 1]) > now then
            alive[#alive + 1] = members[at]
        else
            removed[#removed + 1] = members[at]
        end
    end
    local excess = #alive + 1 - limit
    if excess > 0 and ARGV[7] ~= '1' then
        return { 'limit' }
    end
    -- The index is sorted by deadline, so the oldest come first.
    for at = 1, math.min(excess, #alive) do
        removed[#removed + 1] = alive[at]
        answer[#answer + 1] = alive[at]
    end
    for at = 1, #removed do
        removed[at] = { removed[at], rows[removed[at]] }
    end
end

-- The first write: a server that is out of memory refuses it, before anything has changed.
redis.call('SET', KEYS[2], ARGV[8], 'PX', ARGV[4])
redis.call('ZADD', KEYS[1], ARGV[2], ARGV[3])
for _, one in ipairs(removed) do
    redis.call('DEL', one[2])
    redis.call('ZREM', KEYS[1], one[1])
end
-- A day after their deadline, because the clock of another node may be behind.
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now - 86400)
if redis.call('PTTL', KEYS[1]) < tonumber(ARGV[5]) then
    redis.call('PEXPIRE', KEYS[1], ARGV[5])
end
return answer
