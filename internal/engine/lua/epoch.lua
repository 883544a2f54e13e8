-- Reads the installation's identity, and founds it where the data set is empty.
-- KEYS[1] HASH the installation: epoch, fingerprint of the master key, region
-- ARGV[3] epoch to give a new installation
-- ARGV[4] fingerprint of the asking server's master key
-- ARGV[5] region of the asking server
-- ARGV[6] "1" to found an installation where there is none
-- Returns: epoch, fingerprint and region as stored; empty where there is none and none was to be founded
-- Flags: allow-oom
-- Again: the second call finds what the first one wrote.
local have = redis.call('HMGET', KEYS[1], 'epoch', 'fingerprint', 'region')
if have[1] then return have end
if ARGV[6] ~= '1' then return {} end
redis.call('HSET', KEYS[1], 'epoch', ARGV[3], 'fingerprint', ARGV[4], 'region', ARGV[5])
return { ARGV[3], ARGV[4], ARGV[5] }
