-- Reads a task.
-- KEYS[1] HASH task id to JSON
-- KEYS[2] HASH unfinished task id to its line; see lib/control.lua
-- ARGV[3] task id
-- Returns: the task, or "" where there is none; "1" when its end was asked for
-- Flags: no-writes
-- Again: it changes nothing.
--- @include "lib/control"
local control = read_control(redis.call('HGET', KEYS[2], ARGV[3]))
return { redis.call('HGET', KEYS[1], ARGV[3]) or '', control and control.cancel or '0' }
