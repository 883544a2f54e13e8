-- Replaces what a topic's settings say of its schemas, and adds or removes the text of a version. Publishes that know only the
-- settings before are answered "stale" from then on.
-- ARGV[3] version of the settings that the new ones were derived from
-- ARGV[4] settings, JSON
-- ARGV[5] field of the head that has the text, or "" for no other text
-- ARGV[6] the text, or "" to remove it
-- Returns: "ok" and the new version; "stale" when another change came first; or "absent" or "gone"
-- Flags: none
-- Again: when the stored settings are these already, under the next version, that is the answer.
--- @include "lib/topic"
local q = open_topic()
if q.refusal then return q.refusal end
local version = num(tonumber(ARGV[3]) + 1)
if q.v == version and redis.call('HGET', HEAD, 'set') == ARGV[4] then return { 'ok', version } end
if q.v ~= ARGV[3] then return { 'stale' } end
if ARGV[5] ~= '' and ARGV[6] == '' then redis.call('HDEL', HEAD, ARGV[5]) end
if ARGV[6] ~= '' then redis.call('HSET', HEAD, ARGV[5], ARGV[6]) end
redis.call('HSET', HEAD, 'v', version, 'set', ARGV[4])
return { 'ok', version }
