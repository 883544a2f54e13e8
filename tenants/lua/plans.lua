-- Reads the mark that changes whenever what holds for some tenant does, and the plans when it has changed.
-- KEYS[1] HASH whose field "" holds the mark
-- KEYS[2] HASH plan to record
-- ARGV[3] the mark that the caller knows, or "?" for none
-- Returns: the mark, "" for none yet; when it is another one, names and records of all plans in turn, at most 100
-- Flags: no-writes
-- Again: it only reads.
local mark = redis.call('HGET', KEYS[1], '') or ''
if mark == ARGV[3] then return { mark } end
return { mark, unpack(redis.call('HGETALL', KEYS[2])) }
