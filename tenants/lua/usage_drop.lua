-- Forgets the usage of some periods, or what is left beside it of a tenant that is being deleted.
-- KEYS[1] ZSET periods by their start in seconds since 1970
-- KEYS[2+] HASH field to amounts, and HASH id of a key to requests, of each of the periods, at most 50; or the writers
-- ARGV[3+] the periods
-- Returns: "ok"
-- Flags: allow-oom
-- Again: what is forgotten stays forgotten.
if #ARGV > 2 then redis.call('ZREM', KEYS[1], unpack(ARGV, 3)) end
redis.call('UNLINK', unpack(KEYS, 2))
return 'ok'
