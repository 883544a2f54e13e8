-- Sends messages off to other queues by id, each under a new id. Those that somebody holds stay, and in a FIFO queue those
-- behind the first message of a group that is held or delayed.
-- ARGV[6] milliseconds: retention
-- ARGV[7] as a step of a task: milliseconds since 1970 after which it is refused, for the task may have ended; else ""
-- ARGV[8] as a step of a task: what is to be remembered with its answer; else ""
-- ARGV[9+] per message four, at most 100: id (12 bytes), new id (12 bytes), name of the queue to which it goes, "" or what its record becomes behind the stamp
-- Returns: "ok", the time, per message "k" on its way, "g" not there, "h" held or "m" not looked at, because the ones before took all the bytes that a script may read: ask again; and what was remembered; or a refusal of lib/queue
-- Flags: allow-oom
-- Again: the lane remembers the answer. A task has one of its own, with the numbers of its steps.
--- @include "lib/queue"
--- @include "lib/pluck"
--- @include "lib/transfer"
--- @include "lib/wake"
local q = open_queue('tomb', 'exp', 'gr', 'tl', 'to', 'mv', 'tt')
if q.refusal then return q.refusal end
if q.last then return { 'ok', string.match(q.last, '^(%d+)|(%a*)|?(.*)$') } end
if ARGV[7] ~= '' and q.now > tonumber(ARGV[7]) then return { 'late' } end

local retention, verdicts, tombs, ended = tonumber(ARGV[6]), {}, 0, 0
local groups, leaving, bytes = {}, {}, 0

-- Whether a message is held, or stands in a FIFO queue behind a first one that is held or delayed, or was so until now.
local function blocked(member)
  if is_held(q, member) then return true end
  if not q.fifo then return false end
  local first = member_at(group_entries(group_of(member), 1)[1])
  return first ~= member and (redis.call('ZSCORE', FLIGHT, first) or redis.call('ZSCORE', DELAYED, first))
end

for i = 9, #ARGV, 4 do
  local id, verdict = ARGV[i], 'k'
  local size = redis.call('HSTRLEN', BODY, id)
  if size == 0 then
    verdict = 'g'
  elseif bytes > 0 and bytes + size > BYTES then
    verdict = 'm'
  else
    bytes = bytes + size
    local member = find(q, id)
    if blocked(member) then
      verdict = 'h'
    else
      -- Its end goes with it, but only as long as it has not come: what has ended is not moved.
      local ended_by = over(q, id, member, retention)
      if ended_by then
        verdict = 'g'
        ended = ended + 1
        if note then note(q, 'x', id, nil, 0, 0, ended_by) end
      else
        local record, side = redis.call('HGET', BODY, id), redis.call('HGET', SIDE, id) or ''
        if q.tt ~= 0 then
          local d, r, f, first, rest = read_side(side ~= '' and side)
          side = write_side(d, r, f, first, take_end(q, member, rest))
        end
        if ARGV[i + 3] ~= '' then record = string.sub(record, 1, grouped(member) and 22 or 7) .. ARGV[i + 3] end
        leaving[#leaving + 1] = { 'm', id, ARGV[i + 1], side, ARGV[i + 2], '', record }
        if note then note(q, 'm', id, 1, ARGV[i + 3] ~= '' and 1 or 0, 0, ARGV[i + 1] .. ARGV[i + 2]) end
      end
      remove_records(q, { id }, size)
      tombs = tombs + pluck(q, id, member, groups)
    end
  end
  verdicts[#verdicts + 1] = verdict
end
send_off(q, leaving)
local turns = regroup(q, groups)
if q.fifo then wake(q, turns, 0) end
if tombs > 0 then set(q, 'tomb', q.tomb + tombs) end
if #leaving > 0 then set(q, 'mv', q.mv + #leaving) end
if ended > 0 then set(q, 'exp', q.exp + ended) end
local answer = table.concat(verdicts)
close_queue(q, num(q.now) .. '|' .. answer .. (ARGV[8] ~= '' and '|' .. ARGV[8] or ''))
return { 'ok', num(q.now), answer, ARGV[8] }
