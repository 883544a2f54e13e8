-- Notes what went wrong for a tenant in an hour, as of its usage. The amounts of an hour only grow, so what another server has
-- said later stays.
-- KEYS[1] HASH id to name of the tenants that are there
-- KEYS[2] HASH tenant id to the amounts of the hour: numbers with commas between
-- ARGV[3] tenant id
-- ARGV[4] the amounts
-- ARGV[5] milliseconds for which the hour is kept from now on
-- Returns: "ok", or "gone" when there is no such tenant
-- Flags: none
-- Again: the same amounts change nothing.
if redis.call('HEXISTS', KEYS[1], ARGV[3]) == 0 then return 'gone' end
local have, text = {}, {}
for n in string.gmatch(redis.call('HGET', KEYS[2], ARGV[3]) or '', '[^,]+') do have[#have + 1] = tonumber(n) end
for n in string.gmatch(ARGV[4], '[^,]+') do
  text[#text + 1] = string.format('%.0f', math.max(tonumber(n), have[#text + 1] or 0))
end
redis.call('HSET', KEYS[2], ARGV[3], table.concat(text, ','))
redis.call('PEXPIRE', KEYS[2], ARGV[5])
return 'ok'
