-- Stores how far a task has come, and keeps the lease on it, gives it back or ends the task.
-- KEYS[1] HASH task id to JSON
-- KEYS[2] HASH unfinished task id to its line; see lib/control.lua
-- KEYS[3] HASH task id and part to errors
-- ARGV[3] task id
-- ARGV[4] task, JSON
-- ARGV[5] fence
-- ARGV[6] number of this save, one more than that of the last one
-- ARGV[7] "keep", "give" or "end"
-- ARGV[8] milliseconds: how long the lease is kept, or for how long nobody may claim the task
-- ARGV[9+] number of a part and errors to add to it, in turn
-- Returns: "ok", "1" when its end was asked for, milliseconds since 1970 until which the lease holds; or "lost" when another one has it
-- Flags: allow-oom
-- Again: the second call finds the number of its save, or the very task as it ended.
--- @include "lib/clock"
--- @include "lib/control"
local control = read_control(redis.call('HGET', KEYS[2], ARGV[3]))
if not control then
  if ARGV[7] == 'end' and redis.call('HGET', KEYS[1], ARGV[3]) == ARGV[4] then return { 'ok', '0', '0' } end
  return { 'lost' }
end
local save = tonumber(ARGV[6])
if control.fence ~= tonumber(ARGV[5]) then return { 'lost' } end
if control.save ~= save then
  if control.save ~= save - 1 then return { 'lost' } end
  redis.call('HSET', KEYS[1], ARGV[3], ARGV[4])
  for i = 9, #ARGV, 2 do
    local field = ARGV[3] .. ':' .. ARGV[i]
    redis.call('HSET', KEYS[3], field, (redis.call('HGET', KEYS[3], field) or '') .. ARGV[i + 1])
  end
end
if ARGV[7] == 'end' then
  redis.call('HDEL', KEYS[2], ARGV[3])
  return { 'ok', control.cancel, '0' }
end
control.save = save
local now = read_clock(0)
control.till = now + tonumber(ARGV[8])
if ARGV[7] == 'give' then
  control.session = '0'
  -- Whoever asked for its end while it was about to pause for long does not wait for that.
  if control.cancel == '1' then control.till = math.min(control.till, now + 1000) end
end
redis.call('HSET', KEYS[2], ARGV[3], write_control(control))
return { 'ok', control.cancel, num(control.till) }
