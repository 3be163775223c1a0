-- A page of an index, by deadline and then by handle. KEYS: index. ARGV: how many at most, -1 for
-- all; then, unless it is the first page, deadline and handle where the one before ended.
-- Answers handles, each followed by its deadline.

-- By bytes: a comparison of strings goes by the server's language.
local function is_after(one, other)
    for at = 1, #one do
        if one:byte(at) ~= other:byte(at) then
            return one:byte(at) > (other:byte(at) or -1)
        end
    end
    return false
end

local first = 0
if ARGV[2] then
    first = redis.call('ZCOUNT', KEYS[1], '-inf', '(' .. ARGV[2])
    local last = first + redis.call('ZCOUNT', KEYS[1], ARGV[2], ARGV[2])
    -- By halves among those of one deadline. The member itself may be gone.
    while first < last do
        local middle = math.floor((first + last) / 2)
        if is_after(redis.call('ZRANGE', KEYS[1], middle, middle)[1], ARGV[3]) then
            last = middle
        else
            first = middle + 1
        end
    end
end
local most = tonumber(ARGV[1])
return redis.call('ZRANGE', KEYS[1], first, most < 0 and -1 or first + most - 1, 'WITHSCORES')
