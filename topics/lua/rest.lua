-- Takes a topic to rest that has nothing to do: its entry in the index is not needed any more.
-- ARGV[3] number of the entry
-- ARGV[4] last sequence number that the caller has seen carried to all who can take it
-- ARGV[5] version of the subscriptions by which that is so
-- Returns: "ok"; "busy" when something came meanwhile; or "absent" or "gone"
-- Flags: allow-oom
-- Again: it is at rest.
--- @include "lib/topic"
local q = open_topic('ix', 'sv')
if q.refusal then return q.refusal end
if q.ix == 0 then return { 'ok' } end
if num(q.ix) ~= ARGV[3] or num(q.sq) ~= ARGV[4] or num(q.sv) ~= ARGV[5] then return { 'busy' } end
set(q, 'ix', 0)
close_topic(q)
return { 'ok' }
