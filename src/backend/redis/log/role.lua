-- A user that may not write cannot be refused by a replica: the server tells its role.
local role = string.match(redis.call('INFO', 'replication'), '\nrole:(%a+)')
local refused = role ~= 'master' and { err = 'READONLY the server is no primary' }

