-- Gives a further shard of a queue the settings of the first, unless it has these or later ones.
-- KEYS[1] HASH head
-- ARGV[3] version of the settings
-- ARGV[4] settings, JSON
-- ARGV[5+] per setting that the scripts read two: its field of the head; its value
-- Returns: "ok"; or "absent" or "gone"
-- Flags: allow-oom
-- Again: it has these.
--- @include "lib/tell"
local h = redis.call('HMGET', KEYS[1], 'v', 'w')
if not h[1] then return { 'absent' } end
if h[1] == 'x' then return { 'gone' } end
if tonumber(h[1]) >= tonumber(ARGV[3]) then return { 'ok' } end
redis.call('HSET', KEYS[1], 'v', ARGV[3], 'set', ARGV[4], unpack(ARGV, 5))
tell_all(KEYS[1], h[2])
return { 'ok' }
