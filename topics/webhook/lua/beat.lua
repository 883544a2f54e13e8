-- Says that a server sends webhooks, or with 0 milliseconds that it stops, and lists those that do.
-- KEYS[1] HASH session to until when it counts
-- ARGV[3] session of the caller's server
-- ARGV[4] milliseconds: for how long it counts
-- Returns: the sessions of the servers that send
-- Flags: allow-oom
-- Again: it says the same again.
--- @include "lib/clock"
local now = read_clock(0)
if tonumber(ARGV[4]) > 0 then
  redis.call('HSET', KEYS[1], ARGV[3], string.format('%.0f', now + tonumber(ARGV[4])))
else
  redis.call('HDEL', KEYS[1], ARGV[3])
end
local out, all = {}, redis.call('HGETALL', KEYS[1])
for i = 1, #all, 2 do
  if tonumber(all[i + 1]) > now then
    out[#out + 1] = all[i]
  else
    redis.call('HDEL', KEYS[1], all[i])
  end
end
return out
