-- Ends a portal link.
-- KEYS[1] HASH digest to record
-- KEYS[2] ZSET portal links in the order of their text
-- KEYS[3] ZSET the same by when they end, in milliseconds since 1970
-- ARGV[3] its entry: tenant, end and digest, with slashes between
-- Returns: "ok"
-- Flags: allow-oom
-- Again: the second call finds nothing.
--- @include "lib/session"
forget_link(KEYS[1], KEYS[2], KEYS[3], ARGV[3])
return 'ok'
