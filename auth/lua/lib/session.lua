-- What scripts about sessions and portal links share.

-- Returns the first text behind all that begin with this prefix, which ends with a slash.
local function behind(prefix) return string.sub(prefix, 1, -2) .. '0' end

-- Forgets a session by its entry in two sets, at whose end its digest stands.
local function forget_session(records, uses, index, ends, entry)
  local digest = string.sub(entry, -64)
  redis.call('HDEL', records, digest)
  redis.call('HDEL', uses, digest)
  redis.call('ZREM', index, entry)
  redis.call('ZREM', ends, entry)
end

-- Forgets a portal link by its entry in two sets, at whose end its digest stands.
local function forget_link(records, links, ends, entry)
  redis.call('HDEL', records, string.sub(entry, -64))
  redis.call('ZREM', links, entry)
  redis.call('ZREM', ends, entry)
end
