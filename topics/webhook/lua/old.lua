-- Names entries whose messages are in the topic's log and should be copied out of it, so that the log need not wait.
-- ARGV[3] how many at most
-- Returns: "ok", then their sequence numbers, the oldest first, those of entries that are being sent left out; or "absent"
-- Flags: no-writes
-- Again: it changes nothing.
--- @include "lib/hook"
local q = open_hook()
if q.refusal then return q.refusal end
local out = { 'ok' }
for _, id in ipairs(redis.call('ZRANGE', FRESH, 0, tonumber(ARGV[3]) - 1)) do
  if id ~= '' and published(id) + STALE <= q.now then out[#out + 1] = id end
end
return out
