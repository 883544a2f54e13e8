-- Ends, prolongs or returns leases: what consumers say of messages that they hold.
-- ARGV[6] "1" when the caller's server has receives waiting, which it wakes itself
-- ARGV[7+] per lease one: "a" ack, "e" extend, "r" return, "b" return after the back-off, "d" give up or "u" unreceive (the caller never saw it), "A", "E", "R", "B", "D" and "U" for a message that belongs to a group; its member (see lib/groups), 12 or 27 bytes; of an ack how many bytes its record has, in three bytes; delivery and, unless it is an ack, "," time of the receive in milliseconds "," extension or delay in milliseconds "," what the consumer says of it
-- Returns: "ok", the time, and per lease one letter: "k" done, "g" the message is gone already, "o" it is over now: its end came while it was held, "x" the lease has ended, "n" another delivery has begun, "l" it would be held for too long, "m" not looked at, because the ones before took all the bytes that a script may read: ask again; how many messages became available; in how many milliseconds the next does, or 0; and of each "b" that is done how long the message waits, in milliseconds, with spaces between. Or a refusal of lib/queue
-- Flags: allow-oom
-- Again: the lane remembers the answer.
--- @include "lib/queue"
--- @include "lib/wake"
--- @include "lib/groups"
--- @include "lib/transfer"
--- @include "lib/retry"
--- @include "lib/ends"
local q = open_queue('del', 'nd', 'ag', 'tl', 'to', 'dl', 'exp', 'tt')
if q.refusal then return q.refusal end
if q.last then
  local now, verdicts, waits = string.match(q.last, '^(%d+)|(%a*)|?(.*)$')
  return { 'ok', now, verdicts, '0', '0', waits }
end

-- How long a message may be held in all since it was received, in milliseconds.
local LONGEST = 43200000
local count, ids, members, ops = #ARGV - 6, {}, {}, {}
for i = 1, count do
  local op = string.sub(ARGV[6 + i], 1, 1)
  ids[i], ops[i] = string.sub(ARGV[6 + i], 2, 13), string.lower(op)
  members[i] = op == ops[i] and ids[i] or string.sub(ARGV[6 + i], 2, 28)
end
local scores = redis.call('ZMSCORE', FLIGHT, unpack(members))
local flight = {} -- score by id; kept up to date, for one call may say several things of one message
for i = 1, count do
  if scores[i] then flight[ids[i]] = tonumber(scores[i]) end
end

-- The score tells deliveries apart that are fewer than FENCE from each other; the side record tells all.
local returned = redis.call('HLEN', SIDE) > 1
local sides = returned and redis.call('HMGET', SIDE, unpack(ids)) or {}

local verdicts, acked, unheld, dropped = {}, {}, {}, {}
local over, entries, groups = {}, {}, {} -- members that leave flight for good, what leaves `members`, groups that change
local ready, due, again, freed = 0, 0, false, 0
local leaving, bytes = {}, 0
local waits, ended = {}, {}

-- Where a message is that nobody holds, its newest receipt still acknowledges it, unless the queue is FIFO.
local function ack_unheld(id, delivery)
  if dropped[id] or redis.call('HEXISTS', BODY, id) == 0 then return 'g' end
  if q.fifo then return 'x' end
  if read_side(redis.call('HGET', SIDE, id)) ~= delivery then return 'n' end
  return 'k'
end

