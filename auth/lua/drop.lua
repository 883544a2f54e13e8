-- Ends keys, with their AWS pairs. Of a key that lies in a file of some server the end is remembered: that server would make it work again.
-- KEYS[1] HASH digest to record; field "" holds the mark
-- KEYS[2] HASH digest to the last use
-- ARGV[3] a new mark
-- ARGV[4+] digests, at most 100
-- Returns: "ok"
-- Flags: allow-oom
-- Again: the second call finds nothing, or what the first one remembered.
--- @include "lib/clock"
local _, _, now = read_clock(0)
for i = 4, #ARGV do
  local text = redis.call('HGET', KEYS[1], ARGV[i])
  if text then
    local record = cjson.decode(text)
    if record.alias then redis.call('HDEL', KEYS[1], record.alias) end
    if not record.file then
      redis.call('HDEL', KEYS[1], ARGV[i])
    elseif not record.revoked_at then
      redis.call('HSET', KEYS[1], ARGV[i], '{"id":"' .. record.id .. '","file":true,"revoked_at":' .. string.format('%.0f', now) .. '}')
    end
    redis.call('HSET', KEYS[1], '', ARGV[3])
    redis.call('HDEL', KEYS[2], ARGV[i])
  end
end
return 'ok'
