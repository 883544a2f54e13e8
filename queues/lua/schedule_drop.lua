-- Deletes the schedules of a queue that is retired, to which nobody can add one.
-- KEYS[1] HASH schedules, as in schedule_read.lua
-- ARGV[3+] name of a schedule that the index does not have any more, at most 100
-- Returns: per schedule two: name and state of up to 100 of those that are left; nothing when the key is gone
-- Flags: allow-oom
-- Again: what is deleted stays deleted.
for i = 3, #ARGV do redis.call('HDEL', KEYS[1], 'd' .. ARGV[i], 's' .. ARGV[i]) end
local out = {}
for _, field in ipairs(redis.call('HKEYS', KEYS[1])) do
  if #out < 200 and string.sub(field, 1, 1) == 's' then
    out[#out + 1], out[#out + 2] = string.sub(field, 2), redis.call('HGET', KEYS[1], field)
  end
end
if #out == 0 then redis.call('UNLINK', KEYS[1]) end
return out
