-- Shows the ids in one of a queue's hashes, a page at a time, to find those that no index has.
-- ARGV[6] "b" for body, "s" for side, "i" for dedup
-- ARGV[7] cursor of HSCAN, "0" at first
-- Returns: "ok", next cursor, id, …; or a refusal of lib/queue
-- Flags: no-writes
-- Again: it changes nothing.
--- @include "lib/queue"
local q = open_queue('mx')
if q.refusal then return q.refusal end
local key, count = ({ b = BODY, s = SIDE, i = DEDUP })[ARGV[6]], MOST
-- HSCAN reads the values too: few at a time where they may be large.
if ARGV[6] == 'b' and q.mx * count > BYTES then count = math.max(1, math.floor(BYTES / q.mx)) end
local page = redis.call('HSCAN', key, ARGV[7], 'COUNT', count)
local out = { 'ok', page[1] }
for i = 1, #page[2], 2 do
  if page[2][i] ~= '' then out[#out + 1] = page[2][i] end
end
return out
