-- Notes that what holds for some tenant has changed, so that servers read again what they know.
-- KEYS[1] HASH whose field "" holds the mark
-- ARGV[3] a new mark
-- Returns: "ok"
-- Flags: allow-oom
-- Again: servers read once more than they need.
redis.call('HSET', KEYS[1], '', ARGV[3])
return 'ok'
