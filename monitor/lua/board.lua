-- Reads the newest samples of queues of a tenant, or of tenants.
-- KEYS[1] HASH the board, as in tally
-- ARGV[3+] names; none for all
-- Returns: names and what the board has of them; of all also "" and the sums
-- Flags: no-writes
-- Again: it changes nothing.
if #ARGV < 3 then return redis.call('HGETALL', KEYS[1]) end
local names, out = { unpack(ARGV, 3) }, {}
for i, entry in ipairs(redis.call('HMGET', KEYS[1], unpack(names))) do
  if entry then
    out[#out + 1] = names[i]
    out[#out + 1] = entry
  end
end
return out
