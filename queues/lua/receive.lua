-- Lends messages to several callers, as if they had come one after another, each for its own time.
-- ARGV[6] milliseconds: retention
-- ARGV[7] milliseconds: the queue's visibility timeout
-- ARGV[8] "2" when the caller's server has other receives waiting, "1" when it will have some if this call finds too little, else "0"
-- ARGV[9+] per caller two: how many messages at most; milliseconds: its visibility timeout
-- Returns: "ok", "time more due count…" (more: how many messages are left, as far as anyone asked; due: in how many milliseconds the next may become available by itself, or 0; one count per caller), then per message two: id and, unless it is the first delivery, "deliveries,receives,failures,first receive"; record. Or a refusal of lib/queue
-- Flags: allow-oom
-- Again: the lane remembers which messages were lent; those that are still lent are given again.
--- @include "lib/queue"
--- @include "lib/wake"
--- @include "lib/enlist"
--- @include "lib/tidy"
local q = open_queue('mx', 'pop', 'tomb', 'out', 'exp', 'nd', 'ag', 'vt')
if q.refusal then return q.refusal end

local out, n, lasts = { 'ok', '' }, 2, {}
for i = 10, #ARGV, 2 do lasts[#lasts + 1] = tonumber(ARGV[i]) end
if q.last then
  -- The caller never saw the answer to this call: it gets the messages that are still lent by it.
  local now, counts, ids = string.match(q.last, '^(%d+)|([%d ]*)|(.*)$')
  local at, kept = 0, {}
  for count in string.gmatch(counts, '%d+') do
    local before, ends = n, tonumber(now) + lasts[#kept + 1]
    for i = at + 1, at + tonumber(count) do
      local id = string.sub(ids, 12 * i - 11, 12 * i)
      local score, record = redis.call('ZSCORE', FLIGHT, id), redis.call('HGET', BODY, id)
      local d, r, f, first = read_side(redis.call('HGET', SIDE, id))
      -- A lease with another end is someone else's, and one that has ended may be so at any time.
      if score and record and lease_end(tonumber(score)) == ends and ends > q.now then
        out[n + 1] = d == 0 and id or id .. write_side(d + 1, r + 1, f, first)
        out[n + 2] = record
        n = n + 2
      end
    end
    at = at + tonumber(count)
    kept[#kept + 1] = (n - before) / 2
  end
  out[2] = now .. ' 1 0 ' .. table.concat(kept, ' ')
  return out
end

local retention, timeout, waiting = tonumber(ARGV[6]), tonumber(ARGV[7]), ARGV[8] ~= '0'
local callers, want, most = #lasts, 0, {}
for i = 1, callers do
  most[i] = tonumber(ARGV[7 + 2 * i])
  want = want + most[i]
end
if want > MOST then want = MOST end
local tidied = tidy_due(q)

-- Merges the heads of `ready` and `again` up to `room` ids, the one that has been available for longer first, and no
-- more bytes than a script may carry. Returns them, and for those of `again` true.
local function merge(room, others)
  local bounded = q.mx * room > BYTES
  local skip = redis.call('LINDEX', READY, 0) == '' and 1 or 0
  local fresh = redis.call('LRANGE', READY, skip, skip + room - 1)
  local ids, back, gone, f, o, bytes = {}, {}, {}, 1, 1, 0
  while #ids < room and (fresh[f] or others[2 * o - 1]) do
    local returned = others[2 * o - 1] and (not fresh[f] or tonumber(others[2 * o]) <= made(fresh[f]))
    local id = returned and others[2 * o - 1] or fresh[f]
    if bounded then
      bytes = bytes + redis.call('HSTRLEN', BODY, id)
      if bytes > BYTES and #ids > 0 then break end
    end
    ids[#ids + 1] = id
    if returned then
      back[#ids] = true
      gone[#gone + 1] = id
      o = o + 1
    else
      f = f + 1
    end
  end
  if f > 1 then
    pop_ready(f - 1 + skip)
    q.pop = q.pop + f - 1
  end
  if #gone > 0 then
    redis.call('ZREM', AGAIN, unpack(gone))
    redis.call('ZREM', AGE, unpack(gone))
  end
  return ids, back
end

-- Takes up to `room` ids from the heads. Mostly there is nothing in `again` and the bodies are small.
local function take(room)
  local others = {}
  if q.ag ~= 0 then
    others = redis.call('ZRANGEBYSCORE', AGAIN, '-inf', LAST, 'WITHSCORES', 'LIMIT', 0, room)
    if #others == 0 then set(q, 'ag', 0) end
  end
  if #others > 0 or q.mx * room > BYTES then return merge(room, others) end
  local skip = redis.call('LINDEX', READY, 0) == '' and 1 or 0
  if redis.call('LLEN', READY) == skip then return {}, {} end
  local ids = pop_ready(room + skip)
  if skip == 1 then table.remove(ids, 1) end
  q.pop = q.pop + #ids
  return ids, {}
end

-- Collects live messages. What is deleted or over its retention is dropped on the way.
local popped, ids, back, records, count, looked, bytes, heavy = q.pop, {}, {}, {}, 0, 0, 0, false
while count < want and looked < MOST do
  local got, returned = take(math.min(want - count, MOST - looked))
  if #got == 0 then break end
  looked = looked + #got
  local found, over, tombs = redis.call('HMGET', BODY, unpack(got)), {}, 0
  local young = false -- in the list a message is not older than the one before it
  for i, id in ipairs(got) do
    local record = found[i]
    if record then bytes = bytes + #record end
    if not record then
      tombs = tombs + 1
    elseif (returned[i] or not young) and sent(record) + retention <= q.now then
      over[#over + 1] = id
    else
      young = young or not returned[i]
      count = count + 1
      ids[count], records[count], back[count] = id, record, returned[i]
    end
  end
  if tombs > 0 then set(q, 'tomb', q.tomb - tombs) end
  if #over > 0 then
    redis.call('HDEL', BODY, unpack(over))
    redis.call('HDEL', SIDE, unpack(over))
    set(q, 'exp', q.exp + #over)
  end
  heavy = bytes + q.mx > BYTES
  if heavy then break end
end
if q.pop ~= popped then set(q, 'pop', q.pop) end

-- Everyone gets one before anyone gets more.
local counts, left = {}, count
for i = 1, callers do
  counts[i] = left > 0 and most[i] > 0 and 1 or 0
  left = left - counts[i]
end
for i = 1, callers do
  local more = math.min(left, most[i] - counts[i])
  counts[i] = counts[i] + more
  left = left - more
end

-- A first lease of just `vt` needs no side record: its end tells when it began. `vt` follows the queue's visibility
-- timeout as soon as nothing is in flight.
if count > 0 and q.vt ~= timeout and held(FLIGHT) == 0 then set(q, 'vt', timeout) end
local flight, side, at, short, sooner = {}, {}, 0, false, false
for i = 1, callers do
  local lent = lasts[i]
  local first_lease = lease(q.time + lent, 1)
  if counts[i] == 0 then
    short = true
  elseif q.time + lent < q.nd then
    set(q, 'nd', q.time + lent)
    sooner = true
  end
  for k = at + 1, at + counts[i] do
    local id, score = ids[k], first_lease
    out[n + 1] = id
    local old = back[k] and redis.call('HGET', SIDE, id)
    if old then
      local d, r, f, first = read_side(old)
      if first == 0 then
        first = q.time
        side[#side + 1] = id
        side[#side + 1] = write_side(d, r, f, first)
      end
      score = lease(q.time + lent, d + 1)
      out[n + 1] = id .. write_side(d + 1, r + 1, f, first)
    elseif lent ~= q.vt then
      side[#side + 1] = id
      side[#side + 1] = write_side(0, 0, 0, q.time)
    end
    flight[2 * k - 1], flight[2 * k] = score, id
    out[n + 2] = records[k]
    n = n + 2
  end
  at = at + counts[i]
end
if count > 0 then
  redis.call('ZADD', FLIGHT, unpack(flight))
  set(q, 'out', q.out + count)
end
if #side > 0 then redis.call('HSET', SIDE, unpack(side)) end

local more, due = 0, 0
if short or waiting or q.w ~= '' then
  local rest = listed() - q.tomb + held(AGAIN)
  if count > 0 then more = rest end
  -- Another hundred may be due or dead: whoever asks again at once gets on with them.
  if more == 0 and (heavy or looked >= MOST or tidied >= MOST) then more = 1 end
  -- A server with waiting receives sees to it itself that someone looks when something becomes available.
  if waiting and q.nd < NEVER then due = math.max(q.nd - q.now, 1) end
  if waiting and short then
    enlist(q, true)
  elseif ARGV[8] ~= '2' and (rest > 0 or sooner and not waiting) then
    wake(q, rest, sooner and not waiting and q.nd or 0, string.match(ARGV[4], '^L(%d+)'))
  end
end
local told = table.concat(counts, ' ')
out[2] = num(q.time) .. ' ' .. num(more) .. ' ' .. num(due) .. ' ' .. told
if count > 0 then
  close_queue(q, num(q.time) .. '|' .. told .. '|' .. table.concat(ids))
elseif #q.f > 0 then
  close_queue(q)
end
return out
