-- Forgets how far a source has brought a topic its messages, when it brings nothing any more.
-- KEYS[1] HASH head
-- ARGV[3] the field of the head that is the source's
-- Returns: "ok"
-- Flags: allow-oom
-- Again: what is forgotten stays forgotten.
redis.call('HDEL', KEYS[1], ARGV[3])
return { 'ok' }
