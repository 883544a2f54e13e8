-- Says how much a queue has stored of what its tenant may, and lets it fill nothing more without asking, when it is told to.
-- ARGV[3] "1" when it may fill nothing more from now on
-- ARGV[4] a number that the one of its grant must be above then, or 0
-- Returns: "ok", how many bytes it may fill in all, number of that, how many it has stored; or "absent" or "gone"
-- Flags: allow-oom
-- Again: it may fill nothing already.
--- @include "lib/queue"
--- @include "lib/stored"
local h = redis.call('HMGET', HEAD, 'v', 'by')
if not h[1] then return { 'absent' } end
if h[1] == 'x' then return { 'gone' } end
local q = { f = {}, by = tonumber(h[2]) or 0 }
local used, above = stored(q), tonumber(ARGV[4])
if ARGV[3] == '1' and (q.gt > 0 or above > 0) then
  set(q, 'gt', 0)
  set(q, 'gs', math.max(q.gs, above) + 1)
  redis.call('HSET', HEAD, unpack(q.f))
end
return { 'ok', num(q.gt), num(q.gs), num(used) }
