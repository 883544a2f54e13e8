-- Opens a session of a key, a member or an identity, or with a portal link, which ends with that. The oldest of the same owner go where he has too many.
-- KEYS[1] HASH digest to record; field "" holds the mark
-- KEYS[2] HASH digest to the last use
-- KEYS[3] ZSET sessions in the order of their text, all with score 0: tenant or "-", owner, end, digest, with slashes between
-- KEYS[4] ZSET the same by when they end, in milliseconds since 1970
-- KEYS[5] ZSET portal links in the order of their text
-- KEYS[6] ZSET the same by when they end, in milliseconds since 1970
-- KEYS[7] HASH tenant id to name: has the tenant while it may be given sessions
-- ARGV[3] digest
-- ARGV[4] its record, JSON
-- ARGV[5] digest of the record of the owner, or of the link; "" for an identity, which has none
-- ARGV[6] tenant, or "-"
-- ARGV[7] id of the owner or the link, and a slash
-- ARGV[8] when it ends, in milliseconds since 1970: 13 digits
-- ARGV[9] a new mark
-- ARGV[10] how many sessions an owner may have
-- ARGV[11] how many sessions a tenant may have, or all operators
-- ARGV[12] entry of the link, or ""
-- ARGV[13] with what the ids of links begin
-- ARGV[14] how many sessions a tenant may have that were opened with links
-- Returns: "ok"; or "gone" when the owner is, or the link, or the tenant of an identity; or "full"
-- Flags: none
-- Again: the second call finds the record.
--- @include "lib/session"
if redis.call('HEXISTS', KEYS[1], ARGV[3]) == 1 then return 'ok' end
if ARGV[5] ~= '' and redis.call('HEXISTS', KEYS[1], ARGV[5]) == 0 then return 'gone' end
if ARGV[5] == '' and redis.call('HEXISTS', KEYS[7], ARGV[6]) == 0 then return 'gone' end
local all = ARGV[6] .. '/'
local own, by_link = all .. ARGV[7], all .. ARGV[13]
local mine = redis.call('ZRANGEBYLEX', KEYS[3], '[' .. own, '(' .. behind(own))
local surplus = math.max(#mine - tonumber(ARGV[10]) + 1, 0)
local many, linked = redis.call('ZLEXCOUNT', KEYS[3], '[' .. all, '(' .. behind(all)) - surplus, 0
if ARGV[12] ~= '' then linked = redis.call('ZLEXCOUNT', KEYS[3], '[' .. by_link, '(' .. by_link .. '~') end
if many >= tonumber(ARGV[11]) or linked >= tonumber(ARGV[14]) then return 'full' end
for i = 1, surplus do
  forget_session(KEYS[1], KEYS[2], KEYS[3], KEYS[4], mine[i])
end
if ARGV[12] ~= '' then forget_link(KEYS[1], KEYS[5], KEYS[6], ARGV[12]) end
local entry = own .. ARGV[8] .. '/' .. ARGV[3]
redis.call('HSET', KEYS[1], ARGV[3], ARGV[4], '', ARGV[9])
redis.call('ZADD', KEYS[3], 0, entry)
redis.call('ZADD', KEYS[4], ARGV[8], entry)
return 'ok'
