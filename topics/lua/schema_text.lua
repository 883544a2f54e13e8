-- Reads the text of a version of a topic's schema.
-- ARGV[3] field of the head that has it
-- Returns: "ok" and the text, "" when there is none; or "absent" or "gone"
-- Flags: no-writes
-- Again: it changes nothing.
--- @include "lib/topic"
local q = open_topic()
if q.refusal then return q.refusal end
return { 'ok', redis.call('HGET', HEAD, ARGV[3]) or '' }
