-- Returns what this server reports about evictions: 'never' if it has evicted no key since its start
-- and its policy allows none; 'allowed' by its policy; 'happened' since its start; 'unknown' if it
-- does not report it.
local function eviction()
    local memory, stats = redis.pcall('INFO', 'memory'), redis.pcall('INFO', 'stats')
    if type(memory) ~= 'string' or type(stats) ~= 'string' then
        return 'unknown'
    end
    local limit = string.match(memory, '\nmaxmemory:(%d+)')
    local policy = string.match(memory, '\nmaxmemory_policy:([%w-]+)')
    local count = string.match(stats, '\nevicted_keys:(%d+)')
    if not (limit and policy and count) then
        return 'unknown'
    end
    if limit ~= '0' and policy ~= 'noeviction' then
        return 'allowed'
    end
    return count == '0' and 'never' or 'happened'
end

