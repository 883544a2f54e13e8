-- Shows one message without changing anything.
-- ARGV[6] id (12 bytes)
-- ARGV[7] milliseconds: retention
-- Returns: "ok", the time, letter of its state as in peek.lua or "", record, side record or "", the score of an ordered index or "", of "w" until when it waits in milliseconds; or a refusal of lib/queue
-- Flags: no-writes
-- Again: it changes nothing.
--- @include "lib/queue"
--- @include "lib/past"
--- @include "lib/groups"
--- @include "lib/retry"
--- @include "lib/ends"
local q = open_queue('vt', 'tt')
if q.refusal then return q.refusal end
local id = ARGV[6]
local record = id ~= '' and redis.call('HGET', BODY, id)
if not record then return { 'ok', num(q.now), '', '', '', '' } end
local letter, score, member, known = 'r', '', member_of(id, record), nil
local lent, later, again = redis.call('ZSCORE', FLIGHT, member), redis.call('ZSCORE', DELAYED, member), redis.call('ZSCORE', AGAIN, id)
if lent then
  score = num(tonumber(lent))
  letter = lease_end(tonumber(lent)) <= q.now and 'f' or 'F'
  known = past(q, letter, id, score)
  local till = letter == 'f' and waits_till(q, id, tonumber(lent)) or 0
  if till > q.now then letter, score = 'w', num(till) end
elseif later then
  score = num(tonumber(later))
  letter = tonumber(later) <= q.now and 'd' or 'D'
elseif again then
  letter, score = 'a', num(tonumber(again))
elseif grouped(member) then
  letter = 'm'
end
if letter ~= 'F' and has_ended(q, member) or letter ~= 'F' and letter ~= 'D' and letter ~= 'w' and outlived(q, member, record, tonumber(ARGV[7])) then
  return { 'ok', num(q.now), '', '', '', '' }
end
return { 'ok', num(q.now), letter, record, known or past(q, letter, id, score), score }
