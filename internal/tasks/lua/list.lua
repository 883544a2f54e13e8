-- Reads all tasks of a tenant, which are at most as many as start.lua keeps.
-- KEYS[1] HASH task id to JSON
-- KEYS[2] HASH unfinished task id to its line; see lib/control.lua
-- Returns: per task two, in no order: the task, and "1" when its end was asked for
-- Flags: no-writes
-- Again: it changes nothing.
--- @include "lib/control"
local open, lines, out = {}, redis.call('HGETALL', KEYS[2]), {}
for i = 1, #lines, 2 do open[lines[i]] = read_control(lines[i + 1]).cancel end
local all = redis.call('HGETALL', KEYS[1])
for i = 1, #all, 2 do
  out[i] = all[i + 1]
  out[i + 1] = open[all[i]] or '0'
end
return out
