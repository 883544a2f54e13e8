-- Opens a session of a key or a member, or with a portal link, which ends with that. The oldest of the same owner go where he has too many, and with them up to 20 of anybody's that are over.
-- KEYS[1] HASH digest to record; field "" holds the mark
-- KEYS[2] HASH digest to the last use
-- KEYS[3] ZSET sessions in the order of their text, all with score 0: tenant or "-", owner, end, digest, with slashes between
-- KEYS[4] ZSET the same by when they end, in milliseconds since 1970
-- KEYS[5] ZSET portal links in the order of their text
-- KEYS[6] ZSET the same by when they end, in milliseconds since 1970
-- ARGV[3] digest
-- ARGV[4] its record, JSON
-- ARGV[5] digest of the record of the owner, or of the link
-- ARGV[6] tenant or "-", and a slash
-- ARGV[7] id of the owner or the link, and a slash
-- ARGV[8] when it ends, in milliseconds since 1970: 13 digits
-- ARGV[9] a new mark
-- ARGV[10] how many sessions an owner may have
-- ARGV[11] how many sessions a tenant may have, or all operators
-- ARGV[12] entry of the link, or ""
-- ARGV[13] with what the ids of links begin
-- ARGV[14] how many sessions a tenant may have that were opened with links
-- Returns: "ok"; or "gone" when the owner is, or the link; or "full"
-- Flags: none
-- Again: the second call finds the record.
--- @include "lib/clock"
--- @include "lib/session"
if redis.call('HEXISTS', KEYS[1], ARGV[3]) == 1 then return 'ok' end
if redis.call('HEXISTS', KEYS[1], ARGV[5]) == 0 then return 'gone' end
local _, _, now = read_clock(0)
local all, own, by_link = ARGV[6], ARGV[6] .. ARGV[7], ARGV[6] .. ARGV[13]
local gone, many, linked = {}, redis.call('ZLEXCOUNT', KEYS[3], '[' .. all, '(' .. behind(all)), 0
if ARGV[12] ~= '' then linked = redis.call('ZLEXCOUNT', KEYS[3], '[' .. by_link, '(' .. by_link .. '~') end
local function drop(entry)
  if gone[entry] then return end
  gone[entry] = true
  if string.sub(entry, 1, #all) == all then many = many - 1 end
  if string.sub(entry, 1, #by_link) == by_link then linked = linked - 1 end
end
for _, entry in ipairs(redis.call('ZRANGEBYSCORE', KEYS[4], '-inf', string.format('%.0f', now), 'LIMIT', 0, 20)) do
  drop(entry)
end
local mine = redis.call('ZRANGEBYLEX', KEYS[3], '[' .. own, '(' .. behind(own))
for i = 1, #mine - tonumber(ARGV[10]) + 1 do
  drop(mine[i])
end
if many >= tonumber(ARGV[11]) or linked >= tonumber(ARGV[14]) then return 'full' end
for entry in pairs(gone) do
  forget_session(KEYS[1], KEYS[2], KEYS[3], KEYS[4], entry)
end
if ARGV[12] ~= '' then forget_link(KEYS[1], KEYS[5], KEYS[6], ARGV[12]) end
local entry = own .. ARGV[8] .. '/' .. ARGV[3]
redis.call('HSET', KEYS[1], ARGV[3], ARGV[4], '', ARGV[9])
redis.call('ZADD', KEYS[3], 0, entry)
redis.call('ZADD', KEYS[4], ARGV[8], entry)
return 'ok'
