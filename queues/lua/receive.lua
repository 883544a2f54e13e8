-- Lends messages to several callers, as if they had come one after another, each for its own time. In a FIFO queue that
-- is just so; in a standard one everyone gets one before anyone gets more.
-- ARGV[6] milliseconds: retention
-- ARGV[7] milliseconds: the queue's visibility timeout
-- ARGV[8] "2" when the caller's server has other receives waiting, "1" when it will have some if this call finds too little, else "0"
-- ARGV[9] digest (16 bytes) of the attempt that the only caller makes at a FIFO queue, or ""
-- ARGV[10] milliseconds: how long deduplication keys are remembered
-- ARGV[11] how often a message is received before it leaves for the dead-letter queue, 0 for any number
-- ARGV[12+] per caller two: how many messages at most; milliseconds: its visibility timeout, or -1 when what it gets is deleted at once, and "," and the name that it gave, in base64, if it gave one
-- Returns: "ok", "time lent more due moving count…" (time: when the deliveries began; lent: from when on the leases count, the same but for a repeated attempt; more: how many messages are left, as far as anyone asked; due: in how many milliseconds the next may become available by itself, or 0; moving: how many messages are on their way to another queue; one count per caller), then per message two: id and, unless it is the first delivery, "deliveries,receives,failures,first receive" with the last error as in the side record; record. Or a refusal of lib/queue
-- Flags: allow-oom
-- Again: the lane remembers which messages were lent; those that are still lent are given again. Those that were deleted at once are gone.
--- @include "lib/queue"
--- @include "lib/wake"
--- @include "lib/enlist"
--- @include "lib/tidy"
--- @include "lib/forget"
--- @include "lib/transfer"
local q = open_queue('mx', 'pop', 'tomb', 'out', 'exp', 'nd', 'ag', 'vt', 'gr', 'ut', 'to', 'del', 'tt')
if q.refusal then return q.refusal end

local out, n, lasts, names = { 'ok', '' }, 2, {}, {}
for i = 13, #ARGV, 2 do
  local k = #lasts + 1
  lasts[k] = tonumber(ARGV[i])
  if not lasts[k] then
    local span, name = string.match(ARGV[i], '^(%d+),(.+)$')
    lasts[k], names[k] = tonumber(span), name
  end
