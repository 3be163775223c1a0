-- Returns a page of an index, sorted by deadline and then by handle: handles, each followed by its
-- deadline. At the end, the answer of `eviction`.
-- KEYS: index. ARGV: the maximum number of handles; after the first page, also the
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
if ARGV[2] then
    first = redis.call('ZCOUNT', KEYS[1], '-inf', '(' .. ARGV[2])
    local last = first + redis.call('ZCOUNT', KEYS[1], ARGV[2], ARGV[2])
    -- Binary search among the members of one deadline. The handle itself may have been removed.
    while first < last do
        local middle = math.floor((first + last) / 2)
        if is_after(redis.call('ZRANGE', KEYS[1], middle, middle)[1], ARGV[3]) then
            last = middle
        else
            first = middle + 1
        end
    end
end
local found = redis.call('ZRANGE', KEYS[1], first, first + tonumber(ARGV[1]) - 1, 'WITHSCORES')
found[#found + 1] = eviction()
return found
