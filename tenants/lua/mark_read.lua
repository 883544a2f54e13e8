-- Reads the mark that changes whenever what holds for some tenant does.
-- KEYS[1] HASH whose field "" holds the mark
-- Returns: the mark, "" for none yet
-- Flags: no-writes
-- Again: it only reads.
return redis.call('HGET', KEYS[1], '') or ''
