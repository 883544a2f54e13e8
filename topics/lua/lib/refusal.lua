-- Publishes that are refused because a subscription is full.
-- The head has in `fx`, of each subscription that asked for that, uid and name, a line each, and in `fu` how many these are. It holds as
-- long as the subscription is behind. The head needs `fu`.
--- @include "lib/subscription"

local function write_refusing(q, lines)
  set(q, 'fu', #lines)
  set(q, 'fx', table.concat(lines, '\n'))
end

-- Has publishes refused for a subscription, or with the name "" not any more.
local function refuse(q, uid, name)
  if q.fu == 0 and name == '' then return end
  local lines, line, there = {}, uid .. ' ' .. name, false
  for one in string.gmatch(q.fx or redis.call('HGET', HEAD, 'fx') or '', '[^\n]+') do
    there = there or one == line
    if string.match(one, '^%S+') ~= uid then lines[#lines + 1] = one end
  end
  if there then return end
  if name ~= '' then lines[#lines + 1] = line end
  if #lines ~= q.fu or name ~= '' then write_refusing(q, lines) end
end

-- Returns the name of a subscription because of which nothing is to be appended, or nil. Those that have caught up meanwhile, are paused
-- or have ended, are forgotten.
local function refuser(q)
  if q.fu == 0 then return nil end
  local lines, first = {}, nil
  for uid, name in string.gmatch(q.fx or redis.call('HGET', HEAD, 'fx') or '', '(%S+) (%S+)') do
    local p = read_progress(uid)
    if p and p.paused == 0 and p.cursor < q.sq then
      lines[#lines + 1] = uid .. ' ' .. name
      first = first or name
    end
  end
  if #lines ~= q.fu then write_refusing(q, lines) end
  return first
end
