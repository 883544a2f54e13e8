-- Makes a tenant's key work. It stands in the index already.
-- KEYS[1] HASH digest to record; field "" holds the mark
-- KEYS[2] HASH tenant id to name: has the tenant while it may be given keys
-- ARGV[3] digest
-- ARGV[4] record, JSON
-- ARGV[5] tenant id
-- ARGV[6] a new mark
-- ARGV[7+] digest and record of its AWS pair, if it has one
-- Returns: the record under that digest, old or new; or "gone" when the tenant is
-- Flags: none
-- Again: the second call finds the record.
local have = redis.call('HGET', KEYS[1], ARGV[3])
if have then return have end
if redis.call('HEXISTS', KEYS[2], ARGV[5]) == 0 then return 'gone' end
redis.call('HSET', KEYS[1], ARGV[3], ARGV[4], '', ARGV[6])
if ARGV[7] then redis.call('HSET', KEYS[1], ARGV[7], ARGV[8]) end
return ARGV[4]
