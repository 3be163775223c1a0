-- Replaces the credential of a row: the same as `Record::rotate`, on the bytes of the row, so that a
-- refresh is one round trip. Idempotent: a second run finds another generation.
-- KEYS: row. ARGV: now; encoded as in the row: the handle, the presented generation and proof, the
-- next proof, the seed, now and the idle timeout; then the overlap and the idle timeout in seconds,
-- and the milliseconds to live of the row.
-- Returns whether it was rotated (never if a client cannot read it), the row, and its milliseconds to
-- live.
local row = on_primary('GETEX', KEYS[1]) or redis.call('GET', KEYS[1])
if type(row) ~= 'string' then
    return row
end
local ttl = redis.call('PTTL', KEYS[1])
-- Returns whether a client can decode the fields: tags from 128 on are those of a later version, which
-- this one must not overlook. A length is in base 128, lowest digit first.
local function is_readable()
    local at = 161
    while at <= #row and row:byte(at) < 128 do
        local length, unit, digit = 0, 1, nil
        repeat
            at = at + 1
            digit = row:byte(at) or 0
            length = length + digit % 128 * unit
            unit = unit * 128
        until digit < 128
        at = at + 1 + length
    end
    return at == #row + 1
end
local now, overlap, policy_idle = tonumber(ARGV[1]), tonumber(ARGV[9]), tonumber(ARGV[10])
local function is_due()
    if #row < 160 or row:byte(1) ~= 1 or row:sub(65, 80) ~= ARGV[2]
        or row:sub(5, 8) ~= ARGV[3] or row:sub(81, 96) ~= ARGV[4] or ARGV[3] == '\255\255\255\255' then
        return false
    end
    local rotated = number(row, 41)
    if number(row, 5, 4) > 0 and now - rotated < overlap and rotated - now < overlap then
        return false
    end
    -- The last use follows from the time to live: a verification extends only that.
    local seen, idle = number(row, 49), number(row, 57)
    if ttl >= 0 then
        seen = math.max(seen, now - math.max(0, idle - math.floor(ttl / 1000)))
    end
    return now < number(row, 33) and now < seen + math.min(idle, policy_idle) and is_readable()
end
if not is_due() then
    return {0, row, ttl}
end
-- The shorter one of both idle timeouts.
local idle, ttl_ms = ARGV[8], ARGV[11]
if number(row, 57) <= policy_idle then
    idle = row:sub(57, 64)
    ttl_ms = string.format('%.0f', math.min(number(row, 57), 253402300799) * 1000)
end
local seen = number(row, 49) > now and row:sub(49, 56) or ARGV[7]
local generation, carry = '', 1
for at = 8, 5, -1 do
    local byte = row:byte(at) + carry
    carry = byte > 255 and 1 or 0
    generation = string.char(byte % 256) .. generation
end
row = row:sub(1, 1) .. '\0\0' .. row:sub(4, 4) .. generation .. row:sub(9, 40) .. ARGV[7] .. seen
    .. idle .. row:sub(65, 80) .. ARGV[5] .. ARGV[4] .. row:sub(113, 128) .. ARGV[6]
    .. row:sub(145)
redis.call('SET', KEYS[1], row, 'PX', ttl_ms)
return {1, row, tonumber(ttl_ms)}
