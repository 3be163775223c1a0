-- Adds a login, if its handle is not there and the limit allows it.
-- KEYS: index, row; then, where the limit is reached, the rows of the members of the index.
-- ARGV: now, deadline, handle, milliseconds of the row, of the index, the limit or nothing,
--       whether to evict, the record; then the members.
-- Answers stored and the evicted, duplicate, limit, or members: all of the index, whose rows it
-- wants to be called again with, as a script touches only what it was given.
local now, limit = tonumber(ARGV[1]), tonumber(ARGV[6])
if redis.call('EXISTS', KEYS[2]) == 1 then
    return { 'duplicate' }
end
if ARGV[4] == '0' then
    -- Over before it begins: nobody could ever find it.
    return { 'stored' }
end

local gone, answer = {}, { 'stored' }
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
            gone[#gone + 1] = members[at]
        end
    end
    local excess = #alive + 1 - limit
    if excess > 0 and ARGV[7] ~= '1' then
        return { 'limit' }
    end
    -- In the order of the index, which is that of the deadlines.
    for at = 1, math.min(excess, #alive) do
        gone[#gone + 1] = alive[at]
        answer[#answer + 1] = alive[at]
    end
    for at = 1, #gone do
        gone[at] = { gone[at], rows[gone[at]] }
    end
end

-- First, since a server that is short of memory refuses it, and nothing has been changed then.
redis.call('SET', KEYS[2], ARGV[8], 'PX', ARGV[4])
redis.call('ZADD', KEYS[1], ARGV[2], ARGV[3])
for _, one in ipairs(gone) do
    redis.call('DEL', one[2])
    redis.call('ZREM', KEYS[1], one[1])
end
-- A day late, as the clock of another node may be behind.
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now - 86400)
if redis.call('PTTL', KEYS[1]) < tonumber(ARGV[5]) then
    redis.call('PEXPIRE', KEYS[1], ARGV[5])
end
return answer
