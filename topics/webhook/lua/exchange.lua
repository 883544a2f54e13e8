-- Notes what became of attempts, and lends entries for the next ones.
-- ARGV[3] milliseconds: how long they are lent
-- ARGV[4] for how many requests at most; -1 for none, also later, because the tenant may not act
-- ARGV[5] how many requests may be under way at the same time, by whomever
-- ARGV[6] number of the settings and secrets that the caller knows
-- ARGV[7] milliseconds: for how long the breaker opens first
-- ARGV[8] milliseconds: for how long it opens at most
-- ARGV[9] a random number from 0 to 1000, by which that gets longer
-- ARGV[10] how many failures in a row open it
-- ARGV[11] milliseconds without a success after which the webhook is disabled
-- ARGV[12] how many failures in a row there must be then
-- ARGV[13] how many entries the caller puts into one request at most, where a request carries several
-- ARGV[14+] per attempt eleven, at most 100: "done", "retry", "dead" or "free"; entry; end of its lease; "1" when it was tried; milliseconds until it is due again, negative for one that need not wait for others; milliseconds for which the endpoint wants peace; "+" for a success of the endpoint, "-" for a failure, "x" for one that disables it, "" for neither; why it failed; message, or ""; attempt for the log, JSON; the same for the tenant's list, JSON
-- Returns: "ok", the time, number of settings and secrets, in how many milliseconds to look at it next, or -1, sequence number up to which the log need not keep anything, "1" when messages should be copied out of the log, "1" when it was disabled now, "1" when more are due that may be sent; settings and secrets, or "" and "" when the caller knows them; "1" when the endpoint is to be challenged, which takes the place of one entry, and "2" when the subscription is over because nobody confirmed it; "1" when the caller is to bring dead letters to their queue, "2" when it is to tell what befell the webhook, and "3" for both; then per entry that is lent four: entry, end of the lease, which is the same for those that are to go into one request, its state, how many messages of its group were skipped before it; or "absent"
-- Flags: allow-oom
-- Again: an attempt is noted once, because its lease is over then. What the first call lent comes back when that ends.
--- @include "lib/lend"
--- @include "lib/log"
--- @include "lib/events"
--- @include "lib/full"
local q = open_hook()
if q.refusal then return q.refusal end
q.held = ARGV[4] == '-1'
local out = { 'ok', num(q.now), num(q.cv), '0', '0', '0', '0', '0', '', '', '0', '0' }

-- Notes that an attempt failed. Without `why` it is not told that the endpoint fails.
local function failed(why)
  set(q, 'cf', q.cf + 1)
  set(q, 'ff', q.time)
  if q.fs == 0 then set(q, 'fs', q.time) end
  -- A probe that fails opens the breaker again, and for longer.
  if q.cf >= tonumber(ARGV[10]) and q.bo <= q.now then
    set(q, 'bt', q.bt + 1)
    local pause = math.min(tonumber(ARGV[7]) * 2 ^ math.min(q.bt - 1, 20), tonumber(ARGV[8]))
    set(q, 'bo', q.now + math.floor(pause * (1 + tonumber(ARGV[9]) / 4000)))
  end
  if q.dz ~= 0 then return end
  if q.cf >= tonumber(ARGV[12]) and q.time - q.fs >= tonumber(ARGV[11]) then
    disable(q, 'failing')
    out[7] = '1'
  elseif why then
    warn(q, why)
  end
end

