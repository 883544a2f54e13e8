-- Notes that a tenant has alarms.
-- KEYS[1] HASH index: id of a tenant to when an alarm of it was last put, in milliseconds since 1970
-- ARGV[3] id of the tenant
-- ARGV[4] now
-- Returns: "ok"
-- Flags: none
-- Again: it notes the same once more.
redis.call('HSET', KEYS[1], ARGV[3], ARGV[4])
return 'ok'
