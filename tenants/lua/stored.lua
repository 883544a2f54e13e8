-- Says how much a tenant has stored.
-- KEYS[1] HASH stored, see lib/stored.lua
-- Returns: bytes that are granted; bytes that are stored, as far as known; the limit under which they were counted, or ""
-- Flags: no-writes
-- Again: it changes nothing.
local h = redis.call('HMGET', KEYS[1], 'sum', 'used', 'limit')
return { h[1] or '0', h[2] or '0', h[3] or '' }
