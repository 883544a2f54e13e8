-- Takes messages for a webhook, each once.
-- ARGV[3] version of the settings that there must be at least
-- ARGV[4] sequence number up to which messages are brought
-- ARGV[5] session of the server that sends for the shard, or 0
-- ARGV[6] "1" for messages that are brought once more: only what is not waiting already is taken, with its message
-- ARGV[7+] per message three, at most 100: entry, sequence number, message or "" for one that the topic's log keeps
-- Returns: "ok", sequence number up to which all has come, the one up to which the log need not keep anything, how many were dropped, "1" when the webhook is disabled and takes nothing, in how many milliseconds to look at it next, or -1; or "absent" or "stale"
-- Flags: none
-- Again: what has come is not taken again.
--- @include "lib/hook"
local q = open_hook()
if q.refusal then return q.refusal end
if q.v < tonumber(ARGV[3]) then return { 'stale' } end
local to, again = tonumber(ARGV[4]), ARGV[6] == '1'
local reached, dropped, taken = math.max(to, q.wm), 0, 0
if again then reached = to end
local room = ENTRIES - pending() - redis.call('ZCARD', DEAD)
for i = 7, #ARGV, 3 do
  local id, sequence, message = ARGV[i], tonumber(ARGV[i + 1]), ARGV[i + 2]
  local group = string.sub(id, 15)
  local wanted = again or sequence > q.wm
  if q.dz ~= 0 then
    if wanted then dropped = dropped + 1 end
    wanted = false
  end
  local waits = redis.call('ZSCORE', QUEUE, id) or redis.call('ZSCORE', SENDING, id) or redis.call('ZSCORE', GROUPS, group .. id)
  if again and waits then wanted = false end
  if wanted and (room <= 0 or #message > 0 and q.sg + #message > STORED) then
    if again then
      reached = sequence - 1
      break
    end
    dropped = dropped + 1
    wanted = false
  end
  if wanted then
    taken = taken + 1
    room = room - 1
    if again then
      local _, _, _, had = read_state(id)
      redis.call('ZREM', DEAD, id)
      write_state(q, id, 0, 0, '', message, #had)
    else
      redis.call('ZADD', FRESH, num(sequence), id)
    end
    local alone = group == '' or #redis.call('ZRANGEBYLEX', GROUPS, '[' .. group, '(' .. group .. 'g', 'LIMIT', 0, 1) == 0
    if group ~= '' then redis.call('ZADD', GROUPS, 0, group .. id) end
    if alone then redis.call('ZADD', QUEUE, num(q.now), id) end
  end
end
if not again then set(q, 'wm', reached) end
if q.dz ~= 0 then
  set(q, 'ms', q.ms + dropped)
elseif dropped > 0 then
  set(q, 'ov', q.ov + dropped)
end
local next = close_hook(q)
if taken > 0 then tell(ARGV[5]) end
return { 'ok', num(reached), num(mark_of(q)), num(dropped), q.dz ~= 0 and '1' or '0', num(next) }
