-- Appending to the log.

-- Stores messages: their entries and records in turn, and their sequence numbers and entries in turn, growing. The head
-- needs `in`.
local function append_log(q, records, entries, bytes)
  redis.call('HSET', LOG, unpack(records))
  redis.call('ZADD', INDEX, unpack(entries))
  set(q, 'sq', tonumber(entries[#entries - 1]))
  set(q, 'in', q['in'] + #entries / 2)
  set(q, 'by', q.by + bytes)
end
