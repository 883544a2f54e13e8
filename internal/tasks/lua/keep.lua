-- Keeps the lease on a task.
-- KEYS[1] HASH unfinished task id to its line; see lib/control.lua
-- ARGV[3] task id
-- ARGV[4] fence
-- ARGV[5] milliseconds: how long
-- Returns: "ok" and "1" when its end was asked for; or "lost" when another one has it
-- Flags: allow-oom
-- Again: it is kept as long, from then on.
--- @include "lib/clock"
--- @include "lib/control"
local control = read_control(redis.call('HGET', KEYS[1], ARGV[3]))
if not control or control.fence ~= tonumber(ARGV[4]) then return { 'lost' } end
control.till = read_clock(0) + tonumber(ARGV[5])
redis.call('HSET', KEYS[1], ARGV[3], write_control(control))
return { 'ok', control.cancel }
