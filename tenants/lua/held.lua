-- Takes over what a holder says that it has, unless it has been given another grant since.
-- ARGV[3] holder
-- ARGV[4] bytes: its grant; "" for one that is gone
-- ARGV[5] number of that
-- ARGV[6] bytes that it has stored
-- Returns: "ok"; "late" and the number of the grant that it has been given; or "gone" where there is no such tenant
-- Flags: allow-oom
-- Again: it is written already.
--- @include "lib/stored"
if redis.call('HGET', KEYS[1], 'state') ~= 'active' then return { 'gone' } end
if ARGV[4] == '' then
  write_grant(ARGV[3], 0, 0, 0)
else
  local heard, _, number = hear(ARGV[3], tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6]))
  if not heard then return { 'late', num(number) } end
end
return { 'ok' }
