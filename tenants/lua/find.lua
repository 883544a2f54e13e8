-- Finds a tenant's entry in the registry, by its name or by its id.
-- KEYS[1] HASH name to entry
-- KEYS[2] HASH id to name
-- ARGV[3] name, or "" to look for the id
-- ARGV[4] id
-- Returns: the name and the entry; empty where there is none
-- Flags: no-writes
-- Again: it only reads.
local name = ARGV[3]
if name == '' then name = redis.call('HGET', KEYS[2], ARGV[4]) end
if not name then return {} end
local entry = redis.call('HGET', KEYS[1], name)
if not entry then return {} end
return { name, entry }
