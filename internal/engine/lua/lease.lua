-- Takes or keeps a lease on a piece of background work.
-- KEYS[1] HASH leases: name to session number, ":" and the time until which it has it in milliseconds
-- ARGV[3] name
-- ARGV[4] session that asks
-- ARGV[5] milliseconds: how long
-- Returns: 1 when the session has the lease, else 0
-- Flags: allow-oom
-- Again: who has it keeps it.
--- @include "lib/clock"
local now = read_clock(0)
local have = redis.call('HGET', KEYS[1], ARGV[3])
if have then
  local session, till = string.match(have, '^(%d+):(%d+)$')
  if session ~= ARGV[4] and tonumber(till) > now then return 0 end
end
redis.call('HSET', KEYS[1], ARGV[3], ARGV[4] .. ':' .. string.format('%.0f', now + tonumber(ARGV[5])))
return 1
