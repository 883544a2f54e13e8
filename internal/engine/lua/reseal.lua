-- Puts other copies of the sealed root secret in the place of those that the caller has seen.
-- KEYS[1] HASH the installation
-- ARGV[3] epoch of the installation that the caller has seen
-- ARGV[4] copy for the master key as it was then, empty for none
-- ARGV[5] copy for the key of a rotation as it was then, empty for none
-- ARGV[6] copy for the master key to be
-- ARGV[7] copy for the key of a rotation to be, empty for none
-- Returns: 1 when they are as wanted, 0 when the installation is not as the caller has seen it
-- Flags: allow-oom
-- Again: the second call finds what the first one wrote.
local have = redis.call('HMGET', KEYS[1], 'epoch', 'root', 'next')
local root, following = have[2] or '', have[3] or ''
if have[1] ~= ARGV[3] then return 0 end
if root == ARGV[6] and following == ARGV[7] then return 1 end
if root ~= ARGV[4] or following ~= ARGV[5] then return 0 end
redis.call('HSET', KEYS[1], 'root', ARGV[6])
if ARGV[7] == '' then
  redis.call('HDEL', KEYS[1], 'next')
else
  redis.call('HSET', KEYS[1], 'next', ARGV[7])
end
return 1
