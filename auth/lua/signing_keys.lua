-- Reads the keys that sign access tokens.
-- KEYS[1] HASH key id to when the key begins to sign, in milliseconds since 1970, and behind a space the sealed key
-- Returns: the time in milliseconds since 1970, then id and value of each key in turn
-- Flags: no-writes
-- Again: it only reads.
--- @include "lib/clock"
local _, _, now = read_clock(0)
return { string.format('%.0f', now), unpack(redis.call('HGETALL', KEYS[1])) }
