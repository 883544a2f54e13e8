-- Reads the records of keys by their digests, and the mark that changes whenever any record does.
-- KEYS[1] HASH digest to record; field "" holds the mark
-- ARGV[3+] digests, at most 500
-- Returns: the time in milliseconds since 1970, the mark, and each record or nil
-- Flags: no-writes
-- Again: it only reads.
--- @include "lib/clock"
local _, _, now = read_clock(0) -- that of Redis, whatever the asking server's clock says
local found = redis.call('HMGET', KEYS[1], '', unpack(ARGV, 3))
return { string.format('%.0f', now), unpack(found) }
