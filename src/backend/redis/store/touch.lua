-- Notes uses behind the read. KEYS: rows. ARGV: now, and when each was used, as a row has it.
local function number(bytes, at)
    local sum = 0
    for place = at, at + 7 do
        sum = sum * 256 + bytes:byte(place)
    end
    return sum
end

local now = number(ARGV[1], 1)
for at, row in ipairs(KEYS) do
    local head = redis.call('GETRANGE', row, 0, 159)
    local used = ARGV[at + 1]
    if number(used, 1) > now then
        used = ARGV[1]
    end
    local seen = number(used, 1)
    if #head == 160 and head:byte(1) == 1 and number(head, 33) > now then
        -- No longer than a server can count; rows that last for ever come near it.
        local idle = math.min(number(head, 57), 253402300799)
        if seen > number(head, 49) then
            redis.call('SETRANGE', row, 48, used)
        end
        local left = (idle - (now - seen)) * 1000
        if left > redis.call('PTTL', row) then
            redis.call('PEXPIRE', row, string.format('%.0f', left))
        end
    end
end
return #KEYS
