-- What every script of a webhook shares: its keys, its head, and how entries come and go. All keys lie in the slot of one of
-- the installation's shards, and each holds a sentinel, the empty string, so that it always exists.
-- KEYS[1] ZSET ready: webhooks of the shard by when somebody has to look at them
-- KEYS[2] HASH head: see docs/redis.md for its fields
-- KEYS[3] ZSET queue: entries to be sent, by when they are due
-- KEYS[4] ZSET sending: entries that are being sent, by when their lease ends
-- KEYS[5] ZSET fresh: entries whose message is in the topic's log and nowhere else, by sequence number
-- KEYS[6] HASH states: entry to "attempts,time of the first,why it failed|" and the message: id (12 bytes) and record, or nothing
-- KEYS[7] ZSET dead: entries that are not sent any more, by when they became so
-- KEYS[8] ZSET groups: entries of FIFO topics that are not done, all with score 0, as group and entry; where the oldest make room, entries of standard topics too
-- KEYS[9] HASH log: number of an attempt, from 0 to LOGGED - 1 and again, to the attempt, JSON of package webhook; without the oldest, where all would take more than LOG_BYTES
-- KEYS[10] ZSET skipped: groups of FIFO topics of which messages failed since the last one that was delivered, by when the first of them did, in milliseconds since EPOCH, times FENCE, and how many did; webhooks of older servers have none until a message is skipped
-- KEYS[11] ZSET delivered: of the latest attempts of all of the tenant's webhooks in the shard those that arrived, by when they were noted: uid of the webhook, number of the attempt and JSON of package webhook, with blanks between; made by the first of them
-- KEYS[12] ZSET undelivered: the same of all others
-- An entry is a sequence number, 14 hexadecimal digits, and of a message of a FIFO topic 16 of its group behind it.
--- @include "lib/clock"
local READY, HEAD, QUEUE, SENDING, FRESH, STATES, DEAD, GROUPS, LOG, SKIPPED = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6], KEYS[7], KEYS[8], KEYS[9], KEYS[10]
local DELIVERED, UNDELIVERED = KEYS[11], KEYS[12]
-- No script touches more entries than MOST, nor more bytes of messages than BYTES unless it is one.
local MOST, BYTES = 100, 524288
-- A webhook holds at most ENTRIES entries, and of its own so many bytes of messages.
local ENTRIES, STORED = 100000, 268435456
-- Of so many groups a webhook remembers that messages were skipped; then it forgets what lies back furthest.
local SKIPS = 10000
-- Milliseconds: how long a message is sent for at most and kept when it failed, and an attempt kept; after which time one is copied out of the log, and how long between two tries of that.
local HOLD, STALE, AGAIN = 1209600000, 60000, 5000
-- Milliseconds: how long until somebody looks again whether a tenant may act that may not.
local HELD = 10000
-- Milliseconds: how long until somebody looks again at dead letters that are being brought to their queue, or cannot be.
local POSTED = 30000
-- No number of a dead letter is so large: above it is the sentinel.
local ENDLESS = '9007199254740992'
-- An endpoint that is not verified is challenged so often, with these milliseconds behind the first time and twice as many behind
-- each further one, up to the longest wait; and never twice within CALM.
local CHALLENGES, CHALLENGE_FIRST, CHALLENGE_MOST, CALM = 12, 60000, 21600000, 10000
-- An endpoint whose breaker has closed gets two requests in the first second, and twice as many each second, for so many seconds.
local RAMP = 10
local EPOCH, FENCE = 1735689600000, 4096

local function num(n) return string.format('%.0f', n) end

