-- Reads the entries of a page of tenants in the order of their names.
-- KEYS[1] HASH name to entry
-- KEYS[2] ZSET names, all with score 0
-- ARGV[3] where to begin, as ZRANGEBYLEX reads it
-- ARGV[4] where to end, as ZRANGEBYLEX reads it
-- ARGV[5] how many at most, up to 501
-- Returns: names and entries in turn
-- Flags: no-writes
-- Again: it only reads.
local names = redis.call('ZRANGEBYLEX', KEYS[2], ARGV[3], ARGV[4], 'LIMIT', 0, ARGV[5])
local page = {}
for i = 1, #names do
  local entry = redis.call('HGET', KEYS[1], names[i])
  if entry then
    page[#page + 1] = names[i]
    page[#page + 1] = entry
  end
end
return page
