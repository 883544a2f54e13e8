-- Deletes messages by id. As a step of a task it leaves those that somebody holds.
-- ARGV[6] milliseconds: retention
-- ARGV[7] as a step of a task: milliseconds since 1970 after which it is refused, for the task may have ended; else ""
-- ARGV[8] as a step of a task: what is to be remembered with its answer; else ""
-- ARGV[9+] id (12 bytes), at most 100
-- Returns: "ok", the time, per message "k" deleted, "g" not there, "h" held or "m" not looked at, because the ones before took all the bytes that a script may read: ask again; and what was remembered; or a refusal of lib/queue
-- Flags: allow-oom
-- Again: the lane remembers the answer. A task has one of its own, with the numbers of its steps.
--- @include "lib/queue"
--- @include "lib/groups"
--- @include "lib/wake"
local q = open_queue('tomb', 'del', 'exp', 'gr')
if q.refusal then return q.refusal end
if q.last then return { 'ok', string.match(q.last, '^(%d+)|(%a*)|?(.*)$') } end
if ARGV[7] ~= '' and q.now > tonumber(ARGV[7]) then return { 'late' } end

local retention, verdicts, tombs, gone, ended = tonumber(ARGV[6]), {}, 0, 0, 0
local groups, bytes = {}, 0

-- The member of a message. Only its record tells to which group it belongs; a queue that never had any needs no look.
local function find(id)
  if q.gr == 0 then return id end
  bytes = bytes + redis.call('HSTRLEN', BODY, id)
  local record = redis.call('HGET', BODY, id)
  return record and member_of(id, record) or id
end

-- Whether retention has ended a message, which is only waiting to be tidied away. It does not end one that is held or
-- delayed. Most ids tell by themselves that it has not.
local function over(id, member)
  if made(id) + retention > q.now + WITNESS_TOLERANCE then return false end
  local record, lent, later = redis.call('HGET', BODY, id), redis.call('ZSCORE', FLIGHT, member), redis.call('ZSCORE', DELAYED, member)
  if lent and lease_end(tonumber(lent)) > q.now or later and tonumber(later) > q.now then return false end
  return record and outlived(q, member, record, retention)
end

local function is_held(member)
  local lent = redis.call('ZSCORE', FLIGHT, member)
  return lent and lease_end(tonumber(lent)) > q.now
end

for i = 9, #ARGV do
  local id = ARGV[i]
  local member = bytes <= BYTES and find(id)
  local late = member and over(id, member)
  if not member then
    verdicts[#verdicts + 1] = 'm'
  elseif ARGV[7] ~= '' and is_held(member) then
    verdicts[#verdicts + 1] = 'h'
  elseif redis.call('HDEL', BODY, id) == 1 then
    local indexed = redis.call('ZREM', FLIGHT, member) + redis.call('ZREM', AGAIN, id) + redis.call('ZREM', DELAYED, member)
    redis.call('ZREM', AGE, id)
    if grouped(member) then
      indexed = 1
      redis.call('ZREM', MEMBERS, entry_of(member))
      touch(groups, group_of(member))
    end
    redis.call('HDEL', SIDE, id)
    -- A list cannot be searched: the id stays there, and whoever meets it finds no body.
    if indexed == 0 then tombs = tombs + 1 end
    if late then ended = ended + 1 else gone = gone + 1 end
    verdicts[#verdicts + 1] = late and 'g' or 'k'
  else
    verdicts[#verdicts + 1] = 'g'
  end
end
local turns = regroup(q, groups)
if q.fifo then wake(q, turns, 0) end
if tombs > 0 then set(q, 'tomb', q.tomb + tombs) end
if gone > 0 then set(q, 'del', q.del + gone) end
if ended > 0 then set(q, 'exp', q.exp + ended) end
local answer = table.concat(verdicts)
close_queue(q, num(q.now) .. '|' .. answer .. (ARGV[8] ~= '' and '|' .. ARGV[8] or ''))
return { 'ok', num(q.now), answer, ARGV[8] }
