-- Begins a challenge that somebody asked for, unless there was one just now.
-- Returns: "ok"; "early" and in how many milliseconds it may be asked for; or "absent"
-- Flags: allow-oom
-- Again: it is too early for a second one.
--- @include "lib/hook"
local q = open_hook()
if q.refusal then return q.refusal end
local wait = calm(q)
if wait > 0 then return { 'early', num(wait) } end
begin_challenge(q)
close_hook(q)
return { 'ok' }
