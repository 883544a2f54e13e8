-- Forgets up to `most` deduplication keys whose time is over, the oldest first, and returns how many. window: how long a
-- key is remembered, in milliseconds.
local function forget_keys(q, window, most)
  local over, gone = 0, {}
  for _, entry in ipairs(redis.call('LRANGE', ORDER, 1, most)) do
    if tonumber(string.sub(entry, 17)) + window > q.now then break end
    over = over + 1
    local key = string.sub(entry, 1, 16)
    local kept = redis.call('HGET', DEDUP, key)
    -- A key that was used again since then stands further behind as well.
    if kept and string.match(kept, '^%d+') == string.sub(entry, 17) then gone[#gone + 1] = key end
  end
  if #gone > 0 then redis.call('HDEL', DEDUP, unpack(gone)) end
  if over > 0 then
    redis.call('LTRIM', ORDER, over, -1)
    redis.call('LSET', ORDER, 0, '')
  end
  return over
end
