-- Runs a command, and notes its name and the error if the server refuses it.
local found = {}
local function try(name, ...)
    local answer = redis.pcall(name, ...)
    if type(answer) == 'table' and answer.err then
        found[#found + 1] = name
        found[#found + 1] = answer.err
    end
end

