-- Changes the record of a session.
-- KEYS[1] HASH digest to record; field "" holds the mark
-- ARGV[3] digest
-- ARGV[4] the record as the caller has read it
-- ARGV[5] the record from now on, JSON
-- ARGV[6] a new mark
-- Returns: "ok", or "changed" when the record is another one by now, or gone
-- Flags: allow-oom
-- Again: the second call finds the new record.
local have = redis.call('HGET', KEYS[1], ARGV[3])
if have == ARGV[5] then return 'ok' end
if have ~= ARGV[4] then return 'changed' end
redis.call('HSET', KEYS[1], ARGV[3], ARGV[5], '', ARGV[6])
return 'ok'
