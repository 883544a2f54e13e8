-- Stores a topic subscription, unless it has changed since the caller read it.
-- KEYS[1] HASH record of the tenant, which is there while its state is active
-- KEYS[2] HASH topic subscriptions, as in read_patterns.lua
-- ARGV[3] name
-- ARGV[4] JSON that the caller read, or "" for one that was not there
-- ARGV[5] JSON, a text that was never stored before
-- ARGV[6] how many the tenant may have
-- Returns: "ok"; "changed" when another change came first; "full"; or "no_tenant" for a tenant that is gone
-- Flags: none
-- Again: when this text is stored already, that is the answer.
if redis.call('HGET', KEYS[1], 'state') ~= 'active' then return 'no_tenant' end
local have = redis.call('HGET', KEYS[2], ARGV[3]) or ''
if have == ARGV[5] then return 'ok' end
if have ~= ARGV[4] then return 'changed' end
local count = redis.call('HLEN', KEYS[2]) - redis.call('HEXISTS', KEYS[2], '')
if have == '' and count >= tonumber(ARGV[6]) then return 'full' end
redis.call('HSET', KEYS[2], ARGV[3], ARGV[5])
redis.call('HINCRBY', KEYS[2], '', 1)
return 'ok'
