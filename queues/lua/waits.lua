-- Says for how long something may not be done again with a queue of some name.
-- KEYS[1] ZSET waits: a letter, which says for what, and a name to when the wait ends, in milliseconds since 1970
-- ARGV[3] letter and name
-- Returns: the milliseconds that are left; 0 or less: it may be done
-- Flags: no-writes
-- Again: it changes nothing.
--- @include "lib/clock"
local _, _, now = read_clock(0)
return string.format('%.0f', tonumber(redis.call('ZSCORE', KEYS[1], ARGV[3]) or '0') - now)
