-- Makes a webhook, or gives it newer settings. A change closes its breaker.
-- ARGV[3] version of the settings
-- ARGV[4] settings, JSON
-- ARGV[5] its first secrets, JSON
-- ARGV[6] session of the server that sends for the shard, or 0
-- Returns: "ok"
-- Flags: none
-- Again: settings of this version are there already.
--- @include "lib/hook"
local q = open_hook()
if q.refusal then
  redis.call('ZADD', READY, '+inf', '')
  for _, key in ipairs({ QUEUE, SENDING, FRESH, DEAD }) do redis.call('ZADD', key, '+inf', '') end
  redis.call('ZADD', GROUPS, 0, '')
  for _, key in ipairs({ STATES, LOG }) do redis.call('HSET', key, '', '') end
  redis.call('HSET', HEAD, 'v', ARGV[3], 'set', ARGV[4], 'sec', ARGV[5], 'cv', '1')
  return { 'ok' }
end
if q.v >= tonumber(ARGV[3]) then return { 'ok' } end
redis.call('HSET', HEAD, 'v', ARGV[3], 'set', ARGV[4])
set(q, 'cv', q.cv + 1)
set(q, 'bo', 0)
set(q, 'bt', 0)
set(q, 'cf', 0)
set(q, 'th', 0)
close_hook(q)
tell(ARGV[6])
return { 'ok' }
