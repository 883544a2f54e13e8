-- Deletes an alarm, unless it has changed since the caller read it.
-- KEYS[1] HASH alarms, as in read.lua
-- KEYS[2] HASH marks, as in read.lua
-- KEYS[3] HASH log, as in save.lua
-- ARGV[3] name
-- ARGV[4] state that the caller read
-- ARGV[5+] fields of the log that are the alarm's
-- Returns: "ok", or "changed" when another change came first
-- Flags: allow-oom
-- Again: what is deleted stays deleted.
local have = redis.call('HGET', KEYS[1], 's' .. ARGV[3])
if not have then return 'ok' end
if have ~= ARGV[4] then return 'changed' end
redis.call('HDEL', KEYS[1], 'd' .. ARGV[3], 's' .. ARGV[3])
redis.call('HDEL', KEYS[2], ARGV[3])
redis.call('HDEL', KEYS[3], unpack(ARGV, 5))
return 'ok'
