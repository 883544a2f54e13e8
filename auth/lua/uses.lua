-- Reads when keys were used last.
-- KEYS[1] HASH digest to the time of the last use, in milliseconds since 1970, and behind a space its address
-- ARGV[3+] digests, at most 500
-- Returns: each value or nil
-- Flags: no-writes
-- Again: it only reads.
return redis.call('HMGET', KEYS[1], unpack(ARGV, 3))
