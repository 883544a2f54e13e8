-- Takes a lease on a task that nobody works on. What the holders before do from now on is refused by its fence.
-- KEYS[1] HASH task id to JSON
-- KEYS[2] HASH unfinished task id to its line; see lib/control.lua
-- ARGV[3] task id
-- ARGV[4] session that asks
-- ARGV[5] milliseconds: how long
-- Returns: "ok", the task, fence, number of the last save, "1" when its end was asked for, milliseconds since 1970 until which the lease holds; "held" while another one has it or it pauses; "over" and the task when it has ended; or "none"
-- Flags: allow-oom
-- Again: the session that has the lease gets another one.
--- @include "lib/clock"
--- @include "lib/control"
local task = redis.call('HGET', KEYS[1], ARGV[3])
if not task then
  redis.call('HDEL', KEYS[2], ARGV[3]) -- a server of an older version forgets tasks without a look at who works on them
  return { 'none' }
end
local control = read_control(redis.call('HGET', KEYS[2], ARGV[3]))
if not control then return { 'over', task } end
local now = read_clock(0)
if control.till > now and control.session ~= ARGV[4] then return { 'held' } end
control.fence = control.fence + 1
control.till = now + tonumber(ARGV[5])
control.session = ARGV[4]
redis.call('HSET', KEYS[2], ARGV[3], write_control(control))
return { 'ok', task, num(control.fence), num(control.save), control.cancel, num(control.till) }
