-- Replaces the state of a schedule, or deletes the schedule, unless it has changed since the caller read it. It notes what
-- was done, so it must run while memory is full.
-- KEYS[1] HASH the queue's head
-- KEYS[2] HASH schedules, as in schedule_read.lua
-- ARGV[3] name
-- ARGV[4] state that the caller read
-- ARGV[5] state, which no other call writes; or "" to delete
-- Returns: "ok"; "changed" when another change came first; or "gone" or "absent" for a queue that is deleted
-- Flags: allow-oom
-- Again: when the schedule is as it shall be already, that is the answer.
local version = redis.call('HGET', KEYS[1], 'v')
if not version then return { 'absent' } end
if version == 'x' then return { 'gone' } end
local have = redis.call('HGET', KEYS[2], 's' .. ARGV[3]) or ''
if have == ARGV[5] then return { 'ok' } end
if have ~= ARGV[4] then return { 'changed' } end
if ARGV[5] == '' then
  redis.call('HDEL', KEYS[2], 'd' .. ARGV[3], 's' .. ARGV[3])
else
  redis.call('HSET', KEYS[2], 's' .. ARGV[3], ARGV[5])
end
return { 'ok' }
