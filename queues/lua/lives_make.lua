-- Makes one of the keys in which a queue keeps timelines, with its sentinel; see lib/timeline. Each takes a call of its own: while
-- their slot moves one that has several absent keys is stopped.
-- KEYS[1] HASH lives or ZSET steps
-- ARGV[3] which: "lives" or "steps"
-- Returns: "ok"
-- Flags: none
-- Again: it makes only what is not there.
if ARGV[3] == 'lives' then redis.call('HSETNX', KEYS[1], '', '0,0') else redis.call('ZADD', KEYS[1], '+inf', '') end
return 'ok'
