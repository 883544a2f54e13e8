-- Makes room for new tasks: forgets the oldest that have ended, with their errors, beyond the bound.

-- The errors of a task lie in up to this many fields, "<id>:0" and so on.
local ERROR_PARTS = 10

-- Whether id a stands before b, byte by byte: Lua's own < follows the locale of the Redis server.
local function before(a, b)
  for i = 1, #a do
    local x, y = string.byte(a, i), string.byte(b, i) or -1
    if x ~= y then return x < y end
  end
  return false
end

-- most: how many tasks are kept; keep: the id of one that is not forgotten.
local function make_room(all, running, errors, most, keep)
  -- Each call adds one, so there is one too many at most; a few more when the bound was lowered.
  for _ = 1, math.min(redis.call('HLEN', all) - most, 10) do
    local open, oldest = {}, nil
    for _, id in ipairs(redis.call('HKEYS', running)) do open[id] = true end
    for _, id in ipairs(redis.call('HKEYS', all)) do
      if not open[id] and id ~= keep and (not oldest or before(id, oldest)) then oldest = id end
    end
    if not oldest then return end
    redis.call('HDEL', all, oldest)
    -- In one call: while the slot is being moved Redis stops a script that comes back to a key which it has emptied.
    local parts = {}
    for i = 0, ERROR_PARTS - 1 do parts[#parts + 1] = oldest .. ':' .. i end
    redis.call('HDEL', errors, unpack(parts))
  end
end
