-- Makes or changes a member, with the invitation by which he sets a password.
-- KEYS[1] HASH digest to record; field "" holds the mark
-- KEYS[2] ZSET members, all with score 0: tenant or "-", and digest, with a slash between
-- KEYS[3] ZSET the same behind a digest of the e-mail address
-- KEYS[4] HASH tenant id to name: has the tenant while it may be given members
-- ARGV[3] digest
-- ARGV[4] the member's record as the caller has read it, "" for a new one
-- ARGV[5] his record from now on, JSON
-- ARGV[6] tenant, or "-" for operators
-- ARGV[7] digest of the e-mail address
-- ARGV[8] a new mark
-- ARGV[9] how many members a tenant may have, or how many operators there may be
-- ARGV[10] digest of the invitation that ends, or ""
-- ARGV[11] whether that one must be there: 1 or 0
-- ARGV[12] digest of a new invitation, or ""
-- ARGV[13] its record, JSON
-- ARGV[14] whether the tenant must keep an owner who has a password: 1 or 0
-- Returns: "ok"; or "changed" when the record is another one by now; "gone" when the tenant is; "used" when the invitation is; "full"; or "last" when he is the last owner and would be one no more
-- Flags: none
-- Again: the second call finds the new record.
--- @include "lib/owners"
local have = redis.call('HGET', KEYS[1], ARGV[3]) or ''
if have == ARGV[5] then return 'ok' end
if have ~= ARGV[4] then return 'changed' end
if ARGV[6] ~= '-' and redis.call('HEXISTS', KEYS[4], ARGV[6]) == 0 then return 'gone' end
if ARGV[11] == '1' and redis.call('HEXISTS', KEYS[1], ARGV[10]) == 0 then return 'used' end
if ARGV[14] == '1' and is_owner(have) and not is_owner(ARGV[5]) and not other_owner(KEYS[1], KEYS[2], ARGV[6], ARGV[3]) then return 'last' end
if have == '' then
  if redis.call('ZLEXCOUNT', KEYS[2], '[' .. ARGV[6] .. '/', '(' .. ARGV[6] .. '0') >= tonumber(ARGV[9]) then return 'full' end
  redis.call('ZADD', KEYS[2], 0, ARGV[6] .. '/' .. ARGV[3])
  redis.call('ZADD', KEYS[3], 0, ARGV[7] .. '/' .. ARGV[6] .. '/' .. ARGV[3])
end
if ARGV[10] ~= '' then redis.call('HDEL', KEYS[1], ARGV[10]) end
if ARGV[12] ~= '' then redis.call('HSET', KEYS[1], ARGV[12], ARGV[13]) end
redis.call('HSET', KEYS[1], ARGV[3], ARGV[5], '', ARGV[8])
return 'ok'
