-- Removes the keys of a retired topic. Redis frees the memory in the background.
-- Returns: "ok"; or "live" for a topic that is not retired
-- Flags: allow-oom
-- Again: what is removed stays removed.
--- @include "lib/topic"
local version = redis.call('HGET', HEAD, 'v')
if version and version ~= 'x' then return { 'live' } end
redis.call('UNLINK', unpack(KEYS))
return { 'ok' }
