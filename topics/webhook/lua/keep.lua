-- Copies messages out of the topic's log into a webhook's own store.
-- ARGV[3+] per entry two, at most 100: entry; message, or "" when the log does not have it any more
-- Returns: "ok", sequence number up to which the log need not keep anything; or "absent"
-- Flags: none
-- Again: what was copied is not in the log's care any more.
--- @include "lib/hook"
local q = open_hook()
if q.refusal then return q.refusal end
for i = 3, #ARGV, 2 do
  local id, message = ARGV[i], ARGV[i + 1]
  if redis.call('ZSCORE', FRESH, id) then
    local attempts, first, why, have = read_state(id)
    if message == '' then
      if not redis.call('ZSCORE', SENDING, id) then bury(q, id, attempts, first, 'not_retained', have, #have) end
    elseif q.sg + #message > STORED then
      if not redis.call('ZSCORE', SENDING, id) then bury(q, id, attempts, first, 'storage_full', '', #have) end
    else
      redis.call('ZREM', FRESH, id)
      write_state(q, id, attempts, first, why, message, #have)
    end
  end
end
close_hook(q)
return { 'ok', num(mark_of(q)) }
