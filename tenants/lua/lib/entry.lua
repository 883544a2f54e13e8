-- One entry of the registry: "<state> <id> <account> <etag> <created> <settings>".
-- state is creating, ready or deleting; created is in milliseconds since 1970; etag and settings (JSON, an array of labels and
-- the rest) are those with which the tenant was reserved, and settings go once its record is written. Only they may hold
-- spaces.
local function split_entry(entry)
  if not entry then return nil end
  local state, id, account, rest = string.match(entry, '^(%a+) (%w+) (%d+) (.*)$')
  return state, id, account, rest
end
