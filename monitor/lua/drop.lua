-- Removes what is remembered of a tenant that is deleted.
-- KEYS[1] HASH the board, as in tally
-- KEYS[2] HASH series of what all have together
-- Returns: "ok"
-- Flags: allow-oom
-- Again: what is removed stays removed.
redis.call('UNLINK', KEYS[1], KEYS[2])
return 'ok'
