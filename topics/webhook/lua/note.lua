-- Adds an attempt to a webhook's log that belongs to no entry.
-- ARGV[3] attempt, JSON
-- ARGV[4] the same for the tenant's list, JSON
-- Returns: "ok"; or "absent"
-- Flags: allow-oom
-- Again: the attempt is in the log twice, which is about an attempt that nobody counts.
--- @include "lib/log"
local q = open_hook()
if q.refusal then return q.refusal end
log_attempt(q, ARGV[3], ARGV[4], false)
write_log(q)
close_hook(q)
return { 'ok' }
