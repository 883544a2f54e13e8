-- Counts the queues of a tenant, with those that are being created or deleted.
-- KEYS[1] HASH queues, as in register.lua; a field "" is none
-- Returns: how many there are
-- Flags: no-writes
-- Again: it changes nothing.
return { string.format('%.0f', redis.call('HLEN', KEYS[1]) - redis.call('HEXISTS', KEYS[1], '')) }
