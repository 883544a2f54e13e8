-- Replaces a tenant's settings.
-- KEYS[1] HASH the tenant's record
-- ARGV[3] labels, JSON
-- ARGV[4] etag after a change
-- ARGV[5] If-Match, or ""
-- ARGV[6] If-None-Match, or ""
-- Returns: "ok" and the record; or "gone" or "precondition"
-- Flags: none
-- Again: the second call finds the etag of the first and asks for nothing more.
--- @include "lib/clock"
--- @include "lib/record"
local state, etag, labels, updated = unpack(redis.call('HMGET', KEYS[1], 'state', 'etag', 'labels', 'updated'))
if not state or state == 'deleting' then return { 'gone' } end
if etag ~= ARGV[4] then
  if not holds(etag, ARGV[5], ARGV[6]) then return { 'precondition' } end
  if labels ~= ARGV[3] then
    local _, _, now = read_clock(tonumber(updated))
    redis.call('HSET', KEYS[1], 'labels', ARGV[3], 'updated', string.format('%.0f', now), 'etag', ARGV[4])
  end
end
return { 'ok', unpack(read_record(KEYS[1])) }
