-- Notes that an endpoint has answered a challenge as it should, and lets it be sent to.
-- ARGV[3] what was verified
-- ARGV[4] how many requests a minute the endpoint allows, or 0
-- ARGV[5] session of the server that sends for the shard, or 0
-- ARGV[6] the challenge for the log, JSON
-- ARGV[7] the same for the tenant's list, JSON
-- Returns: "ok", in how many milliseconds to look at it next, or -1; "changed" when something else has to be verified by now; or "absent"
-- Flags: allow-oom
-- Again: it is verified once more, and the log has the challenge twice.
--- @include "lib/log"
local q = open_hook()
if q.refusal then return q.refusal end
if (redis.call('HGET', HEAD, 'vw') or '') ~= ARGV[3] then return { 'changed' } end
redis.call('HSET', HEAD, 'va', num(q.time))
for _, name in ipairs({ 'uv', 'vn', 'vc' }) do set(q, name, 0) end
set(q, 'rl', tonumber(ARGV[4]))
log_attempt(q, ARGV[6], ARGV[7], false)
write_log(q)
local next = close_hook(q)
tell(ARGV[5])
return { 'ok', num(next) }
