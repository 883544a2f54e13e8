-- Lists holders that have grants, a page at a time.
-- KEYS[1] HASH stored, see lib/stored.lua
-- ARGV[3] cursor of HSCAN, "0" at first
-- Returns: next cursor, holders
-- Flags: no-writes
-- Again: it changes nothing.
local page = redis.call('HSCAN', KEYS[1], ARGV[3], 'COUNT', 500)
local out = { page[1] }
for i = 1, #page[2], 2 do
  if string.sub(page[2][i], 2, 2) == '/' then out[#out + 1] = page[2][i] end
end
return out
