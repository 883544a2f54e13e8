-- Reads what is stored of an entry.
-- ARGV[3] entry
-- Returns: "ok", its state as in KEYS[6], or "" for one that is done or that never was; or "absent"
-- Flags: no-writes
-- Again: it changes nothing.
--- @include "lib/hook"
local q = open_hook()
if q.refusal then return q.refusal end
return { 'ok', redis.call('HGET', STATES, ARGV[3]) or '' }
