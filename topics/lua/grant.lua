-- Notes how many bytes a topic may fill without asking its tenant, unless it knows something later.
-- KEYS[1] HASH head
-- ARGV[3] bytes
-- ARGV[4] number of that
-- Returns: "ok"; or "absent" or "gone"
-- Flags: allow-oom
-- Again: the number is not later than its own.
local h = redis.call('HMGET', KEYS[1], 'v', 'gs')
if not h[1] then return { 'absent' } end
if h[1] == 'x' then return { 'gone' } end
if tonumber(ARGV[4]) > (tonumber(h[2]) or 0) then redis.call('HSET', KEYS[1], 'gt', ARGV[3], 'gs', ARGV[4]) end
return { 'ok' }
