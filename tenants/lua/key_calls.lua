-- Adds up how many requests were made with keys.
-- KEYS[1+] HASH id of a key to its requests in an hour, of each hour one, at most 24
-- ARGV[3+] ids of keys, at most 250
-- Returns: the sum of each
-- Flags: no-writes
-- Again: it only reads.
local sums = {}
for i = 1, #ARGV - 2 do sums[i] = 0 end
for _, key in ipairs(KEYS) do
  for i, n in ipairs(redis.call('HMGET', key, unpack(ARGV, 3))) do
    if n then sums[i] = sums[i] + tonumber(n) end
  end
end
for i, n in ipairs(sums) do sums[i] = string.format('%.0f', n) end
return sums
