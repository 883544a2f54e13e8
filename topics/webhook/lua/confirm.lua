-- Notes that an endpoint has confirmed, by the token that it was sent, that it wants to be sent to, and lets it be.
-- ARGV[3] what is confirmed
-- ARGV[4] session of the server that sends for the shard, or 0
-- Returns: "ok", in how many milliseconds to look at it next, or -1; "changed" when something else has to be confirmed by now, or the subscription is over; or "absent"
-- Flags: allow-oom
-- Again: it is confirmed already.
--- @include "lib/hook"
local q = open_hook()
if q.refusal then return q.refusal end
if (redis.call('HGET', HEAD, 'vw') or '') ~= ARGV[3] or q.vx ~= 0 then return { 'changed' } end
if q.uv == 0 then return { 'ok', '-1' } end
redis.call('HSET', HEAD, 'va', num(q.time))
if q.vd ~= 0 then set(q, 'vb', q.time) end
for _, name in ipairs({ 'uv', 'vn', 'vc', 'vd', 'vu' }) do set(q, name, 0) end
local next = close_hook(q)
tell(ARGV[4])
return { 'ok', num(next) }
