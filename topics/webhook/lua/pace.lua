-- Sets how many requests a minute a webhook makes at most.
-- ARGV[3] that number, or 0 for as many as there are
-- Returns: "ok", in how many milliseconds to look at it next, or -1; or "absent"
-- Flags: allow-oom
-- Again: it is so already.
--- @include "lib/hook"
local q = open_hook()
if q.refusal then return q.refusal end
if q.rl ~= tonumber(ARGV[3]) then
  set(q, 'rl', tonumber(ARGV[3]))
  set(q, 'ra', 0)
end
return { 'ok', num(close_hook(q)) }
