-- Returns what notifications are signed with, which all servers share, and keeps it when there is none yet.
-- KEYS[1] STRING the certificate in base64, a blank, and the sealed key in base64
-- ARGV[3] what to keep, or "" to only read
-- Returns: what is kept, or ""
-- Flags: none
-- Again: the second call finds what the first one kept.
local have = redis.call('GET', KEYS[1])
if have then return have end
if ARGV[3] ~= '' then redis.call('SET', KEYS[1], ARGV[3]) end
return ARGV[3]
