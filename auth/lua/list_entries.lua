-- Reads what a set has of sessions or members, in the order of the entries.
-- KEYS[1] HASH digest to record
-- KEYS[2] HASH digest to the last use
-- KEYS[3] ZSET entries, at whose end a digest stands, all with score 0
-- ARGV[3] where to begin, as ZRANGEBYLEX takes it
-- ARGV[4] where to end, as ZRANGEBYLEX takes it
-- ARGV[5] how many, at most 200
-- Returns: the time in milliseconds since 1970, and each entry, its record and its last use, or nil
-- Flags: no-writes
-- Again: it only reads.
--- @include "lib/clock"
local _, _, now = read_clock(0)
local found = { string.format('%.0f', now) }
for _, entry in ipairs(redis.call('ZRANGEBYLEX', KEYS[3], ARGV[3], ARGV[4], 'LIMIT', 0, ARGV[5])) do
  local digest = string.sub(entry, -64)
  found[#found + 1] = entry
  found[#found + 1] = redis.call('HGET', KEYS[1], digest)
  found[#found + 1] = redis.call('HGET', KEYS[2], digest)
end
return found
