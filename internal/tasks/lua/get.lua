-- Reads a task.
-- KEYS[1] HASH task id to JSON
-- ARGV[3] task id
-- Returns: the task, or "" where there is none
-- Flags: no-writes
-- Again: it changes nothing.
return redis.call('HGET', KEYS[1], ARGV[3]) or ''
