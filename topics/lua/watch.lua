-- Says who is to deal with a topic that stands in the index.
-- ARGV[3] session of the caller's server
-- ARGV[4] number of the entry
-- Returns: "mine" when nobody else does; "theirs" and until when another server takes itself for the only one; "stale" when the entry is not, or not any more, the topic's; "early" when it is not yet; or "absent" or "gone"
-- Flags: no-writes
-- Again: it changes nothing.
--- @include "lib/topic"
local q = open_topic('ix', 'gn', 'ow', 'ot')
if q.refusal then return q.refusal end
local number = tonumber(ARGV[4])
if number > q.gn then return { 'early' } end
if number ~= q.ix then return { 'stale' } end
if q.ow ~= tonumber(ARGV[3]) and q.ot > q.now then return { 'theirs', num(q.ot) } end
return { 'mine' }
