-- Copies messages out of the topic's log into a webhook's own store. What cannot be kept has failed, of a group when its turn comes.
-- ARGV[3+] per entry three, at most 100: entry; message, or "" where the log has none; why it has none: "not_retained" or "damaged"
-- Returns: "ok", sequence number up to which the log need not keep anything, how many the log no longer has to keep; or "absent"
-- Flags: none
-- Again: what was copied is not in the log's care any more.
--- @include "lib/full"
local q = open_hook()
if q.refusal then return q.refusal end
local before = redis.call('ZCARD', FRESH)
local function lose_message(id, attempts, first, why, had)
  local group = string.sub(id, 15)
  if redis.call('ZSCORE', SENDING, id) then return end
  if group == '' or redis.call('ZSCORE', QUEUE, id) then
    bury(q, id, attempts, first, why, had, #had)
  else
    redis.call('ZREM', FRESH, id) -- who is lent it finds that the log has nothing
  end
end
for i = 3, #ARGV, 3 do
  local id, message, lacks = ARGV[i], ARGV[i + 1], ARGV[i + 2]
  if redis.call('ZSCORE', FRESH, id) then
    local attempts, first, why, have = read_state(id)
    if lacks == 'damaged' then -- it is set aside when its turn comes
      redis.call('ZREM', FRESH, id)
      write_state(q, id, attempts, first, lacks, have, #have)
    elseif message == '' then
      lose_message(id, attempts, first, lacks, have)
    elseif not fits(q, #message) then
      -- With a dead-letter queue nothing is given up that could go there, nor where what comes is refused or the oldest make room: the
      -- log keeps it until there is some.
      if q.lt == 0 and q.op == 0 then lose_message(id, attempts, first, 'storage_full', '') end
    else
      redis.call('ZREM', FRESH, id)
      write_state(q, id, attempts, first, why, message, #have)
    end
  end
end
close_hook(q)
return { 'ok', num(mark_of(q)), num(before - redis.call('ZCARD', FRESH)) }
