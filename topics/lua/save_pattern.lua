-- Notes what has become of a topic subscription, or removes it, unless it has changed since the caller read it.
-- KEYS[1] HASH topic subscriptions, as in read_patterns.lua
-- ARGV[3] name
-- ARGV[4] JSON that the caller read
-- ARGV[5] JSON, a text that was never stored before; or "" to remove it
-- ARGV[6] "1" when topics have to follow it: it subscribes none from now on, or their webhooks sign otherwise
-- Returns: "ok"; or "changed" when another change came first
-- Flags: allow-oom
-- Again: when this text is stored already, or it is gone already, that is the answer.
local have = redis.call('HGET', KEYS[1], ARGV[3]) or ''
if have == ARGV[5] then return 'ok' end
if have ~= ARGV[4] then return 'changed' end
if ARGV[5] == '' then
  redis.call('HDEL', KEYS[1], ARGV[3])
else
  redis.call('HSET', KEYS[1], ARGV[3], ARGV[5])
end
if ARGV[6] == '1' then redis.call('HINCRBY', KEYS[1], '', 1) end
return 'ok'
