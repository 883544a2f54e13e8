-- Forgets a subscription that has ended.
-- ARGV[3] uid
-- Returns: "ok"
-- Flags: allow-oom
-- Again: what is forgotten stays forgotten.
--- @include "lib/topic"
redis.call('HDEL', SUBSCRIPTIONS, '~' .. ARGV[3])
return { 'ok' }
