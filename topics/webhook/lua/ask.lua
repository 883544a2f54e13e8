-- Has an endpoint asked whether it wants to be sent to: once more where it has not confirmed it, or because a link has ended its subscription.
-- ARGV[3] "subscribe" or "unsubscribe"
-- ARGV[4] milliseconds after which the subscription ends unless it is confirmed
-- ARGV[5] session of the server that sends for the shard, or 0
-- Returns: "ok", in how many milliseconds to look at it next, or -1; "confirmed" or "unconfirmed" when it is so already and nothing is asked; "over" when the subscription is; or "absent"
-- Flags: allow-oom
-- Again: it is asked once, unless the first time is long over.
--- @include "lib/hook"
local q = open_hook()
if q.refusal then return q.refusal end
if q.vx ~= 0 then return { 'over' } end
if ARGV[3] == 'subscribe' then
  if q.uv == 0 then return { 'confirmed' } end
  set(q, 'vu', 0)
else
  if q.uv ~= 0 then return { 'unconfirmed' } end
  set(q, 'uv', q.time)
  set(q, 'vu', q.time)
  redis.call('HDEL', HEAD, 'va')
end
set(q, 'vc', 0)
set(q, 'vn', q.now + calm(q))
set(q, 'vd', q.now + tonumber(ARGV[4]))
local next = close_hook(q)
tell(ARGV[5])
return { 'ok', num(next) }
