-- Makes an operator's key work.
-- KEYS[1] HASH digest to record; field "" holds the mark
-- KEYS[2] HASH key id to digest, of operators
-- ARGV[3] digest
-- ARGV[4] record, JSON
-- ARGV[5] key id
-- ARGV[6] a new mark
-- ARGV[7] how many keys operators may have
-- Returns: the record under that digest, old or new; or "full"
-- Flags: none
-- Again: the second call finds the record.
local have = redis.call('HGET', KEYS[1], ARGV[3])
if have then return have end
if redis.call('HLEN', KEYS[2]) >= tonumber(ARGV[7]) then return 'full' end
redis.call('HSET', KEYS[1], ARGV[3], ARGV[4], '', ARGV[6])
redis.call('HSET', KEYS[2], ARGV[5], ARGV[3])
return ARGV[4]