-- Returns the head as numbers, with `refusal` set where the webhook is not there. `sg` is how many bytes of messages it
-- stores, `pz` and `dz` since when it is paused and disabled, `bo` until when the breaker is open, `bt` how often it opened
-- in a row, `cf` and `fs` how many attempts failed in a row and since when, `th` until when the endpoint wants peace, `uv` since when it has to be verified, `vn` when it is
-- challenged next, `rl` how many requests a minute it allows and `mr` how many its owner does, each 0 for as many as there are, `ra` up
-- to when those that were sent are paid for, in parts of a millisecond too, `ru` since when it works again, `rn` how many requests it got since then. `lt` is 1 where there is a dead-letter queue: what is in `dead` goes there
-- in the order of its numbers, which are the times when it became so and each larger than the last one, `dl`; up to `df` that is
-- done with, and until `dw` somebody is at it. Of one that is asked as SNS does: `vd` when its subscription ends unless it confirms,
-- `vb` when it did, `vu` since when it is asked because a link has ended it, `vx` since when it is over. Where a request carries
-- several messages, `bm` is how many at most, `bb` of how many bytes, and `bw` for how long one waits for others; `wb` is how many
-- bytes have come since some were lent last. Of the log, `ln` is the last number, `lf` the first that is kept and `lb` how many bytes all of them
-- take, as it was when `lw` was the last; `lo` is from when on the first is kept for HOLD. What befell it has numbers, the last one is `en`; up to `eo` it was told, and until
-- `ew` somebody is at it. `et` is 0 where nothing is wrong that was to be told, 1 when it was disabled, and 2, 3, 4 with each of WARNINGS. `op` is
-- what becomes of messages for which there is no room, and `oo` 1 where `groups` has all that is not done; or 2 as long as that is being put
-- there, which goes on at `oc`.
local NAMES = {
  'lt', 'dl', 'df', 'dw', 'vd', 'vb', 'vu', 'vx', 'uv', 'vn', 'rl', 'ra', 'clk', 'wm', 'cv', 'sg', 'pz', 'dz', 'bo', 'bt', 'cf', 'fs',
  'th', 'nd', 'na', 'nx', 'ov', 'ms', 'ln', 'ok', 'ff', 'go', 'ru', 'rn', 'bm', 'bb', 'bw', 'wb', 'mr', 'lf', 'lb', 'lw', 'lo', 'en', 'eo', 'ew', 'et', 'op', 'oo', 'oc',
}
local function open_hook()
  local h = redis.call('HMGET', HEAD, 'v', unpack(NAMES))
  local q = { f = {} }
  if not h[1] then
    q.refusal = { 'absent' }
    return q
  end
  q.v = tonumber(h[1])
  for i, name in ipairs(NAMES) do q[name] = tonumber(h[i + 1]) or 0 end
  q.now, q.steady, q.time = read_clock(q.clk)
  return q
end

-- Sets a number of the head; close_hook writes it.
local function set(q, name, value)
  q[name] = value
  q.f[name] = value
end

-- When the message of an entry was published; 0 for what is no entry.
local function published(id)
  local sequence = tonumber(string.sub(id, 1, 14), 16)
  return sequence and sequence / FENCE + EPOCH or 0
end

-- Returns how many requests a minute there may be, or 0 for as many as there are.
local function rate_of(q)
  if q.rl == 0 or q.mr == 0 then return math.max(q.rl, q.mr) end
  return math.min(q.rl, q.mr)
end

-- Returns how long one request lasts at such a rate, and how far ahead of it those may be that are sent at once: a second's worth.
local function pace_of(rate)
  local each = 60000 / rate
  return each, math.max(math.floor(rate / 60) - 1, 0) * each
end

-- Returns how many requests an endpoint gets now that works again, and when it gets more.
local function ramp_of(q)
  local seconds = math.floor((q.now - q.ru) / 1000)
  if q.ru == 0 or seconds >= RAMP then return MOST, 0 end
  return math.max(2 ^ (seconds + 2) - 2 - q.rn, 0), q.ru + (seconds + 1) * 1000
end

