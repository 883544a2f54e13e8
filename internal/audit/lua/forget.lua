-- Deletes the log of a tenant.
-- KEYS[1] HASH entry id to the instant and the entry
-- KEYS[2] ZSET instant and id of each entry
-- KEYS[3] HASH the same of what was refused
-- KEYS[4] ZSET the same of what was refused
-- Returns: "ok"
-- Flags: allow-oom
-- Again: the second call finds nothing.
redis.call('UNLINK', KEYS[1], KEYS[2], KEYS[3], KEYS[4])
return 'ok'
