-- Stores an alarm, unless it has changed since the caller read it.
-- KEYS[1] HASH record of the tenant, which is there while its state is active
-- KEYS[2] HASH alarms, as in read.lua
-- ARGV[3] name
-- ARGV[4] state that the caller read, or "" for an alarm that was not there
-- ARGV[5] definition
-- ARGV[6] state, which no other call writes
-- ARGV[7] how many alarms the tenant may have
-- Returns: "ok"; "changed" when another change came first; "full"; or "absent" for a tenant that is gone
-- Flags: none
-- Again: when the stored state is this one already, that is the answer.
if redis.call('HGET', KEYS[1], 'state') ~= 'active' then return 'absent' end
local have = redis.call('HGET', KEYS[2], 's' .. ARGV[3]) or ''
if have == ARGV[6] then return 'ok' end
if have ~= ARGV[4] then return 'changed' end
if have == '' and math.floor(redis.call('HLEN', KEYS[2]) / 2) >= tonumber(ARGV[7]) then return 'full' end
redis.call('HSET', KEYS[2], 'd' .. ARGV[3], ARGV[5], 's' .. ARGV[3], ARGV[6])
return 'ok'
