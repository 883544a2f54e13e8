-- Removes the series of a queue whose other keys are removed. It is a call of its own because most queues have none: a script
-- with several keys of which one is absent is stopped while their slot moves.
-- KEYS[1] HASH series, which package monitor keeps
-- Returns: "ok"
-- Flags: allow-oom
-- Again: what is removed stays removed.
redis.call('UNLINK', KEYS[1])
return 'ok'
