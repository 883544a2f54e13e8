-- Reads what befell a webhook and is still to be told.
-- Returns: "ok", then per event two, the oldest first: its number; what it was, when, since when and how often in a row it had failed then, for how long at least, or 0, in milliseconds, and why, or "", with blanks between; or "absent"
-- Flags: no-writes
-- Again: it changes nothing.
--- @include "lib/events"
local q = open_hook()
if q.refusal then return q.refusal end
local out = { 'ok' }
for n = q.eo + 1, q.en do
  out[#out + 1] = num(n)
  out[#out + 1] = redis.call('HGET', HEAD, 'e' .. num(n % UNTOLD)) or ''
end
return out
