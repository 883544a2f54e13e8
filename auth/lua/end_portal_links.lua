-- Ends all portal links of a tenant: at most 100, which put_portal_link sees to.
-- KEYS[1] HASH digest to record
-- KEYS[2] ZSET portal links in the order of their text
-- KEYS[3] ZSET the same by when they end, in milliseconds since 1970
-- ARGV[3] tenant id, and a slash
-- Returns: "ok"
-- Flags: allow-oom
-- Again: the second call finds nothing.
--- @include "lib/session"
for _, entry in ipairs(redis.call('ZRANGEBYLEX', KEYS[2], '[' .. ARGV[3], '(' .. behind(ARGV[3]))) do
  forget_link(KEYS[1], KEYS[2], KEYS[3], entry)
end
return 'ok'
