-- Reads parts of the request log of a tenant, latest first.
-- KEYS[1] HASH id of a part to the instant when it came and its requests; field "" the bytes of all
-- KEYS[2] ZSET instant and id of each part, all with score 0
-- ARGV[3] at or behind which instant and id to begin, as ZREVRANGEBYLEX reads it
-- ARGV[4] at which to end, as ZREVRANGEBYLEX reads it
-- ARGV[5] how many, at most 20
-- Returns: instant and id, and requests, in turn
-- Flags: no-writes
-- Again: it only reads.
local found = {}
for _, place in ipairs(redis.call('ZREVRANGEBYLEX', KEYS[2], ARGV[3], ARGV[4], 'LIMIT', 0, tonumber(ARGV[5]))) do
  local part = redis.call('HGET', KEYS[1], string.sub(place, 14))
  if part then
    found[#found + 1] = place
    found[#found + 1] = string.sub(part, 14)
  end
end
return found
