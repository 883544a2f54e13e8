-- Shows one message without changing anything.
-- ARGV[6] id (12 bytes)
-- ARGV[7] milliseconds: retention
-- Returns: "ok", the time, letter of its state as in peek.lua or "", record, side record or "", the score of an ordered index or ""; or a refusal of lib/queue
-- Flags: no-writes
-- Again: it changes nothing.
--- @include "lib/queue"
--- @include "lib/past"
--- @include "lib/groups"
local q = open_queue('vt')
if q.refusal then return q.refusal end
local id = ARGV[6]
local record = id ~= '' and redis.call('HGET', BODY, id)
if not record then return { 'ok', num(q.now), '', '', '', '' } end
local letter, score, member = 'r', '', member_of(id, record)
local lent, later, again = redis.call('ZSCORE', FLIGHT, member), redis.call('ZSCORE', DELAYED, member), redis.call('ZSCORE', AGAIN, id)
if lent then
  score = num(tonumber(lent))
  letter = lease_end(tonumber(lent)) <= q.now and 'f' or 'F'
elseif later then
  score = num(tonumber(later))
  letter = tonumber(later) <= q.now and 'd' or 'D'
elseif again then
  letter, score = 'a', num(tonumber(again))
elseif grouped(member) then
  letter = 'm'
end
if letter ~= 'F' and letter ~= 'D' and outlived(q, member, record, tonumber(ARGV[7])) then
  return { 'ok', num(q.now), '', '', '', '' }
end
return { 'ok', num(q.now), letter, record, past(q, letter, id, score), score }
