-- Pauses a webhook, lets it go on, disables it or enables it.
-- ARGV[3] "pause", "resume", "disable" or "enable"
-- ARGV[4] session of the server that sends for the shard, or 0
-- Returns: "ok", in how many milliseconds to look at it next, or -1; or "absent"
-- Flags: allow-oom
-- Again: it is so already.
--- @include "lib/events"
local q = open_hook()
if q.refusal then return q.refusal end
if ARGV[3] == 'pause' then
  if q.pz == 0 then set(q, 'pz', q.time) end
elseif ARGV[3] == 'resume' then
  set(q, 'pz', 0)
elseif ARGV[3] == 'disable' then
  if q.dz == 0 then disable(q, 'by_request') end
else
  set(q, 'et', math.min(q.et, 1)) -- it is told again when it fails for long
  for _, name in ipairs({ 'dz', 'cf', 'fs', 'bo', 'bt', 'th', 'ms', 'go' }) do set(q, name, 0) end
  redis.call('HDEL', HEAD, 'dr')
end
local next = close_hook(q)
tell(ARGV[4])
return { 'ok', num(next) }
