-- Shows what lies in a queue's keys just as it lies there, up to 100 entries a call, for a check of the invariants.
-- ARGV[6] part at which to go on: "r" ready, "a" again, "x" age, "f" flight, "d" delayed, "m" members, "o" groups, "j" order, "e" expiry or, where the queue keeps timelines, "n" steps, in this order
-- ARGV[7] index in that part at which to go on, 0 for its first entry
-- Returns: "ok", the time, part and index at which the next page goes on (part "": this was the last one), the time of Redis, the queue clock, "tomb mx in out del exp nd ag dl mv to by drop gb" of the head and 1 for a FIFO queue, else 0, "b r a x f d s i j m o t e g": how many entries the keys have, and behind them, where the queue keeps timelines, those of "l n", and the bytes that the sentinel of "l" says; letters of the keys that lack their sentinel, then per entry six: part, member, score or "", bytes of its record or, of a group in "e", of its state, side record or "", until when it waits for its back-off after a lease that has ended in milliseconds or ""; of "n" the id, the time, bytes of what is kept, letter of the last step, 1 when the message has a record and else 0; of "j" the digest, the time, 1 when `dedup` has it under that time and else 0, "", ""; or a refusal of lib/queue
-- Flags: no-writes
-- Again: it changes nothing.
--- @include "lib/queue"
--- @include "lib/retry"
local q = open_queue('tomb', 'mx', 'in', 'out', 'del', 'exp', 'nd', 'ag', 'dl', 'mv', 'to', 'by', 'drop', 'gb')
if q.refusal then return q.refusal end
local ordered = { a = AGAIN, x = AGE, f = FLIGHT, d = DELAYED, m = MEMBERS, o = GROUPS, e = EXPIRY }
if note then ordered.n = KEYS[17] end
local out, left, walk = {}, MOST, note and 'raxfdmojen' or 'raxfdmoje'

local function show(...)
  for _, v in ipairs({ ... }) do out[#out + 1] = v end
  left = left - 1
end

local function show_message(part, member, score)
  if part == 'n' then
    local kept = redis.call('HGET', KEYS[16], member)
    show(part, member, score, num(#(kept or '')), kept and string.match(kept, '^%d+,%d+,(%a)|') or '', num(redis.call('HEXISTS', BODY, member)))
    return
  end
  if part == 'e' and #member == 8 then
    show(part, member, score, num(redis.call('HSTRLEN', STATES, member)), '', '')
    return
  end
  local id = part == 'm' and string.sub(member, 16) or string.sub(member, 1, 12)
  local lease = part == 'f' and tonumber(score)
  local till = lease and lease_end(lease) <= q.now and num(waits_till(q, id, lease)) or ''
  show(part, member, score, num(redis.call('HSTRLEN', BODY, id)), redis.call('HGET', SIDE, id) or '', till)
end

-- Shows entries of one part from an index on, and returns the index behind them, or nil when there are no more.
local function show_part(part, from)
  local got
  if part == 'r' or part == 'j' then
    got = redis.call('LRANGE', part == 'r' and READY or ORDER, from, from + left - 1)
    for _, entry in ipairs(got) do
      if part == 'r' then
        show_message('r', entry, '')
      elseif entry == '' then
        show('j', '', '', '0', '', '')
      else
        local digest, time = string.sub(entry, 1, 16), string.sub(entry, 17)
        local kept = redis.call('HGET', DEDUP, digest)
        show('j', digest, time, kept and string.match(kept, '^%d+') == time and '1' or '0', '', '')
      end
    end
    return left == 0 and from + #got or nil
  end
  got = redis.call('ZRANGE', ordered[part], from, from + left - 1, 'WITHSCORES')
  for i = 1, #got, 2 do
    show_message(part, got[i], got[i] == '' and '' or num(tonumber(got[i + 1])))
  end
  return left == 0 and from + #got / 2 or nil
end

local next_part, next_index = '', '0'
local index = tonumber(ARGV[7])
for i = string.find(walk, ARGV[6], 1, true), #walk do
  local part = string.sub(walk, i, i)
  local on = show_part(part, index)
  if on then
    next_part, next_index = part, num(on)
    break
  end
  index = 0
end

local lacking = ''
for letter, key in pairs({ b = BODY, s = SIDE, i = DEDUP, t = TRANSFERS, g = STATES }) do
  if redis.call('HEXISTS', key, '') == 0 then lacking = lacking .. letter end
end
for letter, key in pairs(ordered) do
  if not redis.call('ZSCORE', key, '') then lacking = lacking .. letter end
end
if redis.call('LLEN', READY) == 0 then lacking = lacking .. 'r' end
if redis.call('LINDEX', ORDER, 0) ~= '' then lacking = lacking .. 'j' end

local time = tonumber(ARGV[1])
if time == 0 then
  local t = redis.call('TIME')
  time = t[1] * 1000 + math.floor(t[2] / 1000)
end
local counters = {}
for i, name in ipairs({ 'tomb', 'mx', 'in', 'out', 'del', 'exp', 'nd', 'ag', 'dl', 'mv', 'to', 'by', 'drop', 'gb' }) do counters[i] = num(q[name]) end
counters[#counters + 1] = q.fifo and '1' or '0'
local sizes = {
  redis.call('HLEN', BODY), redis.call('LLEN', READY), redis.call('ZCARD', AGAIN), redis.call('ZCARD', AGE),
  redis.call('ZCARD', FLIGHT), redis.call('ZCARD', DELAYED), redis.call('HLEN', SIDE), redis.call('HLEN', DEDUP),
  redis.call('LLEN', ORDER), redis.call('ZCARD', MEMBERS), redis.call('ZCARD', GROUPS), redis.call('HLEN', TRANSFERS),
  redis.call('ZCARD', EXPIRY), redis.call('HLEN', STATES),
}
if note then
  sizes[15], sizes[16] = redis.call('HLEN', KEYS[16]), redis.call('ZCARD', KEYS[17])
  sizes[17] = string.match(redis.call('HGET', KEYS[16], '') or '', '^%d+') or '0'
  if redis.call('HEXISTS', KEYS[16], '') == 0 then lacking = lacking .. 'l' end
end
return { 'ok', num(q.now), next_part, next_index, num(time), redis.call('HGET', HEAD, 'clk') or '0',
  table.concat(counters, ' '), table.concat(sizes, ' '), lacking, unpack(out) }
