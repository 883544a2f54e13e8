-- Reads or replaces a webhook's secrets.
-- ARGV[3] the text that is to be replaced, or "" to read
-- ARGV[4] the new text
-- Returns: "ok" and the text that is there now, the time; "changed" and it when it is not as the caller saw it; or "absent"
-- Flags: allow-oom
-- Again: the new text is there already.
--- @include "lib/hook"
local q = open_hook()
if q.refusal then return q.refusal end
local have = redis.call('HGET', HEAD, 'sec')
if ARGV[3] == '' or have == ARGV[4] then return { 'ok', have, num(q.time) } end
if have ~= ARGV[3] then return { 'changed', have, num(q.time) } end
redis.call('HSET', HEAD, 'sec', ARGV[4])
set(q, 'cv', q.cv + 1)
close_hook(q)
return { 'ok', ARGV[4], num(q.time) }
