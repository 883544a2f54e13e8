-- Says how a webhook fares.
-- Returns: "ok", the time, then as numbers: paused since, disabled since, breaker open until, peace until, failures in a row, failing since, last success, last failure, delivered, attempts, failed for good, dropped because it was full, dropped while disabled, entries not done, those that are being sent, those that failed, bytes of messages, when to look at it next; why it is disabled, number of settings and secrets, settings, secrets, to be verified since, when it is challenged next, verified since, requests a minute that it allows, gaps as lib/gaps.lua writes them, since when it is asked whether a link may have ended its subscription, when it ends unless it is confirmed; or "absent"
-- Flags: no-writes
-- Again: it changes nothing.
--- @include "lib/hook"
local q = open_hook()
if q.refusal then return q.refusal end
local out = { 'ok', num(q.now) }
for _, name in ipairs({ 'pz', 'dz', 'bo', 'th', 'cf', 'fs', 'ok', 'ff', 'nd', 'na', 'nx', 'ov', 'ms' }) do out[#out + 1] = num(q[name]) end
local due = math.max(ripe_at(q), closed_until(q))
if due == math.huge or q.uv ~= 0 then due = 0 end
for _, n in ipairs({ pending(q), redis.call('ZCARD', SENDING) - 1, redis.call('ZCARD', DEAD) - 1, q.sg, due }) do out[#out + 1] = num(n) end
local h = redis.call('HMGET', HEAD, 'dr', 'set', 'sec', 'va', 'gp')
for _, t in ipairs({ h[1] or '', num(q.cv), h[2], h[3], num(q.uv), num(q.vn), h[4] or '0', num(q.rl), h[5] or '', num(q.vu), num(q.vd) }) do out[#out + 1] = t end
return out
