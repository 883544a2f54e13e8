-- Deletes what this package keeps in the slot of a tenant that is being deleted.
-- KEYS[1] HASH the tenant's record
-- KEYS[2] HASH the tenant's queues: a sentinel at most
-- KEYS[3] HASH what they were granted, see lib/stored.lua
-- Returns: "ok", or "active" when it is not being deleted
-- Flags: allow-oom
-- Again: the second call finds nothing.
local state = redis.call('HGET', KEYS[1], 'state')
if state and state ~= 'deleting' then return 'active' end
redis.call('UNLINK', KEYS[1], KEYS[2], KEYS[3])
return 'ok'
