-- Adds a key that signs access tokens, when it is time for one, and forgets those that signed nothing which still holds.
-- There are three at most.
-- KEYS[1] HASH key id to when the key begins to sign, in milliseconds since 1970, and behind a space the sealed key
-- ARGV[3] id of the new key
-- ARGV[4] the new key, sealed
-- ARGV[5] how long a key signs, in milliseconds
-- ARGV[6] how long before it signs a key is there, in milliseconds
-- ARGV[7] how long after it has signed a key is kept, in milliseconds
-- Returns: the time in milliseconds since 1970, then id and value of each key in turn
-- Flags: allow-oom
-- Again: the second call finds that it is not time.
--- @include "lib/clock"
local _, _, now = read_clock(0)
local all, from, ids = redis.call('HGETALL', KEYS[1]), {}, {}
for i = 1, #all, 2 do
  ids[#ids + 1] = all[i]
  from[all[i]] = tonumber(string.match(all[i + 1], '^%d+'))
end
table.sort(ids, function(a, b) return from[a] < from[b] end)
local newest = ids[#ids]
local begin = now
if newest then begin = math.max(from[newest] + tonumber(ARGV[5]), now + tonumber(ARGV[6])) end
if not newest or from[newest] + tonumber(ARGV[5]) - tonumber(ARGV[6]) <= now then
  redis.call('HSET', KEYS[1], ARGV[3], string.format('%.0f', begin) .. ' ' .. ARGV[4])
end
for i = 1, #ids - 1 do
  if from[ids[i + 1]] + tonumber(ARGV[7]) <= now then redis.call('HDEL', KEYS[1], ids[i]) end
end
return { string.format('%.0f', now), unpack(redis.call('HGETALL', KEYS[1])) }
