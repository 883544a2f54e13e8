-- Stores a task that is to be worked on. It may make room, so it runs when there is none.
-- KEYS[1] HASH the tenant, or the installation, which has an epoch
-- KEYS[2] HASH task id to JSON
-- KEYS[3] HASH unfinished task id to its line; see lib/control.lua
-- KEYS[4] HASH task id and part to errors
-- ARGV[3] task id, which sorts by time
-- ARGV[4] task, JSON
-- ARGV[5] how many tasks are kept
-- ARGV[6] how many may be unfinished
-- ARGV[7] what no two unfinished tasks may share, or ""
-- ARGV[8] milliseconds since 1970: after that nothing is stored, for the plan may have been forgotten
-- Returns: "ok"; "no_tenant"; "late"; "full" and how many are unfinished; or "taken" and the id of the other one
-- Flags: allow-oom
-- Again: the second call finds the task.
--- @include "lib/clock"
--- @include "lib/control"
--- @include "lib/room"
local owner = redis.call('HMGET', KEYS[1], 'state', 'epoch')
if owner[1] ~= 'active' and not owner[2] then return { 'no_tenant' } end
if redis.call('HEXISTS', KEYS[2], ARGV[3]) == 1 then return { 'ok' } end
if read_clock(0) > tonumber(ARGV[8]) then return { 'late' } end
local open = redis.call('HGETALL', KEYS[3])
if #open / 2 >= tonumber(ARGV[6]) then return { 'full', num(#open / 2) } end
for i = 1, #open, 2 do
  if ARGV[7] ~= '' and read_control(open[i + 1]).alone == ARGV[7] then return { 'taken', open[i] } end
end
redis.call('HSET', KEYS[2], ARGV[3], ARGV[4])
redis.call('HSET', KEYS[3], ARGV[3], write_control({ fence = 0, save = 0, till = 0, session = '0', cancel = '0', alone = ARGV[7] }))
make_room(KEYS[2], KEYS[3], KEYS[4], tonumber(ARGV[5]), ARGV[3])
return { 'ok' }
