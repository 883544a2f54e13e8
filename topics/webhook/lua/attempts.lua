-- Reads the log of a webhook's attempts, the latest first.
-- ARGV[3] number of the attempt before which to begin, or 0 for the latest
-- ARGV[4] how many at most
-- Returns: "ok", then per attempt two: its number, JSON; or "absent"
-- Flags: no-writes
-- Again: it changes nothing.
--- @include "lib/log"
local q = open_hook()
if q.refusal then return q.refusal end
local from = tonumber(ARGV[3])
if from == 0 or from > q.ln then from = q.ln + 1 end
from = from - 1
local bytes, out = 0, { 'ok' }
for n = from, math.max(from - math.min(tonumber(ARGV[4]), MOST) + 1, q.ln - LOGGED + 1, q.lf, 1), -1 do
  local text = redis.call('HGET', LOG, num(n % LOGGED)) or ''
  bytes = bytes + #text
  if bytes > BYTES and #out > 1 then break end
  out[#out + 1] = num(n)
  out[#out + 1] = text
end
return out
