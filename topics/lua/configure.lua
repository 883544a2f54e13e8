-- Replaces a topic's settings. Publishes that know only the version before are answered "stale" from then on.
-- ARGV[3] version that the new settings were derived from
-- ARGV[4] settings, JSON
-- Returns: "ok" and the new version; "stale" when another change came first; or "absent" or "gone"
-- Flags: allow-oom
-- Again: when the stored settings are these already, under the next version, that is the answer.
--- @include "lib/topic"
local q = open_topic('sv')
if q.refusal then return q.refusal end
local version = num(tonumber(ARGV[3]) + 1)
if q.v == version and redis.call('HGET', HEAD, 'set') == ARGV[4] then return { 'ok', version } end
if q.v ~= ARGV[3] then return { 'stale' } end
-- Whoever carries the topic's messages reads the settings again.
redis.call('HSET', HEAD, 'v', version, 'set', ARGV[4], 'sv', num(q.sv + 1))
return { 'ok', version }