-- Returns how many requests the rate allows now.
local function allowed(q)
  local most, rate = ramp_of(q), rate_of(q)
  if rate == 0 then return most end
  local each, ahead = pace_of(rate)
  return math.max(math.min(math.floor((q.now + ahead - math.max(q.ra, q.now)) / each) + 1, most), 0)
end

-- Notes that requests are about to be sent.
local function pay(q, requests)
  if requests == 0 then return end
  if q.ru ~= 0 then
    if q.now - q.ru < RAMP * 1000 then
      set(q, 'rn', q.rn + requests)
    else
      set(q, 'ru', 0)
    end
  end
  local rate = rate_of(q)
  if rate == 0 then return end
  set(q, 'ra', math.max(q.ra, q.now) + requests * pace_of(rate))
end

-- Returns the milliseconds until which nothing is sent, and 0 when something may be.
local function closed_until(q)
  local till, rate = math.max(q.bo, q.th), rate_of(q)
  if rate ~= 0 then
    local _, ahead = pace_of(rate)
    till = math.max(till, math.ceil(q.ra - ahead))
  end
  local most, more = ramp_of(q)
  if most == 0 then till = math.max(till, more) end
  return till > q.now and till or 0
end

-- The sequence number up to which the topic's log need not keep anything; behind close_hook.
local function mark_of(q)
  return q.fresh[1] == '' and q.wm or tonumber(q.fresh[2]) - 1
end

-- Returns the number of the first dead letter that is still to be brought to the dead-letter queue, or nil.
local function first_letter(q)
  if q.lt == 0 then return nil end
  return redis.call('ZRANGEBYSCORE', DEAD, '(' .. num(q.df), ENDLESS, 'WITHSCORES', 'LIMIT', 0, 1)[2]
end

-- Returns when there is a request to be made of what waits, and math.huge for never. One that carries several messages is made when
-- there are as many as it carries, `each` of the head where less than `bm`, or so many bytes, or when the first one has waited for long.
local function ripe_at(q)
  local first = redis.call('ZRANGE', QUEUE, 0, 0, 'WITHSCORES')
  if first[1] == '' then return math.huge end
  local due, each = tonumber(first[2]), q.each or q.bm
  if each < 2 or q.bw == 0 or q.wb >= q.bb then return due end
  local last = redis.call('ZRANGE', QUEUE, each - 1, each - 1, 'WITHSCORES')
  local ripe = due + q.bw
  if last[1] and last[1] ~= '' then ripe = math.min(ripe, tonumber(last[2])) end
  return ripe
end

-- Returns how many requests are under way, as far as that is less than `most`. The entries of one that carries several have the same
-- end of their lease, and no two requests do.
local function under_way(q, most)
  if q.bm < 2 then return redis.call('ZCARD', SENDING) - 1 end
  local n, behind = 0, '-inf'
  while n < most do
    local one = redis.call('ZRANGEBYSCORE', SENDING, behind, ENDLESS, 'WITHSCORES', 'LIMIT', 0, 1)
    if not one[1] then break end
    n = n + 1
    behind = '(' .. num(tonumber(one[2]))
  end
  return n
end

-- Returns the last end of a lease, or 0.
local function last_lease()
  local last = redis.call('ZREVRANGEBYSCORE', SENDING, ENDLESS, '-inf', 'WITHSCORES', 'LIMIT', 0, 1)
  return tonumber(last[2] or '0')
end

