-- Changes entries of the index of topics with something to do.
-- KEYS[1] ZSET entry to the instant at which to look at the topic
-- ARGV[3+] per entry three, at most 100 entries: "+" to add it or move it, "=" to move it where it is there, "-" to remove it; instant in milliseconds; entry
-- Returns: "ok"
-- Flags: allow-oom
-- Again: the second call finds each entry as it shall be.
for i = 3, #ARGV, 3 do
  if ARGV[i] == '-' then
    redis.call('ZREM', KEYS[1], ARGV[i + 2])
  elseif ARGV[i] == '+' then
    redis.call('ZADD', KEYS[1], ARGV[i + 1], ARGV[i + 2])
  else
    redis.call('ZADD', KEYS[1], 'XX', ARGV[i + 1], ARGV[i + 2])
  end
end
return { 'ok' }
