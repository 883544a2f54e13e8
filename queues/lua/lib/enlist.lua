-- Enters or removes the caller's server in the list of those with waiting receives. An entry that still has half of its
-- life is left alone, so that waiting costs no writes.
local WAIT_LIFE = 30000
local function enlist(q, waiting)
  local mine = string.match(ARGV[4], '^L(%d+)')
  local list, have = {}, 0
  for session, till in string.gmatch(q.w, '(%d+):(%d+)') do
    till = tonumber(till)
    if session == mine then
      have = till
    elseif till > q.now then
      list[#list + 1] = session .. ':' .. num(till)
    end
  end
  if waiting == (have - q.now > WAIT_LIFE / 2) then return end
  if waiting then list[#list + 1] = mine .. ':' .. num(q.now + WAIT_LIFE) end
  set(q, 'w', table.concat(list, ','))
end
