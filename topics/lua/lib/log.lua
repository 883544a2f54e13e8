--- @include "lib/topic"
-- Reading the log.

-- Adds to out, per message two, sequence number and record of what comes behind a sequence number: at most so many, and
-- BYTES or one. Returns whether there was any.
local function read_log(q, after, most, out)
  local entries = redis.call('ZRANGEBYSCORE', INDEX, '(' .. num(after), num(q.sq), 'WITHSCORES', 'LIMIT', 0, most)
  local wanted, bytes = {}, 0
  for i = 1, #entries, 2 do
    bytes = bytes + size_at(entries[i])
    if i > 1 and bytes > BYTES then break end
    wanted[#wanted + 1] = entries[i]
  end
  if #wanted == 0 then return false end
  for i, record in ipairs(redis.call('HMGET', LOG, unpack(wanted))) do
    out[#out + 1] = num(tonumber(entries[2 * i]))
    out[#out + 1] = record
  end
  return true
end
