-- Notes when keys were used last. A later use that is known, and a key that is gone, are left alone.
-- KEYS[1] HASH digest to the time of the last use, in milliseconds since 1970, and behind a space its address
-- KEYS[2] HASH digest to record
-- ARGV[3+] digest, time, and both as the hash keeps them, in turn, at most 100
-- Returns: "ok"
-- Flags: none
-- Again: the second call finds the same time and keeps it.
for i = 3, #ARGV, 3 do
  local known = string.match(redis.call('HGET', KEYS[1], ARGV[i]) or '', '^%d+')
  if tonumber(known or 0) <= tonumber(ARGV[i + 1]) and redis.call('HEXISTS', KEYS[2], ARGV[i]) == 1 then
    redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 2])
  end
end
return 'ok'
