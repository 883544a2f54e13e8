-- Notes what became of a question whether an endpoint wants to be sent to, and when it is asked again.
-- ARGV[3] what it was asked to confirm
-- ARGV[4] "1" when it has the question
-- ARGV[5] milliseconds before the second time, the third and so on, with commas between them; "" where the usual waits hold
-- ARGV[6] the attempt for the log, JSON
-- ARGV[7] the same for the tenant's list, JSON
-- Returns: "ok", in how many milliseconds to look at it next, or -1; or "absent"
-- Flags: allow-oom
-- Again: the log has it twice.
--- @include "lib/log"
local q = open_hook()
if q.refusal then return q.refusal end
log_attempt(q, ARGV[6], ARGV[7], false)
write_log(q)
if q.uv ~= 0 and (redis.call('HGET', HEAD, 'vw') or '') == ARGV[3] then
  local made, i = tonumber(redis.call('HGET', HEAD, 'vc')) or 0, 0
  if ARGV[4] == '1' then
    set(q, 'vn', 0)
  elseif ARGV[5] ~= '' then
    set(q, 'vn', 0)
    for wait in string.gmatch(ARGV[5], '%d+') do
      i = i + 1
      if i == made then set(q, 'vn', q.now + tonumber(wait)) end
    end
  end
end
return { 'ok', num(close_hook(q)) }
