-- Takes an entry back: what it was to tell of was not done.
-- KEYS[1] HASH entry id to the instant and the entry; field "" the bytes of all
-- KEYS[2] ZSET instant and id of each entry, all with score 0
-- ARGV[3] entry id
-- Returns: "ok"
-- Flags: allow-oom
-- Again: the second call finds nothing.
local have = redis.call('HGET', KEYS[1], ARGV[3])
if have then
  redis.call('HINCRBY', KEYS[1], '', -#have)
  redis.call('HDEL', KEYS[1], ARGV[3])
  redis.call('ZREM', KEYS[2], string.sub(have, 1, 13) .. ARGV[3])
end
return 'ok'
