-- Notes a key among its tenant's keys. It is noted before it works, as "?" and its digest, and that it works is noted
-- afterwards: so whoever revokes all keys of a tenant finds every one, and knows which ones may never come to work.
-- KEYS[1] HASH the tenant's record
-- KEYS[2] HASH key id to digest, or to "?" and digest
-- ARGV[3] key id
-- ARGV[4] digest
-- ARGV[5] "1" when the key works
-- ARGV[6] how many keys a tenant may have
-- Returns: "ok" and the tenant's name; or "gone" when nothing may be added to the tenant; or "full"
-- Flags: none
-- Again: the second call finds the key noted.
local state, name = unpack(redis.call('HMGET', KEYS[1], 'state', 'name'))
if state ~= 'active' then return { 'gone' } end
local have = redis.call('HGET', KEYS[2], ARGV[3])
if not have and redis.call('HLEN', KEYS[2]) >= tonumber(ARGV[6]) then return { 'full' } end
if ARGV[5] == '1' then
  if have ~= ARGV[4] then redis.call('HSET', KEYS[2], ARGV[3], ARGV[4]) end
elseif not have then
  redis.call('HSET', KEYS[2], ARGV[3], '?' .. ARGV[4])
end
return { 'ok', name }
