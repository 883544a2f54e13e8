-- Passes a wake-up on: the caller's server was told of messages and has no receive waiting any more.
-- Returns: "ok"; or a refusal of lib/queue
-- Flags: allow-oom
-- Again: a second word wakes one server in vain.
--- @include "lib/queue"
--- @include "lib/wake"
--- @include "lib/enlist"
--- @include "lib/tidy"
local q = open_queue('tomb', 'nd', 'ag', 'vt', 'gr', 'exp', 'tt')
if q.refusal then return q.refusal end
tidy_due(q)
enlist(q, false)
wake(q, offered(q), next_due(q), string.match(ARGV[4], '^L(%d+)'))
close_queue(q)
return { 'ok' }
