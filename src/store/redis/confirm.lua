-- Notes that the credential of a generation has been used. KEYS: row. ARGV: now, the generation
-- as the row has it. Writes into the row and so leaves its time.
local head = redis.call('GETRANGE', KEYS[1], 0, 39)
if #head < 40 or head:byte(1) ~= 1 or head:byte(2) ~= 0 or head:sub(5, 8) ~= ARGV[2] then
    return 0
end
local deadline = 0
for at = 33, 40 do
    deadline = deadline * 256 + head:byte(at)
end
if deadline <= tonumber(ARGV[1]) then
    return 0
end
redis.call('SETRANGE', KEYS[1], 1, '\1')
return 1
