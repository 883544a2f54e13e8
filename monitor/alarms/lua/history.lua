-- Reads changes of an alarm's state.
-- KEYS[1] HASH log, as in save.lua
-- ARGV[3+] fields
-- Returns: what they hold, "" for nothing
-- Flags: no-writes
-- Again: it changes nothing.
local out = redis.call('HMGET', KEYS[1], unpack(ARGV, 3))
for i = 1, #ARGV - 2 do out[i] = out[i] or '' end
return out
