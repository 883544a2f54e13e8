-- How entries are lent: what exchange.lua and enqueue.lua share.
--- @include "lib/hook"

-- Lends entries for the next requests, closes the head, and completes an answer: what stands from `out[3]` to `out[10]`, but for
-- `out[7]`, and behind it per entry that is lent four. At `place` of ARGV begin four: milliseconds for which they are lent, for how
-- many requests at most, how many may be under way at the same time, the number of the settings that the caller knows. Where a request
-- carries several, `each` is how many entries the caller puts into one at most.
local function lend(q, place, each, out)
  local cap, several = tonumber(ARGV[place + 2]), q.bm > 1
  q.each = 1
  if several then q.each = math.min(q.bm, each) end
  if q.bo ~= 0 then cap, q.each = 1, 1 end -- one probe, of one message
  local free = cap - under_way(q, cap)
  local most = math.min(tonumber(ARGV[place + 1]), free, allowed(q), math.floor(MOST / q.each))
  local shut = q.pz ~= 0 or q.dz ~= 0 or q.uv ~= 0
  if shut or closed_until(q) ~= 0 then most = 0 end
  if num(q.cv) ~= ARGV[place + 3] or ARGV[place + 3] == '0' then -- 0 is no number of settings, also where theirs is damaged
    local h = redis.call('HMGET', HEAD, 'set', 'sec')
    out[9], out[10] = h[1], h[2]
  end
  local bytes, requests, carried, due, at = 0, 0, 0, {}, 1
  local over = q.now + tonumber(ARGV[place])
  local taken, lent = {}, {}
  if most > 0 then
    if several then over = math.max(over, last_lease() + 1) end
    due = redis.call('ZRANGEBYSCORE', QUEUE, '-inf', num(q.now), 'WITHSCORES', 'LIMIT', 0, most * q.each)
  end
  while at < #due do
    local left, first = (#due - at + 1) / 2, tonumber(due[at + 1])
    if left < q.each and first + q.bw > q.now and (requests > 0 or q.wb < q.bb) then break end -- it waits for others
    while carried < q.each and at < #due do
      local id = due[at]
      local size = redis.call('HSTRLEN', STATES, id)
      if bytes > 0 and bytes + size > BYTES then
        due = {}
        break
      end
      bytes = bytes + size
      at = at + 2
      local when = published(id)
      if when ~= 0 and when < q.now - HOLD then
        local attempts, since, _, message = read_state(id)
        bury(q, id, attempts, since, 'expired', q.lt ~= 0 and message or '', #message)
      else
        taken[#taken + 1] = id
        lent[#lent + 1] = num(over)
        lent[#lent + 1] = id
        carried = carried + 1
        out[#out + 1] = id
        out[#out + 1] = num(over)
        out[#out + 1] = size > 0 and redis.call('HGET', STATES, id) or ''
        out[#out + 1] = num((skipped(string.sub(id, 15))))
      end
    end
    if carried > 0 then requests = requests + 1 end
    if several then over = over + 1 end
    carried = 0
  end
  if #taken > 0 then
    redis.call('ZREM', QUEUE, unpack(taken))
    redis.call('ZADD', SENDING, unpack(lent))
    if q.oo == 2 then
      for _, id in ipairs(taken) do redis.call('ZADD', GROUPS, 0, id) end
    end
    if q.wb ~= 0 then set(q, 'wb', 0) end
  end
  pay(q, requests)
  out[4] = num(close_hook(q, free <= requests))
  if q.due and q.due <= q.now and closed_until(q) == 0 and not q.held then out[8] = '1' end
  out[5] = num(mark_of(q))
  local oldest = q.fresh[1]
  if oldest ~= '' and published(oldest) + STALE <= q.now then out[6] = '1' end
end
