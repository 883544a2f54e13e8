-- Removes a webhook. Redis frees the memory in the background.
-- Returns: "ok"
-- Flags: allow-oom
-- Again: what is removed stays removed.
--- @include "lib/hook"
local tenant, uid = string.match(HEAD, '^sl:(.-):{.-}:(%w+)%.')
redis.call('ZREM', READY, tenant .. ':' .. uid)
redis.call('UNLINK', HEAD, QUEUE, SENDING, FRESH, STATES, DEAD, GROUPS, LOG, SKIPPED)
return { 'ok' }
