-- Ends, prolongs or returns leases: what consumers say of messages that they hold.
-- ARGV[6] "1" when the caller's server has receives waiting, which it wakes itself
-- ARGV[7+] per lease one: "a" ack, "e" extend, "r" return or "u" unreceive (the caller never saw it); id (12 bytes); delivery and, unless it is an ack, "," time of the receive in milliseconds "," extension or delay in milliseconds
-- Returns: "ok", the time, and per lease one letter: "k" done, "g" the message is gone already, "x" the lease has ended, "n" another delivery has begun, "l" it would be held for too long; how many messages became available; in how many milliseconds the next does, or 0. Or a refusal of lib/queue
-- Flags: allow-oom
-- Again: the lane remembers the answer.
--- @include "lib/queue"
--- @include "lib/wake"
--- @include "lib/index"
local q = open_queue('del', 'nd', 'ag')
if q.refusal then return q.refusal end
if q.last then
  local now, verdicts = string.match(q.last, '^(%d+)|(.*)$')
  return { 'ok', now, verdicts, '0', '0' }
end

-- How long a message may be held in all since it was received, in milliseconds.
local LONGEST = 43200000
local count, ids = #ARGV - 6, {}
for i = 1, count do ids[i] = string.sub(ARGV[6 + i], 2, 13) end
local scores = redis.call('ZMSCORE', FLIGHT, unpack(ids))
local flight = {} -- score by id; kept up to date, for one call may say several things of one message
for i = 1, count do
  if scores[i] then flight[ids[i]] = tonumber(scores[i]) end
end

-- The score tells deliveries apart that are fewer than FENCE from each other; the side record tells all.
local returned = redis.call('HLEN', SIDE) > 1
local sides = returned and redis.call('HMGET', SIDE, unpack(ids)) or {}

local verdicts, acked, unheld, dropped = {}, {}, {}, {}
local ready, due = 0, 0

-- Where a message is that nobody holds, its newest receipt still acknowledges it.
local function ack_unheld(id, delivery)
  if dropped[id] or redis.call('HEXISTS', BODY, id) == 0 then return 'g' end
  if read_side(redis.call('HGET', SIDE, id)) ~= delivery then return 'n' end
  unheld[#unheld + 1] = id
  return 'k'
end

for i = 1, count do
  local id, op, verdict = ids[i], string.sub(ARGV[6 + i], 1, 1), 'k'
  local score = flight[id]
  local delivery, received, span
  if op == 'a' then
    delivery = tonumber(string.sub(ARGV[6 + i], 14))
  else
    delivery, received, span = string.match(ARGV[6 + i], '^(%d+),(%d+),(%d+)$', 14)
    delivery, received, span = tonumber(delivery), tonumber(received), tonumber(span)
  end
  if not score then
    if op == 'a' then
      verdict = ack_unheld(id, delivery)
      if verdict == 'k' then dropped[id] = true end
    else
      verdict = (not dropped[id] and redis.call('HEXISTS', BODY, id) == 1) and 'x' or 'g'
    end
  elseif score % FENCE ~= delivery % FENCE or read_side(sides[i]) + 1 ~= delivery then
    verdict = 'n'
  elseif op == 'a' then
    acked[#acked + 1] = id
    dropped[id] = true
    flight[id] = nil
  elseif lease_end(score) <= q.now then
    verdict = 'x'
  elseif op == 'e' and q.time + span - received > LONGEST then
    verdict = 'l'
  else
    local d, r, f, first = read_side(sides[i])
    if first == 0 then first = received end
    returned = true
    if op == 'e' then
      local ends = lease(q.time + span, delivery)
      redis.call('HSET', SIDE, id, write_side(d, r, f, first))
      redis.call('ZADD', FLIGHT, ends, id)
      flight[id] = tonumber(ends)
      if q.time + span < lease_end(score) and (due == 0 or q.time + span < due) then due = q.time + span end
    else
      redis.call('ZREM', FLIGHT, id)
      flight[id] = nil
      local at = q.now
      if op == 'u' then
        -- Back to its place, as if it had not been lent, but for the number of the delivery.
        redis.call('HSET', SIDE, id, write_side(d + 1, r, f, r == 0 and 0 or first))
        at = made(id)
      else
        redis.call('HSET', SIDE, id, write_side(d + 1, r + 1, f + 1, first))
      end
      if span > 0 then
        redis.call('ZADD', DELAYED, num(q.time + span), id)
        if due == 0 or q.time + span < due then due = q.time + span end
      else
        redis.call('ZADD', AGAIN, num(at), id)
        redis.call('ZADD', AGE, num(made(id)), id)
        ready = ready + 1
      end
    end
  end
  verdicts[i] = verdict
end

if #unheld > 0 then
  for _, key in ipairs({ AGAIN, AGE, DELAYED }) do redis.call('ZREM', key, unpack(unheld)) end
  for _, id in ipairs(unheld) do acked[#acked + 1] = id end
end
if #acked > 0 then
  redis.call('ZREM', FLIGHT, unpack(acked))
  redis.call('HDEL', BODY, unpack(acked))
  if returned then redis.call('HDEL', SIDE, unpack(acked)) end
  set(q, 'del', q.del + #acked)
end
if ready > 0 and q.ag == 0 then set(q, 'ag', 1) end
if due > 0 and due < q.nd then set(q, 'nd', due) end
if ARGV[6] ~= '1' then wake(q, ready, due) end
local answer = table.concat(verdicts)
close_queue(q, num(q.time) .. '|' .. answer)
return { 'ok', num(q.time), answer, num(ready), num(due > 0 and due - q.now or 0) }
