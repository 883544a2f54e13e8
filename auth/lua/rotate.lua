-- Puts a tenant's new key in the place of another one, which gets an end. The new one stands in the index already.
-- KEYS[1] HASH digest to record; field "" holds the mark
-- KEYS[2] HASH tenant id to name: has the tenant while it may be given keys
-- ARGV[3] digest of the new key
-- ARGV[4] its record, JSON
-- ARGV[5] digest of the old key
-- ARGV[6] its record as the caller has read it
-- ARGV[7] its record with the end, JSON
-- ARGV[8] tenant id
-- ARGV[9] a new mark
-- ARGV[10+] digests and records of the AWS pairs of the new and the old key, in turn, if they have any
-- Returns: "ok"; or "changed" when the old key's record is another one by now; or "gone" when the tenant is
-- Flags: none
-- Again: the second call finds the new key.
if redis.call('HEXISTS', KEYS[1], ARGV[3]) == 1 then return 'ok' end
if redis.call('HGET', KEYS[1], ARGV[5]) ~= ARGV[6] then return 'changed' end
if redis.call('HEXISTS', KEYS[2], ARGV[8]) == 0 then return 'gone' end
redis.call('HSET', KEYS[1], ARGV[3], ARGV[4], ARGV[5], ARGV[7], '', ARGV[9])
for i = 10, #ARGV, 2 do
  redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 1])
end
return 'ok'
