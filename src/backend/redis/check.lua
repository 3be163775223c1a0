-- Runs every command of the store and of the log against a key that does not exist, and leaves
-- nothing behind.
-- KEYS: a key that nothing else uses. Returns the answer of `eviction`; then, for each
-- command that the server refuses, its name and the error.
local key = KEYS[1]
found[1] = eviction()
try('DEL', key)
try('EXISTS', key)
try('GET', key)
try('GETEX', key)
try('GETRANGE', key, 0, 0)
try('SET', key, '', 'XX')
try('SETRANGE', key, 0, '')
try('PTTL', key)
try('EXPIRE', key, 1)
try('PEXPIRE', key, 1)
try('ZADD', key, 'XX', 0, '')
try('ZCARD', key)
try('ZCOUNT', key, 0, 0)
try('ZRANDMEMBER', key, 1)
try('ZRANGE', key, 0, 0)
try('ZRANGEBYSCORE', key, 0, 0)
try('ZREM', key, '')
try('ZSCORE', key, '')
try('XADD', key, 'NOMKSTREAM', '1-0', '', '')
try('XLEN', key)
try('XRANGE', key, '-', '+')
try('XTRIM', key, 'MINID', '0')
try('HMGET', key, '')
try('TIME')
if #found == 1 then
    -- The only one that cannot do without a key.
    try('HSET', key, '', '')
    redis.call('DEL', key)
end
return found
