-- Reads the usage of a tenant in some periods.
-- KEYS[1+] HASH field to amounts, of each period one, at most 50
-- ARGV[3] field, or "*" for all: then of one period
-- Returns: in turn the number of a key, a field and its amounts
-- Flags: no-writes
-- Again: it only reads.
local out = {}
local function add(i, field, amounts)
  if not amounts then return end
  out[#out + 1] = string.format('%.0f', i)
  out[#out + 1] = field
  out[#out + 1] = amounts
end
for i = 1, #KEYS do
  if ARGV[3] == '*' then
    local all = redis.call('HGETALL', KEYS[i])
    for at = 1, #all, 2 do add(i, all[at], all[at + 1]) end
  else
    add(i, ARGV[3], redis.call('HGET', KEYS[i], ARGV[3]))
  end
end
return out