for i = 1, count do
  local id, member, op, verdict = ids[i], members[i], ops[i], 'k'
  local score = flight[id]
  local delivery, received, span, said, size
  if op == 'a' then
    local a, b, c = string.byte(ARGV[6 + i], #member + 2, #member + 4)
    delivery, size = tonumber(string.sub(ARGV[6 + i], #member + 5)), (a * 256 + b) * 256 + c
  else
    delivery, received, span, said = string.match(ARGV[6 + i], '^(%d+),(%d+),(%d+),(.*)$', #member + 2)
    delivery, received, span = tonumber(delivery), tonumber(received), tonumber(span)
  end
  if not score then
    if op == 'a' then
      verdict = ack_unheld(id, delivery)
      if verdict == 'k' then
        dropped[id] = true
        unheld[#unheld + 1] = member
        acked[#acked + 1] = id
        if note then note(q, 'k', id, i, delivery) end
        freed = freed + size
        if grouped(member) then
          entries[#entries + 1] = entry_of(member)
          touch(groups, group_of(member))
        end
      end
    else
      verdict = (not dropped[id] and redis.call('HEXISTS', BODY, id) == 1) and 'x' or 'g'
    end
  elseif score % FENCE ~= delivery % FENCE or read_side(sides[i]) + 1 ~= delivery then
    verdict = 'n'
  elseif lease_end(score) <= q.now and (op ~= 'a' or q.fifo) then
    verdict = 'x'
  elseif op == 'a' then
    acked[#acked + 1] = id
    if note then note(q, 'k', id, i, delivery) end
    freed = freed + size
    over[#over + 1] = member
    dropped[id] = true
    flight[id] = nil
    if q.fifo then
      entries[#entries + 1] = entry_of(member)
      touch(groups, group_of(member))
    end
  elseif op == 'e' and q.time + span - received > LONGEST then
    verdict = 'l'
  elseif op == 'd' and bytes > BYTES then
    verdict = 'm'
  elseif op ~= 'e' and op ~= 'd' and has_ended(q, member) then
    verdict = 'o'
    ended[#ended + 1] = id
    if note then
      note(q, op == 'u' and 'u' or 'b', id, i, delivery, 0, said)
      note(q, 'x', id, nil, 0, 0, 't')
    end
    over[#over + 1] = member
    dropped[id] = true
    flight[id] = nil
    if q.fifo then
      entries[#entries + 1] = entry_of(member)
      touch(groups, group_of(member))
    end
  else
    local d, r, f, first, rest = read_side(sides[i])
    if first == 0 then first = received end
    returned = true
    if said ~= '' then rest = split_rest(rest) .. ',e' .. said end
    if op == 'e' then
      local ends = lease(q.time + span, delivery)
      if d > 0 and not marked(rest) then rest = hold(rest, ',h' .. num(received)) end
      redis.call('HSET', SIDE, id, write_side(d, r, f, first, rest))
      redis.call('ZADD', FLIGHT, ends, member)
      flight[id] = tonumber(ends)
      if note then note(q, 'e', id, i, delivery, q.time + span) end
      if q.fifo then touch(groups, group_of(member)) end
      if q.time + span < lease_end(score) and (due == 0 or q.time + span < due) then due = q.time + span end
    elseif op == 'd' then
      local record = redis.call('HGET', BODY, id)
      if note then note(q, 'd', id, i, delivery, 0, 'd' .. said) end
      bytes = bytes + #record
      leaving[#leaving + 1] = { 'd', id, id, write_side(d + 1, r + 1, f + 1, first, take_end(q, member, rest)), '', said, record }
      remove_records(q, { id }, #record)
      redis.call('HDEL', SIDE, id)
      over[#over + 1] = member
      dropped[id] = true
      flight[id] = nil
      if q.fifo then
        entries[#entries + 1] = entry_of(member)
        touch(groups, group_of(member))
      end
    else
      redis.call('ZREM', FLIGHT, member)
      flight[id] = nil
      if op == 'b' then
        span = backoff(q, id, f + 1, rest)
        waits[#waits + 1] = num(span)
      end
      if grouped(member) and (q.fifo or span == 0) then touch(groups, group_of(member)) end
      if note then note(q, op == 'u' and 'u' or 'b', id, i, delivery, span > 0 and q.time + span, said) end
      local at = q.now
      if op == 'u' then
        -- Back to its place, as if it had not been lent, but for the number of the delivery.
        redis.call('HSET', SIDE, id, write_side(d + 1, r, f, r == 0 and 0 or first, rest))
        at = made(id)
      else
        redis.call('HSET', SIDE, id, write_side(d + 1, r + 1, f + 1, first, rest))
      end
      if span > 0 then
        redis.call('ZADD', DELAYED, num(q.time + span), member)
        if due == 0 or q.time + span < due then due = q.time + span end
      elseif grouped(member) then
        if not q.fifo then
          redis.call('ZADD', MEMBERS, 0, entry_of(member))
          ready = ready + 1
        end
      else
        redis.call('ZADD', AGAIN, rank(at, rest), id)
        redis.call('ZADD', AGE, num(made(id)), id)
        again = true
        ready = ready + 1
      end
    end
  end
  verdicts[i] = verdict
end

if #unheld > 0 then
  for _, key in ipairs({ AGAIN, AGE, DELAYED }) do redis.call('ZREM', key, unpack(unheld)) end
end
if #over > 0 then redis.call('ZREM', FLIGHT, unpack(over)) end
forget_ends(q, over)
forget_ends(q, unheld)
if #entries > 0 then redis.call('ZREM', MEMBERS, unpack(entries)) end
if #groups > 0 then
  local turns = regroup(q, groups)
  if q.fifo then ready = turns end
end
if #acked > 0 then
  remove_records(q, acked, freed)
  if returned then redis.call('HDEL', SIDE, unpack(acked)) end
  set(q, 'del', q.del + #acked)
end
if #leaving > 0 then
  send_off(q, leaving)
  set(q, 'dl', q.dl + #leaving)
end
if #ended > 0 then
  remove_records(q, ended)
  redis.call('HDEL', SIDE, unpack(ended))
  set(q, 'exp', q.exp + #ended)
end
if again and q.ag == 0 then set(q, 'ag', 1) end
if due > 0 and due < q.nd then set(q, 'nd', due) end
-- What is behind a message of a FIFO queue becomes available at that one's end, if it is the sooner.
if q.fifo and q.tt ~= 0 and due > q.nd and q.nd > q.now then due = q.nd end
if ARGV[6] ~= '1' then wake(q, ready, due) end
local answer = table.concat(verdicts)
local told = table.concat(waits, ' ')
close_queue(q, num(q.time) .. '|' .. answer .. (told ~= '' and '|' .. told or ''))
return { 'ok', num(q.time), answer, num(ready), num(due > 0 and due - q.now or 0), told }
