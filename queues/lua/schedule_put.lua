-- Stores a schedule of a queue, unless it has changed since the caller read it.
-- KEYS[1] HASH the queue's head
-- KEYS[2] HASH schedules, as in schedule_read.lua; the field "" keeps it from going
-- ARGV[3] name
-- ARGV[4] state that the caller read, or "" for a schedule that was not there
-- ARGV[5] definition
-- ARGV[6] state, which no other call writes
-- ARGV[7] how many schedules the queue may have
-- Returns: "ok"; "changed" when another change came first; "full"; or "gone" or "absent" for a queue that is deleted
-- Flags: none
-- Again: when the stored state is this one already, that is the answer.
local version = redis.call('HGET', KEYS[1], 'v')
if not version then return { 'absent' } end
if version == 'x' then return { 'gone' } end
local have = redis.call('HGET', KEYS[2], 's' .. ARGV[3]) or ''
if have == ARGV[6] then return { 'ok' } end
if have ~= ARGV[4] then return { 'changed' } end
if have == '' and math.floor(redis.call('HLEN', KEYS[2]) / 2) >= tonumber(ARGV[7]) then return { 'full' } end
redis.call('HSET', KEYS[2], '', '', 'd' .. ARGV[3], ARGV[5], 's' .. ARGV[3], ARGV[6])
return { 'ok' }
