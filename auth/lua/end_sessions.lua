-- Ends sessions.
-- KEYS[1] HASH digest to record; field "" holds the mark
-- KEYS[2] HASH digest to the last use
-- KEYS[3] ZSET sessions in the order of their text
-- KEYS[4] ZSET sessions by when they end
-- ARGV[3] a new mark
-- ARGV[4+] their entries in the sets, at most 100
-- Returns: "ok"
-- Flags: allow-oom
-- Again: the second call finds nothing.
--- @include "lib/session"
for i = 4, #ARGV do
  forget_session(KEYS[1], KEYS[2], KEYS[3], KEYS[4], ARGV[i])
end
redis.call('HSET', KEYS[1], '', ARGV[3])
return 'ok'
