-- Says when tasks are to be looked at.
-- KEYS[1] ZSET as in due.lua
-- ARGV[3] "1" to add those that it does not have, as when a task is started; "0" to leave them, for they have ended
-- ARGV[4+] member and in how many milliseconds, in turn, at most 100
-- Returns: the time in milliseconds since 1970
-- Flags: allow-oom
-- Again: it is as long, from then on. What has ended meanwhile is found and removed again.
--- @include "lib/clock"
local now = read_clock(0)
for i = 4, #ARGV, 2 do
  if ARGV[3] == '1' or redis.call('ZSCORE', KEYS[1], ARGV[i]) then
    redis.call('ZADD', KEYS[1], string.format('%.0f', now + tonumber(ARGV[i + 1])), ARGV[i])
  end
end
return string.format('%.0f', now)
