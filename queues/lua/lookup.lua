-- Finds a live queue by its name.
-- KEYS[1] HASH queues, as in register.lua
-- ARGV[3] name
-- Returns: uid, or "" where there is none
-- Flags: no-writes
-- Again: it changes nothing.
local have = redis.call('HGET', KEYS[1], ARGV[3])
if not have or string.sub(have, 1, 1) ~= 'q' then return '' end
return string.sub(have, 2)
