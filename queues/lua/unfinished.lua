-- Lists queues whose creation or deletion was begun and not finished.
-- KEYS[1] HASH queues, as in register.lua
-- ARGV[3] cursor of HSCAN, "0" at first
-- Returns: next cursor, then per queue two: name, or "" for a deletion; uid
-- Flags: no-writes
-- Again: it changes nothing.
local page = redis.call('HSCAN', KEYS[1], ARGV[3], 'COUNT', 100)
local out = { page[1] }
for i = 1, #page[2], 2 do
  local name, value = page[2][i], page[2][i + 1]
  if string.sub(name, 1, 1) == '~' then
    out[#out + 1], out[#out + 2] = '', string.sub(name, 2)
  elseif string.sub(value, 1, 1) == 'c' then
    out[#out + 1], out[#out + 2] = name, string.sub(value, 2)
  end
end
return out
