-- What every script of a queue shares: its keys, its head, its lanes and its numbers.
-- A queue (one shard of it) is these keys, all in the slot of its uid. Each holds a sentinel, the empty string, so that
-- it always exists: a declared key that is absent would stop every call while its slot moves between cluster nodes.
-- KEYS[1] HASH head: see docs/redis.md for its fields
-- KEYS[2] HASH body: id to record (stamp: see lib/stamp; then what package queues packs)
-- KEYS[3] LIST ready: ids that are new to this queue, oldest first; appended at the tail, popped at the head
-- KEYS[4] ZSET again: ids that were returned, timed out, delayed or have a priority and are ready, by the time they became so less the head start of their priority
-- KEYS[5] ZSET age: the ids of `again` by the time they were made, and groups by their first message's, to find what retention ends
-- KEYS[6] ZSET flight: members that a consumer holds, by (end of the lease - EPOCH) * FENCE + delivery % FENCE
-- KEYS[7] ZSET delayed: members that wait for their time, by it
-- KEYS[8] HASH side: id to "deliveries,receives,failures,first receive" and what is particular to it, see lib/index, as of when it last left flight
-- KEYS[9] HASH dedup: digest of a deduplication or idempotency key to "time|" id, body digest
-- KEYS[10] LIST order: the digests of `dedup` and their times, oldest first
-- KEYS[11] ZSET members: messages that belong to groups, all with score 0, as group, place, id; see lib/groups
-- KEYS[12] ZSET groups: groups with messages that can be received, by when it is their turn
-- KEYS[13] HASH transfers: messages on their way to another queue by number; see lib/transfer
-- KEYS[14] ZSET expiry: members of messages with an end of their own, and groups with a state, by it
-- KEYS[15] HASH states: group to its state, see lib/states
-- KEYS[16] HASH lives: id to what became of the message, step by step, see lib/timeline; it and the next one are there and passed only where the queue keeps timelines
-- KEYS[17] ZSET steps: the ids of `lives` by the time of the last step
-- ARGV[3] version of the settings that the caller knows; where the queue keeps timelines then "|", for how many milliseconds, ",", how many bytes all may have, "|", and who calls: per line for how many items of the call it speaks, and who that is
-- ARGV[4] lane: the field of the head that remembers this caller's last call, "L<session>.<lane>"
-- ARGV[5] number of this call in its lane; a call with the number of the last one gets that one's answer
--- @include "lib/clock"
local HEAD, BODY, READY, AGAIN, AGE = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local FLIGHT, DELAYED, SIDE, DEDUP, ORDER = KEYS[6], KEYS[7], KEYS[8], KEYS[9], KEYS[10]
local MEMBERS, GROUPS, TRANSFERS, EXPIRY, STATES = KEYS[11], KEYS[12], KEYS[13], KEYS[14], KEYS[15]
local EPOCH, FENCE = 1735689600000, 4096
-- No script touches more messages than MOST, nor reads or writes more body bytes than BYTES unless it is one message.
local MOST, BYTES = 100, 524288

-- Takes n entries from the head of `ready` and returns them. The list never goes: while its slot is being moved Redis
-- would take it for moved, and stop the script.
local function pop_ready(n)
  local length = redis.call('LLEN', READY)
  if n >= length then redis.call('RPUSH', READY, '') end
  return redis.call('LPOP', READY, math.min(n, length))
end

local function num(n) return string.format('%.0f', n) end

-- What lib/timeline does where the queue keeps timelines. It is made here, because most queues keep none and pay nothing for it.
local note, write_steps
local version = ARGV[3]
if string.find(version, '|', 1, true) then
  version = string.match(version, '^%d+')
--- @include "lib/timeline"
end

-- Returns the head with the named numbers, with `refusal` set to the answer when the call must not run, and `last` to
-- what the lane remembers when the call has run before. `now` is the time to judge by, `time` the time to write down;
-- `fifo` says that the queue is one; `by` is how many bytes its records have; `rt` is its retry policy, see lib/retry.
local function open_queue(...)
  local h = redis.call('HMGET', HEAD, 'v', 'clk', 'w', ARGV[4], 'ty', 'by', 'rt', ...)
  local q = { f = {} }
  if not h[1] then q.refusal = { 'absent' } return q end
  if h[4] then
    local bar = string.find(h[4], '|', 1, true)
    local seq = tonumber(string.sub(h[4], 1, bar - 1))
    if tonumber(ARGV[5]) == seq then
      q.last = string.sub(h[4], bar + 1)
    elseif tonumber(ARGV[5]) < seq then
      q.refusal = { 'late' }
      return q
    end
  end
  if h[1] == 'x' then q.refusal = { 'gone' } return q end
  if h[1] ~= version and not q.last then
    q.refusal = { 'stale', h[1], redis.call('HGET', HEAD, 'set') }
    return q
  end
  q.now, q.steady, q.time = read_clock(tonumber(h[2]) or 0)
  q.w, q.fifo, q.by, q.rt = h[3] or '', h[5] == 'fifo', tonumber(h[6]) or 0, h[7] or ''
  for i, name in ipairs({ ... }) do q[name] = tonumber(h[7 + i]) or 0 end
  return q
end

-- Reads more numbers of the head, which most calls do without. Those that were read before stay: they may have been set since.
local function read_more(q, ...)
  local h = redis.call('HMGET', HEAD, ...)
  for i, name in ipairs({ ... }) do q[name] = q[name] or tonumber(h[i]) or 0 end
end

-- Sets a field of the head; close_queue writes it.
local function set(q, name, value)
  q[name] = value
  local f = q.f
  f[#f + 1] = name
  f[#f + 1] = type(value) == 'number' and num(value) or value
end

-- Counts bytes of records that were stored or, below 0, removed.
local function grow(q, bytes)
  q.by = q.by + bytes
  q.grown = true
end

-- Removes the records of messages, at most MOST. bytes: what they have together, where the caller knows it.
local function remove_records(q, ids, bytes)
  if not bytes then
    bytes = 0
    for _, id in ipairs(ids) do bytes = bytes + redis.call('HSTRLEN', BODY, id) end
  end
  redis.call('HDEL', BODY, unpack(ids))
  grow(q, -bytes)
end

-- Writes the head back in one command: the clock, the fields that were set and the lane's answer. Steps that were noted are written before it.
local function close_queue(q, result)
  local f = q.f
  if note then write_steps(q) end
  if q.steady then
    f[#f + 1] = 'clk'
    f[#f + 1] = num(q.now)
  end
  if q.grown then
    f[#f + 1] = 'by'
    f[#f + 1] = num(q.by)
  end
  if result then
    f[#f + 1] = ARGV[4]
    f[#f + 1] = ARGV[5] .. '|' .. result
  end
  if #f > 0 then redis.call('HSET', HEAD, unpack(f)) end
end
