-- Writes an entry down, or how it ended, and drops the oldest ones that are beyond the bounds. It has room when Redis has
-- none: what makes room is written down too, and there is an end to how much is kept.
-- KEYS[1] HASH entry id to the instant, as 13 digits of milliseconds since 1970, and the entry, JSON; field "" the bytes of all
-- KEYS[2] ZSET instant and id of each entry, all with score 0
-- KEYS[3] HASH the tenant whose log it is; of the installation's any key of the slot
-- ARGV[3] entry id
-- ARGV[4] entry, JSON
-- ARGV[5] "begin", which leaves an entry alone that is there, or "end"
-- ARGV[6] how many entries are kept
-- ARGV[7] how many bytes are kept
-- ARGV[8] how long they are kept, in milliseconds
-- ARGV[9] "tenant" when the tenant must not be gone, or ""
-- Returns: "ok", or "gone"
-- Flags: allow-oom
-- Again: the second call finds the entry, and stores the same.
--- @include "lib/clock"
local state = ARGV[9] == 'tenant' and (redis.call('HGET', KEYS[3], 'state') or 'deleting')
if state == 'deleting' then return 'gone' end
local _, _, now = read_clock(0)
local have = redis.call('HGET', KEYS[1], ARGV[3])
if have and ARGV[5] == 'begin' then return 'ok' end
local instant = have and string.sub(have, 1, 13) or string.format('%013.0f', now)
local entry = instant .. ARGV[4]
redis.call('HSET', KEYS[1], ARGV[3], entry)
redis.call('ZADD', KEYS[2], 0, instant .. ARGV[3])
local bytes = redis.call('HINCRBY', KEYS[1], '', #entry - #(have or ''))
local count = redis.call('ZCARD', KEYS[2])
for _ = 1, 10 do
  local oldest = redis.call('ZRANGE', KEYS[2], 0, 0)[1]
  local over = count > tonumber(ARGV[6]) or bytes > tonumber(ARGV[7]) or tonumber(string.sub(oldest, 1, 13)) < now - tonumber(ARGV[8])
  if not over or count == 1 then break end
  local id = string.sub(oldest, 14)
  bytes = redis.call('HINCRBY', KEYS[1], '', -redis.call('HSTRLEN', KEYS[1], id))
  redis.call('HDEL', KEYS[1], id)
  redis.call('ZREM', KEYS[2], oldest)
  count = count - 1
end
return 'ok'
