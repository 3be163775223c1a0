-- Decodes a number of a row: the big-endian bytes from a position on, eight of them by default.
local function number(bytes, from, size)
    local sum = 0
    for at = from, from + (size or 8) - 1 do
        sum = sum * 256 + bytes:byte(at)
    end
    return sum
end
