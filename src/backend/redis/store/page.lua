-- Returns a page of an index, sorted by deadline and then by handle: the number of its handles whose
-- deadline has passed, the deadline of the last one or an empty text, the answer of `eviction`, and the
-- handles. Without the deadline of each: it takes the server as long as the handle.
-- KEYS: index. ARGV: the maximum number of handles, and the time; after the first page, also the
-- deadline and the handle at the end of the page before.

-- Compares by bytes: Lua compares texts by the locale of the server.
local function is_after(one, other)
    for at = 1, #one do
        if one:byte(at) ~= other:byte(at) then
            return one:byte(at) > (other:byte(at) or -1)
        end
    end
    return false
end

local refused = on_primary('ZREM', KEYS[1], '')
if type(refused) == 'table' then
    return refused
end
local first = 0
if ARGV[3] then
    first = redis.call('ZCOUNT', KEYS[1], '-inf', '(' .. ARGV[3])
    local last = first + redis.call('ZCOUNT', KEYS[1], ARGV[3], ARGV[3])
    -- Binary search among the members of one deadline. The handle itself may have been removed.
    while first < last do
        local middle = math.floor((first + last) / 2)
        if is_after(redis.call('ZRANGE', KEYS[1], middle, middle)[1], ARGV[4]) then
            last = middle
        else
            first = middle + 1
        end
    end
end
local found = redis.call('ZRANGE', KEYS[1], first, first + tonumber(ARGV[1]) - 1)
local over = redis.call('ZCOUNT', KEYS[1], '-inf', ARGV[2]) - first
over = math.max(0, math.min(over, #found))
local last = #found > 0 and first + #found - 1
last = last and redis.call('ZRANGE', KEYS[1], last, last, 'WITHSCORES')[2] or ''
return { over, last, eviction(), found }
