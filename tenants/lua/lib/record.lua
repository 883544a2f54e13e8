-- A tenant's record as the program reads it. A missing record is a list of nothing but false.
local function read_record(key)
  return redis.call('HMGET', key, 'id', 'name', 'account', 'state', 'labels', 'created', 'updated', 'etag',
    'more', 'suspended', 'since')
end
-- Says whether the entity tag that a tenant has satisfies If-Match and If-None-Match, each "" when absent.
local function holds(etag, match, none)
  if match ~= '' and match ~= '*' and match ~= etag then return false end
  return none == '' or (none ~= '*' and none ~= etag)
end
-- Says whether a suspension, as a record has it, holds at an instant in milliseconds since 1970.
local function is_suspended(text, now)
  if not text or text == '' then return false end
  local ends = string.match(text, '"until":(%d+)}$')
  return not ends or tonumber(ends) > now
end
