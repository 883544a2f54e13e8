-- Claims a session number, or says that one lives, and forgets those that have been silent for too long.
-- KEYS[1] HASH session number to the time of its last beat in milliseconds; field "next" has the last number given
-- ARGV[3] the session that lives, or 0 to claim one
-- ARGV[4] milliseconds after which a silent session is forgotten
-- Returns: the numbers of all living sessions, the caller's first
-- Flags: allow-oom
-- Again: a second claim only skips a number; a second beat changes nothing.
--- @include "lib/clock"
local now = read_clock(0)
local me = ARGV[3]
if me == '0' then
  me = string.format('%.0f', redis.call('HINCRBY', KEYS[1], 'next', 1) % 16777216)
end
redis.call('HSET', KEYS[1], me, string.format('%.0f', now))
local alive = { me }
local all = redis.call('HGETALL', KEYS[1])
for i = 1, #all, 2 do
  if all[i] ~= 'next' and all[i] ~= me then
    if now - tonumber(all[i + 1]) > tonumber(ARGV[4]) then
      redis.call('HDEL', KEYS[1], all[i])
    else
      alive[#alive + 1] = all[i]
    end
  end
end
return alive
