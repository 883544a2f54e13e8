-- Lists live queues by name.
-- KEYS[1] HASH queues, as in register.lua
-- KEYS[2] ZSET names of live queues
-- ARGV[3] prefix of the names
-- ARGV[4] name after which to go on, or ""
-- ARGV[5] how many at most
-- Returns: name, uid, name, uid, …
-- Flags: no-writes
-- Again: it changes nothing.
local from = '[' .. ARGV[3]
if ARGV[4] ~= '' then from = '(' .. ARGV[4] end
local names = redis.call('ZRANGEBYLEX', KEYS[2], from, '[' .. ARGV[3] .. '\255', 'LIMIT', 0, tonumber(ARGV[5]))
local out = {}
for _, name in ipairs(names) do
  local have = redis.call('HGET', KEYS[1], name)
  if have and string.sub(have, 1, 1) == 'q' then
    out[#out + 1] = name
    out[#out + 1] = string.sub(have, 2)
  end
end
return out
