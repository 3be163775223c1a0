-- Appends entries, of which each is given twice: itself, and for how many milliseconds it stays.
-- Lets go of what has had its time, from the front. A log that is not there, or only in part,
-- begins anew. KEYS: the log's own numbers, its entries. ARGV: the incarnation to begin with, and
-- the entries. Answers incarnation, last position and last nonce.
-- Positions as text by a format: a number of Lua loses digits beyond the fourteenth.
local function text(number)
    return string.format('%.0f', number)
end

local own = redis.call('HMGET', KEYS[1], 'incarnation', 'last', 'first', 'nonce')
local last, first = tonumber(own[2] or nil), tonumber(own[3] or nil)
local is_whole = own[1] and last and first and own[4]
if not is_whole or redis.call('XLEN', KEYS[2]) ~= last - first + 1 then
    redis.call('DEL', KEYS[1], KEYS[2])
    own = { ARGV[1], '0', '1', '' }
    last, first = 0, 1
    redis.call('HSET', KEYS[1], 'incarnation', own[1], 'last', 0, 'first', 1, 'nonce', '')
end

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local count = (#ARGV - 1) / 2

-- Some more than are added, so that a log never grows behind those that may go.
local over = 0
for _, entry in ipairs(redis.call('XRANGE', KEYS[2], '-', '+', 'COUNT', 2 * count + 16)) do
    if tonumber(entry[2][4]) > now then
        break
    end
    over = over + 1
end
if over > 0 then
    redis.call('XTRIM', KEYS[2], 'MINID', text(first + over) .. '-0')
    redis.call('HSET', KEYS[1], 'first', text(first + over))
end

local nonce = own[4]
for at = 2, #ARGV, 2 do
    last = last + 1
    nonce = string.sub(ARGV[at], 1, 16)
    redis.call('XADD', KEYS[2], text(last) .. '-0',
        'entry', ARGV[at], 'until', text(now + tonumber(ARGV[at + 1])))
end
-- Also when nothing was added: a server that takes no writes is found out by it.
redis.call('HSET', KEYS[1], 'last', text(last), 'nonce', nonce)
return { own[1], text(last), nonce }
