-- Finds the tenant that has an account number.
-- KEYS[1] HASH account number to id, "-" for one whose tenant is gone
-- ARGV[3] account number
-- Returns: the id; empty where there is none
-- Flags: no-writes
-- Again: it only reads.
local id = redis.call('HGET', KEYS[1], ARGV[3])
if not id or id == '-' then return {} end
return { id }
