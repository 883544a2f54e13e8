--- @include "lib/index"
-- Messages on their way to another queue, whose keys lie in another slot. A message that leaves is taken out of the queue
-- and lies in `transfers` under its number, until a server has brought it to its destination (accept.lua) and said so
-- (outbox.lua). Numbers grow by one, so that the first one (`tf`) and the last one (`tl`) of the head lead to all; `tb` says how
-- many bytes they are.

-- Puts messages into `transfers`. Each of list is: letter (see outbox.lua), id, id at the destination, side record,
-- name of the destination or "", what the consumer said of it or "", record.
local function send_off(q, list)
  local fields, bytes = {}, 0
  for i, m in ipairs(list) do
    local letter, id, new_id, side, to, said, record = unpack(m, 1, 7)
    fields[2 * i - 1] = num(q.tl + i)
    fields[2 * i] = table.concat({ letter, num(q.time), num(#side), num(#to), num(#said) }, ',') .. '|' .. id .. new_id .. side .. to .. said .. record
    bytes = bytes + #fields[2 * i]
  end
  if #list == 0 then return end
  redis.call('HSET', TRANSFERS, unpack(fields))
  read_more(q, 'tb')
  set(q, 'tb', q.tb + bytes)
  set(q, 'tl', q.tl + #list)
  set(q, 'to', q.to + #list)
end

-- Counts messages that lie in `transfers` no more, and their bytes. What an older server has sent off was not counted.
local function take_off(q, messages, bytes)
  read_more(q, 'tb')
  set(q, 'to', q.to - messages)
  set(q, 'tb', q.to > 0 and math.max(q.tb - bytes, 0) or 0)
end
