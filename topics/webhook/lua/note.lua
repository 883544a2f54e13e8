-- Adds an attempt to a webhook's log that belongs to no entry.
-- ARGV[3] attempt, JSON
-- Returns: "ok"; or "absent"
-- Flags: allow-oom
-- Again: the attempt is in the log twice, which is about an attempt that nobody counts.
--- @include "lib/hook"
local q = open_hook()
if q.refusal then return q.refusal end
set(q, 'ln', q.ln + 1)
redis.call('HSET', LOG, num(q.ln % LOGGED), ARGV[3])
close_hook(q)
return { 'ok' }