-- What is the same for many is written at the end, by one command each.
local ended, done, states = {}, {}, {}
for i = 14, #ARGV, 11 do
  local verdict, id = ARGV[i], ARGV[i + 1]
  local held = redis.call('ZSCORE', SENDING, id)
  local mine = held and num(tonumber(held)) == ARGV[i + 2]
  -- What was delivered is done with also when the lease was over, as long as nobody else has it.
  if mine or verdict == 'done' and not held and redis.call('ZSCORE', QUEUE, id) then
    local attempts, first, _, message, kept = read_state(id)
    local had, health = #message, ARGV[i + 6]
    if ARGV[i + 3] == '1' then
      attempts = attempts + 1
      if first == 0 then first = q.time end
      set(q, 'na', q.na + 1)
    end
    if verdict ~= 'free' and message == '' then message = ARGV[i + 8] end
    local full = (verdict == 'retry' or verdict == 'dead') and not fits(q, #message - had)
    if full and (q.lt ~= 0 or q.op ~= 0 and verdict == 'retry') then
      -- Nothing may get lost on its way to the dead-letter queue, nor where there is room for what is refused or when the oldest have
      -- gone: the topic's log keeps it until then.
      redis.call('ZREM', SENDING, id)
      write_state(q, id, attempts, first, ARGV[i + 7], '', had)
      redis.call('ZADD', QUEUE, num(q.now + STALE), id)
    elseif verdict == 'done' then
      if mine then ended[#ended + 1] = id else redis.call('ZREM', QUEUE, id) end
      done[#done + 1] = id
      if kept then states[#states + 1] = id end
      if had > 0 then set(q, 'sg', math.max(q.sg - had, 0)) end
      pass_on(q, id)
      if (skipped(string.sub(id, 15))) > 0 then redis.call('ZREM', SKIPPED, string.sub(id, 15)) end
      set(q, 'nd', q.nd + 1)
    elseif verdict == 'dead' then
      if full then message = '' end
      bury(q, id, attempts, first, ARGV[i + 7], message, had)
    elseif verdict == 'retry' and full then
      bury(q, id, attempts, first, 'storage_full', '', had)
    elseif verdict == 'retry' then
      redis.call('ZREM', SENDING, id)
      if message ~= '' then redis.call('ZREM', FRESH, id) end
      write_state(q, id, attempts, first, ARGV[i + 7], message, had)
      redis.call('ZADD', QUEUE, num(q.now + tonumber(ARGV[i + 4])), id)
    else
      redis.call('ZREM', SENDING, id)
      redis.call('ZADD', QUEUE, num(q.now + tonumber(ARGV[i + 4])), id)
    end
    local peace = tonumber(ARGV[i + 5])
    if peace > 0 then set(q, 'th', math.max(q.th, q.now + peace)) end
    if health == '+' then
      if q.et ~= 0 and q.dz == 0 then
        befall(q, 'recovered', 0, '')
        set(q, 'et', 0)
      end
      if q.bt > 0 then
        set(q, 'ru', q.now)
        set(q, 'rn', 1) -- the probe
      end
      set(q, 'cf', 0)
      set(q, 'fs', 0)
      set(q, 'bt', 0)
      set(q, 'bo', 0)
      set(q, 'ok', q.time)
    elseif health == '-' then
      failed(ARGV[i + 7])
    elseif health == 'x' then
      failed()
      if q.dz == 0 then
        disable(q, ARGV[i + 7])
        out[7] = '1'
      end
    end
    if ARGV[i + 9] ~= '' then log_attempt(q, ARGV[i + 9], ARGV[i + 10], verdict == 'done') end
  end
end
if #ended > 0 then redis.call('ZREM', SENDING, unpack(ended)) end
if #done > 0 then redis.call('ZREM', FRESH, unpack(done)) end
if #states > 0 then redis.call('HDEL', STATES, unpack(states)) end
write_log(q)
age_log(q)

-- What was lent to a server that is gone.
local bytes = 0
for _, id in ipairs(redis.call('ZRANGEBYSCORE', SENDING, '-inf', num(q.now), 'LIMIT', 0, MOST)) do
  local size = redis.call('HSTRLEN', STATES, id)
  if bytes > 0 and bytes + size > BYTES then break end
  bytes = bytes + size
  lose(q, id)
  redis.call('ZREM', SENDING, id)
  redis.call('ZADD', QUEUE, num(q.now), id)
end
for _, id in ipairs(redis.call('ZRANGEBYSCORE', DEAD, '-inf', num(q.now - HOLD), 'LIMIT', 0, 10)) do finish(q, id) end
if q.uv ~= 0 and q.vn ~= 0 and q.vn <= q.now and (q.vd == 0 or q.vd > q.now) and q.pz == 0 and q.dz == 0 and tonumber(ARGV[4]) > 0 then
  out[11] = '1'
  begin_challenge(q)
end
if q.vd ~= 0 and q.vd <= q.now and not q.held then
  out[11] = '2'
  set(q, 'vx', q.time)
end
if first_letter(q) and q.dw <= q.now then
  out[12] = '1'
  set(q, 'dw', q.now + POSTED)
end
if q.en > q.eo and q.ew <= q.now and not q.held then
  out[12] = out[12] == '1' and '3' or '2'
  set(q, 'ew', q.now + TOLD)
end
lend(q, 3, tonumber(ARGV[13]), out)
return out
