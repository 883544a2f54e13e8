-- Reads what went wrong for tenants in some hours.
-- KEYS HASHes, as in trouble_add
-- ARGV[3+] tenant ids, at most 500; none for all
-- Returns: tenant id and amounts of an hour, in turn
-- Flags: no-writes
-- Again: it changes nothing.
local out = {}
for _, key in ipairs(KEYS) do
  if #ARGV < 3 then
    for _, text in ipairs(redis.call('HGETALL', key)) do out[#out + 1] = text end
  else
    for i, amounts in ipairs(redis.call('HMGET', key, unpack(ARGV, 3))) do
      if amounts then
        out[#out + 1] = ARGV[i + 2]
        out[#out + 1] = amounts
      end
    end
  end
end
return out
