-- Answers receives at a queue that lends nothing because it is paused. The server of those that wait enters the list of
-- servers that are told when that is over; see configure.lua.
-- ARGV[6] "1" when some of the receives wait, else "0"
-- Returns: "ok"; or a refusal of lib/queue
-- Flags: allow-oom
-- Again: who is in the list stays there.
--- @include "lib/queue"
--- @include "lib/enlist"
local q = open_queue()
if q.refusal then return q.refusal end
if ARGV[6] == '1' then enlist(q, true) end
if #q.f > 0 then close_queue(q) end
return { 'ok' }
