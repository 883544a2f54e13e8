-- Replaces a queue's settings. Calls that know only the version before are answered "stale" from then on.
-- KEYS[1] HASH head
-- ARGV[3] version that the new settings were derived from
-- ARGV[4] settings, JSON
-- ARGV[5] "1" to tell all servers with waiting receives, of which each lets one look
-- ARGV[6+] per setting that the scripts read two: its field of the head; its value
-- Returns: "ok" and the new version; "stale", version and settings when another change came first; or "absent" or "gone"
-- Flags: allow-oom
-- Again: when the stored settings are these already, under the next version, that is the answer.
--- @include "lib/tell"
local h = redis.call('HMGET', KEYS[1], 'v', 'set', 'w')
if not h[1] then return { 'absent' } end
if h[1] == 'x' then return { 'gone' } end
local version = string.format('%.0f', tonumber(ARGV[3]) + 1)
if h[1] == version and h[2] == ARGV[4] then return { 'ok', version } end
if h[1] ~= ARGV[3] then return { 'stale', h[1], h[2] } end
redis.call('HSET', KEYS[1], 'v', version, 'set', ARGV[4], unpack(ARGV, 6))
if ARGV[5] == '1' then tell_all(KEYS[1], h[3]) end
return { 'ok', version }
