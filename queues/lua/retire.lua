-- Closes a queue for good: from now on every call finds it gone.
-- KEYS[1] HASH head
-- ARGV[3] version that the caller expects, or "" for any
-- Returns: "ok"; "stale", version and settings; or "absent"
-- Flags: allow-oom
-- Again: a queue that is gone already is an answer of "ok".
local h = redis.call('HMGET', KEYS[1], 'v', 'set')
if not h[1] then return { 'absent' } end
if h[1] ~= 'x' and ARGV[3] ~= '' and h[1] ~= ARGV[3] then return { 'stale', h[1], h[2] } end
redis.call('HSET', KEYS[1], 'v', 'x')
return { 'ok' }
