-- A plan's record: "<etag> <created> <updated> <limits>", with times in milliseconds since 1970 and limits as JSON.
local function split_plan(record)
  if not record then return nil end
  return string.match(record, '^(%w+) (%d+) (%d+) (.*)$')
end
