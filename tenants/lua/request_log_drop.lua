-- Forgets the request log of a tenant that is being deleted.
-- KEYS[1] HASH id of a part to its requests
-- KEYS[2] ZSET instant and id of each part
-- Returns: "ok"
-- Flags: allow-oom
-- Again: what is forgotten stays forgotten.
redis.call('UNLINK', KEYS[1], KEYS[2])
return 'ok'
