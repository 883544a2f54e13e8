-- Reads the errors of a task.
-- KEYS[1] HASH task id to JSON
-- KEYS[2] HASH task id and part to errors
-- ARGV[3] task id
-- Returns: "1" where there is such a task, else "0"; then its parts in their order, each one JSON object a line
-- Flags: no-writes
-- Again: it changes nothing.
--- @include "lib/room"
local out = { string.format('%.0f', redis.call('HEXISTS', KEYS[1], ARGV[3])) }
for i = 0, ERROR_PARTS - 1 do
  local part = redis.call('HGET', KEYS[2], ARGV[3] .. ':' .. i)
  if not part then break end
  out[#out + 1] = part
end
return out