end
-- What is noted of caller i with what it holds, see lib/index; since: milliseconds.
local function mark_of(i, since) return ',h' .. num(since) .. (names[i] and ':' .. names[i] or '') end
if q.last then
  -- The caller never saw the answer to this call: it gets the messages that are still lent by it.
  local now, counts, ids = string.match(q.last, '^(%d+)|([%d ]*)|(.*)$')
  local at, kept = 0, {}
  for count in string.gmatch(counts, '%d+') do
    local before, ends = n, tonumber(now) + lasts[#kept + 1]
    for i = at + 1, at + tonumber(count) do
      local id = string.sub(ids, 12 * i - 11, 12 * i)
      local record = redis.call('HGET', BODY, id)
      local score = record and redis.call('ZSCORE', FLIGHT, member_of(id, record))
      local d, r, f, first, rest = read_side(redis.call('HGET', SIDE, id))
      -- A lease with another end is someone else's, and one that has ended may be so at any time.
      if score and lease_end(tonumber(score)) == ends and ends > q.now then
        out[n + 1] = d == 0 and id or id .. write_side(d + 1, r + 1, f, first, rest)
        out[n + 2] = record
        n = n + 2
      end
    end
    at = at + tonumber(count)
    kept[#kept + 1] = (n - before) / 2
  end
  out[2] = now .. ' ' .. now .. ' 1 0 ' .. num(q.to) .. ' ' .. table.concat(kept, ' ')
  return out
end

local retention, timeout, waiting = tonumber(ARGV[6]), tonumber(ARGV[7]), ARGV[8] ~= '0'
local callers, want, most = #lasts, 0, {}
for i = 1, callers do
  most[i] = tonumber(ARGV[10 + 2 * i])
  want = want + most[i]
end
if want > MOST then want = MOST end
local _, tidied = tidy_due(q)

-- A caller that never saw the answer to its attempt makes it again. As long as it holds all that it was given, and has
-- not said anything of it, it gets the same deliveries, from now on. Of each the attempt has noted member and score.
local window = tonumber(ARGV[10])
local attempts = math.min(window, 300000)
local function attempt_again()
  local noted = ARGV[9] ~= '' and redis.call('HGET', DEDUP, ARGV[9])
  if not noted then return false end
  local bar = string.find(noted, '|', 1, true)
  local began = tonumber(string.sub(noted, 1, bar - 1))
  if began + attempts <= q.now then return false end
  local members, ids, flight, kept = {}, {}, {}, {}
  for member, score in string.gmatch(string.sub(noted, bar + 1), '(' .. string.rep('.', 27) .. ')(%d+),') do
    if tonumber(redis.call('ZSCORE', FLIGHT, member) or 0) ~= tonumber(score) or lease_end(tonumber(score)) <= q.now then return false end
    local fresh = num(turn(q.time + lasts[1]) + tonumber(score) % FENCE)
    members[#members + 1], ids[#ids + 1] = member, id_of(member)
    flight[#flight + 1], flight[#flight + 2] = fresh, member
    kept[#kept + 1] = member .. fresh .. ','
  end
  local records, sides, groups = redis.call('HMGET', BODY, unpack(ids)), redis.call('HMGET', SIDE, unpack(ids)), {}
  for i, id in ipairs(ids) do
    local d, r, f, first, rest = read_side(sides[i])
    out[n + 1] = sides[i] and id .. write_side(d + 1, r + 1, f, first, rest) or id
    out[n + 2] = records[i]
    n = n + 2
    -- Its end no longer tells when the lease began.
    redis.call('HSET', SIDE, id, write_side(d, r, f, sides[i] and first or began, hold(rest, mark_of(1, began))))
    touch(groups, group_of(members[i]))
    if note then note(q, 'e', id, 1, d + 1, q.time + lasts[1]) end
  end
  redis.call('ZADD', FLIGHT, unpack(flight))
  redis.call('HSET', DEDUP, ARGV[9], num(began) .. '|' .. table.concat(kept))
  regroup(q, groups)
  if q.time + lasts[1] < q.nd then set(q, 'nd', q.time + lasts[1]) end
  out[2] = num(began) .. ' ' .. num(q.time) .. ' 0 0 ' .. num(q.to) .. ' ' .. num(#ids)
  close_queue(q)
  return true
end
if attempt_again() then return out end

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
local function take_ungrouped(room)
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

-- Takes up to `room` members of a standard queue, whose groups take turns. Messages without a group are one more of
-- them, which had its turn at `ut`. Whoever is served goes behind all others.
local function take(room)
  if q.gr == 0 then return take_ungrouped(room) end
  local order = redis.call('ZRANGEBYSCORE', GROUPS, '-inf', LAST, 'WITHSCORES', 'LIMIT', 0, room)
  if #order == 0 then return take_ungrouped(room) end
  local groups, own = {}, listed() - q.tomb + held(AGAIN) > 0 and 0
  for i = 1, #order, 2 do
    if own == 0 and q.ut < tonumber(order[i + 1]) and #groups < room then
      groups[#groups + 1] = ''
      own = #groups
    end
    if #groups < room then groups[#groups + 1] = order[i] end
  end
  if own == 0 and #groups < room then groups[#groups + 1] = '' end
  local each, rest = math.floor(room / #groups), room % #groups
  local got, back, taken, empty, turns, ages, bytes, full = {}, {}, {}, {}, {}, {}, 0, false
  for i, group in ipairs(groups) do
    local share = each + (i <= rest and 1 or 0)
    if full then break end
    if group == '' then
      local ids, returned = take_ungrouped(share)
      for k, id in ipairs(ids) do
        got[#got + 1] = id
        back[#got] = returned[k]
      end
      if #ids > 0 then
        q.ut = turn(q.now) + i
        set(q, 'ut', q.ut)
      end
    else
      local entries, next_one = group_entries(group, share + 1), nil
      for k, entry in ipairs(entries) do
        if k <= share and not full and q.mx * room > BYTES then
          bytes = bytes + redis.call('HSTRLEN', BODY, string.sub(entry, 16))
          full = bytes > BYTES and #got > 0
        end
        if k > share or full then
          next_one = entry
          break
        end
        taken[#taken + 1] = entry
        got[#got + 1] = member_at(entry)
        back[#got] = true
      end
      if next_one then
        turns[#turns + 1] = num(turn(q.now) + i)
        turns[#turns + 1] = group
        ages[#ages + 1] = num(placed(member_at(next_one)) + WITNESS_TOLERANCE)
        ages[#ages + 1] = group
      else
        empty[#empty + 1] = group
      end
    end
  end
  if #taken > 0 then redis.call('ZREM', MEMBERS, unpack(taken)) end
  if #turns > 0 then
    redis.call('ZADD', GROUPS, unpack(turns))
    redis.call('ZADD', AGE, unpack(ages))
  end
  if #empty > 0 then
    redis.call('ZREM', GROUPS, unpack(empty))
    redis.call('ZREM', AGE, unpack(empty))
  end
  return got, back
end

-- Collects live messages. What is deleted or over its retention is dropped on the way.
local popped, ids, back, records, count, looked, bytes, heavy = q.pop, {}, {}, {}, 0, 0, 0, false
local counts = {}

-- What was received as often as it may be leaves for the dead-letter queue. Only messages that came back have been
-- received.
local limit, spent = tonumber(ARGV[11]), {}
local worn = limit > 0 and redis.call('HLEN', SIDE) > 1
local function give_up(id, side, record)
  local d, r, f, first, rest = read_side(side)
  if r < limit then return false end
  side = write_side(d, r, f, first, take_end(q, member_of(id, record), rest))
  spent[#spent + 1] = { 'x', id, id, side, '', '', record }
  if note then note(q, 'd', id, nil, 0, 0, 'x') end
  return true
end

-- Serves the callers of a FIFO queue one after another. Each gets all it wants of one group before the next; behind the
-- first message that is held or delayed nothing of a group can be received, so no two callers share one.
local function serve_fifo()
  local touched, entries, over = {}, {}, {}
  -- The next group whose turn it is. There may be many whose messages have all ended.
  local page, from, at = nil, 0, 0
  local function next_group()
    at = at + 1
    if not page or at > #page and #page == want then
      page = redis.call('ZRANGEBYSCORE', GROUPS, '-inf', '(' .. lease_bound(q.now), 'LIMIT', from, want)
      from, at = from + #page, 1
    end
    return page[at]
  end
  local waiting = held(DELAYED) > 0
  -- Looks at some entries of a group for caller i, and returns whether those behind them may be received as well.
  local function serve(i, some)
    for _, entry in ipairs(some) do
      local member = member_at(entry)
      local id = id_of(member)
      if redis.call('ZSCORE', FLIGHT, member) or waiting and redis.call('ZSCORE', DELAYED, member) then return false end
      bytes = bytes + (q.mx * MOST > BYTES and redis.call('HSTRLEN', BODY, id) or 0)
      heavy = bytes > BYTES and count > 0
      if heavy then return false end
      looked = looked + 1
      local side = worn and redis.call('HGET', SIDE, id)
      local late = placed(member) + retention <= q.now
      if late or has_ended(q, member) then
        entries[#entries + 1] = entry
        over[#over + 1] = id
        if note then note(q, 'x', id, nil, 0, 0, late and 'r' or 't') end
      elseif side and give_up(id, side, redis.call('HGET', BODY, id)) then
        entries[#entries + 1] = entry
      else
        count = count + 1
        counts[i] = counts[i] + 1
        ids[count], back[count] = member, true
      end
    end
    return true
  end
  for i = 1, callers do
    counts[i] = 0
    while counts[i] < most[i] and looked < MOST and not heavy do
      local group = next_group()
      if not group then break end
      local from, going = 0, true
      while going and counts[i] < most[i] and looked < MOST do
        local room = math.min(most[i] - counts[i], MOST - looked)
        local some = group_entries(group, room, from)
        from = from + room
        if not serve(i, some) or #some < room then going = false end
      end
      touch(touched, group)
    end
  end
  if #entries > 0 then redis.call('ZREM', MEMBERS, unpack(entries)) end
  if #over > 0 then
    remove_records(q, over)
    redis.call('HDEL', SIDE, unpack(over))
    for i, entry in ipairs(entries) do entries[i] = member_at(entry) end
    forget_ends(q, entries)
    set(q, 'exp', q.exp + #over)
  end
  if count > 0 then
    local plain = {}
    for k = 1, count do plain[k] = id_of(ids[k]) end
    records = redis.call('HMGET', BODY, unpack(plain))
  end
  return touched
end

local served = q.fifo and serve_fifo()
while not q.fifo and count < want and looked < MOST do
  local got, returned = take(math.min(want - count, MOST - looked))
  if #got == 0 then break end
  looked = looked + #got
  local plain = got
  if q.gr ~= 0 then
    plain = {}
    for k, member in ipairs(got) do plain[k] = id_of(member) end
  end
  local found, over, tombs = redis.call('HMGET', BODY, unpack(plain)), {}, 0
  local sides = worn and next(returned) and redis.call('HMGET', SIDE, unpack(plain))
  local ends, ended = q.tt ~= 0 and redis.call('ZMSCORE', EXPIRY, unpack(got)) or {}, {}
  local young = false -- in the list a message is not older than the one before it
  for i, member in ipairs(got) do
    local record = found[i]
    if record then bytes = bytes + #record end
    if not record then
      tombs = tombs + 1
    elseif (returned[i] or not young) and sent(record) + retention <= q.now or ends[i] and tonumber(ends[i]) <= q.now then
      over[#over + 1] = plain[i]
      ended[#ended + 1] = member
      if note then note(q, 'x', plain[i], nil, 0, 0, ends[i] and tonumber(ends[i]) <= q.now and 't' or 'r') end
    elseif not (sides and sides[i] and give_up(plain[i], sides[i], record)) then
      young = young or not returned[i]
      count = count + 1
      ids[count], records[count], back[count] = member, record, returned[i]
    end
  end
  if tombs > 0 then set(q, 'tomb', q.tomb - tombs) end
  if #over > 0 then
    remove_records(q, over)
    redis.call('HDEL', SIDE, unpack(over))
    forget_ends(q, ended)
    set(q, 'exp', q.exp + #over)
  end
  heavy = bytes + q.mx > BYTES
  if heavy then break end
end
if q.pop ~= popped then set(q, 'pop', q.pop) end
if #spent > 0 then
  local gone = {}
  for i, m in ipairs(spent) do gone[i] = m[2] end
  remove_records(q, gone)
  redis.call('HDEL', SIDE, unpack(gone))
  local h = redis.call('HMGET', HEAD, 'tl', 'dl')
  q.tl = tonumber(h[1] or 0)
  send_off(q, spent)
  set(q, 'dl', tonumber(h[2] or 0) + #spent)
end

-- Everyone gets one before anyone gets more.
if not q.fifo then
  local left = count
  for i = 1, callers do
    counts[i] = left > 0 and most[i] > 0 and 1 or 0
    left = left - counts[i]
  end
  for i = 1, callers do
    local more = math.min(left, most[i] - counts[i])
    counts[i] = counts[i] + more
    left = left - more
  end
end

-- A first lease of just `vt` needs no side record: its end tells when it began. `vt` follows the queue's visibility
-- timeout as soon as nothing is in flight.
if count > 0 and q.vt ~= timeout and held(FLIGHT) == 0 then set(q, 'vt', timeout) end
local flight, side, told_ids, at, short, sooner = {}, {}, {}, 0, false, false
local done, done_members, done_entries, done_bytes = {}, {}, {}, 0 -- what is deleted at once
local known = count > 0 and next(back) and redis.call('HLEN', SIDE) > 1
for i = 1, callers do
  local lent, name = lasts[i], names[i]
  local first_lease, mark = lease(q.time + lent, 1), ''
  if name or lent ~= q.vt then mark = mark_of(i, q.time) end
  if counts[i] == 0 then
    short = true
  elseif lent >= 0 and q.time + lent < q.nd then
    set(q, 'nd', q.time + lent)
    sooner = true
  end
  for k = at + 1, at + counts[i] do
    local member, score = ids[k], first_lease
    local id = id_of(member)
    told_ids[k] = id
    out[n + 1] = id
    local old = known and back[k] and redis.call('HGET', SIDE, id)
    local delivery = 1
    if old then
      local d, r, f, first, rest = read_side(old)
      delivery = d + 1
      if first == 0 or mark ~= '' or marked(rest) then
        if first == 0 then first = q.time end
        rest = hold(rest, mark)
        if lent >= 0 then
          side[#side + 1] = id
          side[#side + 1] = write_side(d, r, f, first, rest)
        end
      end
      score = lease(q.time + lent, d + 1)
      out[n + 1] = id .. write_side(d + 1, r + 1, f, first, rest)
    elseif lent >= 0 and mark ~= '' then
      side[#side + 1] = id
      side[#side + 1] = write_side(0, 0, 0, q.time, name and mark)
    end
    if lent >= 0 then
      flight[#flight + 1] = score
      flight[#flight + 1] = member
    else
      done[#done + 1] = id
      done_members[#done] = member
      done_bytes = done_bytes + #records[k]
      if q.fifo then done_entries[#done_entries + 1] = entry_of(member) end
    end
    if note then
      note(q, 'r', id, i, delivery, lent >= 0 and q.time + lent, name)
      if lent < 0 then note(q, 'k', id, i, delivery) end
    end
    out[n + 2] = records[k]
    n = n + 2
  end
  at = at + counts[i]
end
if count > 0 then
  if #flight > 0 then redis.call('ZADD', FLIGHT, unpack(flight)) end
  set(q, 'out', q.out + count)
end
if #done > 0 then
  remove_records(q, done, done_bytes)
  redis.call('HDEL', SIDE, unpack(done))
  if q.fifo then redis.call('ZREM', MEMBERS, unpack(done_entries)) end
  forget_ends(q, done_members)
  set(q, 'del', q.del + #done)
end
if #side > 0 then redis.call('HSET', SIDE, unpack(side)) end
if served and #served > 0 then regroup(q, served) end
if ARGV[9] ~= '' and count > 0 then
  local kept = {}
  for k = 1, count do kept[k] = flight[2 * k] .. flight[2 * k - 1] .. ',' end
  redis.call('HSET', DEDUP, ARGV[9], num(q.time) .. '|' .. table.concat(kept))
  redis.call('RPUSH', ORDER, ARGV[9] .. num(q.time))
  forget_keys(q, window, 3)
end

local more, due = 0, 0
if short or waiting or q.w ~= '' then
  local rest = offered(q)
  if count > 0 or q.fifo then more = rest end
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
out[2] = num(q.time) .. ' ' .. num(q.time) .. ' ' .. num(more) .. ' ' .. num(due) .. ' ' .. num(q.to) .. ' ' .. told
if count > 0 then
  close_queue(q, num(q.time) .. '|' .. told .. '|' .. table.concat(told_ids))
elseif #q.f > 0 then
  close_queue(q)
end
return out
