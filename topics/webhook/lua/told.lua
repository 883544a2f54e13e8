-- Notes that what befell a webhook was told, and forgets it.
-- ARGV[3] number of the last event that is done with, or 0
-- ARGV[4] milliseconds after which the others are to be told, if there are any
-- Returns: "ok" and in how many milliseconds to look at it next, or -1; or "absent"
-- Flags: allow-oom
-- Again: what is forgotten stays forgotten.
--- @include "lib/events"
local q = open_hook()
if q.refusal then return q.refusal end
local last = math.min(tonumber(ARGV[3]), q.en)
for n = q.eo + 1, last do redis.call('HDEL', HEAD, 'e' .. num(n % UNTOLD)) end
set(q, 'eo', math.max(q.eo, last))
set(q, 'ew', q.now + tonumber(ARGV[4]))
return { 'ok', num(close_hook(q)) }
