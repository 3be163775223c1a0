-- Adds a login, unless its handle exists or the limit is reached.
-- KEYS: index, row; in a second run, the rows of members of the index.
-- ARGV: now, deadline, handle, milliseconds to live of the row and of the index, the limit or an
--       empty text, 0 to reject, 1 to evict the oldest or 2 the least recently used, the record, 1 to
--       ask whether the server evicts keys, 1 to trust a server that does not tell, the maximum
--       number of members to check the limit with; in a second run, the members.
-- Returns 'stored' and the evicted handles; 'large' and some members of a large index, if it was
-- stored; 'duplicate'; 'limit'; 'members' and all members of the index, or 'many' if they are more
-- than the maximum; or the answer of `eviction`, if the index cannot be relied on. After 'members'
-- the caller runs the script again with their rows, because a script must be given all keys that it
-- uses.
local FIXED = 11
local now, limit, most = tonumber(ARGV[1]), tonumber(ARGV[6]), tonumber(ARGV[11])

local function refuse(why)
    -- Changes nothing, and fails on a replica. Not earlier: out of memory, a server refuses only the
    -- first command of a script that writes.
    redis.call('ZREM', KEYS[1], '')
    return { why }
end

if redis.call('EXISTS', KEYS[2]) == 1 then
    return refuse('duplicate')
end
if ARGV[4] == '0' then
    -- The row has expired already: storing it would have no effect.
    return { 'stored' }
end
local state = ARGV[9] == '1' and eviction() or 'never'
if state ~= 'never' and not (state == 'unknown' and ARGV[10] == '1') then
    return { state }
end

local function is_alive(row, deadline)
    return redis.call('EXISTS', row) == 1 and (tonumber(deadline) or 0) > now
end

-- Returns the last use. A verification does not write it into the row, and extends the time to live.
local function last_seen(row)
    local times = redis.call('GETRANGE', row, 48, 63)
    if #times < 16 then
        return 0
    end
    local unused = number(times, 9) - math.floor(redis.call('PTTL', row) / 1000)
    return math.max(number(times, 1), now - math.max(0, unused))
end

-- Sorts members by the last use of their rows, and keeps the order of those with the same last use.
local function sort_by_use(members, rows)
    local place, seen = {}, {}
    for at, member in ipairs(members) do
        place[member], seen[member] = at, last_seen(rows[member])
    end
    table.sort(members, function(one, other)
        if seen[one] ~= seen[other] then
            return seen[one] < seen[other]
        end
        return place[one] < place[other]
    end)
end

local removed, answer = {}, { 'stored' }
local count = redis.call('ZCARD', KEYS[1])
if limit and count >= limit then
    local rows = {}
    for at = FIXED + 1, #ARGV do
        rows[ARGV[at]] = KEYS[at - FIXED + 2]
    end
    if count > most then
        -- Live rows as many as the limit suffice to refuse. To evict, the caller removes rows first.
        local alive = 0
        for member, row in pairs(rows) do
            if is_alive(row, redis.call('ZSCORE', KEYS[1], member)) then
                alive = alive + 1
            end
        end
        local is_reached = alive >= limit and ARGV[7] == '0'
        return refuse(is_reached and 'limit' or 'many')
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
        if is_alive(row, members[at + 1]) then
            alive[#alive + 1] = members[at]
        else
            removed[#removed + 1] = members[at]
        end
    end
    local excess = #alive + 1 - limit
    if excess > 0 and ARGV[7] == '0' then
        return refuse('limit')
    end
    -- The index is sorted by deadline, so the oldest come first.
    if excess > 0 and ARGV[7] == '2' then
        sort_by_use(alive, rows)
    end
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
for _, member in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now - 86400, 'LIMIT', 0, 64)) do
    redis.call('ZREM', KEYS[1], member)
end
if redis.call('PTTL', KEYS[1]) < tonumber(ARGV[5]) then
    redis.call('PEXPIRE', KEYS[1], ARGV[5])
end
if not limit and count >= 64 then
    -- The caller removes those of them whose rows are gone. With 16 for each login, members without
    -- a row are soon fewer than one in 16.
    return { 'large', unpack(redis.call('ZRANDMEMBER', KEYS[1], 16)) }
end
return answer
