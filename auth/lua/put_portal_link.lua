-- Makes a portal link. Those of the same tenant that are over make room for it.
-- KEYS[1] HASH digest to record; field "" holds the mark
-- KEYS[2] ZSET portal links in the order of their text, all with score 0: tenant, end and digest, with slashes between
-- KEYS[3] ZSET the same by when they end, in milliseconds since 1970
-- KEYS[4] HASH tenant id to name: has the tenant while it may be given links
-- ARGV[3] digest
-- ARGV[4] its record, JSON
-- ARGV[5] tenant id
-- ARGV[6] when it ends, in milliseconds since 1970: 13 digits
-- ARGV[7] how many links a tenant may have, at most 100
-- Returns: "ok"; or "gone" when the tenant is; or "full"
-- Flags: none
-- Again: the second call finds the record.
--- @include "lib/clock"
--- @include "lib/session"
if redis.call('HEXISTS', KEYS[1], ARGV[3]) == 1 then return 'ok' end
if redis.call('HEXISTS', KEYS[4], ARGV[5]) == 0 then return 'gone' end
local _, _, now = read_clock(0)
local all, over = ARGV[5] .. '/', {}
local links = redis.call('ZRANGEBYLEX', KEYS[2], '[' .. all, '(' .. behind(all))
for _, entry in ipairs(links) do
  if tonumber(string.sub(entry, #all + 1, #all + 13)) <= now then over[#over + 1] = entry end
end
if #links - #over >= tonumber(ARGV[7]) then return 'full' end
for _, entry in ipairs(over) do
  forget_link(KEYS[1], KEYS[2], KEYS[3], entry)
end
redis.call('HSET', KEYS[1], ARGV[3], ARGV[4])
redis.call('ZADD', KEYS[2], 0, all .. ARGV[6] .. '/' .. ARGV[3])
redis.call('ZADD', KEYS[3], ARGV[6], all .. ARGV[6] .. '/' .. ARGV[3])
return 'ok'
