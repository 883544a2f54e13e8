-- One entry of the registry: "<state> <id> <account> <etag> <created> <labels>".
-- state is creating, ready or deleting; created is in milliseconds since 1970; etag and labels (JSON) are those with
-- which the tenant was reserved, and labels go once its record is written. Only labels may hold spaces.
local function split_entry(entry)
  if not entry then return nil end
  local state, id, account, rest = string.match(entry, '^(%a+) (%w+) (%d+) (.*)$')
  return state, id, account, rest
end
