-- Lists the names of a queue's schedules, which are at most as many as schedule_put.lua lets in.
-- KEYS[1] HASH schedules, as in schedule_read.lua
-- Returns: the names, in no order
-- Flags: no-writes
-- Again: it changes nothing.
local out = {}
for _, field in ipairs(redis.call('HKEYS', KEYS[1])) do
  if string.sub(field, 1, 1) == 's' then out[#out + 1] = string.sub(field, 2) end
end
return out
