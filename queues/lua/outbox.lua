-- Shows messages that are on their way to other queues, and forgets those that have arrived.
-- ARGV[6] number at which to go on, 0 for the first
-- ARGV[7+] numbers of those that have arrived, at most 100
-- Returns: "ok", the time, number of this call, the first number that is still here, the number at which to go on, "1" when there is something to show there, "" or, of a queue that has given a part of its grant back, how many bytes it may fill, number of that and how many it has stored, with "," between, then per message two: its number; "letter,time it left,length of side record,of destination,of what the consumer said|" its id (12 bytes), its id at the destination (12), side record, destination, what the consumer said, record. Letters: "x" received too often, "d" given up by its consumer, "o" pushed out of a full queue, all three for the dead-letter queue, "m" moved, "f" forwarded. Or a refusal of lib/queue
-- Flags: allow-oom
-- Again: what is forgotten stays forgotten; the second call gets another number, which is as good.
--- @include "lib/queue"
--- @include "lib/transfer"
--- @include "lib/stored"
local q = open_queue('tf', 'tl', 'to', 'tn', 'tb', 'gt', 'gs')
if q.refusal then return q.refusal end
local first, gone, freed, holding = math.max(q.tf, 1), 0, 0, ''
for i = 7, #ARGV do
  local size = redis.call('HSTRLEN', TRANSFERS, ARGV[i])
  gone, freed = gone + redis.call('HDEL', TRANSFERS, ARGV[i]), freed + size
end
if gone > 0 then
  take_off(q, gone, freed)
  -- Where they have gone they were granted anew, so what was granted for them here is given back.
  local used = q.gt > 0 and stored(q)
  local grant = used and math.max(q.gt - freed - WEIGHT * gone, math.min(q.gt, used))
  if grant and grant < q.gt then
    set(q, 'gt', grant)
    set(q, 'gs', q.gs + 1)
    holding = num(grant) .. ',' .. num(q.gs) .. ',' .. num(used)
  end
end
local steps = 0
while first <= q.tl and steps < MOST and redis.call('HEXISTS', TRANSFERS, num(first)) == 0 do
  first, steps = first + 1, steps + 1
end
if first ~= q.tf then set(q, 'tf', first) end
set(q, 'tn', q.tn + 1)

local out, bytes, at, looked = { 'ok', num(q.now), num(q.tn), num(first), '', '0', holding }, 0, math.max(first, tonumber(ARGV[6])), 0
while q.to > 0 and at <= q.tl and looked < MOST do
  local size = redis.call('HSTRLEN', TRANSFERS, num(at))
  if bytes > 0 and bytes + size > BYTES then break end
  if size > 0 then
    out[#out + 1] = num(at)
    out[#out + 1] = redis.call('HGET', TRANSFERS, num(at))
    bytes = bytes + size
  end
  at, looked = at + 1, looked + 1
end
out[5] = num(at)
if q.to > 0 and at <= q.tl then out[6] = '1' end
close_queue(q)
return out
