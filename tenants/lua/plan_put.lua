-- Makes a plan or replaces its limits, and has servers read again what holds for their tenants.
-- KEYS[1] HASH whose field "" holds the mark
-- KEYS[2] HASH plan to record
-- ARGV[3] name
-- ARGV[4] limits, JSON
-- ARGV[5] etag after a change, and the new mark
-- ARGV[6] If-Match, or ""
-- ARGV[7] If-None-Match, or ""
-- ARGV[8] how many plans there may be
-- Returns: "created" or "ok" and the record; or "precondition" or "full"
-- Flags: none
-- Again: the second call finds the etag of the first and asks for nothing more.
--- @include "lib/clock"
--- @include "lib/record"
--- @include "lib/plan"
local have = redis.call('HGET', KEYS[2], ARGV[3])
local etag, created, updated, limits = split_plan(have)
if etag == ARGV[5] then return { created == updated and 'created' or 'ok', have } end
if etag then
  if not holds(etag, ARGV[6], ARGV[7]) then return { 'precondition' } end
  if limits == ARGV[4] then return { 'ok', have } end
else
  if ARGV[6] ~= '' then return { 'precondition' } end
  if redis.call('HLEN', KEYS[2]) >= tonumber(ARGV[8]) then return { 'full' } end
end
local _, _, now = read_clock(tonumber(updated) or 0)
now = string.format('%.0f', now)
local record = table.concat({ ARGV[5], created or now, now, ARGV[4] }, ' ')
redis.call('HSET', KEYS[2], ARGV[3], record)
redis.call('HSET', KEYS[1], '', ARGV[5])
return { etag and 'ok' or 'created', record }
