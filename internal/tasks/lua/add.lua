-- Stores a task that has ended, and forgets the oldest ended ones beyond the bound. It may be the record of work that makes room.
-- KEYS[1] HASH the tenant, or the installation, which has an epoch
-- KEYS[2] HASH task id to JSON
-- KEYS[3] HASH unfinished task id to its line; see lib/control.lua
-- KEYS[4] HASH task id and part to errors
-- ARGV[3] task id, which sorts by time
-- ARGV[4] task, JSON
-- ARGV[5] how many tasks are kept
-- Returns: "ok", or "no_tenant"
-- Flags: allow-oom
-- Again: the second call stores the same.
--- @include "lib/room"
local owner = redis.call('HMGET', KEYS[1], 'state', 'epoch')
if owner[1] ~= 'active' and not owner[2] then return 'no_tenant' end
redis.call('HSET', KEYS[2], ARGV[3], ARGV[4])
make_room(KEYS[2], KEYS[3], KEYS[4], tonumber(ARGV[5]), ARGV[3])
return 'ok'
