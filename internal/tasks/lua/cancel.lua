-- Asks for the end of a task. One that pauses may be claimed at once, so that it ends.
-- KEYS[1] HASH task id to JSON
-- KEYS[2] HASH unfinished task id to its line; see lib/control.lua
-- ARGV[3] task id
-- Returns: "ok", "over" for a task that has ended, or "none"; then the task, or ""
-- Flags: allow-oom
-- Again: the second call finds that it was asked for.
--- @include "lib/control"
local task = redis.call('HGET', KEYS[1], ARGV[3])
if not task then return { 'none', '' } end
local control = read_control(redis.call('HGET', KEYS[2], ARGV[3]))
if not control then return { 'over', task } end
control.cancel = '1'
if control.session == '0' then control.till = 0 end
redis.call('HSET', KEYS[2], ARGV[3], write_control(control))
return { 'ok', task }
