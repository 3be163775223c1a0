-- Runs a command that writes, and returns its answer, or the error by which a replica refuses it: a
-- script that only reads would run there, and miss the latest logouts. Returns false if a primary
-- refuses to write.
local function on_primary(...)
    local answer = redis.pcall(...)
    if type(answer) == 'table' and answer.err and not string.find(answer.err, 'READONLY', 1, true) then
        return false
    end
    return answer
end

