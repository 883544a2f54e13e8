-- Forgets what a task's steps are remembered by, when the task has ended.
-- KEYS[1] HASH head
-- ARGV[3] lane of the task
-- Returns: "ok"
-- Flags: allow-oom
-- Again: what is forgotten stays forgotten.
redis.call('HDEL', KEYS[1], ARGV[3])
return { 'ok' }
