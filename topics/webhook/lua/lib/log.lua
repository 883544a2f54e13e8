-- The log of a webhook's attempts, and the latest of all of the tenant's in the shard.
--- @include "lib/hook"
-- So many attempts the log of a webhook keeps at most, and so many bytes of them.
local LOGGED, LOG_BYTES = 500, 2097152
-- So many attempts a tenant sees of all its webhooks in a shard, of each of the two kinds.
local RECENT = 500

-- Adds an attempt to the webhook's log, and to what the tenant sees of all its webhooks; write_log writes both.
local function log_attempt(q, text, short, delivered)
  set(q, 'ln', q.ln + 1)
  q.log = q.log or { own = {}, [DELIVERED] = {}, [UNDELIVERED] = {} }
  local own, all = q.log.own, q.log[delivered and DELIVERED or UNDELIVERED]
  own[#own + 1] = num(q.ln % LOGGED)
  own[#own + 1] = text
  all[#all + 1] = num(q.time)
  all[#all + 1] = string.match(HEAD, ':(%w+)%.%a+$') .. ' ' .. num(q.ln) .. ' ' .. short
end

-- Makes room in the log for what is to be written, which is less than it may have. Older servers do not count its bytes.
local function shorten_log(q)
  local own = q.log.own
  local before = q.ln - #own / 2
  local first, bytes, gone = q.lf, q.lb, {}
  if q.lw ~= before or first == 0 then
    first, bytes = math.max(before - LOGGED + 1, 1), 0
    for n = first, before do bytes = bytes + redis.call('HSTRLEN', LOG, num(n % LOGGED)) end
  end
  for i = 2, #own, 2 do bytes = bytes + #own[i] end
  while first <= before and (bytes > LOG_BYTES or q.ln - first >= LOGGED) do
    local field = num(first % LOGGED)
    bytes = bytes - redis.call('HSTRLEN', LOG, field)
    gone[#gone + 1] = field
    first = first + 1
  end
  if #gone > 0 then redis.call('HDEL', LOG, unpack(gone)) end
  set(q, 'lf', first)
  set(q, 'lb', bytes)
  set(q, 'lw', q.ln)
end

-- Returns the end of the day of an attempt, in milliseconds since 1970; 0 for what cannot be read.
local function end_of_day(text)
  local year, month, day = string.match(text, '^{"t":"(%d%d%d%d)%-(%d%d)%-(%d%d)T')
  if not year then return 0 end
  year, month, day = tonumber(year), tonumber(month), tonumber(day)
  if month < 3 then year, month = year - 1, month + 12 end
  local days = 365 * year + math.floor(year / 4) - math.floor(year / 100) + math.floor(year / 400) + math.floor((153 * month - 457) / 5) + day
  return (days - 719468) * 86400000
end

-- Forgets attempts that have been kept for long enough, to the day.
local function age_log(q)
  if q.lo == 0 and q.lf == 0 and q.ln > 0 then set(q, 'lo', q.now) end -- older servers have noted all of them
  if q.lo == 0 or q.lo + HOLD > q.now then return end
  for _, key in ipairs({ DELIVERED, UNDELIVERED }) do redis.call('ZREMRANGEBYSCORE', key, '-inf', num(q.time - HOLD)) end
  local first = math.max(q.lf, q.ln - LOGGED + 1, 1)
  for _ = 1, MOST do
    if first > q.ln then
      set(q, 'lo', 0)
      break
    end
    local text = redis.call('HGET', LOG, num(first % LOGGED)) or ''
    local from = end_of_day(text)
    if from + HOLD > q.now then
      set(q, 'lo', from)
      break
    end
    redis.call('HDEL', LOG, num(first % LOGGED))
    set(q, 'lb', math.max(q.lb - #text, 0))
    first = first + 1
  end
  set(q, 'lf', first)
end

local function write_log(q)
  if not q.log then return end
  if q.lo == 0 then set(q, 'lo', q.now) end
  shorten_log(q)
  redis.call('HSET', LOG, unpack(q.log.own))
  for _, key in ipairs({ DELIVERED, UNDELIVERED }) do
    if #q.log[key] > 0 then
      redis.call('ZADD', key, unpack(q.log[key]))
      redis.call('ZREMRANGEBYRANK', key, 0, -RECENT - 1)
    end
  end
end
