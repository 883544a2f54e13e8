-- Finds the entry of a tenant, or gives the name to a new one. A creation begins here, and from here on whoever meets
-- it can finish it: the entry holds all that the record will say.
-- KEYS[1] HASH name to entry
-- KEYS[2] ZSET names, all with score 0
-- KEYS[3] HASH id to name
-- KEYS[4] HASH account to id, or "-" when that is gone
-- ARGV[3] name
-- ARGV[4] id for a new tenant
-- ARGV[5] account for a new tenant
-- ARGV[6] etag for a new tenant
-- ARGV[7] settings for a new tenant, JSON: labels and the rest
-- Returns: "entry" and the entry, old or new; or "account_taken" or "id_taken"
-- Flags: none
-- Again: the second call finds the entry of the first, and knows it by its etag.
--- @include "lib/clock"
local have = redis.call('HGET', KEYS[1], ARGV[3])
if have then return { 'entry', have } end
if redis.call('HEXISTS', KEYS[4], ARGV[5]) == 1 then return { 'account_taken' } end
if redis.call('HEXISTS', KEYS[3], ARGV[4]) == 1 then return { 'id_taken' } end
local _, _, now = read_clock(0)
local entry = table.concat({ 'creating', ARGV[4], ARGV[5], ARGV[6], string.format('%.0f', now), ARGV[7] }, ' ')
redis.call('HSET', KEYS[1], ARGV[3], entry)
redis.call('ZADD', KEYS[2], 0, ARGV[3])
redis.call('HSET', KEYS[3], ARGV[4], ARGV[3])
redis.call('HSET', KEYS[4], ARGV[5], ARGV[4])
return { 'entry', entry }
