-- Reads a queue's settings.
-- KEYS[1] HASH head
-- Returns: "ok", version and settings; or "absent" or "gone"
-- Flags: no-writes
-- Again: it changes nothing.
local h = redis.call('HMGET', KEYS[1], 'v', 'set')
if not h[1] then return { 'absent' } end
if h[1] == 'x' then return { 'gone' } end
return { 'ok', h[1], h[2] }
