-- Reads the alarms of a tenant.
-- KEYS[1] HASH alarms: "d" and name to definition, "s" and name to state, both JSON
-- KEYS[2] HASH marks: name to what the last evaluation remembers for the next, JSON
-- ARGV[3] "1" to read the marks, too
-- ARGV[4+] names; none for all
-- Returns: four each: name, definition, state, and the marks or ""
-- Flags: no-writes
-- Again: it changes nothing.
local names = {}
if #ARGV >= 4 then
  names = { unpack(ARGV, 4) }
else
  for _, field in ipairs(redis.call('HKEYS', KEYS[1])) do
    if string.sub(field, 1, 1) == 'd' then names[#names + 1] = string.sub(field, 2) end
  end
end
local out = {}
for _, name in ipairs(names) do
  local definition = redis.call('HGET', KEYS[1], 'd' .. name)
  if definition then
    local n = #out
    out[n + 1], out[n + 2] = name, definition
    out[n + 3] = redis.call('HGET', KEYS[1], 's' .. name) or ''
    out[n + 4] = ARGV[3] == '1' and redis.call('HGET', KEYS[2], name) or ''
  end
end
return out
