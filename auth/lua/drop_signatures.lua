-- Forgets which signatures of a tenant were used.
-- KEYS[1] HASH signature to the request that used it
-- KEYS[2] ZSET signatures by when they end
-- Returns: "ok"
-- Flags: allow-oom
-- Again: there is nothing left.
redis.call('UNLINK', KEYS[1], KEYS[2])
return 'ok'
