-- How messages lie in a queue's indexes: times and scores, and back.

-- The clock of the server that made an id, from its first 42 bits.
local function made(id)
  local a, b, c, d, e, f = string.byte(id, 1, 6)
  return math.floor(((((a * 256 + b) * 256 + c) * 256 + d) * 256 + e) * 4 + f / 64) + EPOCH
end

-- The time sent, from a record's first 7 bytes.
local function sent(record)
  local _, a, b, c, d, e, f = string.byte(record, 1, 7)
  return ((((a * 256 + b) * 256 + c) * 256 + d) * 256 + e) * 256 + f
end

-- The score of a lease that ends at `deadline`, and its parts.
local function lease(deadline, delivery) return num((deadline - EPOCH) * FENCE + delivery % FENCE) end
local function lease_end(score) return math.floor(score / FENCE) + EPOCH end
-- A lease whose score is below this bound has ended at `now`.
local function lease_bound(now) return num((now - EPOCH + 1) * FENCE) end
-- Above every score but that of the sentinels.
local LAST = num(2 ^ 53)

-- What is kept of a message that was delivered before: deliveries, receives, failures, first receive (0: none), and
-- behind them what is particular to it: parts that each begin with a comma and a letter (docs/redis.md), of which the last
-- error, behind ",e", is the last one.
local function read_side(s)
  if not s then return 0, 0, 0, 0, '' end
  local d, r, f, t, rest = string.match(s, '^(%d+),(%d+),(%d+),(%d+)(.*)$')
  return tonumber(d), tonumber(r), tonumber(f), tonumber(t), rest
end
-- The parts before the last error, which may be any text, and it.
local function split_rest(rest)
  local at = string.find(rest, ',e', 1, true)
  if not at then return rest, '' end
  return string.sub(rest, 1, at - 1), string.sub(rest, at)
end
local function write_side(d, r, f, t, rest)
  return num(d) .. ',' .. num(r) .. ',' .. num(f) .. ',' .. num(t) .. (rest or '')
end
-- What is behind the numbers of a message that is held from now on. mark: "" or ",h", since when in milliseconds and, of a
-- consumer that gave its name, ":" and that. Without one the lease began `vt` before its end. Where nobody holds a message
-- an old mark stays, and says nothing.
local function hold(rest, mark)
  if rest == '' then return mark end
  local own, said = split_rest(rest)
  own = string.gsub(own, ',h[^,]*', '')
  return own .. mark .. said
end
local function marked(rest) return rest ~= '' and string.find(split_rest(rest), ',h', 1, true) end

-- The score in `again` of a message that is available since a time. Each step of its priority, which stands in its side
-- record behind ",p", gives it a head start, so that those without one come to their turn as well.
local step
local function rank(since, rest)
  local priority = rest ~= '' and string.match(split_rest(rest), ',p(%d)')
  if not priority then return num(since) end
  step = step or tonumber(redis.call('HGET', HEAD, 'ps') or 60000)
  return num(since - priority * step)
end

-- How many of an ordered key's members are messages, without the sentinel.
local function held(key) return redis.call('ZCARD', key) - 1 end
local function listed() return redis.call('LLEN', READY) - (redis.call('LINDEX', READY, 0) == '' and 1 or 0) end
