-- Reserves a queue's name in its tenant's registry.
-- KEYS[1] HASH the tenant
-- KEYS[2] HASH queues: name to "c" or "q" and uid (being created, live); "~" and uid to "" for one being deleted
-- ARGV[3] name
-- ARGV[4] uid for a new queue
-- ARGV[5] how many queues the tenant may have
-- Returns: "new" and uid; "creating" and uid, for someone's reservation to finish; "live" and uid; "full" and how many there are; or "no_tenant"
-- Flags: none
-- Again: the caller's own reservation is "creating".
if redis.call('HGET', KEYS[1], 'state') ~= 'active' then return { 'no_tenant' } end
local have = redis.call('HGET', KEYS[2], ARGV[3])
if have then
  local uid = string.sub(have, 2)
  if string.sub(have, 1, 1) == 'q' then return { 'live', uid } end
  return { 'creating', uid }
end
local count = redis.call('HLEN', KEYS[2])
if count >= tonumber(ARGV[5]) then return { 'full', string.format('%.0f', count) } end
redis.call('HSET', KEYS[2], ARGV[3], 'c' .. ARGV[4])
return { 'new', ARGV[4] }
