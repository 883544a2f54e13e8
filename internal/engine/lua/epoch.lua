-- Reads the installation's identity, and founds it where the data set is empty.
-- KEYS[1] HASH the installation: epoch, fingerprint of the root secret, region, the root secret sealed with the master key, and with the key of a rotation
-- ARGV[3] epoch to give a new installation
-- ARGV[4] fingerprint of the root secret to give it
-- ARGV[5] region of the asking server
-- ARGV[6] "1" to found an installation where there is none
-- ARGV[7] the root secret to give it, sealed with the master key of the asking server
-- Returns: epoch, fingerprint, region, root and next as stored; empty where there is none and none was to be founded
-- Flags: allow-oom
-- Again: the second call finds what the first one wrote.
local have = redis.call('HMGET', KEYS[1], 'epoch', 'fingerprint', 'region', 'root', 'next')
if have[1] or redis.call('EXISTS', KEYS[1]) == 1 then return have end
if ARGV[6] ~= '1' then return {} end
redis.call('HSET', KEYS[1], 'epoch', ARGV[3], 'fingerprint', ARGV[4], 'region', ARGV[5], 'root', ARGV[7])
return { ARGV[3], ARGV[4], ARGV[5], ARGV[7], '' }
