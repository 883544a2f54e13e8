-- Says of when the oldest message is that waits in any queue of a tenant.
-- KEYS[1] HASH the board of the tenant, as in tally
-- Returns: milliseconds since 1970, or "0" when none waits
-- Flags: no-writes
-- Again: it changes nothing.
local oldest = 0
for _, entry in ipairs(redis.call('HVALS', KEYS[1])) do
  local at = tonumber(string.match(entry, '^%S+ %d+ %d+,%d+,%d+,(%d+)') or '0')
  if at > 0 and (oldest == 0 or at < oldest) then oldest = at end
end
return string.format('%.0f', oldest)
