-- What every script of a topic shares: its keys, its head and its log. All keys lie in the slot of the topic's uid, and
-- each holds a sentinel, the empty string, so that it always exists.
-- KEYS[1] HASH head: see docs/redis.md for its fields
-- KEYS[2] HASH log: entry to the record of a message: id (12 bytes), and what package queues packs
-- KEYS[3] ZSET index: the entries of `log` by their sequence numbers
-- KEYS[4] HASH dedup: digest of a deduplication id or idempotency key to "time|" id, digest of the body, place
-- KEYS[5] LIST order: the digests of `dedup` and their times, oldest first
-- KEYS[6] HASH subscriptions: name to its versions, see lib/subscription.lua; "~" and uid to the queue of one that is being deleted, "~", uid and ".dead" or ".sent" to the dead-letter queue of one that has it no more
-- KEYS[7] HASH progress: uid of a subscription to how far it is, see lib/subscription.lua
-- KEYS[8] ZSET marks: uids of subscriptions by the sequence number up to which they have all
--- @include "lib/clock"
local HEAD, LOG, INDEX, DEDUP, ORDER, SUBSCRIPTIONS, PROGRESS, MARKS = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6], KEYS[7], KEYS[8]
local EPOCH, FENCE = 1735689600000, 4096
-- No script touches more messages than MOST, nor reads more bytes of them than BYTES unless it is one.
local MOST, BYTES = 100, 524288

local function num(n) return string.format('%.0f', n) end

-- A time as a sequence number. Those of messages are never below the time of their publish.
local function turn(time) return (time - EPOCH) * FENCE end

-- A number in so many bytes, the most significant first.
local function pack_number(n, bytes)
  local b = {}
  for i = bytes, 1, -1 do
    b[i] = n % 256
    n = math.floor(n / 256)
  end
  return string.char(unpack(b))
end

-- An entry is the sequence number (7 bytes) and the size (4 bytes) of a record, so that nobody has to look at records to
-- know how long they are.
local function entry_of(seq, size) return pack_number(seq, 7) .. pack_number(size, 4) end
local function size_at(entry)
  local a, b, c, d = string.byte(entry, 8, 11)
  return ((a * 256 + b) * 256 + c) * 256 + d
end

-- Returns the head with the named numbers, and with `refusal` set to the answer where the topic is gone. `now` is the time
-- to judge by, `time` the time to write down; `sq` is the last sequence number, `fl` the one up to which nothing is kept
-- any more.
local function open_topic(...)
  local h = redis.call('HMGET', HEAD, 'v', 'clk', 'sq', 'fl', 'by', 'tr', ...)
  local q = { f = {} }
  if not h[1] then q.refusal = { 'absent' } return q end
  if h[1] == 'x' then q.refusal = { 'gone' } return q end
  q.v = h[1]
  q.now, q.steady, q.time = read_clock(tonumber(h[2]) or 0)
  q.sq, q.fl, q.by, q.tr = tonumber(h[3]) or 0, tonumber(h[4]) or 0, tonumber(h[5]) or 0, tonumber(h[6]) or 0
  for i, name in ipairs({ ... }) do q[name] = tonumber(h[6 + i]) or 0 end
  return q
end

-- Sets a field of the head; close_topic writes it.
local function set(q, name, value)
  q[name] = value
  local f = q.f
  f[#f + 1] = name
  f[#f + 1] = type(value) == 'number' and num(value) or value
end

local function close_topic(q)
  local f = q.f
  if q.steady then
    f[#f + 1] = 'clk'
    f[#f + 1] = num(q.now)
  end
  if #f > 0 then redis.call('HSET', HEAD, unpack(f)) end
end

-- Raises the number up to which nothing is kept: what every subscription has and is older than the retention, and what is
-- older than `hold` (both in milliseconds), whoever has not got it. It is the number of the last message of which that is
-- true, so between it and what is kept nothing is missing.
local function raise_floor(q, retention, hold)
  local first = redis.call('ZRANGE', MARKS, 0, 0, 'WITHSCORES')
  local mark = first[1] == '' and q.sq or tonumber(first[2])
  local floor = math.max(math.min(mark, turn(q.now - retention) + FENCE - 1), turn(q.now - hold))
  if floor <= q.fl then return end
  local last = redis.call('ZREVRANGEBYSCORE', INDEX, num(math.min(floor, q.sq)), '(' .. num(q.fl), 'WITHSCORES', 'LIMIT', 0, 1)
  if last[2] then set(q, 'fl', tonumber(last[2])) end
end

-- Removes up to `most` messages that are not kept any more, and returns how many.
local function trim(q, most)
  local old = redis.call('ZRANGEBYSCORE', INDEX, '-inf', num(q.fl), 'LIMIT', 0, most)
  if #old == 0 then return 0 end
  local bytes = 0
  for _, entry in ipairs(old) do bytes = bytes + size_at(entry) end
  redis.call('HDEL', LOG, unpack(old))
  redis.call('ZREM', INDEX, unpack(old))
  set(q, 'by', q.by - bytes)
  set(q, 'tr', q.tr + #old)
  return #old
end
