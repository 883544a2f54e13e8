-- Makes a webhook, or gives it newer settings. A change closes its breaker.
-- ARGV[3] version of the settings
-- ARGV[4] settings, JSON
-- ARGV[5] its secrets, JSON
-- ARGV[6] session of the server that sends for the shard, or 0
-- ARGV[7] what has to be verified of the endpoint, or "": another text than before has it challenged anew
-- ARGV[8] "1" where there is a dead-letter queue, else "0"
-- ARGV[9] milliseconds after which the subscription ends unless that has come, or 0
-- ARGV[10] how many messages one request carries at most; 0 or 1: one
-- ARGV[11] how many bytes of them
-- ARGV[12] milliseconds for which a message waits for others
-- ARGV[13] "1" where the secrets are to replace those that are there, else "0"
-- ARGV[14] how many requests a minute there are at most, or 0
-- ARGV[15] what becomes of messages for which there is no room: OLDEST, REFUSE, or 0 as it is without either
-- Returns: "ok", in how many milliseconds to look at it next, or -1
-- Flags: none
-- Again: settings of this version are there already.
--- @include "lib/full"
local q = open_hook()
local function verify()
  if (redis.call('HGET', HEAD, 'vw') or '') == ARGV[7] then return end
  redis.call('HSET', HEAD, 'vw', ARGV[7])
  redis.call('HDEL', HEAD, 'va')
  for _, name in ipairs({ 'uv', 'vn', 'vc', 'rl', 'ra', 'vd', 'vb', 'vu', 'vx' }) do set(q, name, 0) end
  if ARGV[7] == '' then return end
  set(q, 'uv', q.time)
  set(q, 'vn', q.now + calm(q))
  if ARGV[9] ~= '0' then set(q, 'vd', q.now + tonumber(ARGV[9])) end
end
-- What had failed before there was a dead-letter queue stays where it is.
local function letters()
  local on = tonumber(ARGV[8])
  if on == 1 and q.lt == 0 then
    set(q, 'dl', math.max(q.time, q.dl))
    set(q, 'df', q.dl)
  end
  set(q, 'lt', on)
  set(q, 'dw', 0)
end
local function overflow()
  set(q, 'op', tonumber(ARGV[15]))
  if q.op ~= OLDEST or q.oo ~= 0 then return end
  set(q, 'oo', 2)
  redis.call('ZUNIONSTORE', GROUPS, 1, SENDING, 'WEIGHTS', 0)
  redis.call('ZADD', GROUPS, 0, '') -- that of `sending` is infinite
  put_in_order(q)
end
if q.refusal then
  redis.call('ZADD', READY, '+inf', '')
  for _, key in ipairs({ QUEUE, SENDING, FRESH, DEAD, SKIPPED }) do redis.call('ZADD', key, '+inf', '') end
  redis.call('ZADD', GROUPS, 0, '')
  for _, key in ipairs({ STATES, LOG }) do redis.call('HSET', key, '', '') end
  redis.call('HSET', HEAD, 'v', ARGV[3], 'set', ARGV[4], 'sec', ARGV[5], 'cv', '1', 'lt', ARGV[8],
    'bm', ARGV[10], 'bb', ARGV[11], 'bw', ARGV[12], 'mr', ARGV[14], 'op', ARGV[15], 'oo', ARGV[15] == '1' and '1' or '0')
  if ARGV[7] == '' then return { 'ok', '-1' } end
  q = open_hook()
  verify()
  local next = close_hook(q)
  tell(ARGV[6])
  return { 'ok', num(next) }
end
-- An older server that came first has left out what it does not know.
local known = q.mr == tonumber(ARGV[14]) and q.op == tonumber(ARGV[15])
if q.v > tonumber(ARGV[3]) or q.v == tonumber(ARGV[3]) and known then return { 'ok', '-1' } end
redis.call('HSET', HEAD, 'v', ARGV[3], 'set', ARGV[4])
if ARGV[13] == '1' then redis.call('HSET', HEAD, 'sec', ARGV[5]) end
set(q, 'cv', q.cv + 1)
set(q, 'bo', 0)
set(q, 'bt', 0)
set(q, 'cf', 0)
set(q, 'th', 0)
for i, name in ipairs({ 'bm', 'bb', 'bw' }) do set(q, name, tonumber(ARGV[9 + i])) end
if q.mr ~= tonumber(ARGV[14]) then
  set(q, 'mr', tonumber(ARGV[14]))
  set(q, 'ra', 0)
end
letters()
overflow()
verify()
local next = close_hook(q)
tell(ARGV[6])
return { 'ok', num(next) }
