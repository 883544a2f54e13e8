-- Forgets what went wrong for a tenant that is being deleted.
-- KEYS HASHes, as in trouble_add
-- ARGV[3] tenant id
-- Returns: "ok"
-- Flags: allow-oom
-- Again: the second call finds nothing.
for _, key in ipairs(KEYS) do redis.call('HDEL', key, ARGV[3]) end
return 'ok'
