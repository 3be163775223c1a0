-- Replaces a row if it is still the one that was read. Every change of a row changes its head.
-- KEYS: row. ARGV: the head that was read, the new row, and its milliseconds to live, or an empty
-- text to keep them.
local head = redis.call('GETRANGE', KEYS[1], 0, 159)
if head ~= ARGV[1] then
    return head == '' and 'absent' or 'conflict'
end
if ARGV[3] == '' then
    redis.call('SET', KEYS[1], ARGV[2], 'KEEPTTL')
else
    redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
end
return 'done'
