-- Returns the time of the server. A script with a key, so that a Cluster asks the node of that key.
return tonumber(redis.call('TIME')[1])
