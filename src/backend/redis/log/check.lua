-- Runs every command of a reader of the log.
-- KEYS: a key that nothing else uses, beside the log. Returns, for each command that the server
-- refuses, its name and the error.
try('HMGET', KEYS[1], '')
try('INFO', 'replication')
try('TIME')
try('XLEN', KEYS[1])
try('XRANGE', KEYS[1], '-', '+')
return found
