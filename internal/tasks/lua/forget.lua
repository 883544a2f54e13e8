-- Deletes all tasks of a tenant.
-- KEYS[1] HASH task id to JSON
-- Returns: "ok"
-- Flags: allow-oom
-- Again: the second call finds nothing.
redis.call('UNLINK', KEYS[1])
return 'ok'
