-- Shows tasks that somebody should look at, those that have waited longest first.
-- KEYS[1] ZSET "<type> <tenant> <id>" of each unfinished task, by when to look at it, in milliseconds since 1970
-- ARGV[3] how many to look through
-- ARGV[4+] types that the caller knows
-- Returns: members
-- Flags: no-writes
-- Again: it changes nothing.
--- @include "lib/clock"
local known, out = {}, {}
for i = 4, #ARGV do known[ARGV[i]] = true end
for _, member in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', string.format('%.0f', read_clock(0)), 'LIMIT', 0, ARGV[3])) do
  if known[string.match(member, '^%S+')] then out[#out + 1] = member end
end
return out
