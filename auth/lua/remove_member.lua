-- Removes a member, and with him his invitation.
-- KEYS[1] HASH digest to record; field "" holds the mark
-- KEYS[2] ZSET members, all with score 0: tenant or "-", and digest, with a slash between
-- KEYS[3] ZSET the same behind a digest of the e-mail address
-- KEYS[4] HASH digest to the last use
-- ARGV[3] digest
-- ARGV[4] tenant, or "-" for operators
-- ARGV[5] digest of the e-mail address
-- ARGV[6] a new mark
-- ARGV[7] digest of his invitation, or ""
-- ARGV[8] whether the tenant must keep an owner who has a password: 1 or 0
-- Returns: "ok"; or "last" when he is the last owner
-- Flags: allow-oom
-- Again: the second call finds nothing.
--- @include "lib/owners"
if ARGV[8] == '1' and is_owner(redis.call('HGET', KEYS[1], ARGV[3])) and not other_owner(KEYS[1], KEYS[2], ARGV[4], ARGV[3]) then return 'last' end
redis.call('HDEL', KEYS[1], ARGV[3])
if ARGV[7] ~= '' then redis.call('HDEL', KEYS[1], ARGV[7]) end
redis.call('ZREM', KEYS[2], ARGV[4] .. '/' .. ARGV[3])
redis.call('ZREM', KEYS[3], ARGV[5] .. '/' .. ARGV[4] .. '/' .. ARGV[3])
redis.call('HDEL', KEYS[4], ARGV[3])
redis.call('HSET', KEYS[1], '', ARGV[6])
return 'ok'
