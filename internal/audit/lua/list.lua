-- Reads entries, latest first.
-- KEYS[1] HASH entry id to the instant and the entry; field "" the bytes of all
-- KEYS[2] ZSET instant and id of each entry, all with score 0
-- ARGV[3] behind which instant and id to begin, as ZREVRANGEBYLEX reads it
-- ARGV[4] at which to end, as ZREVRANGEBYLEX reads it
-- ARGV[5] how many, at most 50
-- Returns: instant and id, and entry, in turn
-- Flags: no-writes
-- Again: it only reads.
local found = {}
for _, place in ipairs(redis.call('ZREVRANGEBYLEX', KEYS[2], ARGV[3], ARGV[4], 'LIMIT', 0, tonumber(ARGV[5]))) do
  local entry = redis.call('HGET', KEYS[1], string.sub(place, 14))
  if entry then
    found[#found + 1] = place
    found[#found + 1] = string.sub(entry, 14)
  end
end
return found
