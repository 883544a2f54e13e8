-- Puts an operator's new key in the place of another one, which gets an end.
-- KEYS[1] HASH digest to record; field "" holds the mark
-- KEYS[2] HASH key id to digest, of operators
-- ARGV[3] digest of the new key
-- ARGV[4] its record, JSON
-- ARGV[5] digest of the old key
-- ARGV[6] its record as the caller has read it
-- ARGV[7] its record with the end, JSON
-- ARGV[8] id of the new key
-- ARGV[9] a new mark
-- ARGV[10] how many keys operators may have
-- Returns: "ok"; or "changed" when the old key's record is another one by now; or "full"
-- Flags: none
-- Again: the second call finds the new key.
if redis.call('HEXISTS', KEYS[1], ARGV[3]) == 1 then return 'ok' end
if redis.call('HGET', KEYS[1], ARGV[5]) ~= ARGV[6] then return 'changed' end
if redis.call('HLEN', KEYS[2]) >= tonumber(ARGV[10]) then return 'full' end
redis.call('HSET', KEYS[1], ARGV[3], ARGV[4], ARGV[5], ARGV[7], '', ARGV[9])
redis.call('HSET', KEYS[2], ARGV[8], ARGV[3])
return 'ok'
