--- @include "lib/index"
-- The back-off of messages that failed: that were returned without a delay, or held for too long.
-- A policy is "kind:delay:longest:jitter": kind "n" none, "f" fixed, "l" linear or "e" exponential; delay and longest in
-- milliseconds; jitter in thousandths of the delay. The queue's own is `rt` of the head, "" for none. That of a message
-- stands in its side record, behind ",r".

-- A number from 0 to 4095 that looks like chance, and is the same whenever it is worked out again.
local function dice(id, failures)
  local n = failures
  for i = 1, #id do n = (n * 48271 + string.byte(id, i) + 1) % 2147483647 end
  return math.floor(n * 48271 % 2147483647 / 8) % 4096
end

-- How long a message waits after it has failed so often, in milliseconds. rest: as read_side returns it.
local function backoff(q, id, failures, rest)
  local policy = rest ~= '' and string.match(split_rest(rest), ',r([^,]+)') or q.rt
  if policy == '' then return 0 end
  local kind, delay, longest, jitter = string.match(policy, '^(%a):(%d+):(%d+):(%d+)$')
  if kind == 'n' then return 0 end
  local span = tonumber(delay)
  if kind == 'l' then span = span * failures elseif kind == 'e' then span = span * 2 ^ (failures - 1) end
  span = math.min(span, tonumber(longest))
  if jitter == '0' then return span end
  return span - math.floor(span * tonumber(jitter) * dice(id, failures) / 4096000)
end

-- Until when a message waits whose lease has ended and was not tidied away yet.
local function waits_till(q, id, score)
  local _, _, failures, _, rest = read_side(redis.call('HGET', SIDE, id))
  return lease_end(score) + backoff(q, id, failures + 1, rest)
end
