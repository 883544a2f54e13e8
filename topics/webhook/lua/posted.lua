-- Notes that dead letters are in the dead-letter queue, and forgets them.
-- ARGV[3] number of the last letter that is done with
-- ARGV[4+] per letter that is in the queue two, at most 100: entry and its number
-- Returns: "ok" and in how many milliseconds to look at it next, or -1; or "absent"
-- Flags: allow-oom
-- Again: what is forgotten stays forgotten, and an entry that was sent again has no such number.
--- @include "lib/hook"
local q = open_hook()
if q.refusal then return q.refusal end
for i = 4, #ARGV, 2 do
  local number = redis.call('ZSCORE', DEAD, ARGV[i])
  if number and num(tonumber(number)) == ARGV[i + 1] then finish(q, ARGV[i]) end
end
set(q, 'df', math.max(q.df, tonumber(ARGV[3])))
set(q, 'dw', 0)
return { 'ok', num(close_hook(q)) }
