-- Notes uses. KEYS: rows. ARGV: now, and the time of each use, encoded as in a row.
local now = number(ARGV[1], 1)
for at, row in ipairs(KEYS) do
    local head = redis.call('GETRANGE', row, 0, 159)
    local used = ARGV[at + 1]
    if number(used, 1) > now then
        used = ARGV[1]
    end
    local seen = number(used, 1)
    if #head == 160 and head:byte(1) == 1 and number(head, 33) > now then
        -- At most the year 9999: the server rejects a longer time to live.
        local idle = math.min(number(head, 57), 253402300799)
        if seen > number(head, 49) then
            redis.call('SETRANGE', row, 48, used)
        end
        local ttl = (idle - (now - seen)) * 1000
        if ttl > redis.call('PTTL', row) then
            redis.call('PEXPIRE', row, string.format('%.0f', ttl))
        end
    end
end
return #KEYS