-- Writes the head, and when to look at the webhook next. `busy` says that no more may be sent until a lease ends, and
-- `held` of the head that the tenant may not act. Leaves the first of `fresh` in the head, with its score, and in `due` when
-- there is a request to be made, where it may be sent.
-- Returns in how many milliseconds that is, or -1 for never.
local function close_hook(q, busy)
  local next = math.huge
  local function by(key, add)
    local first = redis.call('ZRANGE', key, 0, 0, 'WITHSCORES')
    return first[1] == '' and math.huge or tonumber(first[2]) + add
  end
  if q.dz == 0 and q.pz == 0 then
    local held = q.held and q.now + HELD or 0
    if q.uv ~= 0 then
      if q.vn ~= 0 then next = math.max(q.vn, held) end
    elseif not busy then
      q.due = ripe_at(q)
      next = math.max(q.due, closed_until(q), held)
    end
    next = math.min(next, by(SENDING, 0))
  end
  if q.vd ~= 0 then next = math.min(next, math.max(q.vd, q.held and q.now + HELD or 0, q.vx ~= 0 and q.now + AGAIN or 0)) end
  local dead = by(DEAD, HOLD)
  next = math.min(next, dead)
  if dead ~= math.huge and first_letter(q) then next = math.min(next, math.max(q.dw, q.now)) end
  if q.lo ~= 0 then next = math.min(next, math.max(q.lo + HOLD, q.now)) end
  if q.en > q.eo then next = math.min(next, math.max(q.ew, q.held and q.now + HELD or q.now)) end
  q.fresh = redis.call('ZRANGE', FRESH, 0, 0, 'WITHSCORES')
  local first = q.fresh[1]
  -- What should be copied by now is being copied, or cannot be; then it is looked at again after a while.
  if first ~= '' then next = math.min(next, math.max(math.ceil(published(first)) + STALE, q.now + AGAIN)) end
  local tenant, uid = string.match(HEAD, '^sl:(.-):{.-}:(%w+)%.')
  if next == math.huge then
    redis.call('ZREM', READY, tenant .. ':' .. uid)
  else
    redis.call('ZADD', READY, num(next), tenant .. ':' .. uid)
  end
  if q.steady then set(q, 'clk', q.now) end
  local fields = {}
  for name, value in pairs(q.f) do
    fields[#fields + 1] = name
    -- At a high rate a request lasts a few milliseconds, of which nothing is to be rounded away.
    fields[#fields + 1] = name == 'ra' and string.format('%.3f', value) or num(value)
  end
  if #fields > 0 then redis.call('HSET', HEAD, unpack(fields)) end
  return next == math.huge and -1 or math.max(next - q.now, 0)
end

-- Tells the server that sends for the shard. One that is told of nothing looks by itself after a while.
local function tell(session)
  if session == '' or session == '0' then return end
  local tenant, uid = string.match(HEAD, '^sl:(.-):{.-}:(%w+)%.')
  redis.call('PUBLISH', 'sl:webhook:' .. session, tenant .. ' ' .. uid)
end

-- How many entries there are that are not done.
local function pending(q)
  local single = redis.call('ZCARD', QUEUE) + redis.call('ZCARD', SENDING) - 2
  if q.oo ~= 0 then return single end -- a server before `oo` leaves in `groups` what it has delivered
  return math.max(redis.call('ZCARD', GROUPS) - 1, single)
end

-- Returns attempts, the time of the first, why it failed, and the message of an entry, and whether there is any of that. Of a state
-- that cannot be read all is message, so that it is kept for people to look at, and counted.
local function read_state(id)
  local state = redis.call('HGET', STATES, id)
  if not state then return 0, 0, '', '', false end
  local attempts, first, why, message = string.match(state, '^(%d+),(%d+),([%w_]*)|(.*)$')
  if not attempts then return 0, 0, 'damaged', state, true end
  return tonumber(attempts), tonumber(first), why, message, true
end

local function write_state(q, id, attempts, first, why, message, had)
  redis.call('HSET', STATES, id, num(attempts) .. ',' .. num(first) .. ',' .. why .. '|' .. message)
  if #message ~= had then set(q, 'sg', math.max(q.sg + #message - had, 0)) end
end

-- Notes that an entry was lent and nobody said what came of it. Who is lent it next sees how often that was.
local function lose(q, id)
  local attempts, first, why, message = read_state(id)
  if why == 'damaged' then return end
  local times = tonumber(string.match(why, '^lost_(%d+)$') or '0') + 1
  write_state(q, id, attempts, first, 'lost_' .. num(times), message, #message)
end

-- Returns how many messages of a group have failed since the last one that was delivered, and since when, as `dead` has it.
local function skipped(group)
  local score = group ~= '' and tonumber(redis.call('ZSCORE', SKIPPED, group) or '0') or 0
  return score % FENCE, math.floor(score / FENCE) + EPOCH
end

local function write_skipped(group, count, since)
  if count == 0 then
    redis.call('ZREM', SKIPPED, group)
    return
  end
  redis.call('ZADD', SKIPPED, num((since - EPOCH) * FENCE + math.min(count, FENCE - 1)), group)
end

-- Notes that a group goes on without an entry whose turn it was, since an instant.
local function skip(id, at)
  local group = string.sub(id, 15)
  if group == '' then return end
  local count, since = skipped(group)
  write_skipped(group, count + 1, count == 0 and at or since)
  redis.call('ZREMRANGEBYRANK', SKIPPED, 0, -SKIPS - 2) -- the last one is the sentinel
end

-- Notes that an entry that failed is to be sent after all: it was skipped, if it failed since the last of its group was delivered.
local function unskip(id, at)
  local group = string.sub(id, 15)
  local count, since = skipped(group)
  if count > 0 and at >= since then write_skipped(group, count - 1, since) end
end

-- Lets the next entry of a group have its turn. Only one of a group is in `queue` or `sending`.
local function pass_on(q, id)
  local group = string.sub(id, 15)
  if group == '' then
    if q.oo ~= 0 then redis.call('ZREM', GROUPS, id) end
    return
  end
  redis.call('ZREM', GROUPS, group .. id)
  local after = redis.call('ZRANGEBYLEX', GROUPS, '[' .. group, '(' .. group .. 'g', 'LIMIT', 0, 1)[1]
  if after then redis.call('ZADD', QUEUE, num(q.now), string.sub(after, 17)) end
end

-- Forgets an entry that is done.
local function finish(q, id)
  local _, _, _, message = read_state(id)
  redis.call('ZREM', SENDING, id)
  redis.call('ZREM', QUEUE, id)
  redis.call('ZREM', FRESH, id)
  redis.call('ZREM', DEAD, id)
  redis.call('HDEL', STATES, id)
  if message ~= '' then set(q, 'sg', math.max(q.sg - #message, 0)) end
end

-- Stops sending an entry, and keeps it with its message as far as that is at hand. Of a group it must be the one whose turn it is.
local function bury(q, id, attempts, first, why, message, had)
  redis.call('ZREM', SENDING, id)
  redis.call('ZREM', QUEUE, id)
  redis.call('ZREM', FRESH, id)
  write_state(q, id, attempts, first, why, message, had)
  if q.lt == 0 then
    redis.call('ZADD', DEAD, num(q.time), id)
    skip(id, q.time)
  else
    set(q, 'dl', math.max(q.time, q.dl + 1))
    redis.call('ZADD', DEAD, num(q.dl), id)
    skip(id, q.dl)
  end
  set(q, 'nx', q.nx + 1)
  pass_on(q, id)
end

-- Notes that a challenge is about to be sent, and when the next one is.
local function begin_challenge(q)
  local made = (tonumber(redis.call('HGET', HEAD, 'vc')) or 0) + 1
  set(q, 'vc', made)
  set(q, 'vl', q.now)
  if q.uv == 0 then return end
  set(q, 'vn', made < CHALLENGES and q.now + math.min(CHALLENGE_FIRST * 2 ^ (made - 1), CHALLENGE_MOST) or 0)
end

-- Returns how many milliseconds have to go by before another challenge.
local function calm(q)
  return math.max((tonumber(redis.call('HGET', HEAD, 'vl')) or -CALM) + CALM - q.now, 0)
end
