-- Reads single messages of a topic's log.
-- ARGV[3+] their sequence numbers, at most 100
-- Returns: "ok", of how many of the numbers the answer tells, then per message that is there two, 512 KiB or one: sequence number, record; or "absent" or "gone"
-- Flags: no-writes
-- Again: it changes nothing.
--- @include "lib/topic"
local q = open_topic()
if q.refusal then return q.refusal end
local out, bytes, told, wanted, numbers = { 'ok', '0' }, 0, 0, {}, {}
for i = 3, #ARGV do
  local entry = redis.call('ZRANGEBYSCORE', INDEX, ARGV[i], ARGV[i], 'LIMIT', 0, 1)[1]
  if entry then
    bytes = bytes + size_at(entry)
    if #wanted > 0 and bytes > BYTES then break end
    wanted[#wanted + 1] = entry
    numbers[#numbers + 1] = ARGV[i]
  end
  told = told + 1
end
out[2] = num(told)
if #wanted == 0 then return out end
for i, record in ipairs(redis.call('HMGET', LOG, unpack(wanted))) do
  out[#out + 1] = numbers[i]
  out[#out + 1] = record
end
return out
