-- Closes a topic for good: from now on every call finds it gone.
-- ARGV[3] version that the caller expects, or "" for any
-- Returns: "ok"; "stale" when it has another version; or "absent"
-- Flags: allow-oom
-- Again: a topic that is gone already is an answer of "ok".
--- @include "lib/topic"
local version = redis.call('HGET', HEAD, 'v')
if not version then return { 'absent' } end
if version ~= 'x' and ARGV[3] ~= '' and version ~= ARGV[3] then return { 'stale' } end
redis.call('HSET', HEAD, 'v', 'x')
return { 'ok' }
