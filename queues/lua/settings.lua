-- Reads a queue's settings.
-- KEYS[1] HASH head
-- Returns: "ok", version and settings; "absent"; or "gone" and what the settings were
-- Flags: no-writes
-- Again: it changes nothing.
local h = redis.call('HMGET', KEYS[1], 'v', 'set')
if not h[1] then return { 'absent' } end
if h[1] == 'x' then return { 'gone', h[2] } end
return { 'ok', h[1], h[2] }
