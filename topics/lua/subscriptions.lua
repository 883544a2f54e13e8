-- Reads all subscriptions of a topic, or one.
-- ARGV[3] name of the one, or "" for all
-- ARGV[4] "1" to read those of a retired topic as well
-- Returns: "ok", the time, last sequence number, how many messages were published, version of the subscriptions, then the fields and values of both keys that hold them, those of `progress` behind "~"; or "absent" or "gone"
-- Flags: no-writes
-- Again: it changes nothing.
--- @include "lib/topic"
local q = open_topic('in', 'sv')
if q.refusal and (ARGV[4] ~= '1' or q.refusal[1] ~= 'gone') then return q.refusal end
if q.refusal then q.now, q.sq, q['in'], q.sv = 0, 0, 0, 0 end
local out = { 'ok', num(q.now), num(q.sq), num(q['in']), num(q.sv) }
local function add(name, value)
  out[#out + 1] = name
  out[#out + 1] = value
end
if ARGV[3] ~= '' then
  local have = redis.call('HGET', SUBSCRIPTIONS, ARGV[3])
  local uid = have and string.match(have, '"uid":"(%w+)"')
  if have then add(ARGV[3], have) end
  if uid then add('~', '') add(uid, redis.call('HGET', PROGRESS, uid) or '') end
  return out
end
local all = redis.call('HGETALL', SUBSCRIPTIONS)
for i = 1, #all, 2 do add(all[i], all[i + 1]) end
add('~', '')
all = redis.call('HGETALL', PROGRESS)
for i = 1, #all, 2 do add(all[i], all[i + 1]) end
return out
