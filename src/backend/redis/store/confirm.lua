-- Notes that the credential of a generation has been used. Writes into the row, which keeps its time
-- to live.
-- KEYS: row. ARGV: now; the generation and now, encoded as in the row.
local head = redis.call('GETRANGE', KEYS[1], 0, 47)
if #head < 48 or head:byte(1) ~= 1 or head:byte(2) ~= 0 or head:sub(5, 8) ~= ARGV[2] then
    return 0
end
local now = tonumber(ARGV[1])
if number(head, 33) <= now then
    return 0
end
redis.call('SETRANGE', KEYS[1], 1, '\1')
if number(head, 41) < now then
    redis.call('SETRANGE', KEYS[1], 40, ARGV[3])
end
return 1
