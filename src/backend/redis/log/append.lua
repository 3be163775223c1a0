-- Appends entries, and removes expired entries from the front. Starts a new log if there is none or
-- a part of it is missing.
-- KEYS: the numbers of the log, its entries. ARGV: the incarnation of a new log; then for each entry
-- its bytes and its life in milliseconds.
-- Returns the incarnation, the last position and the last nonce.

-- Positions are formatted as text: Lua prints numbers with 14 digits only.
local function text(number)
    return string.format('%.0f', number)
end

local log = redis.call('HMGET', KEYS[1], 'incarnation', 'last', 'first', 'nonce', 'fences')
local last, first = tonumber(log[2] or nil), tonumber(log[3] or nil)
local is_complete = log[1] and last and first and log[4]
if not is_complete or redis.call('XLEN', KEYS[2]) ~= last - first + 1 then
    redis.call('DEL', KEYS[1], KEYS[2])
    log = { ARGV[1], '0', '1', '' }
    last, first = 0, 1
    redis.call('HSET', KEYS[1], 'incarnation', log[1], 'last', 0, 'first', 1, 'nonce', '')
end

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local count = (#ARGV - 1) / 2

-- Removes more entries than it adds, so that the log shrinks when entries expire; and at most a
-- fixed number more, so that the script stays short.
local expired = 0
for _, entry in ipairs(redis.call('XRANGE', KEYS[2], '-', '+', 'COUNT', 2 * count + 16)) do
    if tonumber(entry[2][4]) > now then
        break
    end
    expired = expired + 1
end
if expired > 0 then
    redis.call('XTRIM', KEYS[2], 'MINID', text(first + expired) .. '-0')
    redis.call('HSET', KEYS[1], 'first', text(first + expired))
end

local nonce = log[4]
for at = 2, #ARGV, 2 do
    last = last + 1
    nonce = string.sub(ARGV[at], 1, 16)
    redis.call('XADD', KEYS[2], text(last) .. '-0',
        'entry', ARGV[at], 'until', text(now + tonumber(ARGV[at + 1])))
end
-- Runs without entries too: a fence must fail on a server that refuses writes, and be seen by readers.
local fences = tonumber(log[5] or nil) or 0
redis.call('HSET', KEYS[1], 'last', text(last), 'nonce', nonce, 'fences', text(fences + 1))
return { log[1], text(last), nonce }
