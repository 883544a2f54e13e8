-- Reads dead letters that are still to be brought to the dead-letter queue, in the order in which they became so.
-- ARGV[3] how many at most
-- Returns: "ok", then per letter three, 512 KiB or one: entry, its number, its state; or "absent"
-- Flags: no-writes
-- Again: it changes nothing.
--- @include "lib/hook"
local q = open_hook()
if q.refusal then return q.refusal end
local out, bytes = { 'ok' }, 0
if q.lt == 0 then return out end
local found = redis.call('ZRANGEBYSCORE', DEAD, '(' .. num(q.df), ENDLESS, 'WITHSCORES', 'LIMIT', 0, math.min(tonumber(ARGV[3]), MOST))
for i = 1, #found, 2 do
  bytes = bytes + redis.call('HSTRLEN', STATES, found[i])
  if i > 1 and bytes > BYTES then break end
  out[#out + 1] = found[i]
  out[#out + 1] = num(tonumber(found[i + 1]))
  out[#out + 1] = redis.call('HGET', STATES, found[i]) or ''
end
return out
