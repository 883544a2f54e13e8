-- Deletes messages by id. As a step of a task it leaves those that somebody holds.
-- ARGV[6] milliseconds: retention
-- ARGV[7] as a step of a task: milliseconds since 1970 after which it is refused, for the task may have ended; else ""
-- ARGV[8] as a step of a task: what is to be remembered with its answer; else ""
-- ARGV[9+] id (12 bytes), at most 100
-- Returns: "ok", the time, per message "k" deleted, "g" not there, "h" held or "m" not looked at, because the ones before took all the bytes that a script may read: ask again; and what was remembered; or a refusal of lib/queue
-- Flags: allow-oom
-- Again: the lane remembers the answer. A task has one of its own, with the numbers of its steps.
--- @include "lib/queue"
--- @include "lib/pluck"
--- @include "lib/wake"
local q = open_queue('tomb', 'del', 'exp', 'gr', 'tt')
if q.refusal then return q.refusal end
if q.last then return { 'ok', string.match(q.last, '^(%d+)|(%a*)|?(.*)$') } end
if ARGV[7] ~= '' and q.now > tonumber(ARGV[7]) then return { 'late' } end

local retention, verdicts, tombs, gone, ended = tonumber(ARGV[6]), {}, 0, 0, 0
local groups, bytes = {}, 0

for i = 9, #ARGV do
  local id = ARGV[i]
  local size = redis.call('HSTRLEN', BODY, id)
  local member
  if bytes <= BYTES then
    if q.gr ~= 0 then bytes = bytes + size end
    member = find(q, id)
  end
  local late = member and over(q, id, member, retention)
  if not member then
    verdicts[#verdicts + 1] = 'm'
  elseif ARGV[7] ~= '' and is_held(q, member) then
    verdicts[#verdicts + 1] = 'h'
  elseif size > 0 then
    remove_records(q, { id }, size)
    tombs = tombs + pluck(q, id, member, groups)
    if late then ended = ended + 1 else gone = gone + 1 end
    if note then note(q, late and 'x' or ARGV[7] ~= '' and 'p' or 'D', id, not late and 1 or nil, 0, 0, late) end
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
