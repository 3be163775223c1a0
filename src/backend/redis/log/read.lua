-- Reads a log, and changes nothing. KEYS: the log's own numbers, its entries. ARGV: the place to
-- read from, and how many entries at most; zero for none. A script, and no command that reads: it
-- sees one moment, and a client never sends it to a replica.
-- Answers incarnation, last position and last nonce, the first position, the entries, and the time
-- in milliseconds; nothing at all if the log is not there, or only in part.
local own = redis.call('HMGET', KEYS[1], 'incarnation', 'last', 'nonce', 'first')
local last, first = tonumber(own[2] or nil), tonumber(own[4] or nil)
local is_whole = own[1] and last and own[3] and first
if not is_whole or redis.call('XLEN', KEYS[2]) ~= last - first + 1 then
    return {}
end
if ARGV[2] == '0' then
    own[5] = {}
else
    own[5] = redis.call('XRANGE', KEYS[2], ARGV[1] .. '-0', '+', 'COUNT', ARGV[2])
end
local time = redis.call('TIME')
own[6] = string.format('%.0f', time[1] * 1000 + math.floor(time[2] / 1000))
return own
