-- What a webhook has missed: the gaps in what it took, as "first,last,count" of sequence numbers, the lowest first, with " " between.
-- Of what lies in one and matched the filter policy when it was published, the webhook has taken nothing.
--- @include "lib/hook"
-- So many are told apart; of more the last two become one, and what was taken between them counts as missed.
local GAPS = 64

local function read_gaps()
  local list = {}
  for first, last, count in string.gmatch(redis.call('HGET', HEAD, 'gp') or '', '(%d+),(%d+),(%d+)') do
    list[#list + 1] = { tonumber(first), tonumber(last), tonumber(count) }
  end
  return list
end

local function write_gaps(list)
  local out = {}
  for i, g in ipairs(list) do out[i] = num(g[1]) .. ',' .. num(g[2]) .. ',' .. num(g[3]) end
  redis.call('HSET', HEAD, 'gp', table.concat(out, ' '))
end

local function in_gap(list, sequence)
  for _, g in ipairs(list) do
    if g[1] <= sequence and sequence <= g[2] then return true end
  end
  return false
end

-- Notes that a message was dropped. `go` of the head is 1 as long as nothing was taken since the one before.
local function miss(q, list, sequence)
  local g = list[#list]
  if g and (q.go == 1 or #list >= GAPS) then
    g[2], g[3] = math.max(g[2], sequence), g[3] + 1
  else
    list[#list + 1] = { sequence, sequence, 1 }
  end
  if q.go ~= 1 then set(q, 'go', 1) end
end

-- Ends the gaps behind a sequence number up to another one. Where a part of one is left, its count becomes an estimate; where that
-- would make too many of one, it is left as it is.
local function close_gaps(q, list, after, to)
  local left = {}
  local function add(g, first, last)
    if first > last then return end
    local share = (last - first + 1) / (g[2] - g[1] + 1)
    left[#left + 1] = { first, last, math.max(math.floor(g[3] * share), 1) }
  end
  local changed = false
  for _, g in ipairs(list) do
    local within = g[1] <= after and g[2] > to
    if g[2] <= after or g[1] > to or within and #list >= 2 * GAPS then
      left[#left + 1] = g
    else
      changed = true
      add(g, g[1], after)
      add(g, to + 1, g[2])
    end
  end
  if changed then
    set(q, 'go', 0)
    write_gaps(left)
  end
end
