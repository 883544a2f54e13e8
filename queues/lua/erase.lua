-- Removes the keys of a retired queue. Redis frees the memory in the background.
-- KEYS[1] HASH head; all as in lib/queue.lua
-- KEYS[2] HASH body
-- KEYS[3] LIST ready
-- KEYS[4] ZSET again
-- KEYS[5] ZSET age
-- KEYS[6] ZSET flight
-- KEYS[7] ZSET delayed
-- KEYS[8] HASH side
-- KEYS[9] HASH dedup
-- KEYS[10] LIST order
-- KEYS[11] ZSET members
-- KEYS[12] ZSET groups
-- KEYS[13] HASH transfers
-- KEYS[14] ZSET expiry
-- KEYS[15] HASH states
-- Returns: "ok"; or "live" for a queue that is not retired
-- Flags: allow-oom
-- Again: what is removed stays removed.
local version = redis.call('HGET', KEYS[1], 'v')
if version and version ~= 'x' then return { 'live' } end
redis.call('UNLINK', unpack(KEYS))
return { 'ok' }
