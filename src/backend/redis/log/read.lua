-- Reads entries of a log, and changes nothing. A script instead of read commands: it sees one
-- consistent state, and a client never sends it to a replica.
-- KEYS: the numbers of the log, its entries. ARGV: the first position to read, and the maximum
-- number of entries, which may be zero.
-- Returns the incarnation, the last position, the last nonce, the first position, the number of
-- fences, the entries, and the time in milliseconds; an empty list if there is no log or a part of
-- it is missing.
if refused then
    return refused
end
local log = redis.call('HMGET', KEYS[1], 'incarnation', 'last', 'nonce', 'first', 'fences')
local last, first = tonumber(log[2] or nil), tonumber(log[4] or nil)
local is_complete = log[1] and last and log[3] and first
if not is_complete or redis.call('XLEN', KEYS[2]) ~= last - first + 1 then
    return {}
end
log[5] = log[5] or '0'
if ARGV[2] == '0' then
    log[6] = {}
else
    log[6] = redis.call('XRANGE', KEYS[2], ARGV[1] .. '-0', '+', 'COUNT', ARGV[2])
end
local time = redis.call('TIME')
log[7] = string.format('%.0f', time[1] * 1000 + math.floor(time[2] / 1000))
return log
