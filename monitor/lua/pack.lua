-- Puts samples of a series into what is packed of it.
-- KEYS[1] HASH the series, as in append
-- ARGV[3] how often the packed part was changed when the caller read it
-- ARGV[4] the new packed part
-- ARGV[5+] spans whose samples are in it now
-- Returns: "ok", or "stale" when another server has packed meanwhile
-- Flags: none
-- Again: the second call finds it packed.
if (redis.call('HGET', KEYS[1], 'n') or '0') ~= ARGV[3] then return 'stale' end
redis.call('HSET', KEYS[1], 'p', ARGV[4], 'n', string.format('%.0f', tonumber(ARGV[3]) + 1))
redis.call('HDEL', KEYS[1], unpack(ARGV, 5))
return 'ok'
