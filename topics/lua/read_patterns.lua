-- Reads the topic subscriptions of a tenant, or one.
-- KEYS[1] HASH topic subscriptions: name to JSON; "" to a number that grows whenever other topics are subscribed, or otherwise
-- ARGV[3] name of the one, or "" for all
-- ARGV[4] the number that the caller knows, who gets none while it is this one; or ""
-- Returns: the number, then two each: name, JSON
-- Flags: no-writes
-- Again: it changes nothing.
local number = redis.call('HGET', KEYS[1], '') or '0'
if number == ARGV[4] then return { number } end
local out = { number }
if ARGV[3] ~= '' then
  local have = redis.call('HGET', KEYS[1], ARGV[3])
  if have then out[2], out[3] = ARGV[3], have end
  return out
end
local all = redis.call('HGETALL', KEYS[1])
for i = 1, #all, 2 do
  if all[i] ~= '' then
    out[#out + 1] = all[i]
    out[#out + 1] = all[i + 1]
  end
end
return out
