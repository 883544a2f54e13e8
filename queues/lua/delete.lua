-- Deletes messages by id, whoever holds them.
-- ARGV[6] milliseconds: retention
-- ARGV[7+] id (12 bytes), at most 100
-- Returns: "ok", the time, per message "k" deleted or "g" not there; or a refusal of lib/queue
-- Flags: allow-oom
-- Again: the lane remembers the answer.
--- @include "lib/queue"
--- @include "lib/index"
local q = open_queue('tomb', 'del', 'exp')
if q.refusal then return q.refusal end
if q.last then return { 'ok', string.match(q.last, '^(%d+)|(.*)$') } end

local retention, verdicts, tombs, gone, ended = tonumber(ARGV[6]), {}, 0, 0, 0

-- Whether retention has ended a message, which is only waiting to be tidied away. It does not end one that is held or
-- delayed. Most ids tell by themselves that it has not.
local function over(id)
  if made(id) + retention > q.now + WITNESS_TOLERANCE then return false end
  local record, lent, later = redis.call('HGET', BODY, id), redis.call('ZSCORE', FLIGHT, id), redis.call('ZSCORE', DELAYED, id)
  if lent and lease_end(tonumber(lent)) > q.now or later and tonumber(later) > q.now then return false end
  return record and sent(record) + retention <= q.now
end

for i = 7, #ARGV do
  local id = ARGV[i]
  local late = over(id)
  if redis.call('HDEL', BODY, id) == 1 then
    local indexed = redis.call('ZREM', FLIGHT, id) + redis.call('ZREM', AGAIN, id) + redis.call('ZREM', DELAYED, id)
    redis.call('ZREM', AGE, id)
    redis.call('HDEL', SIDE, id)
    -- A list cannot be searched: the id stays there, and whoever meets it finds no body.
    if indexed == 0 then tombs = tombs + 1 end
    if late then ended = ended + 1 else gone = gone + 1 end
    verdicts[#verdicts + 1] = late and 'g' or 'k'
  else
    verdicts[#verdicts + 1] = 'g'
  end
end
if tombs > 0 then set(q, 'tomb', q.tomb + tombs) end
if gone > 0 then set(q, 'del', q.del + gone) end
if ended > 0 then set(q, 'exp', q.exp + ended) end
local answer = table.concat(verdicts)
close_queue(q, num(q.now) .. '|' .. answer)
return { 'ok', num(q.now), answer }
