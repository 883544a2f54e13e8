-- Takes messages for a webhook, each once.
-- ARGV[3] version of the settings that there must be at least
-- ARGV[4] sequence number up to which messages are brought
-- ARGV[5] session of the server that sends for the shard, or 0
-- ARGV[6] "1" for messages that are brought once more: only what is not waiting already is taken, with its message; "2": and only what was missed; "3" for new ones of which none is to be dropped: it stops before the first that is not taken
-- ARGV[7] sequence number behind which those begin, for "1" and "2": the gaps from there on are closed
-- ARGV[8] how many bytes all messages have together
-- ARGV[9] milliseconds: for how long entries are lent
-- ARGV[10] for how many requests entries are lent at once, at most; 0 for none, as where the caller does not send for the shard
-- ARGV[11] how many requests may be under way at the same time, by whomever
-- ARGV[12] number of the settings and secrets that the caller knows
-- ARGV[13] how many entries the caller puts into one request at most, where a request carries several
-- ARGV[14+] per message three, at most 100: entry, sequence number, message or "" for one that the topic's log keeps
-- Returns: "ok", sequence number up to which all has come, the one up to which the log need not keep anything, how many were dropped because it is full, or disabled, "1" when the webhook is disabled and takes nothing, in how many milliseconds to look at it next, or -1, how many more were dropped because they were published before the endpoint had confirmed that it wants any, "1" when those that were dropped are the oldest, "2" when it is full and what is published is to be refused; then, where any may be lent, what exchange.lua returns; or "absent" or "stale"
-- Flags: none
-- Again: what has come is not taken again. What the first call lent comes back when that ends.
--- @include "lib/gaps"
--- @include "lib/lend"
--- @include "lib/full"
local q = open_hook()
if q.refusal then return q.refusal end
if q.v < tonumber(ARGV[3]) then return { 'stale' } end
put_in_order(q)
local to, missed, whole = tonumber(ARGV[4]), ARGV[6] == '2', ARGV[6] == '3'
local again = missed or ARGV[6] == '1'
local gaps = again and read_gaps() or nil
local opened
local how = ''
local reached, dropped, taken, early = math.max(to, q.wm), 0, 0, 0
local fresh, due, order = {}, {}, {} -- to be added, by one command each
if again then reached = to end
local room = ENTRIES - pending(q) - (redis.call('ZCARD', DEAD) - 1)
for i = 14, #ARGV, 3 do
  local id, sequence, message = ARGV[i], tonumber(ARGV[i + 1]), ARGV[i + 2]
  local group = string.sub(id, 15)
  local wanted = again or sequence > q.wm
  if wanted and not again and q.op == REFUSE and q.dz == 0 and (room <= 0 or q.sg > STORED - BYTES) then
    reached, how = sequence - 1, '2'
    break
  end
  if whole and wanted and (q.dz ~= 0 or room <= 0) then
    reached = sequence - 1
    break
  end
  if missed and not in_gap(gaps, sequence) then wanted = false end
  local lost = false
  if q.dz ~= 0 then
    lost = wanted
    wanted = false
  end
  if wanted and (q.vd ~= 0 or q.vb ~= 0 and not again and published(id) < q.vb) then
    early = early + 1
    wanted = false
  end
  if again and (redis.call('ZSCORE', QUEUE, id) or redis.call('ZSCORE', SENDING, id) or redis.call('ZSCORE', GROUPS, group .. id)) then
    wanted = false
  end
  if wanted and not again and room <= 0 and q.op == OLDEST and drop_oldest(q) then
    room = room + 1
    how = '1'
  end
  if wanted and (room <= 0 or #message > 0 and q.sg + #message > STORED) then
    if again then
      reached = sequence - 1
      break
    end
    lost = true
    wanted = false
  end
  if lost then
    dropped = dropped + 1
    if not again then
      gaps = gaps or read_gaps()
      miss(q, gaps, sequence)
      opened = true
    end
  end
  if wanted then
    taken = taken + 1
    if not again and q.go ~= 0 then set(q, 'go', 0) end
    room = room - 1
    if again then
      local _, _, _, had = read_state(id)
      redis.call('ZREM', DEAD, id)
      write_state(q, id, 0, 0, '', message, #had)
    else
      fresh[#fresh + 1] = num(sequence)
      fresh[#fresh + 1] = id
    end
    local alone = group == '' or #redis.call('ZRANGEBYLEX', GROUPS, '[' .. group, '(' .. group .. 'g', 'LIMIT', 0, 1) == 0
    if group ~= '' then redis.call('ZADD', GROUPS, 0, group .. id) end
    if q.oo ~= 0 then
      order[#order + 1] = 0
      order[#order + 1] = id
    end
    if alone then
      due[#due + 1] = num(q.now)
      due[#due + 1] = id
    end
  end
end
if #fresh > 0 then redis.call('ZADD', FRESH, unpack(fresh)) end
if #due > 0 then redis.call('ZADD', QUEUE, unpack(due)) end
if #order > 0 then redis.call('ZADD', GROUPS, unpack(order)) end
if taken > 0 and q.bm > 1 then set(q, 'wb', q.wb + tonumber(ARGV[8])) end
if opened then write_gaps(gaps) end
if again then
  if q.dz == 0 then close_gaps(q, gaps, tonumber(ARGV[7]), reached) end
else
  set(q, 'wm', reached)
  if q.dz ~= 0 then
    set(q, 'ms', q.ms + dropped)
  elseif dropped > 0 then
    set(q, 'ov', q.ov + dropped)
  end
end
local out = { 'ok', num(reached), '0', num(dropped + (q.pushed or 0)), q.dz ~= 0 and '1' or '0', '-1', num(early), how }
if ARGV[10] == '0' then
  out[6] = num(close_hook(q))
else
  local turn = { 'ok', num(q.now), num(q.cv), '0', '0', '0', '0', '0', '', '', '0', '0' }
  lend(q, 9, tonumber(ARGV[13]), turn)
  out[6] = turn[4]
  for _, one in ipairs(turn) do out[#out + 1] = one end
end
out[3] = num(mark_of(q))
if taken > 0 then tell(ARGV[5]) end
return out
